package fidelity

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/fabric"
)

// host is an emulation as a judge sees it, second by second.
type host struct {
	judge *Judge
	at    time.Time
	r     Reading
}

func newHost(b Budget) *host {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := &host{judge: NewJudge(b, at), at: at, r: Reading{PlanAhead: time.Minute, RealTime: true}}
	h.pass(time.Second, nil)
	return h
}

// pass lets time go by; then happen changes what is read.
func (h *host) pass(d time.Duration, happen func(r *Reading)) (Verdict, bool) {
	h.at = h.at.Add(d)
	// What a reading holds does not change afterwards.
	var frames, events fabric.Histogram
	frames.Merge(h.r.Frames)
	events.Merge(h.r.Events)
	h.r.Frames, h.r.Events, h.r.At = frames, events, h.at
	h.r.CPU.Total += 200
	if happen != nil {
		happen(&h.r)
	}
	return h.judge.Note(h.r)
}

func deliveries(n int, late time.Duration) func(*Reading) {
	return func(r *Reading) {
		for range n {
			r.Frames.Record(late)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name   string
		happen func(*Reading)
		level  Level
		reason string
	}{
		{"nothing", nil, Faithful, ""},
		{"in time", deliveries(1000, 900*time.Microsecond), Faithful, ""},
		{"one in a thousand is late", func(r *Reading) { deliveries(999, 0)(r); deliveries(1, time.Second)(r) }, Faithful, ""},
		{"one in fifty is late", func(r *Reading) { deliveries(98, 0)(r); deliveries(2, 3*time.Millisecond)(r) }, Degraded, "1 frame in 100 is later than 3ms"},
		{"all are late", deliveries(10, 20*time.Millisecond), Overloaded, "1 frame in 10 is later than 20ms"},
		{"an event is late", func(r *Reading) { r.Events.Record(time.Millisecond); r.Events.Record(25 * time.Millisecond) }, Degraded, "a topology event was late by 25ms"},
		{"no buffers", func(r *Reading) { r.Lost.Overload += 3 }, Overloaded, "3 frames were lost for want of buffers"},
		{"not read", func(r *Reading) { r.Lost.Queue += 7 }, Overloaded, "7 frames were lost since the fabric did not read in time"},
		{"plan behind", func(r *Reading) { r.PlanAhead = -1200 * time.Millisecond }, Overloaded, "the plan is behind by 1.2s"},
		{"interrupted", func(r *Reading) { r.Interruptions++ }, Overloaded, "what carries frames ended and had to be started again"},
		{"hung", func(r *Reading) { r.Silence = 4 * time.Second }, Overloaded, "what carries frames stood still for 4s"},
		{"slow to show", func(r *Reading) { r.Silence = 2 * time.Second }, Faithful, ""},
		{"between hosts", func(r *Reading) { r.Lost.Underlay++ }, Overloaded, "1 frame was lost between hosts"},
		{"late and lost", func(r *Reading) { r.Events.Record(time.Second); r.Lost.Queue++ }, Overloaded, "1 frame was lost since the fabric did not read in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(DefaultBudget)
			v, changed := h.pass(time.Second, c.happen)
			if v.Level != c.level || changed != (c.level != Faithful) {
				t.Fatalf("%v, changed %v", v, changed)
			}
			if c.reason == "" {
				if len(v.Reasons) > 0 || v.String() != "faithful" {
					t.Errorf("%v", v)
				}
				return
			}
			if !strings.HasPrefix(v.Reasons[0], c.reason) || !v.Since.Equal(h.at) {
				t.Errorf("%v since %v", v, v.Since)
			}
		})
	}
}

func TestCauses(t *testing.T) {
	h := newHost(DefaultBudget)
	v, _ := h.pass(time.Second, func(r *Reading) {
		r.Lost.Overload++
		r.RealTime = false
		r.CPU.Busy += 193
		r.CPU.Steal += 7
	})
	want := "overloaded: 1 frame was lost for want of buffers (the CPUs are busy for 96 % of the time; " +
		"the hypervisor withholds 4 % of the CPU time; the fabric has no real-time priority)"
	if v.String() != want {
		t.Errorf("%s\nwant %s", v, want)
	}
	// Causes without an effect are not worth a word.
	h = newHost(DefaultBudget)
	if v, _ = h.pass(time.Second, func(r *Reading) { r.RealTime = false; r.CPU.Busy += 200 }); v.String() != "faithful" {
		t.Errorf("%s", v)
	}
}

func TestStall(t *testing.T) {
	h := newHost(DefaultBudget)
	v, _ := h.pass(10*time.Second, nil)
	if v.Level != Overloaded || v.Reasons[0] != "the emulator stood still for 10s" {
		t.Errorf("%v", v)
	}
	seconds := 0
	for ; v.Level != Faithful && seconds < 100; seconds++ {
		v, _ = h.pass(time.Second, nil)
	}
	if seconds != int(Window/time.Second) {
		t.Errorf("faithful again after %d s", seconds)
	}
}

func TestSettle(t *testing.T) {
	h := newHost(DefaultBudget)
	h.pass(time.Second, func(r *Reading) { r.Lost.Overload = 5 })
	h.judge.Settle(h.at)
	if v, changed := h.pass(time.Second, nil); v.Level != Faithful || changed {
		t.Errorf("%v", v)
	}
	if r := h.judge.Report(); r.Level != Faithful || r.Time[Overloaded] != 0 {
		t.Errorf("%+v", r)
	}
}

// Whatever happens and when: a second is bad for its own window and no longer,
// the report's times sum up to the time that passed, and its level is the worst
// verdict given.
func TestJudgeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHost(DefaultBudget)
		begin, worst := h.at, Faithful
		lastBad := time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "seconds") {
			bad := rapid.IntRange(0, 9).Draw(t, "what happens") == 0
			v, _ := h.pass(time.Second, func(r *Reading) {
				if bad {
					r.Lost.Overload++
				} else {
					deliveries(rapid.IntRange(0, 20).Draw(t, "frames"), time.Microsecond)(r)
				}
			})
			if bad {
				lastBad = h.at
			}
			want := Faithful
			if !lastBad.IsZero() && h.at.Sub(lastBad) < Window {
				want = Overloaded
			}
			if v.Level != want {
				t.Fatalf("%v, last lost frame %v ago", v, h.at.Sub(lastBad))
			}
			worst = max(worst, v.Level)
		}
		var sum time.Duration
		r := h.judge.Report()
		for _, d := range r.Time {
			sum += d
		}
		if sum != h.at.Sub(begin) || r.Level != worst || r.Worst.Level != worst {
			t.Fatalf("%+v after %v, worst %v", r, h.at.Sub(begin), worst)
		}
	})
}
