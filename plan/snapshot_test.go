package plan

import (
	"context"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/scenario"
)

// A cursor that is snapshotted and resumed, again and again, gives the windows of one
// that never was.
func TestResumedCursorGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := Compile(drawScenario(t))
		if err != nil {
			t.Skip(err.Error())
		}
		length := time.Duration(rapid.SampledFrom([]int{20, 60, 61, 150}).Draw(t, "window")) * time.Second
		whole, parts := p.Windows(length), p.Windows(length)
		for range rapid.IntRange(3, 12).Draw(t, "windows") {
			want, err := whole.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "resume") {
				s := parts.Snapshot()
				if parts, err = p.Resume(s, length); err != nil {
					t.Fatal(err)
				}
				if again := parts.Snapshot(); !slices.Equal(again, s) && len(p.groups) > 0 && !hasGround(p) {
					t.Fatal("a resumed cursor has another snapshot")
				}
			}
			got, err := parts.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("window from %v differs:\n%v\nwant\n%v", want.From, got.Contacts, want.Contacts)
			}
		}
	})
}

// hasGround: a heap of events that was filled in another order is the same queue, and
// another list.
func hasGround(p *Plan) bool {
	for _, g := range p.groups {
		if _, ok := g.(*groundGroup); ok {
			return true
		}
	}
	return false
}

func TestResumeAfterHours(t *testing.T) {
	s := iridium()
	for i := range s.Spec.GroundLinks {
		s.Spec.GroundLinks[i].Policy = "sticky"
		s.Spec.GroundLinks[i].Hysteresis = 5
	}
	p := compile(t, s)
	cursor := p.Windows(10 * time.Minute)
	for cursor.At() < 3*time.Hour {
		if _, err := cursor.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := cursor.Snapshot()
	t.Logf("%d bytes for %d ports", len(snapshot), p.NumPorts())
	// Another program compiles the same scenario, and looks through shorter windows.
	q := compile(t, iridiumAgain(s))
	resumed, err := q.Resume(snapshot, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if resumed.At() != cursor.At() {
		t.Fatalf("it goes on at %v, want %v", resumed.At(), cursor.At())
	}
	for range 6 {
		want, _ := cursor.Next(context.Background())
		got, err := resumed.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Contacts) != len(want.Contacts) || len(want.Contacts) == 0 {
			t.Fatalf("%d contacts, want %d", len(got.Contacts), len(want.Contacts))
		}
		for i := range got.Contacts {
			a, b := got.Contacts[i], want.Contacts[i]
			a.Properties, b.Properties = nil, nil // equal, and not the same
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("contact %v differs from %v", a, b)
			}
		}
	}
}

// iridiumAgain is the same scenario in other memory.
func iridiumAgain(s *scenario.Scenario) *scenario.Scenario {
	again := iridium()
	again.Spec = s.Spec
	return again
}

func TestLostSatellitesStayLost(t *testing.T) {
	s := iridium()
	p := compile(t, s)
	cursor := p.Windows(time.Minute)
	for range 2 {
		if _, err := cursor.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	cursor.ephemeris.lost[3] = true
	resumed, err := p.Resume(cursor.Snapshot(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		want, _ := cursor.Next(context.Background())
		got, _ := resumed.Next(context.Background())
		if !reflect.DeepEqual(got, want) {
			t.Fatal("windows differ")
		}
	}
}

func TestSnapshotsThatDoNotFit(t *testing.T) {
	p := compile(t, iridium())
	cursor := p.Windows(time.Minute)
	if _, err := cursor.Next(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := cursor.Snapshot()
	other := iridium()
	other.Spec.Constellations[0].Walker.Altitude++
	if _, err := compile(t, other).Resume(s, time.Minute); !errors.Is(err, ErrSnapshot) {
		t.Errorf("another scenario's: %v", err)
	}
	for _, b := range [][]byte{nil, s[:10], s[:len(s)-1], append(slices.Clone(s), 0)} {
		if _, err := p.Resume(b, time.Minute); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%d bytes of %d: %v", len(b), len(s), err)
		}
	}
	damaged := slices.Clone(s)
	damaged[len(s)/2] ^= 4
	if _, err := p.Resume(damaged, time.Minute); !errors.Is(err, ErrSnapshot) {
		t.Errorf("damaged: %v", err)
	}
}

// Whatever a snapshot says beneath its sum, resuming from it gives an error or a cursor,
// and never more.
func FuzzResume(f *testing.F) {
	s := iridium()
	s.Spec.Constellations[0].Walker.Planes, s.Spec.Constellations[0].Walker.SatellitesPerPlane = 2, 3
	p, err := Compile(s)
	if err != nil {
		f.Fatal(err)
	}
	c := p.Windows(time.Minute)
	for range 3 {
		b := c.Snapshot()
		f.Add(b[:len(b)-sha256.Size])
		if _, err := c.Next(context.Background()); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := p.resume(b, time.Minute); err != nil && !errors.Is(err, ErrSnapshot) {
			t.Error(err)
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	p, err := Compile(iridium())
	if err != nil {
		b.Fatal(err)
	}
	c := p.Windows(time.Minute)
	if _, err := c.Next(context.Background()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c.Snapshot()
	}
}
