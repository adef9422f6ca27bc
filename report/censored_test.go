package report_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery.dev/orrery/experiment"
	"orrery.dev/orrery/experiment/experimenttest"
	"orrery.dev/orrery/record"
	"orrery.dev/orrery/report"
)

// figures of a run of which 100 s were measured after 10 s, whose record is written by hand.
func figures(t *testing.T, stations []string, write func(*record.Writer)) *report.Figures {
	t.Helper()
	run := record.Run{
		Orrery: "test", Scenario: record.Scenario{Name: "by-hand", Speed: 1, Stations: stations},
		Span:     record.Span{WarmUp: 10e6, From: 10e6, To: 110e6},
		Outcome:  record.Outcome{State: record.Complete},
		Fidelity: record.Verdict{Level: record.Faithful},
	}
	w, err := record.Create(filepath.Join(t.TempDir(), "run"), []byte("kind: Scenario\n"), run)
	if err != nil {
		t.Fatal(err)
	}
	write(w)
	if err := w.Finish(run); err != nil {
		t.Fatal(err)
	}
	return collect(t, w.Dir(), false).Variants[0].Runs[0]
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) < 1e-9) {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

func at(us int64) *int64 { return &us }

// An outage that began half a second before the end is not taken for the longest, and an
// event that was not repaired not for one that would never have been.
func TestWhatTheEndCutsOff(t *testing.T) {
	f := figures(t, nil, func(w *record.Writer) {
		for k := range int64(3) {
			record.Outages.Write(w, record.Outage{From: 20e6, To: 20e6 + (k+1)*2e6, By: "tables", Cause: record.PairBlackHole})
			record.Convergences.Write(w, record.Convergence{At: 20e6 + k, Pairs: 1, Restored: at(20e6 + k + (k+1)*2e6), Until: at(20e6 + k + (k+1)*2e6)})
		}
		// Older records say only which state held longest, newer ones how long a way existed.
		record.Outages.Write(w, record.Outage{From: 30e6, To: 90e6, By: "tables", Cause: record.PairNoPath})
		record.Outages.Write(w, record.Outage{From: 30e6, To: 90e6, By: "tables", Cause: record.PairNoPath, Lost: at(3e6)})
		record.Outages.Write(w, record.Outage{From: 30e6, To: 90e6, By: "tables", Cause: record.PairNoPath, Lost: at(0)})
		record.Outages.Write(w, record.Outage{From: 109.5e6, To: 110e6, By: "tables", Cause: record.PairLoop, Open: true})
		record.Convergences.Write(w, record.Convergence{At: 30e6, Pairs: 1, Until: at(30.5e6)})
		record.Convergences.Write(w, record.Convergence{At: 109.5e6, Pairs: 1, Open: true}) // as of older records
	})
	near(t, "the longest outage", f.Outages.Quantile(1), 6)
	near(t, "the median outage", f.Outages.Quantile(0.5), 3)
	near(t, "the number of outages", f.Outages.Total(), 5)
	near(t, "the median repair", f.Repair.Quantile(0.5), 4)
	if f.Hit != 5 || f.Unrepaired != 2 {
		t.Errorf("%d events cut pairs off, %d were not repaired", f.Hit, f.Unrepaired)
	}
}

// A variant whose repairs were mostly not seen is not left out where it is the worst.
func TestBeyondAllSeen(t *testing.T) {
	b := behaviours()
	slow := b["bgp"]
	slow.Repair = time.Hour
	b["bgp"] = slow
	r := collect(t, made(t, &experimenttest.Launcher{Behaviours: b}, short), false)
	found := false
	for _, line := range r.Summary() {
		if strings.HasPrefix(line, "The median time from an event") {
			found = true
			if !strings.Contains(line, "highest with BGP unnumbered (beyond all seen).") || strings.Contains(line, "Inf") {
				t.Errorf("it says %s", line)
			}
		}
	}
	if !found {
		t.Errorf("nothing is said of repairs: %q", r.Summary())
	}
}

// A pair has no path before its first row, and a pair of stations without rows never had one.
func TestNoPathBeforeTheFirstRow(t *testing.T) {
	f := figures(t, []string{"a", "b"}, func(w *record.Writer) {
		record.Pairs.Write(w, record.PairState{At: 60e6, Source: "a", Destination: "b", State: record.PairBlackHole})
		record.Pairs.Write(w, record.PairState{At: 85e6, Source: "a", Destination: "b", State: record.PairReachable})
	})
	if f.Pairs != 2 {
		t.Errorf("%d pairs", f.Pairs)
	}
	near(t, "without a way", f.NoPath, 0.75)
	near(t, "cut off", f.CutOff, 0.5)
	near(t, "reachable", f.Reachable, 0.125)
	for i, at := range f.Reach.At {
		exists := 0.0
		if at > 50 {
			exists = 0.5
		}
		near(t, "the share with a way", f.Reach.Exists[i], exists)
	}
	if f = figures(t, []string{"a", "b"}, func(*record.Writer) {}); f.Pairs != 0 || !math.IsNaN(f.CutOff) {
		t.Errorf("where nothing was observed, %d pairs were cut off for %v", f.Pairs, f.CutOff)
	}
}

// A process that was started again is not counted with the one that died.
func TestMemoryAtTheEnd(t *testing.T) {
	f := figures(t, nil, func(w *record.Writer) {
		for i, pid := range []int32{1, 1, 2, 3} {
			record.Resources.Write(w, record.Resource{At: 20e6 + int64(i)*30e6, Node: "a", Process: "bird", PID: pid, Resident: 100 + int64(i)})
			record.Resources.Write(w, record.Resource{At: 20e6 + int64(i)*30e6, Node: "b", Process: "bird", PID: 9, Resident: 1000})
		}
	})
	near(t, "memory", f.DaemonBytes, 1102) // the last sample was taken after the span
	near(t, "memory of bird", f.Memory["bird"], 1102)
}

// Runs that the experiment does not ask for any more are told of, and do not count.
func TestStaleRuns(t *testing.T) {
	dir := made(t, &experimenttest.Launcher{Behaviours: behaviours()}, strings.Replace(short, "repetitions: 3", "repetitions: 2", 1))
	path := filepath.Join(dir, "experiment.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m experiment.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	m.Repetitions, m.Variants = 1, m.Variants[:2]
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	r := collect(t, dir, false)
	if r.Counted() != 2 || len(r.Variants) != 2 || len(r.Absent) != 10 || r.Summary()[0] != "All 2 runs that were asked for are complete and were faithful." {
		t.Errorf("%d runs of %d variants count, %d are absent: %s", r.Counted(), len(r.Variants), len(r.Absent), r.Summary()[0])
	}
	for _, a := range r.Absent {
		if !strings.HasPrefix(a.Why, "it is no longer part of the experiment, which has ") {
			t.Errorf("%+v", a)
		}
	}
}

// Where no run can be read at all, that is said.
func TestNothingReadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Collect(dir, false); !errors.Is(err, report.ErrNothing) || !strings.Contains(err.Error(), "is no description of a run") {
		t.Errorf("got %v", err)
	}
}
