package almanac

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

const sky = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: almanac}
spec:
  constellations:
    - name: sat
      walker: {pattern: star, planes: 3, satellitesPerPlane: 5, altitude: 780km, inclination: 86deg}
      links: {pattern: grid}
      groundPorts: 2
  stations:
    - {name: a, position: {lat: 10deg, lon: 0deg}}
    - {name: b, position: {lat: 60deg, lon: 40deg}}
  groundLinks: [{name: up, minElevation: 8deg, policy: highest, hysteresis: 2deg}]
`

func compile(t *testing.T) *plan.Plan {
	t.Helper()
	s, err := scenario.Parse("almanac.yaml", []byte(sky))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// In whatever order questions come, and however few marks there is memory for,
// the answers are those of a walk from the beginning.
func TestAnswersAreThePlans(t *testing.T) {
	p := compile(t)
	rapid.Check(t, func(t *rapid.T) {
		a := New(p, rapid.SampledFrom([]int{1, 20_000, 60_000, 1 << 30}).Draw(t, "memory"))
		for range rapid.IntRange(1, 4).Draw(t, "questions") {
			from := time.Duration(rapid.IntRange(0, 3600).Draw(t, "from")) * time.Second
			to := from + time.Duration(rapid.IntRange(1, 900).Draw(t, "length"))*time.Second
			got, err := a.Contacts(context.Background(), from, to)
			if err != nil {
				t.Fatal(err)
			}
			want, err := p.Contacts(context.Background(), from, to)
			if err != nil {
				t.Fatal(err)
			}
			if !alike(got, want, from) {
				t.Fatalf("from %v to %v: %d contacts, want %d", from, to, len(got), len(want))
			}
			clear(got) // it is the asker's
			if again, err := a.Contacts(context.Background(), from, to); err != nil || !alike(again, want, from) {
				t.Fatalf("asked again: %d contacts, want %d; %v", len(again), len(want), err)
			}
		}
		if a.bytes > a.memory && len(a.marks) > 1 {
			t.Fatalf("%d marks take %d bytes of %d", len(a.marks), a.bytes, a.memory)
		}
	})
}

// alike compares contacts; of curves what they say from an instant on.
func alike(a, b []plan.Contact, from time.Duration) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.Delay, y.Delay = x.Delay.After(max(from, x.Start)), y.Delay.After(max(from, y.Start))
		x.Rate, y.Rate = x.Rate.After(max(from, x.Start)), y.Rate.After(max(from, y.Start))
		x.Loss, y.Loss = x.Loss.After(max(from, x.Start)), y.Loss.After(max(from, y.Start))
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

func TestWhoWaitsCanGiveUp(t *testing.T) {
	a := New(compile(t), 0)
	<-a.busy // somebody asks all the time
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := a.Contacts(ctx, 0, time.Second); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want that it was cancelled", err)
	}
}

// What was walked before a question was cut short has left marks.
func TestCutShortIsNotInVain(t *testing.T) {
	a := New(compile(t), 0)
	ctx, cancel := context.WithCancel(context.Background())
	<-a.busy
	cursor, err := a.open(0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cursor.Contacts(ctx, 2*time.Hour, 3*time.Hour, func() {
		a.leave(cursor)
		if cursor.At() == time.Hour {
			cancel()
		}
	})
	a.busy <- struct{}{}
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := len(a.marks); n != int(time.Hour/firstStride) {
		t.Fatalf("%d marks", n)
	}
}
