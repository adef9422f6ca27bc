package clock

import (
	"context"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A timeline is compared with a model that adds up elapsed time step by step.
func TestTimelineFollowsPausesAndSpeeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := new(Manual)
		tl := New(src, 0, 1)
		tl.Resume()
		want, speed, paused := 0.0, 1.0, false
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				tl.Pause()
				paused = true
			case 1:
				tl.Resume()
				paused = false
			case 2:
				speed = rapid.Float64Range(0.1, 100).Draw(t, "speed")
				tl.SetSpeed(speed)
			case 3:
				d := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "advance"))
				src.Advance(d)
				if !paused {
					want += float64(d) * speed
				}
			}
			if got := float64(tl.Now()); got < want-100 || got > want+100 { // rounding: under 1 ns a change
				t.Fatalf("scenario time %v ns, want %v", got, want)
			}
			if tl.Paused() != paused {
				t.Fatalf("paused = %v, want %v", tl.Paused(), paused)
			}
		}
	})
}

func TestTimeNeverJumpsAtAChange(t *testing.T) {
	src := new(Manual)
	tl := New(src, 5*time.Second, 2)
	src.Advance(time.Hour)
	if tl.Now() != 5*time.Second {
		t.Fatalf("a timeline that was not resumed stands at %v", tl.Now())
	}
	tl.Resume()
	src.Advance(time.Second)
	before := tl.Now()
	tl.SetSpeed(17)
	if after := tl.Now(); after != before || after != 7*time.Second {
		t.Fatalf("time went from %v to %v at a change of speed", before, after)
	}
}

func TestWaitUntilFollowsChanges(t *testing.T) {
	src := new(Manual)
	tl := New(src, 0, 1)
	tl.Resume()
	done := make(chan error, 1)
	go func() { done <- tl.WaitUntil(context.Background(), 10*time.Second) }()
	asleep := func() {
		for src.Sleepers() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	asleep()
	src.Advance(4 * time.Second)
	tl.SetSpeed(2) // 6 s of orbit are left, so 3 s of host time
	for {
		if d, _ := tl.Until(10 * time.Second); d == 3*time.Second && src.Sleepers() > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	src.Advance(2999 * time.Millisecond)
	select {
	case <-done:
		t.Fatal("woke 1 ms early")
	case <-time.After(20 * time.Millisecond):
	}
	tl.Pause()
	src.Advance(time.Hour)
	select {
	case <-done:
		t.Fatal("woke while time stood still")
	case <-time.After(20 * time.Millisecond):
	}
	tl.Resume()
	asleep()
	src.Advance(time.Millisecond)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWaitUntilEndsWithItsContext(t *testing.T) {
	src := new(Manual)
	tl := New(src, 0, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tl.WaitUntil(ctx, time.Second) }() // paused: would sleep for ever
	cancel()
	if err := <-done; err != context.Canceled {
		t.Fatalf("got %v", err)
	}
	if n := src.Sleepers(); n != 0 {
		t.Fatalf("%d timers left behind", n)
	}
}

func TestTimelineFollowsAnother(t *testing.T) {
	src := new(Manual)
	tl := New(src, 5*time.Second, 2)
	other := New(src, 0, 1)
	same := func(after string) {
		t.Helper()
		if !other.Paused() {
			src.Advance(time.Second)
		}
		changed := other.Changed()
		other.Follow(tl.State())
		select {
		case <-changed:
		default:
			t.Errorf("after %s nobody is told of the change", after)
		}
		src.Advance(time.Second)
		if tl.Now() != other.Now() || tl.Speed() != other.Speed() || tl.Paused() != other.Paused() {
			t.Errorf("after %s: %v at speed %v (paused: %v), want %v at %v (%v)", after,
				other.Now(), other.Speed(), other.Paused(), tl.Now(), tl.Speed(), tl.Paused())
		}
	}
	same("nothing")
	tl.Resume()
	same("resume")
	tl.SetSpeed(17)
	same("a change of speed")
	tl.Pause()
	same("pause")
}

// eager is a manual source whose time passes by a little whenever it is looked at.
type eager struct{ Manual }

func (*eager) Lead() time.Duration { return 2 * time.Millisecond }

func (e *eager) Monotonic() int64 {
	e.Advance(10 * time.Microsecond)
	return e.Manual.Monotonic()
}

func TestMeet(t *testing.T) {
	for _, speed := range []float64{0.1, 1, 20} {
		src := new(eager)
		tl := New(src, 0, speed)
		const at = time.Second
		met := make(chan error, 1)
		go func() { met <- tl.Meet(t.Context(), at) }()
		select {
		case err := <-met:
			t.Fatalf("met while time stands still: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		tl.Resume()
		for src.Sleepers() == 0 { // or time moves on between its look at the clock and its sleep, which then ends later than time does
			time.Sleep(time.Millisecond)
		}
		for tl.Now() < at-time.Duration(speed*float64(time.Millisecond)) {
			src.Advance(100 * time.Microsecond)
		}
		// Within the lead nobody moves the time on but who looks at it.
		if err := <-met; err != nil {
			t.Fatal(err)
		}
		if now := tl.Now(); now < at {
			t.Errorf("at speed %g met at %v, before %v", speed, now, at)
		}
		if err := tl.Meet(t.Context(), 0); err != nil {
			t.Errorf("an instant that is past: %v", err)
		}
	}
}

func TestMeetIsGivenUp(t *testing.T) {
	for _, paused := range []bool{false, true} {
		src := new(eager)
		tl := New(src, 0, 1)
		if !paused {
			tl.Resume()
		}
		ctx, cancel := context.WithCancel(t.Context())
		met := make(chan error, 1)
		go func() { met <- tl.Meet(ctx, time.Hour) }()
		cancel()
		if err := <-met; err == nil {
			t.Errorf("paused %v: met an instant that never came", paused)
		}
	}
}

// Half as fast as life the last instant that there is lies further ahead than a
// duration can tell.
func TestUntilTheLastInstant(t *testing.T) {
	tl := New(new(Manual), 0, 0.5)
	tl.Resume()
	if d, ok := tl.Until(math.MaxInt64); !ok || d != math.MaxInt64 {
		t.Errorf("%v, %v", d, ok)
	}
}
