package api

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

const smallWalker = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: walker}
spec:
  constellations:
    - name: sat
      walker: {pattern: star, planes: 3, satellitesPerPlane: 6, inclination: 86deg, altitude: 780km}
      links: {pattern: grid}
      groundPorts: 2
  stations:
    - {name: oslo, position: {lat: 59.9deg, lon: 10.7deg}}
    - name: ship
      waypoints: [{at: 0s, lat: 0deg, lon: 0deg}, {at: 2h, lat: 10deg, lon: 0deg}]
  groundLinks: [{name: user, minElevation: 10deg}]
`

func compile(t *testing.T, text string) *plan.Plan {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func skyOf(t *testing.T, text string) (*Sky, *plan.Plan) {
	p := compile(t, text)
	return newSky(newShelf(p), false), p
}

func TestInventoryNumbersNodesAndPorts(t *testing.T) {
	s, p := skyOf(t, smallWalker)
	res, err := s.GetInventory(context.Background(), connect.NewRequest(&pb.GetInventoryRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	m := res.Msg
	if len(m.GetNodes()) != len(p.Nodes) || len(m.GetPorts()) != p.NumPorts() || m.GetRunning() || m.GetReadOnly() {
		t.Fatalf("%d nodes, %d ports, running %v, read only %v", len(m.GetNodes()), len(m.GetPorts()), m.GetRunning(), m.GetReadOnly())
	}
	for i, q := range m.GetPorts() {
		if at := p.Port(plan.PortID(i)); int(q.GetNode()) != at.Node || q.GetName() != at.Name {
			t.Errorf("port %d is %v, want %v", i, q, at)
		}
	}
	motions := map[string]pb.InventoryNode_Motion{"oslo": pb.InventoryNode_MOTION_FIXED, "ship": pb.InventoryNode_MOTION_WAYPOINTS, "sat-p01s01": pb.InventoryNode_MOTION_ORBIT}
	for _, n := range m.GetNodes() {
		if want, ok := motions[n.GetName()]; ok && n.GetMotion() != want {
			t.Errorf("%s moves like %v, want %v", n.GetName(), n.GetMotion(), want)
		}
	}
	if period := m.GetNodes()[0].GetPeriod().AsDuration(); (period - 6027*time.Second).Abs() > 30*time.Second {
		t.Errorf("a revolution at 780 km takes %v", period)
	}
	if g := m.GetGroups(); len(g) != 2 || g[0].GetNodes() != 18 || g[0].GetPlanes() != 3 || g[1].GetNodes() != 2 {
		t.Errorf("groups %v", g)
	}
	if e := m.GetNodes()[18].GetMinElevation(); e != 10 {
		t.Errorf("least elevation %g", e)
	}
}

func float32At(b []byte, i int) float64 {
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
}

// The positions are those of the motions; and what the schema promises of the cubic
// between them is true.
func TestPositionsAndWhatLiesBetween(t *testing.T) {
	s, p := skyOf(t, smallWalker)
	step := time.Minute
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, len(p.Nodes)-1).Draw(t, "node")
		from := time.Duration(rapid.IntRange(0, 86400).Draw(t, "from")) * time.Second
		res, err := s.GetPositions(context.Background(), connect.NewRequest(&pb.GetPositionsRequest{
			From: durationpb.New(from), Count: 4, Nodes: []int32{int32(n)},
		}))
		if err != nil {
			t.Fatal(err)
		}
		b := res.Msg.GetKilometres()
		if len(b) != 4*3*4 {
			t.Fatalf("%d bytes", len(b))
		}
		// The cubic through four instants, between the middle two.
		x := 1 + rapid.Float64Range(0, 1).Draw(t, "between")
		st, err := p.Nodes[n].Motion.State(from + time.Duration(x*float64(step)))
		if err != nil {
			t.Fatal(err)
		}
		want := [3]float64{st.Position.X, st.Position.Y, st.Position.Z}
		off := 0.0
		for axis := range 3 {
			v := 0.0
			for k := range 4 {
				w := 1.0
				for j := range 4 {
					if j != k {
						w *= (x - float64(j)) / float64(k-j)
					}
				}
				v += w * float32At(b, 3*k+axis)
			}
			off += (v - want[axis]) * (v - want[axis])
		}
		if off = math.Sqrt(off); off > 0.005 {
			t.Fatalf("%g m off", 1e3*off)
		}
	})
}

// What is packed is what the plan says.
func TestContactsArePackedAsTheyAre(t *testing.T) {
	s, p := skyOf(t, smallWalker)
	from, to := 10*time.Minute, 40*time.Minute
	want, err := p.Contacts(context.Background(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.GetContacts(context.Background(), connect.NewRequest(&pb.GetContactsRequest{From: durationpb.New(from), To: durationpb.New(to), DelaySamples: 3}))
	if err != nil {
		t.Fatal(err)
	}
	m := res.Msg
	if int(m.GetCount()) != len(want) || len(want) == 0 {
		t.Fatalf("%d contacts, want %d", m.GetCount(), len(want))
	}
	for i := range want {
		c := &want[i]
		a, b := binary.LittleEndian.Uint32(m.GetPorts()[8*i:]), binary.LittleEndian.Uint32(m.GetPorts()[8*i+4:])
		start := math.Float64frombits(binary.LittleEndian.Uint64(m.GetSpans()[16*i:]))
		end := math.Float64frombits(binary.LittleEndian.Uint64(m.GetSpans()[16*i+8:]))
		if plan.PortID(a) != c.A || plan.PortID(b) != c.B || start != c.Start.Seconds() || end != c.End.Seconds() ||
			m.GetFlags()[i]&^goesOn != byte(c.Class) || (m.GetFlags()[i]&goesOn != 0) == c.Ends || binary.LittleEndian.Uint64(m.GetIds()[8*i:]) != uint64(c.ID) {
			t.Fatalf("contact %d: ports %d and %d, %g to %g, flags %d; want %+v", i, a, b, start, end, m.GetFlags()[i], c)
		}
		for k, at := range []time.Duration{max(c.Start, from), (max(c.Start, from) + min(c.End, to)) / 2, min(c.End, to)} {
			if got, want := float32At(m.GetDelays(), 3*i+k), c.Delay.At(at)*1e3; math.Abs(got-want) > 1e-5 {
				t.Fatalf("contact %d: delay %g ms at %v, want %g", i, got, at, want)
			}
		}
	}
	// Of a node alone.
	only, err := s.GetContacts(context.Background(), connect.NewRequest(&pb.GetContactsRequest{From: durationpb.New(from), To: durationpb.New(to), Nodes: []int32{18}}))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range want {
		if p.Port(want[i].A).Node == 18 || p.Port(want[i].B).Node == 18 {
			n++
		}
	}
	if int(only.Msg.GetCount()) != n || n == 0 {
		t.Errorf("%d contacts of a station, want %d", only.Msg.GetCount(), n)
	}
}

func TestCoverageAndGapsOfAStationAgree(t *testing.T) {
	s, _ := skyOf(t, smallWalker)
	to := durationpb.New(2 * time.Hour)
	gaps, err := s.GetGaps(context.Background(), connect.NewRequest(&pb.GetGapsRequest{To: to}))
	if err != nil {
		t.Fatal(err)
	}
	cover, err := s.GetCoverage(context.Background(), connect.NewRequest(&pb.GetCoverageRequest{To: to, Step: durationpb.New(10 * time.Second), Rows: 180, Columns: 360}))
	if err != nil {
		t.Fatal(err)
	}
	if cover.Msg.GetMinElevation() != 10 {
		t.Errorf("least elevation %g", cover.Msg.GetMinElevation())
	}
	oslo := gaps.Msg.GetStations()[0]
	// The cell around 59.5° N 10.5° E; the station's one antenna has a contact whenever
	// a satellite is in view, since there are ports enough.
	share := float32At(cover.Msg.GetShare(), (90+59)*360+180+10)
	if oslo.GetStation() != "oslo" || math.Abs(share-oslo.GetCovered()) > 0.05 {
		t.Errorf("%s is covered for %.3f of the time by contacts, and %.3f by the map", oslo.GetStation(), oslo.GetCovered(), share)
	}
	sum := 0.0
	for _, g := range oslo.GetGaps() {
		sum += (g.GetTo().AsDuration() - g.GetFrom().AsDuration()).Seconds()
	}
	if math.Abs(1-sum/7200-oslo.GetCovered()) > 1e-9 {
		t.Errorf("gaps of %g s, covered %g", sum, oslo.GetCovered())
	}
}

func TestSkyRefusesWhatIsTooMuch(t *testing.T) {
	s, _ := skyOf(t, smallWalker)
	ctx := context.Background()
	day := durationpb.New(24*time.Hour + 1)
	for name, call := range map[string]func() error{
		"another plan": func() error {
			_, err := s.GetInventory(ctx, connect.NewRequest(&pb.GetInventoryRequest{Plan: "x"}))
			return err
		},
		"many instants": func() error {
			_, err := s.GetPositions(ctx, connect.NewRequest(&pb.GetPositionsRequest{Count: math.MaxInt32}))
			return err
		},
		"instants after the end of time": func() error {
			_, err := s.GetPositions(ctx, connect.NewRequest(&pb.GetPositionsRequest{From: durationpb.New(math.MaxInt64 - time.Hour), Step: durationpb.New(time.Hour)}))
			return err
		},
		"instants of longer than there is": func() error {
			_, err := s.GetPositions(ctx, connect.NewRequest(&pb.GetPositionsRequest{Count: 1 << 18, Step: durationpb.New(24 * time.Hour), Nodes: []int32{0}}))
			return err
		},
		"a node that is not there": func() error {
			_, err := s.GetPositions(ctx, connect.NewRequest(&pb.GetPositionsRequest{Nodes: []int32{99}}))
			return err
		},
		"a short step": func() error {
			_, err := s.GetPositions(ctx, connect.NewRequest(&pb.GetPositionsRequest{Step: durationpb.New(1)}))
			return err
		},
		"contacts of days": func() error {
			_, err := s.GetContacts(ctx, connect.NewRequest(&pb.GetContactsRequest{To: day}))
			return err
		},
		"contacts before the beginning": func() error {
			_, err := s.GetContacts(ctx, connect.NewRequest(&pb.GetContactsRequest{From: durationpb.New(-time.Hour)}))
			return err
		},
		"many samples": func() error {
			_, err := s.GetContacts(ctx, connect.NewRequest(&pb.GetContactsRequest{DelaySamples: 1000}))
			return err
		},
		"gaps of days": func() error {
			_, err := s.GetGaps(ctx, connect.NewRequest(&pb.GetGapsRequest{To: day}))
			return err
		},
		"a map of the sea": func() error {
			_, err := s.GetCoverage(ctx, connect.NewRequest(&pb.GetCoverageRequest{Rows: 1 << 20}))
			return err
		},
		"a map of one long step": func() error {
			_, err := s.GetCoverage(ctx, connect.NewRequest(&pb.GetCoverageRequest{Step: durationpb.New(math.MaxInt64)}))
			return err
		},
		"a map of each second": func() error {
			_, err := s.GetCoverage(ctx, connect.NewRequest(&pb.GetCoverageRequest{Step: durationpb.New(time.Second), Rows: 720, Columns: 1440}))
			return err
		},
		"an unknown group": func() error {
			_, err := s.GetCoverage(ctx, connect.NewRequest(&pb.GetCoverageRequest{Group: "x"}))
			return err
		},
	} {
		if code := connect.CodeOf(call()); code != connect.CodeInvalidArgument && code != connect.CodeNotFound {
			t.Errorf("%s: %v", name, code)
		}
	}
}

func TestPreview(t *testing.T) {
	file := filepath.Join(t.TempDir(), "draft.yaml")
	if err := os.WriteFile(file, []byte(smallWalker), 0o600); err != nil {
		t.Fatal(err)
	}
	shelf := newShelf(nil)
	v, s := newPreview(shelf, file), newSky(shelf, false)
	ctx := context.Background()
	if _, err := s.GetInventory(ctx, connect.NewRequest(&pb.GetInventoryRequest{})); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a scenario that has no plan yet: %v", err)
	}
	given, err := v.GetScenario(ctx, connect.NewRequest(&pb.GetScenarioRequest{}))
	if err != nil || given.Msg.GetText() != smallWalker || given.Msg.GetName() != "draft.yaml" {
		t.Fatalf("%v, %v", given, err)
	}
	compile := func(text string) *pb.CompileResponse {
		t.Helper()
		res, err := v.Compile(ctx, connect.NewRequest(&pb.CompileRequest{Text: text}))
		if err != nil {
			t.Fatal(err)
		}
		return res.Msg
	}
	good := compile(smallWalker)
	if good.GetPlan() == "" || len(good.GetProblems()) > 0 {
		t.Fatalf("%v", good)
	}
	inventory, err := s.GetInventory(ctx, connect.NewRequest(&pb.GetInventoryRequest{Plan: good.GetPlan()}))
	if err != nil || len(inventory.Msg.GetNodes()) != 20 {
		t.Fatalf("%v, %v", inventory, err)
	}
	bad := compile(strings.Replace(smallWalker, "planes: 3", "planes: x", 1))
	if p := bad.GetProblems(); bad.GetPlan() != "" || len(p) != 1 || p[0].GetLine() != 8 || p[0].GetColumn() != 39 || p[0].GetPath() != "spec.constellations[0].walker.planes" {
		t.Fatalf("%v", bad)
	}
	walker := smallWalker[strings.Index(smallWalker, "      walker"):strings.Index(smallWalker, "      links")]
	for _, path := range []string{"/etc/passwd", "../secret.tle", "missing.tle"} {
		text := strings.Replace(smallWalker, walker, fmt.Sprintf("      file: {path: %s, format: tle}\n", path), 1)
		if p := compile(text).GetProblems(); len(p) == 0 || strings.Contains(p[0].GetWhat(), "root:") || path != "missing.tle" && !strings.Contains(p[0].GetWhat(), "not beside the scenario") {
			t.Errorf("%s: %v", path, p)
		}
	}
	// Old previews go.
	for i := range previewsKept {
		compile(strings.Replace(smallWalker, "name: walker", fmt.Sprintf("name: walker%d", i), 1))
	}
	if _, err := s.GetInventory(ctx, connect.NewRequest(&pb.GetInventoryRequest{Plan: good.GetPlan()})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("the first preview is still there: %v", err)
	}
	if len(shelf.previews) != previewsKept || shelf.order.Len() != previewsKept {
		t.Errorf("%d previews are kept", len(shelf.previews))
	}
	completed, err := v.Complete(ctx, connect.NewRequest(&pb.CompleteRequest{Text: "spec:\n  sta", Line: 2, Column: 6}))
	if err != nil || completed.Msg.GetFromColumn() != 3 || len(completed.Msg.GetCandidates()) != 1 || completed.Msg.GetCandidates()[0].GetText() != "stations: " {
		t.Errorf("%v, %v", completed, err)
	}
}
