package report_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		record.Outages.Write(w, record.Outage{From: 109.5e6, To: 110e6, By: "tables", Cause: record.PairLoop, Open: true})
		record.Convergences.Write(w, record.Convergence{At: 30e6, Pairs: 1, Until: at(30.5e6)})
		record.Convergences.Write(w, record.Convergence{At: 109.5e6, Pairs: 1, Open: true}) // as of older records
	})
	near(t, "the longest outage", f.Outages.Quantile(1), 6)
	near(t, "the median outage", f.Outages.Quantile(0.5), 4)
	near(t, "the number of outages", f.Outages.Total(), 4)
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
