package fabric

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// No counter of drops may be forgotten where all are summed up or shown by reason.
func TestDropsAreComplete(t *testing.T) {
	var c Counters
	v := reflect.ValueOf(&c).Elem()
	want, n := uint64(0), 0
	for i := range v.NumField() {
		if strings.HasPrefix(v.Type().Field(i).Name, "Drop") {
			v.Field(i).SetUint(1 << n)
			want |= 1 << n
			n++
		}
	}
	if got := c.Dropped(); got != want {
		t.Errorf("sum %b, want %b", got, want)
	}
	reasons := make(map[string]bool)
	for _, d := range c.Drops() {
		reasons[d.Reason] = true
	}
	if len(reasons) != n {
		t.Errorf("%d reasons for %d counters: %v", len(reasons), n, reasons)
	}
	before := c
	c.Add(before)
	if got := c.Dropped(); got != 2*want {
		t.Errorf("twice that: %b, want %b", got, 2*want)
	}
}

func TestRates(t *testing.T) {
	before := Counters{SentBytes: 1000, DropQueue: 4}
	now := Counters{SentBytes: 3000, DropQueue: 5, DropUnderlay: 9}
	if bits, drops := now.Rates(&before, 4*time.Second); bits != 4000 || drops != 2.5 {
		t.Errorf("%v bit/s, %v drops/s", bits, drops)
	}
	if bits, drops := before.Rates(&now, time.Second); bits != 0 || drops != 0 {
		t.Errorf("after counters began anew: %v bit/s, %v drops/s", bits, drops)
	}
	if bits, drops := now.Rates(&before, 0); bits != 0 || drops != 0 {
		t.Errorf("in no time: %v bit/s, %v drops/s", bits, drops)
	}
}
