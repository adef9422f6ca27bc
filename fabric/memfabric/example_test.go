package memfabric_test

import (
	"fmt"
	"time"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/memfabric"
)

func Example() {
	var host clock.Manual
	timeline := clock.New(&host, 0, 1)
	timeline.Resume()
	f := memfabric.New(timeline, 2, 1)

	f.Set(0, &fabric.Wire{Peer: 1, Contact: 1, End: 10 * time.Millisecond, Delay: curve.Constant(4e-3)})
	f.Send(0, []byte("in time"))
	host.Advance(8 * time.Millisecond)
	f.Send(0, []byte("too late"))
	host.Advance(8 * time.Millisecond)

	for _, d := range f.Take(1) {
		fmt.Printf("%v: %s\n", time.Duration(d.At), d.Frame)
	}
	fmt.Println("lost in flight:", f.Counters(0).DropInFlight)
	// Output:
	// 4ms: in time
	// lost in flight: 1
}
