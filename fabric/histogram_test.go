package fabric

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucketsCoverAllValues(t *testing.T) {
	last := int64(-1)
	for b := range buckets {
		low, high := bucketRange(b)
		if low != last+1 || high < low {
			t.Fatalf("bucket %d is [%d, %d] after %d", b, low, high, last)
		}
		if bucketOf(low) != b || bucketOf(high) != b {
			t.Fatalf("bucket %d: its edges fall into %d and %d", b, bucketOf(low), bucketOf(high))
		}
		if width := high - low; width*subBuckets > low {
			t.Fatalf("bucket %d is wider than 1/%d", b, subBuckets)
		}
		last = high
	}
	if got := bucketOf(1 << 62); got != buckets-1 {
		t.Fatalf("a huge value falls into bucket %d", got)
	}
}

func TestHistogramAgainstSorting(t *testing.T) {
	values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 300)
	rapid.Check(t, func(t *rapid.T) {
		a, b := values.Draw(t, "a"), values.Draw(t, "b")
		var ha, hb Histogram
		var rec recorder
		for _, v := range a {
			ha.Record(time.Duration(v))
			rec.record(v, 1)
		}
		for _, v := range b {
			hb.Record(time.Duration(v))
			rec.record(v, 1)
		}
		sum := rec.snapshot()
		both := Histogram{}
		both.Merge(ha)
		both.Merge(hb)
		all := slices.Sorted(slices.Values(append(slices.Clone(a), b...)))
		for _, h := range []Histogram{sum, both} {
			if h.Count() != uint64(len(all)) || int64(h.Max()) != all[len(all)-1] {
				t.Fatalf("count %d max %v of %v", h.Count(), h.Max(), all)
			}
			for _, q := range []float64{0, 0.5, 0.99, 1} {
				i := max(int(q*float64(len(all))+0.999999), 1) - 1
				want, got := all[i], int64(h.Quantile(q))
				if got < want || got > want+want/subBuckets {
					t.Fatalf("quantile %v: %d, want %d", q, got, want)
				}
			}
		}
		total := int64(0)
		for _, v := range all {
			total += v
		}
		at := rapid.SampledFrom(all).Draw(t, "at")
		_, edge := bucketRange(bucketOf(at))
		below := 0
		for _, v := range all {
			if v <= edge {
				below++
			}
		}
		if int64(sum.Sum()) != total || sum.Below(time.Duration(at)) != uint64(below) {
			t.Fatalf("sum %v, %d values up to %d; want %d and %d", sum.Sum(), sum.Below(time.Duration(at)), at, total, below)
		}
		d := sum.Sub(ha)
		if d.Count() != hb.Count() || d.Mean() != hb.Mean() || d.Quantile(0.5) != hb.Quantile(0.5) && d.Quantile(0.5) > hb.Max()+hb.Max()/subBuckets {
			t.Fatalf("difference: %d values, mean %v; want %d, %v", d.Count(), d.Mean(), hb.Count(), hb.Mean())
		}
		if d.Max() < hb.Max() || d.Max() > hb.Max()+hb.Max()/subBuckets+1 {
			t.Fatalf("difference: max %v, want %v", d.Max(), hb.Max())
		}
	})
}
