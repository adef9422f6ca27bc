package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// drawStatus makes up a run.
func drawStatus(r *rapid.T) *pb.Status {
	name := rapid.StringMatching(`[a-z][a-z0-9-]{0,20}`)
	ms := func(label string) *durationpb.Duration {
		return durationpb.New(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(r, label)))
	}
	st := &pb.Status{
		Name: name.Draw(r, "name"), Phase: pb.Phase_PHASE_RUNNING, Satellites: 66, Stations: 6, Ports: 540, Speed: 1,
		Routing: []string{"isis/frr"}, ScenarioTime: ms("time"), HasAdjacencies: true, Adjacencies: 3, AdjacenciesPossible: 4, Processes: 9,
		LastEvent: &pb.Event{A: "a:fore", B: "b:aft", Kind: "link-up", Text: "intra-plane"},
		Counters:  &pb.Counters{DropDevice: rapid.SampledFrom([]uint64{0, 7}).Draw(r, "device")}, Fidelity: &pb.Fidelity{Workers: 1},
	}
	for i := range rapid.IntRange(0, 60).Draw(r, "pairs") {
		st.Pairs = append(st.Pairs, &pb.Pair{
			A: fmt.Sprintf("from-%d", i), B: name.Draw(r, "b"), Reachable: rapid.Bool().Draw(r, "reachable"),
			MeasuredRtt: ms("measured"), GeometricRtt: ms("geometric"), Sent: 1000, Lost: 10, Since: ms("since"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(r, "problems") {
		st.Problems = append(st.Problems, "node "+name.Draw(r, "broken")+": something went wrong")
	}
	return st
}

// The picture fits every terminal, however much there is to tell; and what is
// wrong is never what is left out.
func TestPictureFits(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		st := drawStatus(r)
		columns, rows := rapid.IntRange(80, 250).Draw(r, "columns"), rapid.IntRange(24, 80).Draw(r, "rows")
		var nodes []*pb.Node
		for i := range rapid.IntRange(0, 30).Draw(r, "nodes") {
			nodes = append(nodes, &pb.Node{
				Name: fmt.Sprintf("node-%d", i), Kind: rapid.SampledFrom([]string{"satellite", "station"}).Draw(r, "kind"),
				Latitude: rapid.Float64Range(-90, 90).Draw(r, "lat"), Longitude: rapid.Float64Range(-180, 180).Draw(r, "lon"),
			})
		}
		recent := make([]string, rapid.IntRange(0, eventsKept).Draw(r, "events"))
		for i := range recent {
			recent[i] = strings.Repeat("event ", 1+i)
		}
		text := ansi.Strip(picture(st, nodes, recent, nil, columns, rows))
		lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
		if len(lines) > rows-1 {
			r.Fatalf("%d lines in %d rows:\n%s", len(lines), rows, text)
		}
		for _, l := range lines {
			if w := ansi.StringWidth(l); w > columns {
				r.Fatalf("%d cells in %d columns: %q", w, columns, l)
			}
		}
		wanted := append([]string{st.GetName() + "  running", "adjacencies 3 of 4", "last     + a:fore - b:aft", "frames   ", "exact    "}, st.GetProblems()...)
		if len(st.GetPairs()) > 0 {
			wanted = append(wanted, "reach each other")
		}
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				r.Fatalf("the picture does not say %q:\n%s", want, text)
			}
		}
	})
}

// A terminal may be of any size, and may not know its own.
func TestPictureOfAnySize(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		columns, rows := rapid.IntRange(-1, 80).Draw(r, "columns"), rapid.IntRange(-1, 24).Draw(r, "rows")
		text := ansi.Strip(picture(drawStatus(r), nil, []string{"event"}, nil, columns, rows))
		lines := strings.Count(text, "\n")
		if lines > max(rows-1, 0) {
			r.Fatalf("%d lines in %d rows:\n%s", lines, rows, text)
		}
		for l := range strings.Lines(text) {
			if w := ansi.StringWidth(strings.TrimRight(l, "\r\n")); w > max(columns, 0) {
				r.Fatalf("%d cells in %d columns: %q", w, columns, l)
			}
		}
	})
}

// Pairs that do not reach each other are shown first where not all fit.
func TestPairsThatMatter(t *testing.T) {
	st := &pb.Status{}
	for i := range 10 {
		st.Pairs = append(st.Pairs, &pb.Pair{A: fmt.Sprint("a", i), B: "b", Reachable: i != 7})
	}
	lines := pairLines(st, plainStyle(), 3)
	if len(lines) != 4 || !strings.Contains(lines[1], "a7 - b") || !strings.Contains(lines[1], "unreachable for") || !strings.Contains(lines[2], "a0 - b") {
		t.Errorf("%q", lines)
	}
	if lines := pairLines(st, plainStyle(), 10); len(lines) != 11 || !strings.Contains(lines[8], "a7 - b") {
		t.Errorf("all fit, so they keep their places: %q", lines)
	}
}

// A map has land where land is.
func TestMap(t *testing.T) {
	for _, c := range []struct {
		lat, lon float64
		land     bool
	}{{48, 10, true}, {0, -30, false}, {-25, 135, true}, {40, -100, true}, {-85, 0, true}, {30, -150, false}} {
		if isLand(c.lat, c.lon) != c.land {
			t.Errorf("%v %v: land %v", c.lat, c.lon, !c.land)
		}
	}
	lines := worldMap([]*pb.Node{{Name: "null", Kind: "station"}}, 96, 24, plainStyle())
	if len(lines) != 24 || !strings.HasPrefix(string([]rune(lines[12])[48:]), "▲null") {
		t.Errorf("%q", lines[12])
	}
}
