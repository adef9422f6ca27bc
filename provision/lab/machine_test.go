package lab

import (
	"regexp"
	"testing"
)

// The emulator refuses what has not this form.
func TestUUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for i := range 20 {
		h := Hardware{MAC: mac(i)}
		if id := h.UUID(); !form.MatchString(id) || seen[id] {
			t.Errorf("%q", id)
		}
		seen[h.UUID()] = true
	}
}
