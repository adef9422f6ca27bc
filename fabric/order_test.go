//go:build linux

package fabric

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
)

func anyOrder(t *rapid.T) order {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return order{kind: orderClear, port: PortID(rapid.Int32Min(0).Draw(t, "port"))}
	case 1:
		return order{kind: orderTimeline, timeline: clock.State{
			Monotonic: rapid.Int64().Draw(t, "monotonic"), Scenario: time.Duration(rapid.Int64().Draw(t, "scenario")),
			Speed: rapid.Float64().Draw(t, "speed"), Paused: rapid.Bool().Draw(t, "paused"),
		}}
	}
	anyCurve := func(name string) curve.Curve {
		var segments []curve.Segment
		at := time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, name+" start"))
		for range rapid.IntRange(0, 5).Draw(t, name) {
			at += time.Duration(rapid.Int64Range(1, 1e15).Draw(t, "length"))
			s := curve.Segment{Start: at}
			for i := range s.C {
				s.C[i] = rapid.Float64().Draw(t, "coefficient")
			}
			segments = append(segments, s)
		}
		if len(segments) == 0 {
			return curve.Curve{}
		}
		return curve.New(segments)
	}
	w := &Wire{
		Peer: PortID(rapid.Int32Min(0).Draw(t, "peer")), Contact: rapid.Uint64().Draw(t, "contact"),
		Start: time.Duration(rapid.Int64().Draw(t, "start")), End: time.Duration(rapid.Int64().Draw(t, "end")),
		Queue: rapid.Int().Draw(t, "queue"), Delay: anyCurve("delay"), Rate: anyCurve("rate"),
	}
	w.Loss.Bernoulli = anyCurve("loss")
	if rapid.Bool().Draw(t, "bursts") {
		w.Loss.GilbertElliott = &GilbertElliott{GoodToBad: rapid.Float64().Draw(t, "p"), BadToGood: 1, LossGood: math.Pi, LossBad: 0.5}
	}
	return order{kind: orderSet, port: PortID(rapid.Int32Min(0).Draw(t, "port")), wire: w}
}

func (o *order) append(b []uint64) []uint64 {
	if o.kind == orderTimeline {
		return appendTimeline(b, o.timeline)
	}
	return appendWire(b, o.port, o.wire)
}

// Orders come out of the stream as they went in, however they are cut on the way.
func TestOrdersThroughAStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		orders := rapid.SliceOfN(rapid.Custom(anyOrder), 1, 50).Draw(t, "orders")
		s := mapStream(make([]byte, streamSize))
		// Begin anywhere, so that the end of the memory is met.
		at := rapid.Uint64Range(0, streamWords).Draw(t, "at")
		s.written.Store(at)
		s.read.Store(at)
		var writer sync.WaitGroup
		woken := make(chan struct{}, 1)
		wake := func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		}
		writer.Go(func() {
			for i := range orders {
				if !s.write(orders[i].append(nil), nil, wake) {
					panic("a reader that is there was taken to be gone")
				}
			}
		})
		var words []uint64
		for i := 0; i < len(orders); {
			o, n, err := nextOrder(words)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				had := len(words)
				if words = s.take(words); len(words) == had && s.empty() {
					<-woken
				}
				continue
			}
			words = words[n:]
			if !reflect.DeepEqual(o, orders[i]) {
				t.Fatalf("order %d came out as %+v, want %+v", i, o, orders[i])
			}
			i++
		}
		writer.Wait()
	})
}

func TestStreamWithoutAReader(t *testing.T) {
	s := mapStream(make([]byte, streamSize))
	gone := make(chan struct{})
	close(gone)
	if s.write(make([]uint64, streamWords+1), gone, nil) {
		t.Error("more was written than there is room")
	}
	if s.settled(gone, time.Hour) {
		t.Error("orders were carried out by nobody")
	}
	if s.settled(nil, time.Millisecond) {
		t.Error("orders were carried out by nobody, in time")
	}
	s.reset()
	if !s.settled(nil, time.Hour) {
		t.Error("an empty stream is not settled")
	}
}

func FuzzNextOrder(f *testing.F) {
	f.Add([]byte{})
	w := &Wire{Delay: curve.Constant(1), Loss: Loss{GilbertElliott: &GilbertElliott{LossBad: 1}}}
	for _, words := range [][]uint64{appendWire(nil, 3, nil), appendWire(nil, 3, w), appendTimeline(nil, clock.State{Speed: 2})} {
		var b []byte
		for _, v := range words {
			b = binary.NativeEndian.AppendUint64(b, v)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var words []uint64
		for ; len(data) >= 8; data = data[8:] {
			words = append(words, binary.NativeEndian.Uint64(data))
		}
		o, n, err := nextOrder(words)
		if err != nil {
			if !errors.Is(err, errOrder) {
				t.Fatal(err)
			}
			return
		}
		if n == 0 {
			return
		}
		// What was understood means the same when it is encoded again.
		again, m, err := nextOrder(o.append(nil))
		if err != nil || m == 0 || again.kind != o.kind || again.port != o.port && o.kind != orderTimeline {
			t.Fatalf("%+v was encoded as %+v: %v", o, again, err)
		}
	})
}
