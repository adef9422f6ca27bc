package scenario_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"orrery.dev/orrery/scenario"
)

// What Undefault empties, Default fills in again, and nothing else is touched.
func TestUndefault(t *testing.T) {
	for file, data := range examples(t) {
		s, err := scenario.Parse(file, data)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		mtu := s.Spec.Network.MTU
		scenario.Undefault(s)
		if s.Spec.Seed == 1 || s.Spec.Network.Prefix == "fd00::/32" || mtu == 1500 && s.Spec.Network.MTU != 0 || mtu != 1500 && s.Spec.Network.MTU != mtu {
			t.Errorf("%s: seed %d, prefix %q, MTU %d of %d", filepath.Base(file), s.Spec.Seed, s.Spec.Network.Prefix, s.Spec.Network.MTU, mtu)
		}
		s.Default()
		again, err := s.YAML()
		if err != nil || !bytes.Equal(again, whole) {
			t.Errorf("%s: %v; with its defaults again it is\n%s\nand was\n%s", filepath.Base(file), err, again, whole)
		}
	}
}
