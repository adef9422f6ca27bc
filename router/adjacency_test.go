package router

import (
	"bufio"
	"bytes"
	"cmp"
	"slices"
	"strings"
	"testing"
)

// What the daemons of Debian 12 (BIRD 2.0.12, FRR 8.4.4) say, shortened.
const (
	birdAnswer = `0001 BIRD 2.0.12 ready.
1013-ospf6:
 Router ID   	Pri	     State     	DTime	Interface  Router IP
 10.0.0.1    	  1	Full/PtP  	 2.905	left       fe80::1:0:2
 10.0.0.3    	  1	ExStart/PtP	 2.909	right      fe80::3:0:1
0000 
`
	isisAnswer = `{"areas":[{"area":"orrery","circuits":[
{"circuit":0,"adj":"n0","interface":"left","level":2,"state":"Up","expires-in":"3s","snpa":"2020.2020.2020"},
{"circuit":0},
{"circuit":0,"adj":"0100.0000.0003","interface":"right","level":2,"state":"Initializing","expires-in":"3s"}]}]}`
	ospf6Answer = `{"neighbors":[
{"neighborId":"10.0.0.1","priority":1,"deadTime":"00:00:02","state":"Full","ifState":"PointToPoint","interfaceName":"left"},
{"neighborId":"10.0.0.3","priority":1,"deadTime":"00:00:02","state":"Init","ifState":"PointToPoint","interfaceName":"right"}]}`
	ospfAnswer = `{"neighbors":{
"10.0.0.1":[{"priority":1,"state":"Full\/-","nbrState":"Full\/-","ifaceName":"left:10.0.0.2"}],
"10.0.0.3":[{"priority":1,"state":"Init\/-","nbrState":"Init\/-","ifaceName":"right:10.0.0.2"}]}}`
	bgpAnswer = `{
"ipv4Unicast":{"routerId":"10.0.0.2","peers":{"left":{"hostname":"n0","remoteAs":4200000001,"state":"Established"},"right":{"remoteAs":0,"state":"Idle"}},"totalPeers":2}
,
"ipv6Unicast":{"routerId":"10.0.0.2","peers":{"left":{"hostname":"n0","remoteAs":4200000001,"state":"Established"},"right":{"remoteAs":0,"state":"Idle"}},"totalPeers":2}
}`
)

func TestParseAdjacencies(t *testing.T) {
	r := bufio.NewReader(strings.NewReader(birdAnswer))
	if _, err := readBIRD(r); err != nil {
		t.Fatal(err)
	}
	lines, err := readBIRD(r)
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, list []Adjacency, err error, want ...Adjacency) {
		t.Helper()
		slices.SortFunc(list, func(a, b Adjacency) int { return cmp.Compare(a.Port, b.Port) })
		if err != nil || !slices.Equal(list, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, list, err, want)
		}
	}
	check("BIRD", parseBIRDNeighbours(lines), nil,
		Adjacency{"left", "10.0.0.1", "Full/PtP", true}, Adjacency{"right", "10.0.0.3", "ExStart/PtP", false})
	list, err := parseISIS([]byte(isisAnswer))
	check("isisd", list, err, Adjacency{"left", "n0", "Up", true}, Adjacency{"right", "0100.0000.0003", "Initializing", false})
	list, err = parseOSPF6([]byte(ospf6Answer))
	check("ospf6d", list, err, Adjacency{"left", "10.0.0.1", "Full", true}, Adjacency{"right", "10.0.0.3", "Init", false})
	list, err = parseOSPF([]byte(ospfAnswer))
	check("ospfd", list, err, Adjacency{"left", "10.0.0.1", "Full/-", true}, Adjacency{"right", "10.0.0.3", "Init/-", false})
	list, err = parseBGP([]byte(bgpAnswer))
	check("bgpd", list, err, Adjacency{"left", "n0", "Established", true}, Adjacency{"right", "", "Idle", false})
}

func TestReadAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		"9001 syntax error, unexpected CF_SYM_UNDEFINED\n": "syntax error",
		"0000":           "cut short",
		"what is this\n": "not understood",
	} {
		if _, err := readBIRD(bufio.NewReader(strings.NewReader(answer))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("BIRD %q: %v", answer, err)
		}
	}
	text, status, err := readFRR(bufio.NewReader(strings.NewReader("{\n}\n\x00\x00\x00\x02next")))
	if string(text) != "{\n}\n" || status != 2 || err != nil {
		t.Errorf("FRR: %q, %d, %v", text, status, err)
	}
	if _, _, err := readFRR(bufio.NewReader(strings.NewReader("{\n}\n\x00\x00"))); err == nil {
		t.Error("FRR: an answer cut short is taken for whole")
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{birdAnswer, isisAnswer, ospf6Answer, ospfAnswer, bgpAnswer, "ok\x00\x00\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		if lines, err := readBIRD(bufio.NewReader(bytes.NewReader(b))); err == nil {
			parseBIRDNeighbours(lines)
		}
		_, _, _ = readFRR(bufio.NewReader(bytes.NewReader(b)))
		_, _ = parseISIS(b)
		_, _ = parseOSPF6(b)
		_, _ = parseOSPF(b)
		_, _ = parseBGP(b)
	})
}
