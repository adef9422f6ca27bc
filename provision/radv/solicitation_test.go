package radv

import "testing"

func FuzzSolicitation(f *testing.F) {
	f.Add([]byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		mac, err := decodeSolicitation(b)
		if err == nil && mac != nil && len(mac) != 6 {
			t.Errorf("%v", mac)
		}
	})
}
