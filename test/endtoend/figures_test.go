package endtoend

import "testing"

func TestFigures(t *testing.T) {
	f := Figures("# HELP a b\n# TYPE a counter\na{x=\"1 2\"} 3\na{x=\"2\"} 4.5e1\nab 7\nbroken\nno number\n")
	if len(f) != 3 || f[`a{x="1 2"}`] != 3 || Sum(f, "a") != 48 || Sum(f, "ab") != 7 || Sum(f, "none") != 0 {
		t.Errorf("read as %v", f)
	}
}
