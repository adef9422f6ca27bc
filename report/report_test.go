package report_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/experiment/experimenttest"
	"orrery.dev/orrery/record"
	"orrery.dev/orrery/report"
)

var keep = flag.String("keep", "", "file to leave the page of TestPage in, to be looked at")

const file = `apiVersion: orrery.dev/v1alpha1
kind: Experiment
metadata: {name: made-up}
spec:
  title: Which protocol survives a sky that was made up, and by how much?
  scenario: small.yaml
  set: {spec.network.mtu: 1500}
  repetitions: 3
  warmUp: 60s
  span: 20m
  variants:
    - {name: isis, title: "IS-IS, FRR"}
    - {name: ospf-bird, title: "OSPFv3, BIRD", set: {"spec.routing[0].protocol": ospf3}}
    - {name: ospf-frr, title: "OSPFv3, FRR", set: {"spec.routing[0].protocol": ospf3, "spec.routing[0].daemon": frr}}
    - {name: bgp, title: BGP unnumbered, set: {"spec.routing[0].protocol": bgp}}
    - {name: hello, title: "IS-IS, silent loss of carrier", set: {"spec.routing[0].hello": 1s}}
    - {name: oracle, title: Oracle, set: {"spec.routing[0].protocol": oracle}}
`

// short is the same with less to write.
var short = strings.Replace(file, "span: 20m", "span: 80s", 1)

const small = `apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata: {name: small}
spec:
  stations: [{name: north, position: {lat: 60deg, lon: 0deg}}]
  routing: [{protocol: isis}]
`

// behaviours of six variants. Those of isis and ospf-bird are the same.
func behaviours() map[string]experimenttest.Behaviour {
	control := func(protocol string, rate float64) map[string]float64 {
		return map[string]float64{protocol: rate, "ndp": 300, "other": 5e4}
	}
	isis := experimenttest.Behaviour{Repair: 300 * time.Millisecond, Loops: 0.2, Stretch: 1.08, Control: control("isis", 41e3), CPU: 0.02}
	ospf := isis
	ospf.Control = control("ospf", 17e3)
	slow := isis
	slow.Repair = 4 * time.Second
	hello := slow
	hello.Repair = 9 * time.Second
	hello.Control = map[string]float64{"isis": 41e3, "bfd": 22e3, "ndp": 300}
	bgp := slow
	bgp.Control = control("bgp", 9e3)
	return map[string]experimenttest.Behaviour{
		"isis": isis, "ospf-bird": ospf, "ospf-frr": slow, "bgp": bgp, "hello": hello, "oracle": {Stretch: 1, CPU: 0},
	}
}

// made runs the experiment by a launcher into a directory.
func made(t *testing.T, l *experimenttest.Launcher, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"small.yaml": small, "e.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e, err := experiment.Load(filepath.Join(dir, "e.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if err := e.Do(context.Background(), experiment.Options{Out: out, Launcher: l}); err != nil && !errors.Is(err, experiment.ErrFailed) {
		t.Fatal(err)
	}
	return out
}

func collect(t *testing.T, dir string, unfaithful bool) *report.Report {
	t.Helper()
	r, err := report.Collect(dir, unfaithful)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The page is whole, says what follows from the figures, asks for nothing else, and has every chart.
func TestPage(t *testing.T) {
	dir := made(t, &experimenttest.Launcher{Behaviours: behaviours()}, file)
	r := collect(t, dir, false)
	summarised(t, r)
	var b bytes.Buffer
	if err := r.WriteHTML(&b, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if *keep != "" {
		if err := os.WriteFile(*keep, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := b.String()
	for _, reference := range []string{"http:", "https:", "src=", "href=", "@import", "url(h", "<script", "<link"} {
		if strings.Contains(text, reference) {
			t.Errorf("the page has %q in it", reference)
		}
	}
	for _, title := range []string{"Summary", "Reachability", "Outages and convergence", "Round trips", "Stretch", "Control traffic", "Resources", "Probes", "Not run, or left out"} {
		if !strings.Contains(text, title) {
			t.Errorf("the page has no %q", title)
		}
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Fatalf("a chart has numbers that are none: %.300s", svg)
		}
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("a chart is not XML: %v", err)
			}
		}
	}
	if n := strings.Count(text, "<svg class=\"plot\""); n < 6*3+5 {
		t.Errorf("the page has %d charts", n)
	}
}

// summarised: what the summary says follows from what the launcher made up.
func summarised(t *testing.T, r *report.Report) {
	t.Helper()
	text := strings.Join(r.Summary(), "\n")
	for _, want := range []string{
		"All 18 runs that were asked for are complete and were faithful.",
		"lowest with Oracle (0 %) and highest with IS-IS, silent loss of carrier",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	// Both have the same repair times by construction.
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "The median time from an event") {
			if !regexp.MustCompile(`more: .*silent`).MatchString(line) {
				t.Errorf("a difference of 30 times is not seen: %s", line)
			}
		}
	}
}

// With one repetition nothing is said to hold.
func TestOneRepetition(t *testing.T) {
	dir := made(t, &experimenttest.Launcher{Behaviours: behaviours()}, strings.Replace(short, "repetitions: 3", "repetitions: 1", 1))
	text := strings.Join(collect(t, dir, false).Summary(), "\n")
	if !strings.Contains(text, "It has no interval") {
		t.Errorf("it is not said that there are no intervals:\n%s", text)
	}
	for _, claim := range []string{"less:", "more:", "holds against"} {
		if strings.Contains(text, claim) {
			t.Errorf("it claims %q from one repetition:\n%s", claim, text)
		}
	}
}

// A run that was not faithful is told of, and counts only if that is asked for.
func TestUnfaithful(t *testing.T) {
	b := behaviours()
	bad := b["bgp"]
	bad.Level = record.Overloaded
	b["bgp"] = bad
	dir := made(t, &experimenttest.Launcher{Behaviours: b}, short)
	r := collect(t, dir, false)
	if r.Counted() != 15 || len(r.Absent) != 3 || !strings.Contains(r.Absent[0].Why, "overloaded (p99 lateness") {
		t.Errorf("%d count, absent are %+v", r.Counted(), r.Absent)
	}
	if text := strings.Join(r.Summary(), "\n"); strings.Contains(text, "BGP") || !strings.Contains(text, "15 of 18 runs count. 3 runs were not faithful and left out.") {
		t.Errorf("the summary: %s", text)
	}
	r = collect(t, dir, true)
	if text := strings.Join(r.Summary(), "\n"); r.Counted() != 18 || !strings.Contains(text, "BGP unnumbered †") {
		t.Errorf("%d count: %s", r.Counted(), text)
	}
}

// A run in which some daemon took no part counts, and is told of.
func TestMissingAdjacencies(t *testing.T) {
	b := behaviours()
	deaf := b["bgp"]
	deaf.Missing = 8
	b["bgp"] = deaf
	r := collect(t, made(t, &experimenttest.Launcher{Behaviours: b}, short), false)
	if r.Counted() != 18 || len(r.Absent) != 3 || !strings.HasPrefix(r.Absent[0].Why, "218 of 226 adjacencies were up when the measured span began") {
		t.Errorf("%d count, absent are %+v", r.Counted(), r.Absent)
	}
}

// What cannot be read is told of, and the rest is there.
func TestDamage(t *testing.T) {
	l := &experimenttest.Launcher{Behaviours: behaviours(), Fail: map[string]error{"oracle": errors.New("no oracle answered")}}
	dir := made(t, l, short)
	path := filepath.Join(dir, "runs/isis/2/pairs.parquet")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "runs/isis/3/run.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := collect(t, dir, false)
	if r.Counted() != 13 {
		t.Errorf("%d runs count, not 13", r.Counted())
	}
	var text strings.Builder
	for _, a := range r.Absent {
		text.WriteString(a.Variant + "|" + a.Run + "|" + a.Why + "\n")
	}
	for _, want := range []string{"IS-IS, FRR|isis 2|", "|isis 3|", "Oracle|oracle 1|no oracle answered", "Oracle|oracle 3|"} {
		if strings.Count(text.String(), want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, text.String())
		}
	}
	newer := []byte(`{"format": 99, "orrery": "v9"}`)
	if err := os.WriteFile(filepath.Join(dir, "runs/isis/3/run.json"), newer, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Collect(dir, false); !errors.Is(err, record.ErrNewer) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a newer record: %v", err)
	}
	if _, err := report.Collect(t.TempDir(), false); !errors.Is(err, report.ErrNothing) {
		t.Errorf("an empty directory: %v", err)
	}
}

// A single run's directory has a report of its own.
func TestSingleRun(t *testing.T) {
	dir := made(t, &experimenttest.Launcher{Behaviours: behaviours()}, strings.Replace(short, "repetitions: 3", "repetitions: 1", 1))
	r := collect(t, filepath.Join(dir, "runs/isis/1"), false)
	if r.Counted() != 1 || r.Variants[0].Name != "isis" {
		t.Errorf("%+v", r)
	}
	if s := r.Summary(); s[0] != "The run is complete and was faithful." || s[1] != "There is one variant, so nothing is compared." {
		t.Errorf("%q", s)
	}
	if err := r.WriteHTML(io.Discard, time.Time{}); err != nil {
		t.Error(err)
	}
	paths, err := r.WriteCSV(t.TempDir())
	if err != nil || len(paths) != 5 {
		t.Fatalf("%v %v", paths, err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || bytes.Count(b, []byte("\n")) < 2 {
			t.Errorf("%s: %d bytes, %v", path, len(b), err)
		}
	}
}
