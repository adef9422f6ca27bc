package main

import (
	"math"
	"strings"
	"testing"
)

const sample = `goos: linux
pkg: orrery.dev/orrery/scripts/benchtable
BenchmarkSincos-2   	1000	        20.00 ns/op	       0 B/op	       0 allocs/op
pkg: orrery.dev/orrery/fabric
BenchmarkFrames/hops=1/size=64/workers=1-2   	1000	  2000 ns/op	    400000 frames/s	       0 B/op	       0 allocs/op
BenchmarkFrames/hops=1/size=64/workers=1-2   	1000	  4000 ns/op	    300000 frames/s	       0 B/op	       0 allocs/op
BenchmarkFrames/hops=1/size=64/workers=1-2   	1000	  3000 ns/op	    500000 frames/s	       0 B/op	       1 allocs/op
BenchmarkFrames/hops=1/size=64/veth   	1000	  1000 ns/op	    800000 frames/s
PASS
ok  	orrery.dev/orrery/fabric	1.2s
`

func TestTable(t *testing.T) {
	table, err := read(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := table.print(&out); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"benchtable Sincos 20 ns 0% 1 0",
		"fabric Frames/hops=1/size=64/workers=1 3 µs 33% 150 0 400000 frames/s",
		"fabric Frames/hops=1/size=64/veth 1 µs 0% 50 800000 frames/s",
		"over bare veth (hops=1, size=64) 0.5",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
}

// BenchmarkSincos is the measure of the machine.
func BenchmarkSincos(b *testing.B) {
	var sum float64
	for i := range b.N {
		s, c := math.Sincos(float64(i) * 1e-3)
		sum += s * c
	}
	if sum > float64(b.N) {
		b.Fatal(sum)
	}
}
