package router

import (
	"testing"

	"orrery.dev/orrery/scenario"
)

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

func TestCheckBFD(t *testing.T) {
	bgp := scenario.Routing{Protocol: BGP, BFD: &scenario.BFD{}}
	for version, want := range map[string]bool{
		"8.4.4": true, "9.1": true, "10.1.2": true, "10.2": false, "10.2.2_git": false, "10.2.3": true,
		"10.3": false, "10.3.1": true, "10.5.1": true, "11.0-dev": true, "strange": true,
	} {
		if err := checkBFD(bgp, version); (err == nil) != want {
			t.Errorf("FRR %s: %v", version, err)
		}
	}
	for _, r := range []scenario.Routing{{Protocol: BGP}, {Protocol: ISIS, BFD: &scenario.BFD{}}} {
		if err := checkBFD(r, "10.3"); err != nil {
			t.Error(err)
		}
	}
}
