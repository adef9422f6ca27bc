package observe

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

func TestTrackerFollowsAHandover(t *testing.T) {
	tr := NewTracker(3)
	tr.Pair(50*ms, 0, Reachable)
	tr.Pair(50*ms, 1, Reachable) // pair 2 never is
	tr.Topology(100*ms, 0, 1, 7)
	tr.Topology(100*ms, 1, 0, 8) // the same instant
	tr.Pair(100*ms, 0, BlackHole)
	tr.Pair(100*ms, 2, BlackHole)
	tr.Table(110*ms, 4)
	tr.Table(120*ms, 5)
	tr.Pair(120*ms, 0, Loop)
	tr.Pair(120*ms, 1, Loop)
	tr.Table(150*ms, 5)
	tr.Pair(150*ms, 0, Reachable)
	tr.Topology(160*ms, 0, 1, 9) // pair 1 still is in its loop
	tr.Table(170*ms, 6)
	tr.Pair(190*ms, 1, Reachable)
	tr.Pair(200*ms, 1, NoPath) // the sky's, and nobody's loss
	tr.Close(500 * ms)

	c, o := tr.Take()
	want := []Convergence{
		{At: 100 * ms, Up: 1, Down: 1, First: 7, Changes: 3, Nodes: 2, LastChange: 150 * ms, Pairs: 2, Restored: true, Until: 190 * ms,
			Lost: 50*ms + 70*ms, Loop: 30*ms + 70*ms, LoopPairs: 2, Overlapped: true},
		{At: 160 * ms, Down: 1, First: 9, Changes: 1, Nodes: 1, LastChange: 170 * ms},
	}
	if !slices.Equal(c, want) {
		t.Errorf("convergence\n%+v, want\n%+v", c, want)
	}
	outages := []Outage{
		{From: 100 * ms, To: 150 * ms, Pair: 0, Cause: Loop, Lost: 50 * ms},
		{From: 120 * ms, To: 190 * ms, Pair: 1, Cause: Loop, Lost: 70 * ms},
		{From: 200 * ms, To: 500 * ms, Pair: 1, Cause: NoPath, Open: true},
	}
	if !slices.Equal(o, outages) {
		t.Errorf("outages\n%+v, want\n%+v", o, outages)
	}
	if c, o := tr.Take(); c != nil || o != nil {
		t.Error("they are handed out twice")
	}
}

// A pair that is cut off until the sky has no way for it any more was not repaired, though
// all others were.
func TestTrackerTakesNoWayForNoRepair(t *testing.T) {
	tr := NewTracker(3)
	for i := range 3 {
		tr.Pair(0, i, Reachable)
	}
	tr.Topology(100*ms, 0, 1, 1)
	tr.Pair(100*ms, 0, BlackHole)
	tr.Pair(100*ms, 1, BlackHole)
	tr.Pair(150*ms, 0, NoPath)
	tr.Pair(170*ms, 1, Reachable)
	tr.Topology(9000*ms, 0, 1, 2)
	tr.Pair(9000*ms, 2, Loop)
	tr.Close(9100 * ms)
	c, _ := tr.Take()
	want := []Convergence{
		{At: 100 * ms, Down: 1, First: 1, Pairs: 2, Until: 170 * ms, Lost: 50*ms + 70*ms},
		{At: 9000 * ms, Down: 1, First: 2, Pairs: 1, Until: 9100 * ms, Lost: 100 * ms, Loop: 100 * ms, LoopPairs: 1, Open: true},
	}
	if !slices.Equal(c, want) {
		t.Errorf("convergence\n%+v, want\n%+v", c, want)
	}
}

// What routers do ahead of a change that they have foreseen is that change's, and not the
// last one's: the tables that they change, and the pairs that they cut off meanwhile.
func TestTrackerForesees(t *testing.T) {
	tr := NewTracker(3)
	for i := range 3 {
		tr.Pair(0, i, Reachable)
	}
	tr.Foresee(10 * ms) // ahead of the first one: bring-up, which belongs to none
	tr.Table(20*ms, 1)
	tr.Topology(100*ms, 1, 0, 1)
	tr.Table(120*ms, 1)
	tr.Foresee(5000 * ms)
	tr.Table(5100*ms, 2)
	tr.Foresee(5100 * ms) // of one change by several routers
	tr.Pair(5100*ms, 0, Loop)
	tr.Table(5130*ms, 3)
	tr.Pair(5130*ms, 0, Reachable)
	tr.Topology(9000*ms, 0, 1, 2)
	tr.Foresee(9100 * ms) // soon after: the last change may not be over
	tr.Pair(9100*ms, 1, BlackHole)
	tr.Topology(9200*ms, 0, 1, 3)
	tr.Table(9210*ms, 1)
	tr.Pair(9210*ms, 1, Reachable)
	tr.Foresee(15000 * ms) // of something that does not come
	tr.Table(15010*ms, 1)
	tr.Pair(15010*ms, 2, BlackHole)
	tr.Close(15060 * ms)
	c, _ := tr.Take()
	want := []Convergence{
		{At: 100 * ms, Up: 1, First: 1, Changes: 1, Nodes: 1, LastChange: 120 * ms},
		{At: 9000 * ms, Down: 1, First: 2, Ahead: 2, Pairs: 1, LoopPairs: 1, Loop: 30 * ms, Lost: 30 * ms, Restored: true, Until: 9000 * ms, Overlapped: true},
		{At: 9200 * ms, Down: 1, First: 3, Changes: 1, Nodes: 1, LastChange: 9210 * ms, Pairs: 2, Lost: 110*ms + 50*ms, Until: 15060 * ms, Open: true},
	}
	if !slices.Equal(c, want) {
		t.Errorf("convergence\n%+v, want\n%+v", c, want)
	}
}

// A change of topology that comes before any table has reacted to the last one may have
// what it brought about counted for it.
func TestTrackerOverlaps(t *testing.T) {
	tr := NewTracker(1)
	tr.Topology(100*ms, 0, 1, 1)
	tr.Topology(200*ms, 0, 1, 2) // nothing has happened yet
	tr.Topology(200*ms+Settled, 0, 1, 3)
	tr.Table(300*ms+Settled, 0)
	tr.Topology(400*ms+Settled, 0, 1, 4)
	tr.Close(time.Minute)
	c, _ := tr.Take()
	for i, want := range []bool{true, false, true, false} {
		if c[i].Overlapped != want {
			t.Errorf("that change %d overlaps with the next is %v: %+v", i, c[i].Overlapped, c[i])
		}
	}
}

// Whatever happens: the time that pairs were cut off after they had been reachable is
// told once by outages and, as far as a way existed, once by convergence.
func TestTrackerAccountsForAllTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const pairs = 4
		tr := NewTracker(pairs)
		var now time.Duration
		var state [pairs]State
		var been [pairs]bool
		var cut, away [pairs]time.Duration
		events, changes, loops := 1, 0, time.Duration(0)
		var last time.Duration // event
		foreseen := false
		var looping [pairs]time.Duration
		for i := range state {
			state[i] = NoPath
		}
		pass := func(d time.Duration) {
			now += d
			for i, s := range state {
				if been[i] && s != Reachable {
					away[i] += d
				}
				if been[i] && (s == BlackHole || s == Loop) {
					cut[i] += d
				}
				if been[i] && s == Loop {
					looping[i] += d
				}
			}
		}
		tr.Topology(0, 1, 0, 0)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			pass(time.Duration(rapid.IntRange(0, 3).Draw(t, "ms")) * ms)
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				if now > last {
					events++
				}
				last = now
				tr.Topology(now, 1, 0, 0)
			case 1:
				changes++
				tr.Table(now, 0)
			case 2:
				foreseen = true // of something that may not come: then its changes are nobody's
				tr.Foresee(now)
			default:
				i := rapid.IntRange(0, pairs-1).Draw(t, "pair")
				state[i] = State(rapid.IntRange(0, int(Loop)).Draw(t, "state"))
				been[i] = been[i] || state[i] == Reachable
				tr.Pair(now, i, state[i])
			}
		}
		pass(ms)
		tr.Close(now)
		conv, outages := tr.Take()
		var lost, wantLost time.Duration
		for i := range pairs {
			wantLost += cut[i]
			loops += looping[i]
			var sum, within, last time.Duration
			for _, o := range outages {
				if o.Pair != i {
					continue
				}
				if o.From < last || o.To < o.From || o.Cause == Reachable {
					t.Fatalf("outages %+v", outages)
				}
				sum, within, last = sum+o.To-o.From, within+o.Lost, o.To
			}
			if within != cut[i] {
				t.Fatalf("pair %d was cut off for %v, and its outages say for %v: %+v", i, cut[i], within, outages)
			}
			if sum != away[i] {
				t.Fatalf("pair %d was away for %v, and outages add up to %v: %+v", i, away[i], sum, outages)
			}
		}
		var loop time.Duration
		told := 0
		for _, c := range conv {
			lost, loop, told = lost+c.Lost, loop+c.Loop, told+c.Changes+c.Ahead
			if c.Pairs > 0 && c.Until < c.At || c.Restored && c.Pairs == 0 || c.LoopPairs > c.Pairs {
				t.Fatalf("%+v", c)
			}
		}
		if len(conv) != events || told > changes || told < changes && !foreseen {
			t.Fatalf("%d changes of topology with %d of tables, want %d with %d", len(conv), told, events, changes)
		}
		if lost != wantLost || loop != loops {
			t.Fatalf("pairs were cut off for %v and in loops for %v, want %v and %v", lost, loop, wantLost, loops)
		}
	})
}
