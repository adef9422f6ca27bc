package fabric

import (
	"reflect"
	"strings"
	"testing"
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
