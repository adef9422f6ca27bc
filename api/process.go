package api

import (
	"os"
	"runtime"
	"runtime/metrics"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// emulator is what this process is.
func emulator() *pb.Emulator {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	e := &pb.Emulator{Pid: int32(os.Getpid()), Goroutines: int32(runtime.NumGoroutine())}
	if heap[0].Value.Kind() == metrics.KindUint64 {
		e.HeapBytes = heap[0].Value.Uint64()
	}
	return e
}
