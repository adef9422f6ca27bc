package completion

import (
	"slices"
	"strings"
	"testing"
)

func labels(t *testing.T, text string) (from int, out []string) {
	t.Helper()
	at := strings.IndexByte(text, '|')
	before := text[:at]
	line := strings.Count(before, "\n") + 1
	column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	from, list := At(before+text[at+1:], line, column)
	for _, c := range list {
		out = append(out, c.Label)
	}
	return from, out
}

// The cursor is the bar. What is offered has all of want and none of not.
func TestAt(t *testing.T) {
	for name, c := range map[string]struct {
		text      string
		from      int
		want, not []string
	}{
		"an empty file":      {"|", 1, []string{"apiVersion", "kind", "metadata", "spec"}, []string{"stations"}},
		"a field begun":      {"spec:\n  cons|", 3, []string{"constellations"}, []string{"stations", "spec"}},
		"what is there":      {"spec:\n  stations: []\n  |\n  seed: 1\n", 3, []string{"constellations"}, []string{"stations", "seed"}},
		"an item":            {"spec:\n  stations:\n    - name: a\n      |", 7, []string{"position", "waypoints"}, []string{"name", "stations"}},
		"a new item":         {"spec:\n  stations:\n    - name: a\n    - |", 7, []string{"name", "position"}, nil},
		"an item's own":      {"spec:\n  stations:\n    - name: a\n    - position: {}\n      |", 7, []string{"name"}, []string{"position"}},
		"dashes below a key": {"spec:\n  stations:\n  - name: a\n    |", 5, []string{"position"}, []string{"name", "constellations"}},
		"back out":           {"spec:\n  stations:\n    - name: a\n  |", 3, []string{"constellations"}, []string{"position", "stations"}},
		"a word":             {"spec:\n  constellations:\n    - walker:\n        pattern: s|", 18, []string{"star"}, []string{"delta"}},
		"words":              {"spec:\n  groundLinks:\n    - policy: |", 15, []string{"highest", "longest", "sticky"}, nil},
		"a boolean":          {"spec:\n  network:\n    ipv4: |", 11, []string{"true", "false"}, nil},
		"in braces":          {"spec:\n  stations:\n    - {name: a, |", 17, []string{"position"}, []string{"name"}},
		"in braces in them":  {"spec:\n  stations:\n    - {name: a, position: {lat: 1deg, |", 39, []string{"lon", "height"}, []string{"lat", "name"}},
		"a word in braces":   {"spec:\n  constellations:\n    - walker: {pattern: |", 25, []string{"star", "delta"}, nil},
		"after braces":       {"spec:\n  stations:\n    - {position: {lat: 1deg}, na|", 31, []string{"name"}, []string{"lat"}},
		"a comment":          {"spec: # what |", 14, nil, []string{"stations"}},
		"an unknown field":   {"spec:\n  nonsense:\n    |", 5, nil, []string{"stations", "name"}},
		"beyond comments":    {"spec:\n  stations:\n# a word\n\n    - |", 7, []string{"name"}, nil},
	} {
		from, got := labels(t, c.text)
		if from != c.from {
			t.Errorf("%s: from column %d, want %d", name, from, c.from)
		}
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q is not offered, but %v", name, w, got)
			}
		}
		for _, w := range c.not {
			if slices.Contains(got, w) {
				t.Errorf("%s: %q is offered", name, w)
			}
		}
	}
}

func TestRequiredFieldsComeFirst(t *testing.T) {
	_, got := labels(t, "spec:\n  stations:\n    - |")
	if len(got) == 0 || got[0] != "name" {
		t.Errorf("%v, want name first", got)
	}
}

func TestNowhere(t *testing.T) {
	for _, at := range [][2]int{{0, 1}, {9, 1}, {1, 0}, {1, 999}} {
		if _, list := At("x", at[0], at[1]); len(list) > 0 && at[1] != 999 {
			t.Errorf("at %v: %v", at, list)
		}
	}
}

func FuzzAt(f *testing.F) {
	f.Add("spec:\n  stations:\n    - {name: a, position: {lat: 1deg, ", 3, 30)
	f.Add("- - - a: [b, {c: ]}", 1, 12)
	f.Add("ä: ö\n- ü", 2, 3)
	f.Fuzz(func(t *testing.T, text string, line, column int) {
		from, list := At(text, line, column)
		if column >= 1 && (from > column || len(list) > 0 && from < 1) {
			t.Fatalf("from column %d for a cursor at %d", from, column)
		}
	})
}
