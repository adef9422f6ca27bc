package router

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/address"
	"orrery.dev/orrery/scenario"
)

var update = flag.Bool("update", false, "write the golden files anew")

func seconds(n float64) scenario.Duration {
	return scenario.Duration(n * float64(time.Second))
}

// input is node 41 with two ports between satellites and one to the ground.
func input(r scenario.Routing) Input {
	return Input{
		Name: "sat-p04s03", Index: 41, Routing: r, Dir: "/run/orrery/test/nodes/sat-p04s03",
		Ports: []Link{
			{Name: "fore", Role: "isl", Peer: address.LinkLocal(42, 1).Addr(), Peer4: address.Loopback4(42).Addr()},
			{Name: "aft", Role: "isl", Cost: 25},
			{Name: "gnd0", Role: "ground"},
		},
		Resolve: func(name string) (netip.Prefix, bool) {
			return address.Scheme{}.Loopback(65), name == "ams"
		},
	}
}

func TestGolden(t *testing.T) {
	timers := scenario.Routing{Hello: seconds(1), Dead: seconds(4), SPFDelay: seconds(0.05), BFD: &scenario.BFD{Interval: seconds(0.2), Multiplier: 5}}
	with := func(protocol, daemon string) scenario.Routing {
		r := timers
		r.Protocol, r.Daemon = protocol, daemon
		return r
	}
	// What a network of a thousand routers on a small machine needs.
	flood := scenario.Routing{Protocol: OSPF3, Hello: seconds(10), Dead: seconds(300), SPFDelay: seconds(30), Retransmit: seconds(10), MaxPaths: 1, Nice: 19}
	floodFRR := flood
	floodFRR.Daemon = FRR
	flood.AdvertiseAfter = seconds(25)
	static := scenario.Routing{Protocol: Static, Routes: []scenario.StaticRoute{{To: "ams", Via: "fore"}, {To: "fd00:0:1::/48", Via: "fore"}}}
	frr := func(major int) func(*Input) { return func(in *Input) { in.FRR = major } }
	static4 := func(daemon string) scenario.Routing {
		return scenario.Routing{Protocol: Static, Daemon: daemon, Routes: []scenario.StaticRoute{{To: "ams", Via: "fore"}, {To: "10.1.0.0/16", Via: "fore"}}}
	}
	ipv4 := func(in *Input) { in.IPv4 = true }
	border := func(in *Input) {
		in.Ports[1].Areas = []string{"", ""}
		in.Ports[2].Areas = []string{in.Area}
	}
	for name, c := range map[string]struct {
		r      scenario.Routing
		change func(*Input)
	}{
		"isis":             {r: scenario.Routing{Protocol: ISIS}},
		"isis-timers":      {r: with(ISIS, ""), change: func(in *Input) { in.IPv4 = true }},
		"isis-area":        {r: scenario.Routing{Protocol: ISIS}, change: func(in *Input) { in.Area = "49.0007" }},
		"isis-border":      {r: scenario.Routing{Protocol: ISIS}, change: func(in *Input) { in.Area = "49.0007"; border(in) }},
		"ospf3-bird":       {r: scenario.Routing{Protocol: OSPF3}},
		"ospf3-bird-area":  {r: with(OSPF3, BIRD), change: func(in *Input) { in.Area = "7"; border(in) }},
		"ospf3-bird-flood": {r: flood},
		"ospf3-frr-flood":  {r: floodFRR},
		"ospf3-frr":        {r: scenario.Routing{Protocol: OSPF3, Daemon: FRR}},
		"ospf3-frr-area":   {r: with(OSPF3, FRR), change: func(in *Input) { in.Area = "0.0.0.7"; border(in) }},
		"ospf2":            {r: with(OSPF2, ""), change: func(in *Input) { in.IPv4 = true }},
		"bgp":              {r: scenario.Routing{Protocol: BGP}},
		"bgp-timers":       {r: with(BGP, FRR), change: func(in *Input) { in.IPv4 = true }},
		"isis-frr10":       {r: with(ISIS, ""), change: frr(10)},
		"bgp-frr10":        {r: scenario.Routing{Protocol: BGP, MaxPaths: 4}, change: frr(10)},
		"static-frr9":      {r: static, change: frr(9)},
		"static-frr10":     {r: static, change: frr(10)},
		"static-frr":       {r: static},
		"static4-frr":      {r: static4(""), change: ipv4},
		"static4-bird":     {r: static4(BIRD), change: ipv4},
		"static-bird":      {r: scenario.Routing{Protocol: Static, Daemon: BIRD, Routes: []scenario.StaticRoute{{To: "ams", Via: "fore"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(c.r)
			if c.change != nil {
				c.change(&in)
			}
			out, err := Render(in)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, f := range out.Files {
				b.WriteString("-- " + f.Name + " --\n")
				b.Write(f.Content)
			}
			for _, p := range out.Processes {
				b.WriteString("-- run " + p.Name + " --\n" + strings.Join(p.Argv, " ") + "\n")
				if p.After != "" {
					b.WriteString("after " + p.After + "\n")
				}
				for _, dir := range p.BindOver {
					b.WriteString("over " + dir + "\n")
				}
				if p.Nice != c.r.Nice {
					t.Errorf("%s runs at nice %d, want %d", p.Name, p.Nice, c.r.Nice)
				}
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || string(want) != b.String() {
				t.Errorf("%s differs (%v); got\n%s", path, err, b.String())
			}
		})
	}
}

func TestUserTemplates(t *testing.T) {
	content := func(r scenario.Routing, text, name string) string {
		t.Helper()
		in := input(r)
		in.Template = text
		out, err := Render(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.Files {
			if f.Name == name {
				return string(f.Content)
			}
		}
		t.Fatalf("no file %s", name)
		return ""
	}
	isis := scenario.Routing{Protocol: ISIS}
	if c := content(isis, "! {{.Name}} {{.NET}}\n", "isisd.conf"); c != "! sat-p04s03 49.0000.0100.0000.0042.00\n" {
		t.Errorf("text replaces the protocol's daemon: %q", c)
	}
	if c := content(isis, "! {{.Name}}\n", "zebra.conf"); !strings.Contains(c, "hostname sat-p04s03") {
		t.Errorf("and leaves zebra alone: %q", c)
	}
	zebra := `{{define "zebra.conf"}}! only zebra{{end}}` + "\n"
	if c := content(isis, zebra, "zebra.conf"); c != "! only zebra\n" {
		t.Errorf("a definition replaces the daemon it names: %q", c)
	}
	if c := content(isis, zebra, "isisd.conf"); !strings.Contains(c, "router isis") {
		t.Errorf("and leaves isisd alone: %q", c)
	}
	if c := content(scenario.Routing{Protocol: OSPF3}, "# {{range .Ports}}{{.Name}} {{end}}", "bird.conf"); c != "# fore aft gnd0\n" {
		t.Errorf("BIRD: %q", c)
	}
	for _, bad := range []string{"{{.NoSuchField}}", "{{", `{{template "none"}}`} {
		in := input(isis)
		in.Template = bad
		if _, err := Render(in); err == nil {
			t.Errorf("template %q was accepted", bad)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		r      scenario.Routing
		change func(*Input)
		want   string
	}{
		"protocol":       {r: scenario.Routing{Protocol: "rip"}, want: `"rip" is none of`},
		"bird isis":      {r: scenario.Routing{Protocol: ISIS, Daemon: BIRD}, want: "isis is spoken by frr"},
		"bird bgp":       {r: scenario.Routing{Protocol: BGP, Daemon: BIRD}, want: "BIRD cannot begin a BGP session"},
		"oracle daemon":  {r: scenario.Routing{Protocol: Oracle, Daemon: BIRD}, want: "needs no daemon"},
		"hello":          {r: scenario.Routing{Protocol: ISIS, Hello: seconds(0.5)}, want: "use BFD"},
		"dead":           {r: scenario.Routing{Protocol: ISIS, Hello: seconds(3), Dead: seconds(4)}, want: "less than two hellos"},
		"bfd interval":   {r: scenario.Routing{Protocol: ISIS, BFD: &scenario.BFD{Interval: seconds(0.001)}}, want: "bfd interval 1ms"},
		"bfd multiplier": {r: scenario.Routing{Protocol: ISIS, BFD: &scenario.BFD{Multiplier: 1}}, want: "bfd multiplier 1"},
		"area":           {r: scenario.Routing{Protocol: OSPF3}, change: func(in *Input) { in.Area = "one" }, want: `area "one"`},
		"mixed area": {r: scenario.Routing{Protocol: OSPF3}, change: func(in *Input) {
			in.Area = "1"
			in.Ports[2].Areas = []string{"1", ""}
		}, want: "port gnd0 meets nodes of its own area 0.0.0.1 and of others"},
		"static port": {r: scenario.Routing{Protocol: Static, Routes: []scenario.StaticRoute{{To: "ams", Via: "left"}}}, want: `no port "left"`},
		"static peer": {r: scenario.Routing{Protocol: Static, Routes: []scenario.StaticRoute{{To: "ams", Via: "gnd0"}}}, want: "peer of port gnd0 changes"},
		"static IPv4": {r: scenario.Routing{Protocol: Static, Routes: []scenario.StaticRoute{{To: "10.0.0.0/8", Via: "fore"}}}, want: "the network has no IPv4; set network.ipv4"},
		"static name": {r: scenario.Routing{Protocol: Static, Routes: []scenario.StaticRoute{{To: "nowhere", Via: "fore"}}}, want: `"nowhere": it is neither`},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(c.r)
			if c.change != nil {
				c.change(&in)
			}
			_, err := Render(in)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	for _, p := range []string{Oracle, None} {
		if out, err := Render(input(scenario.Routing{Protocol: p})); err != nil || len(out.Processes) != 0 {
			t.Errorf("%s: %v, %v", p, out, err)
		}
	}
	if _, err := Daemon(scenario.Routing{Protocol: BGP, Daemon: BIRD}); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

func TestAreaID(t *testing.T) {
	for s, want := range map[string]string{"": "0.0.0.0", "0": "0.0.0.0", "1": "0.0.0.1", "65536": "0.1.0.0", "0.0.0.1": "0.0.0.1", "1x": "", "-1": "", "4294967296": "", "::1": "", "1 2": ""} {
		if got, err := AreaID(s); got != want || (err != nil) != (want == "") {
			t.Errorf("AreaID(%q) = %q, %v", s, got, err)
		}
	}
}
