package fabric_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
)

// However short the times are between which a worker wakes and sleeps, it is not awake
// for more than nine tenths of them but for the credit that it began with.
func TestSpinningIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s fabric.Spinner
		var now, awake time.Duration
		for range rapid.IntRange(1, 300).Draw(t, "turns") {
			for s.MaySpin() {
				d := time.Duration(rapid.IntRange(1, 1000).Draw(t, "poll")) * time.Microsecond
				now, awake = now+d, awake+d
				s.Awake(now)
			}
			now += time.Duration(rapid.IntRange(1, int(fabric.SpinPause)).Draw(t, "sleep"))
			s.Slept(now)
		}
		if most := now*9/10 + fabric.SpinMax + time.Millisecond; awake > most {
			t.Errorf("awake for %v of %v", awake, now)
		}
	})
}

// Workers that poll carry frames as others do.
func TestSpinningWorkers(t *testing.T) {
	const delay = 2 * time.Millisecond
	a, b, e := twoNodes(t, fabric.Config{Workers: 1, Spin: true})
	connect(e, 0, 1, 1, delay)
	rtts := ping(a, b, 20)
	if len(rtts) != 20 {
		t.Errorf("%d of 20 answers", len(rtts))
	}
	for _, rtt := range rtts {
		if rtt < 2*delay {
			t.Errorf("a round trip took %v, less than twice the delay of %v", rtt, delay)
		}
	}
	// With a timeline at rest, and closed while it polls.
	tl := clock.New(clock.Host{}, 0, 1)
	n0, d0, _ := socketPair(t)
	n1, d1, _ := socketPair(t)
	p := newProcess(t, fabric.Config{Timeline: tl, Workers: 1, Spin: true, Ports: []fabric.Port{{Device: d0}, {Device: d1}}})
	p.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: time.Hour, Delay: curve.Constant(delay.Seconds())})
	if err := p.SetCarriers(fabric.Carrier{Port: 0, Up: true}); err != nil {
		t.Fatal(err)
	}
	sendFrame(t, n0, 5)
	if number, ok := receiveFrame(n1, 10*time.Second); !ok || number != 5 {
		t.Errorf("got frame %d (%v)", number, ok)
	}
}
