package interchange

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/scenario"
)

// tle writes a two-line element set of a circular orbit in low orbit (epoch 1 January
// 2026), with its checksums.
func tle(number int, inclination, raan, anomaly float64) [2]string {
	lines := [2]string{
		fmt.Sprintf("1 %05dU 26001A   26001.00000000  .00000000  00000-0  00000+0 0    0", number),
		fmt.Sprintf("2 %05d %8.4f %8.4f 0000001   0.0000 %8.4f 15.00000000    0", number, inclination, raan, anomaly),
	}
	for i, l := range lines {
		sum := 0
		for _, c := range l {
			switch {
			case c >= '0' && c <= '9':
				sum += int(c - '0')
			case c == '-':
				sum++
			}
		}
		lines[i] += fmt.Sprint(sum % 10)
	}
	return lines
}

// walkerTLEs are the lines of a constellation as Hypatia writes them.
func walkerTLEs(planes, perPlane int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d\n", planes, perPlane)
	for i := range planes * perPlane {
		l := tle(i+1, 53, 360*float64(i/perPlane)/float64(planes), 360*float64(i%perPlane)/float64(perPlane))
		fmt.Fprintf(&b, "Starlink-550 %d\n%s\n%s\n", i, l[0], l[1])
	}
	return b.String()
}

// compiled writes an import into a folder and compiles it as `orrery up` would.
func compiled(t testing.TB, m *Import) *plan.Plan {
	t.Helper()
	dir := t.TempDir()
	files := map[string][]byte{ScenarioName: m.Scenario}
	for name, b := range m.Files {
		files[name] = b
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := scenario.Load(filepath.Join(dir, ScenarioName))
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Scenario)
	}
	p, err := plan.Compile(s)
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Scenario)
	}
	return p
}

func memory(files map[string]string) fs.FS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// Whatever network of Hypatia is drawn, its satellites, links and stations are those of the
// plan.
func TestHypatiaNetworksKeepTheirShape(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		planes, perPlane := rapid.IntRange(1, 4).Draw(rt, "planes"), rapid.IntRange(2, 6).Draw(rt, "perPlane")
		n := planes * perPlane
		pairs := rapid.SliceOfNDistinct(rapid.Custom(func(rt *rapid.T) [2]int {
			a := rapid.IntRange(0, n-1).Draw(rt, "a")
			b := rapid.IntRange(0, n-2).Draw(rt, "b")
			if b >= a {
				b++
			}
			return [2]int{min(a, b), max(a, b)}
		}), 0, 8, rapid.ID).Draw(rt, "isls")
		isls, interfaces := "", ""
		for _, p := range pairs {
			isls += fmt.Sprintf("%d %d\n", p[0], p[1])
		}
		count := rapid.IntRange(0, 3).Draw(rt, "stations")
		antennas := rapid.IntRange(1, 4).Draw(rt, "antennas")
		stations := ""
		var places [][2]float64
		for i := range count {
			place := [2]float64{rapid.Float64Range(-90, 90).Draw(rt, "lat"), rapid.Float64Range(-180, 180).Draw(rt, "lon")}
			places = append(places, place)
			stations += fmt.Sprintf("%d,City %d,%f,%f,12.5,0,0,0\n", i, i%2, place[0], place[1])
			interfaces += fmt.Sprintf("%d,%d,1.0\n", n+i, antennas)
		}
		m, err := Hypatia(memory(map[string]string{
			"tles.txt": walkerTLEs(planes, perPlane), "isls.txt": isls, "ground_stations.txt": stations,
			"gsl_interfaces_info.txt": interfaces, "description.txt": "max_gsl_length_m=1089686.0000000000\nmax_isl_length_m=5016591.2\n",
		}), "net")
		if err != nil {
			rt.Fatal(err)
		}
		p := compiled(t, m)
		if len(p.Nodes) != n+count {
			rt.Fatalf("%d nodes, want %d and %d", len(p.Nodes), n, count)
		}
		linked := make(map[[2]int]bool)
		for i := range p.Nodes {
			for _, q := range p.Nodes[i].Ports {
				if peer, ok := p.FixedPeer(q.ID); ok {
					linked[[2]int{min(i, p.Port(peer).Node), max(i, p.Port(peer).Node)}] = true
				}
			}
		}
		if len(linked) != len(pairs) {
			rt.Fatalf("links %v, want %v", linked, pairs)
		}
		for _, pair := range pairs {
			if !linked[pair] {
				rt.Fatalf("satellites %v are not linked", pair)
			}
		}
		for i, place := range places {
			node := &p.Nodes[n+i]
			state, err := node.Motion.State(0)
			if err != nil {
				rt.Fatal(err)
			}
			want := orbit.Degrees(place[0], place[1], 0.0125).ECEF()
			if d := state.Position.Sub(want).Norm(); d > 0.001 || len(node.Ports) != antennas {
				rt.Fatalf("station %s is %v km off and has %d antennas", node.Name, d, len(node.Ports))
			}
		}
	})
}

func TestStarryNetShells(t *testing.T) {
	const config = `{
  "Name": "Starlink", "Shells": [
    {"Altitude (km)": 550, "Inclination": 53, "Orbits": 6, "Satellites per orbit": 11, "Phase shift": 1},
    {"Altitude (km)": 540, "Inclination": 70.5, "Orbits": 4, "Satellites per orbit": 5, "Phase shift": 1}],
  "Duration (s)": 100, "step (s)": 1,
  "satellite link bandwidth (\"X\" Gbps)": 5, "sat-ground bandwidth (\"X\" Gbps)": 5,
  "satellite link loss (\"X\"% )": 1, "sat-ground loss (\"X\"% )": 2,
  "antenna number": 1, "antenna elevation angle": 25, "Satellite link": "Grid", "IP version": "IPv4",
  "Link policy": "LeastDelay", "Handover policy": "instant handover",
  "Machines": [{"IP": "192.0.2.1", "username": "root", "password": "secret"}]
}`
	m, err := StarryNet(memory(map[string]string{"config.json": config}), "config.json")
	if err != nil {
		t.Fatal(err)
	}
	p := compiled(t, m)
	if len(p.Nodes) != 86 || p.Nodes[66].Name != "starlink2-p01s01" || len(p.Nodes[0].Ports) != 4 {
		t.Errorf("%d nodes, the 67th is %s", len(p.Nodes), p.Nodes[66].Name)
	}
	links := p.Scenario.Spec.Constellations[0].Links
	if float64(links.Properties.Rate) != 5e9 || float64(links.Properties.Loss.Probability) != 0.01 || time.Duration(p.Scenario.Spec.Duration) != 100*time.Second {
		t.Errorf("%+v", links.Properties)
	}
	if bytes.Contains(m.Scenario, []byte("secret")) {
		t.Error("a password is in the scenario")
	}
	for _, want := range []string{"minElevation: 25deg", "LeastDelay", "machines"} {
		if !strings.Contains(strings.Join(m.Unmapped, "\n"), want) {
			t.Errorf("nothing is said of %s: %q", want, m.Unmapped)
		}
	}
}

// benchFiles is a scenario of NetSatBench: two satellites and a station that have a place,
// and a user who has none.
func benchFiles() map[string]string {
	a, b := tle(101, 87, 10, 20), tle(102, 87, 10, 50)
	config := fmt.Sprintf(`{
  "node-config-common": {"type": "undefined", "n_antennas": 2, "image": "x", "L3-config": {"enable-netem": true, "enable-routing": true, "routing-module": "extra.routing.isisv6"}},
  "epoch-config": {"epoch-dir": "examples/two/epochs", "file-pattern": "NetSatBench-epoch*.json"},
  "nodes": {
    "sat1": {"type": "satellite", "n_antennas": 5, "metadata": {"orbit": {"TLE": [%q, %q]}}},
    "sat2": {"type": "satellite", "n_antennas": 5, "metadata": {"orbit": {"TLE": [%q, %q]}}},
    "grd1": {"type": "gateway", "metadata": {"location": {"latitude": 37.4275, "longitude": -122.1697, "altitude": 30}}},
    "usr1": {"type": "user"}
  }
}`, a[0], a[1], b[0], b[1])
	return map[string]string{
		"sat-config.json":                config,
		"epochs/NetSatBench-epoch2.json": `{"time": "2024-06-01T12:00:10Z", "links-del": [{"endpoint1": "grd1", "endpoint2": "sat1"}]}`,
		"epochs/NetSatBench-epoch0.json": `{"time": "2024-06-01T12:00:00Z", "links-add": [
  {"endpoint1": "sat1", "endpoint2": "sat2", "rate": "1gbit", "loss": 0, "delay": "5ms"},
  {"endpoint1": "grd1", "endpoint2": "sat1", "rate": "50mbit", "loss": 1.5, "delay": "3ms"},
  {"endpoint1": "usr1", "endpoint2": "sat2", "rate": "50mbit", "delay": "3ms"}], "run": {"grd1": ["screen -dmS iperf3 -s"]}}`,
		"epochs/NetSatBench-epoch10.json": `{"time": "2024-06-01T12:01:00Z", "links-add": [{"endpoint1": "sat2", "endpoint2": "grd1", "rate": "50mbit"}]}`,
	}
}

func TestNetSatBenchScenario(t *testing.T) {
	m, err := ReadNetSatBench(memory(benchFiles()), "sat-config.json")
	if err != nil {
		t.Fatal(err)
	}
	p := compiled(t, m)
	var names []string
	for i := range p.Nodes {
		names = append(names, p.Nodes[i].Name)
	}
	if !slices.Equal(names, []string{"sat-101", "sat-102", "grd1"}) {
		t.Errorf("nodes %v", names)
	}
	spec := &p.Scenario.Spec
	if !spec.Epoch.Equal(time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)) || time.Duration(spec.Duration) != time.Minute {
		t.Errorf("epoch %v, duration %v", spec.Epoch, spec.Duration)
	}
	isl, ground := spec.Constellations[0].Links, spec.GroundLinks[0]
	if len(isl.Pairs) != 1 || float64(isl.Properties.Rate) != 1e9 || float64(ground.Properties.Rate) != 5e7 || ground.Antennas != 2 {
		t.Errorf("links %+v, ground links %+v", isl, ground)
	}
	if spec.Routing[0].Protocol != "isis" || spec.Network.IPv4 {
		t.Errorf("routing %+v", spec.Routing)
	}
	for _, want := range []string{"usr1", "shell", "times of links"} {
		if !strings.Contains(strings.Join(m.Unmapped, "\n"), want) {
			t.Errorf("nothing is said of %s: %q", want, m.Unmapped)
		}
		if !bytes.Contains(m.Scenario, []byte(want)) {
			t.Errorf("the file says nothing of %s", want)
		}
	}
}

// What NetSatBench gets of a plan is read back with the same stations, and without its
// satellites, which have no TLE, it is refused.
func TestNetSatBenchReadsItsExport(t *testing.T) {
	f := files{}
	p := compile(t, small)
	if err := NetSatBench(context.Background(), f.create, p, Span{0, time.Minute}, 0); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for name, b := range f {
		all[name] = b.String()
	}
	_, err := ReadNetSatBench(memory(all), satConfigName)
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "TLE") {
		t.Fatalf("error %v", err)
	}
	var c satConfig
	if err := json.Unmarshal([]byte(all[satConfigName]), &c); err != nil {
		t.Fatal(err)
	}
	for name, n := range c.Nodes {
		if n.Type == "satellite" {
			l := tle(7, 90, 110, 45)
			n.Metadata.Orbit = &satOrbit{TLE: l[:]}
			c.Nodes[name] = n
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	all[satConfigName] = string(b)
	m, err := ReadNetSatBench(memory(all), satConfigName)
	if err != nil {
		t.Fatal(err)
	}
	back := compiled(t, m)
	for i, s := range back.Scenario.Spec.Stations {
		want := p.Scenario.Spec.Stations[i]
		if d := *s.Position; d.Lat-want.Position.Lat > 1e-5 || want.Position.Lat-d.Lat > 1e-5 || d.Lon-want.Position.Lon > 1e-5 {
			t.Errorf("station %s is at %+v, was at %+v", s.Name, d, want.Position)
		}
	}
	if r := back.Scenario.Spec.GroundLinks[0].Properties.Rate; float64(r) != 1e7 {
		t.Errorf("rate %v", r)
	}
}

// Each case is files of a foreign scenario and the message that they give.
func TestImportMessages(t *testing.T) {
	cases, err := filepath.Glob("testdata/import/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all, want, at := make(map[string]string), "", -1
			for i, f := range a.Files {
				if f.Name == "message" {
					want, at = string(f.Data), i
				} else {
					all[f.Name] = string(f.Data)
				}
			}
			m, err := importAny(memory(all))
			got := ""
			if err != nil {
				if got = err.Error() + "\n"; !errors.Is(err, ErrForeign) && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the error does not say what kind it is: %v", err)
				}
			} else {
				got = string(m.Scenario)
				compiled(t, m)
			}
			if *update {
				if at < 0 {
					a.Files, at = append(a.Files, txtar.File{Name: "message"}), len(a.Files)
				}
				a.Files[at].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// importAny tells formats apart by their files.
func importAny(fsys fs.FS) (*Import, error) {
	if _, err := fs.Stat(fsys, "config.json"); err == nil {
		return StarryNet(fsys, "config.json")
	}
	if _, err := fs.Stat(fsys, satConfigName); err == nil {
		return ReadNetSatBench(fsys, satConfigName)
	}
	return Hypatia(fsys, "net")
}

// sound tells whether an import of hostile files is an error of its kind, or a scenario
// that is valid.
func sound(t *testing.T, m *Import, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrForeign) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
		return
	}
	if _, err := scenario.Parse(ScenarioName, m.Scenario); err != nil {
		t.Errorf("%v\n%s", err, m.Scenario)
	}
}

func FuzzHypatia(f *testing.F) {
	f.Add(walkerTLEs(2, 2), "0 1\n2 3\n", "0,Tokyo,35.6895,139.69171,0.0\n", "0,1,1.0\n4,1,1.0\n", "max_gsl_length_m=1089686.0\nmax_isl_length_m=1e9\n")
	f.Add("1 1\n", "0 0\n", "0,,91,0,0\n", "x\n", "=\n")
	f.Fuzz(func(t *testing.T, tles, isls, stations, interfaces, description string) {
		m, err := Hypatia(memory(map[string]string{
			hypatiaTLEs: tles, hypatiaISLs: isls, hypatiaStations: stations, hypatiaInterfaces: interfaces, hypatiaDescription: description,
		}), "net")
		sound(t, m, err)
	})
}

func FuzzStarryNet(f *testing.F) {
	f.Add(`{"Name": "x", "Shells": [{"Altitude (km)": 550, "Inclination": 53, "Orbits": 2, "Satellites per orbit": 3, "Phase shift": 1}], "Satellite link": "Grid", "satellite link bandwidth (\"X\" Gbps)": 5}`)
	f.Add(`{"# of orbit": 3, "# of satellites": 4, "Altitude (km)": 550, "Duration (s)": 1e300}`)
	f.Fuzz(func(t *testing.T, config string) {
		m, err := StarryNet(memory(map[string]string{"config.json": config}), "config.json")
		sound(t, m, err)
	})
}

func FuzzNetSatBench(f *testing.F) {
	b := benchFiles()
	f.Add(b[satConfigName], b["epochs/NetSatBench-epoch0.json"])
	f.Add(`{"nodes": {"a": {}}}`, `{}`)
	f.Fuzz(func(t *testing.T, config, epoch string) {
		m, err := ReadNetSatBench(memory(map[string]string{satConfigName: config, "epochs/NetSatBench-epoch0.json": epoch}), satConfigName)
		sound(t, m, err)
	})
}
