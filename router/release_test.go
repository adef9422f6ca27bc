package router

import "testing"

func TestManaged(t *testing.T) {
	for _, c := range []struct {
		version, protocol string
		want              bool
	}{
		{"8.4.4", BGP, false}, {"9.1", BGP, false}, {"10.3", BGP, true}, {"11.0-dev", BGP, true},
		{"8.4.4", Static, false}, {"9.0.1", Static, true}, {"10.3", Static, true},
		{"9.1", ISIS, false}, {"10.3", ISIS, true}, {"10.3", OSPF3, true}, {"strange", BGP, false}, {"", BGP, false},
	} {
		if got := managed(c.protocol, major(c.version)); got != c.want {
			t.Errorf("%s on FRR %q: %v", c.protocol, c.version, got)
		}
	}
}
