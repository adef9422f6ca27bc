package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"orrery.dev/orrery/record"
)

// silentSky has stations that change their satellites without their daemons being told:
// these find out by hellos that do not come. Ten times faster than life.
const silentSky = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: silent-sky}
spec:
  epoch: 2026-01-01T00:00:00Z
  speed: 10
  constellations:
    - name: sat
      walker: {pattern: star, planes: 4, satellitesPerPlane: 8, inclination: 86.4deg, altitude: 780km, phasing: 2}
      links: {pattern: grid, maxLatitude: 60deg, properties: {rate: 1Gbit}}
      groundPorts: 2
  stations:
    - {name: oslo, position: {lat: 59.9deg, lon: 10.7deg}}
    - {name: rome, position: {lat: 41.9deg, lon: 12.5deg}}
  groundLinks:
    - {name: user, minElevation: 10deg, policy: highest, hysteresis: 2deg, properties: {silent: true}}
  routing:
    - {protocol: ospf3, daemon: bird, hello: 1s, dead: 4s}
`

// What the tables are found to forward, real packets see: those of a probe stream come
// while the verifier calls their pair reachable, and do not while it does not. What is
// within a second of a change is left out: packets are under way, and daemons at work.
// So is what is partly reachable, since the kernels choose.
func TestVerifierAgainstProbes(t *testing.T) {
	needKernel(t)
	if _, err := exec.LookPath("bird"); err != nil {
		t.Skip("needs bird (Debian package bird2)")
	}
	if testing.Short() {
		t.Skip("-short: it takes most of a minute")
	}
	dir := filepath.Join(t.TempDir(), "record")
	const speed = 10 // as in the scenario
	r := startForeground(t, silentSky)
	r.cmd.Args = append(r.cmd.Args, "--record", dir, "--span", "450s", "--probe", "oslo,rome", "--probe", "rome,oslo")
	r.start(t)
	if err := r.wait(t); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	comparePairsWithProbes(t, dir, speed)
}

func comparePairsWithProbes(t *testing.T, dir string, speed int64) {
	t.Helper()
	d, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d.Run.Outcome.State != record.Complete || len(d.Run.Unobserved) > 0 {
		t.Errorf("outcome %+v, unobserved %q", d.Run.Outcome, d.Run.Unobserved)
	}
	if a := d.Run.Adjacencies; a == nil || a.Possible == 0 || a.Up > a.Possible {
		t.Errorf("adjacencies when the span began: %+v", a)
	}
	pairs, err := record.Pairs.Read(d)
	if err != nil {
		t.Fatal(err)
	}
	// state of a pair throughout a time: whether it was reachable, and steadily so, for
	// all packets alike.
	state := func(source, destination string, from, to int64) (reachable, steady bool) {
		steady = true
		for _, p := range pairs {
			if p.Source != source || p.Destination != destination || p.Sample {
				continue
			}
			now := p.State == record.PairReachable
			switch {
			case p.At <= from:
				reachable, steady = now, !p.Partly
			case p.At < to && (p.Partly || now != reachable):
				return reachable, false
			}
		}
		return reachable, steady
	}
	probes, err := record.Probes.Read(d)
	if err != nil {
		t.Fatal(err)
	}
	margin := time.Second.Microseconds() * speed
	var good, bad, cut int
	for _, p := range probes {
		reachable, steady := state(p.Source, p.Destination, p.At-margin, p.At+p.Interval+margin)
		switch {
		case !steady || p.Sent == 0:
		case reachable:
			good++
			if p.Lost > 0 {
				t.Errorf("%s to %s is said to be reachable, and %d of %d packets that were sent in the second from %d µs on were lost", p.Source, p.Destination, p.Lost, p.Sent, p.At)
			}
		default:
			if bad++; good > 0 {
				cut++
			}
			if p.Received > 0 {
				t.Errorf("%s to %s is said not to be reachable, and %d of %d packets that were sent in the second from %d µs on came", p.Source, p.Destination, p.Received, p.Sent, p.At)
			}
		}
	}
	if good == 0 {
		t.Skip("the daemons did not converge within the run on this machine")
	}
	conv, err := record.Convergences.Read(d)
	if err != nil {
		t.Fatal(err)
	}
	affected := 0
	for _, c := range conv {
		affected += int(c.Pairs)
	}
	control, err := record.Controls.Read(d)
	if err != nil {
		t.Fatal(err)
	}
	ospf := map[bool]uint64{}
	for _, c := range control {
		if c.Protocol == "ospf" {
			ospf[c.Port == ""] += c.Frames
		}
	}
	if ospf[true] == 0 || ospf[true] != ospf[false] {
		t.Errorf("%d frames of OSPF in sum, %d by port", ospf[true], ospf[false])
	}
	t.Logf("%d seconds reachable, %d not, %d of these in between; %d changes of topology, %d pairs cut off by them; %d frames of OSPF", good, bad, cut, len(conv), affected, ospf[true])
	if bad == 0 {
		t.Error("no pair was ever unreachable for three seconds")
	}
}
