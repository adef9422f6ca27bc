package metrics

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
	"orrery.dev/orrery/node/nodetest"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

const text = `
apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: metrics}
spec:
  constellations:
    - name: sat
      walker: {pattern: star, planes: 3, satellitesPerPlane: 6, inclination: 86deg, altitude: 780km}
      links: {pattern: grid}
      groundPorts: 2
  stations:
    - {name: a, position: {lat: 60deg, lon: 10deg}}
    - {name: b, position: {lat: 50deg, lon: 20deg}}
  groundLinks: [{name: up, minElevation: 5deg}]
  routing: [{protocol: oracle}]
  commands: [{name: steady, nodes: [a], argv: [sleep, inf]}]
`

// answers to every request at once.
type answers struct{}

func (answers) Send(netip.Addr, int) (<-chan time.Duration, func(), error) {
	c := make(chan time.Duration, 1)
	c <- 10 * time.Millisecond
	return c, func() {}, nil
}

func (answers) Close() error { return nil }

func start(t *testing.T) *emulation.Run {
	t.Helper()
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	run, err := emulation.New(emulation.Config{
		Plan: p, Nodes: nodetest.New(t.TempDir()), Timeline: clock.New(clock.Host{}, 0, 1),
		Fabric: func(tl *clock.Timeline, ports []fabric.Port) (fabric.Fabric, error) {
			return memfabric.New(tl, len(ports), 1), nil
		},
		Echo: func(string) (emulation.Echo, error) { return answers{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return run
}

func gather(t *testing.T, run *emulation.Run, nodes ...string) (names map[string]bool, series int) {
	t.Helper()
	ports, err := Ports(run.Plan(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{run, ports})
	families, err := registry.Gather() // checks that what is collected is what was described
	if err != nil {
		t.Fatal(err)
	}
	names = make(map[string]bool)
	for _, f := range families {
		names[f.GetName()] = true
		series += len(f.GetMetric())
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	return names, series
}

// The names are those of docs/metrics.md, all of them.
func TestNamesAreThoseOfTheirPage(t *testing.T) {
	run := start(t)
	<-run.Converged()
	names, _ := gather(t, run, "*")
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(orrery_[a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		told[m[1]] = true
	}
	for name := range names {
		if !told[name] {
			t.Errorf("docs/metrics.md does not tell of %s", name)
		}
	}
	for name := range told {
		if !names[name] {
			t.Errorf("docs/metrics.md tells of %s, which there is not", name)
		}
	}
}

// Without chosen nodes the number of series does not depend on the scenario's size;
// with them it grows by seven a port at most.
func TestCardinalityIsBounded(t *testing.T) {
	run := start(t)
	<-run.Converged()
	_, few := gather(t, run)
	if few > 80 {
		t.Errorf("%d series of the run", few)
	}
	_, more := gather(t, run, "a")
	if ports := 1; more-few > 7*ports || more <= few {
		t.Errorf("%d series of a node with one port", more-few)
	}
	if _, err := Ports(run.Plan(), []string{"nobody"}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("%v", err)
	}
}

func TestHandler(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(start(t), nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{`orrery_run_info{name="metrics"} 1`, `orrery_nodes{kind="satellite"} 18`, `orrery_frame_lateness_seconds_bucket{le="+Inf"} 0`, "go_goroutines "} {
		if !strings.Contains(w.Body.String(), line) {
			t.Errorf("there is no line %s", line)
		}
	}
}

// published is the schema of dashboards. There is a second version, which older Grafanas do not import.
type published = dashboard.Dashboard //nolint:staticcheck // see above

// The dashboard is one by the schema that Grafana publishes: no field too many, none missing, all values valid.
func TestDashboardSchema(t *testing.T) {
	b, err := os.ReadFile("grafana/orrery.json")
	if err != nil {
		t.Fatal(err)
	}
	plugins.RegisterDefaultPlugins()
	var board published
	// Errors of this method are an empty list where all is well, and never nil; it keeps no panels either.
	if err := board.UnmarshalJSONStrict(b); err != nil && err.Error() != "" {
		t.Error(err)
	}
	board = published{}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	if err := board.Validate(); err != nil {
		t.Error(err)
	}
	for _, p := range board.Panels {
		if p.Panel == nil || p.Panel.Options == nil || len(p.Panel.Targets) == 0 {
			t.Errorf("a panel is of no known kind: %+v", p)
		}
	}
}

// Whatever the dashboard asks for is there.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("grafana/orrery.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title  string
		UID    string `json:"uid"`
		Panels []struct {
			ID      int `json:"id"`
			Title   string
			Type    string
			Targets []struct {
				Expr  string `json:"expr"`
				RefID string `json:"refId"`
			}
			GridPos struct{ H, W, X, Y int } `json:"gridPos"`
		}
		SchemaVersion int `json:"schemaVersion"`
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	run := start(t)
	<-run.Converged()
	names, _ := gather(t, run, "*")
	if board.UID == "" || board.SchemaVersion == 0 || len(board.Panels) < 8 {
		t.Errorf("%q has %d panels", board.Title, len(board.Panels))
	}
	seen := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		if seen[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %q: its number is taken, or it asks for nothing", p.Title)
		}
		seen[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := taken[at]; ok || at[0] >= 24 {
					t.Fatalf("panels %q and %q are at one place, or beyond the edge", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`orrery_[a-z_]+`).FindAllString(target.Expr, -1) {
				base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
				if !names[name] && !names[base] {
					t.Errorf("panel %q asks for %s, which there is not", p.Title, name)
				}
			}
		}
	}
}
