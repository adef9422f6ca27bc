package firstboot

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		files, old []string
		next       string
	}{
		{nil, nil, "orrery-0001-a"},
		{[]string{"orrery-0001-a.efi"}, nil, "orrery-0002-b"},
		{[]string{"orrery-0001-a.efi", "orrery-0002-b+0-3.efi"}, []string{"orrery-0002-b+0-3.efi"}, "orrery-0003-b"},
		{[]string{"orrery-0001-a.efi", "orrery-0002-b.efi", "other.efi"}, []string{"orrery-0001-a.efi"}, "orrery-0003-a"},
		{[]string{"orrery-0001-a+3.efi"}, nil, "orrery-0002-b"},
	} {
		old, next := plan(c.files)
		if !slices.Equal(old, c.old) || next.name() != c.next {
			t.Errorf("%q: %q, %s", c.files, old, next.name())
		}
	}
}

// However updates end, the root that came up last is never written over by the next.
func TestUpdates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := []string{"orrery-0001-a.efi"}
		good := "orrery-0001-a.efi"
		for range rapid.IntRange(1, 10).Draw(t, "updates") {
			old, next := plan(files)
			if slices.Contains(old, good) {
				t.Fatalf("%s, the last good one, is removed", good)
			}
			files = slices.DeleteFunc(files, func(f string) bool { return slices.Contains(old, f) })
			if rapid.Bool().Draw(t, "comes up") {
				good = next.name() + ".efi"
				files = append(files, good)
			} else {
				files = append(files, next.name()+fmt.Sprintf("+%d-3.efi", rapid.IntRange(0, 2).Draw(t, "left")))
			}
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add("orrery-0001-a+3-1.efi")
	f.Fuzz(func(t *testing.T, name string) {
		if e, ok := entryOf(name); ok && (e.slot != "a" && e.slot != "b" || e.generation < 0) {
			t.Errorf("%+v", e)
		}
	})
}
