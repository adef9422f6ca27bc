package report

import (
	"math"

	"orrery.dev/orrery/record"
)

// pairs follows the states of all pairs through the measured span: how long each
// lasted, and how many held at a time.
func (f *Figures) pairs(d *record.Dir) error {
	from, to := f.Run.Span.From, f.Run.Span.To
	last := map[[2]string]record.PairState{}
	spent := map[string]float64{}
	reachable, exists := newTally(f.Span), newTally(f.Span)
	end := func(r record.PairState, at int64) {
		a, b := max(r.At, from), min(at, to)
		if b <= a {
			return
		}
		length := float64(b-a) * micro
		spent[r.State] += length
		if r.State == record.PairReachable {
			reachable.add(f.since(a), f.since(b))
			if r.Stretch != nil {
				f.Stretch.Add(*r.Stretch, length)
			}
		}
		if r.State != record.PairNoPath {
			exists.add(f.since(a), f.since(b))
		}
	}
	err := record.Pairs.Each(d, func(r *record.PairState) error {
		key := [2]string{r.Source, r.Destination}
		old, known := last[key]
		if !known { // it has no path before its first row
			old = record.PairState{At: from, State: record.PairNoPath}
		}
		end(old, r.At)
		is, was := r.State == record.PairReachable, old.State == record.PairReachable
		if r.At < to && is != was {
			step := 1
			if was {
				step = -1
			}
			reachable.step(f.since(max(r.At, from)), step)
		}
		keep := *r
		keep.Path = nil
		last[key] = keep
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range last {
		end(r, to)
	}
	f.Pairs = len(last)
	if n := len(d.Run.Scenario.Stations); f.Pairs > 0 {
		// In older records a pair that never had a way has no row; those of stations are
		// always followed.
		f.Pairs = max(f.Pairs, n*(n-1))
		spent[record.PairNoPath] += float64(f.Pairs-len(last)) * f.Span
	}
	all := float64(f.Pairs) * f.Span
	way := all - spent[record.PairNoPath]
	f.Reachable = ratio(spent[record.PairReachable], all)
	f.NoPath = ratio(spent[record.PairNoPath], all)
	f.Loop, f.Hole = ratio(spent[record.PairLoop], way), ratio(spent[record.PairBlackHole], way)
	f.CutOff = f.Loop + f.Hole
	if f.Pairs == 0 {
		return nil
	}
	pairs := float64(f.Pairs)
	mean, sky := reachable.shares(), exists.shares()
	for i, low := range reachable.lows() {
		f.Reach.At = append(f.Reach.At, (float64(i)+0.5)*reachable.width)
		f.Reach.Mean = append(f.Reach.Mean, mean[i]/pairs)
		f.Reach.Low = append(f.Reach.Low, math.Min(float64(low)/pairs, mean[i]/pairs))
		f.Reach.Exists = append(f.Reach.Exists, sky[i]/pairs)
	}
	return nil
}

// tally counts over time how many pairs are in a state, by bins.
type tally struct {
	width   float64 // s of a bin
	whole   []int   // change of the number of pairs that fill whole bins
	partial []float64
	least   []int // of the running count within each bin
	count   int
	bin     int // that the running count has reached
}

func newTally(span float64) *tally {
	t := &tally{width: span / bins, whole: make([]int, bins+1), partial: make([]float64, bins), least: make([]int, bins)}
	for i := range t.least {
		t.least[i] = math.MaxInt
	}
	return t
}

// add counts one more from a to b.
func (t *tally) add(a, b float64) {
	i, j := t.index(a), t.index(b)
	if i == j {
		t.partial[i] += (b - a) / t.width
		return
	}
	t.partial[i] += float64(i+1) - a/t.width
	t.partial[j] += b/t.width - float64(j)
	t.whole[i+1]++
	t.whole[j]--
}

func (t *tally) index(at float64) int { return min(max(int(at/t.width), 0), bins-1) }

// step changes the running count at an instant; instants do not fall. What is
// said of the begin says what holds before the first bin.
func (t *tally) step(at float64, by int) {
	i := t.index(at)
	if at > 0 {
		t.reach(i)
		t.least[i] = min(t.least[i], t.count) // until this instant
	}
	t.count += by
	if at > 0 {
		t.least[i] = min(t.least[i], t.count)
	}
}

// reach carries the running count on to a bin.
func (t *tally) reach(bin int) {
	for t.bin < bin {
		t.least[t.bin] = min(t.least[t.bin], t.count)
		t.bin++
		t.least[t.bin] = min(t.least[t.bin], t.count)
	}
}

// lows are the least counts within each bin.
func (t *tally) lows() []int {
	t.reach(bins - 1)
	t.least[bins-1] = min(t.least[bins-1], t.count)
	return t.least
}

// shares are the mean counts within each bin.
func (t *tally) shares() []float64 {
	out := make([]float64, bins)
	running := 0
	for i := range out {
		running += t.whole[i]
		out[i] = float64(running) + t.partial[i]
	}
	return out
}
