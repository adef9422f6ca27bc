package fabric

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets are linear up to 2·subBuckets ns and then log-linear: every
// power of two is cut into subBuckets parts, so that a bucket is at most
// 1/subBuckets (3.1 %) of its values wide. What is above the last power of two
// (18 minutes) falls into the last bucket.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	maxBits    = 40
	buckets    = (maxBits - subBits + 1) * subBuckets
)

func bucketOf(ns int64) int {
	if ns < 0 {
		ns = 0
	}
	exp := bits.Len64(uint64(ns)) - subBits - 1
	if exp <= 0 {
		return int(ns)
	}
	b := exp<<subBits + int(ns>>exp)
	return min(b, buckets-1)
}

// bucketRange are the smallest and the largest value of bucket b.
func bucketRange(b int) (low, high int64) {
	exp := b>>subBits - 1
	if exp <= 0 {
		return int64(b), int64(b)
	}
	low = int64(b-exp<<subBits) << exp
	return low, low + 1<<exp - 1
}

// Histogram of durations with a resolution of 3 %. The zero value is empty.
// Methods that change it need exclusive access.
type Histogram struct {
	counts []uint64 // nil or of length buckets
	sum    int64
	max    int64
}

// Record adds one value; negative ones count as 0.
func (h *Histogram) Record(d time.Duration) {
	if h.counts == nil {
		h.counts = make([]uint64, buckets)
	}
	ns := max(int64(d), 0)
	h.counts[bucketOf(ns)]++
	h.sum += ns
	h.max = max(h.max, ns)
}

// Merge adds all values of o.
func (h *Histogram) Merge(o Histogram) {
	if o.counts == nil {
		return
	}
	if h.counts == nil {
		h.counts = make([]uint64, buckets)
	}
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// Sub is what was recorded since the earlier snapshot o of the same histogram.
// Its Max is exact only if the maximum was reached since; otherwise it is the
// upper edge of the highest bucket that grew.
func (h Histogram) Sub(o Histogram) Histogram {
	if o.counts == nil {
		return h.clone()
	}
	d := h.clone()
	d.sum -= o.sum
	highest := -1
	for i, n := range o.counts {
		d.counts[i] -= n
	}
	for i, n := range d.counts {
		if n > 0 {
			highest = i
		}
	}
	if highest < 0 {
		return Histogram{}
	}
	if h.max == o.max {
		_, d.max = bucketRange(highest)
		d.max = min(d.max, h.max)
	}
	return d
}

func (h Histogram) clone() Histogram {
	h.counts = append([]uint64(nil), h.counts...)
	return h
}

// Count of values recorded.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Max is the largest value.
func (h Histogram) Max() time.Duration { return time.Duration(h.max) }

// Mean of all values, exact; 0 if there are none.
func (h Histogram) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return time.Duration(h.sum / int64(n))
}

// Sum of all values.
func (h Histogram) Sum() time.Duration { return time.Duration(h.sum) }

// Below is how many values are at most d, which counts values of d's bucket as a whole: to
// the histogram's resolution.
func (h Histogram) Below(d time.Duration) (n uint64) {
	last := bucketOf(int64(d))
	for b, c := range h.counts {
		if b > last {
			break
		}
		n += c
	}
	return n
}

// Quantile is a value that at least the share q (0 … 1) of all values do not
// exceed: the upper edge of the bucket, so it errs upwards, by 3.1 % at most.
// It is 0 if there are no values.
func (h Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	rank := uint64(max(min(q, 1), 0)*float64(n) + 0.999999)
	rank = max(rank, 1)
	var seen uint64
	for b, c := range h.counts {
		if seen += c; seen >= rank {
			_, high := bucketRange(b)
			return time.Duration(min(high, h.max))
		}
	}
	return time.Duration(h.max)
}

// recorder is a histogram with one writer and any number of readers.
type recorder struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64
	max    atomic.Int64
}

// record the same value for a number of frames.
func (r *recorder) record(ns int64, frames int) {
	ns = max(ns, 0)
	r.counts[bucketOf(ns)].Add(uint64(frames))
	r.sum.Add(ns * int64(frames))
	if ns > r.max.Load() {
		r.max.Store(ns)
	}
}

func (r *recorder) snapshot() Histogram {
	h := Histogram{counts: make([]uint64, buckets), sum: r.sum.Load(), max: r.max.Load()}
	for i := range r.counts {
		h.counts[i] = r.counts[i].Load()
	}
	return h
}
