package scenario

import "testing"

func TestAmount(t *testing.T) {
	for text, want := range map[string]float64{
		"0": 0, "2": 2, "10m": 0.01, "1.5": 1.5, "16Mi": 16 << 20, "1Ki": 1 << 10, "2Gi": 2 << 30, "1Ti": 1 << 40, "1Pi": 1 << 50, "3k": 3e3, "4M": 4e6, "5G": 5e9,
	} {
		if got, err := Amount(text); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "m", "1 Mi", "-1", "1e3", "1mi", "0x10"} {
		if v, err := Amount(text); err == nil {
			t.Errorf("%q is the amount %v", text, v)
		}
	}
	for _, daemon := range []string{"", "bird", "frr"} {
		for name, text := range DefaultRequests(daemon) {
			if v, err := Amount(text); err != nil || v <= 0 {
				t.Errorf("%s of %q: %v, %v", name, daemon, v, err)
			}
		}
	}
}
