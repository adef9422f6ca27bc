//go:build linux

package fabric

import (
	"errors"
	"math"
	"time"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/curve"
)

// An order is what the emulator's process tells the fabric's in passing, some
// million times a second if need be: words of 64 bits in the order and byte order
// of the host. The first word has the kind in bits 0 to 7, the number of words in
// bits 8 to 31 and the port in bits 32 to 63.
const (
	orderClear    = 1 + iota // the port has no wire
	orderSet                 // the port's wire follows
	orderTimeline            // the timeline's state follows
)

// maxOrder is the most words of an order, by far more than any wire has.
const maxOrder = 1<<24 - 1

// Flags in the second word of a wire, above the peer.
const orderGilbertElliott = 1 << 32

var errOrder = errors.New("fabric: an order that makes no sense")

// order is a decoded one.
type order struct {
	kind     int
	port     PortID
	wire     *Wire
	timeline clock.State
}

func firstWord(kind, length int, port PortID) uint64 {
	return uint64(kind) | uint64(length)<<8 | uint64(uint32(port))<<32
}

// appendWire encodes what Set was called with.
func appendWire(b []uint64, port PortID, w *Wire) []uint64 {
	if w == nil {
		return append(b, firstWord(orderClear, 1, port))
	}
	start := len(b)
	delay, rate, loss := w.Delay.Segments(), w.Rate.Segments(), w.Loss.Bernoulli.Segments()
	second := uint64(uint32(w.Peer))
	if w.Loss.GilbertElliott != nil {
		second |= orderGilbertElliott
	}
	b = append(b, 0, second, w.Contact, uint64(w.Start), uint64(w.End), uint64(w.Queue),
		uint64(len(delay)), uint64(len(rate)), uint64(len(loss)))
	if g := w.Loss.GilbertElliott; g != nil {
		b = append(b, math.Float64bits(g.GoodToBad), math.Float64bits(g.BadToGood),
			math.Float64bits(g.LossGood), math.Float64bits(g.LossBad))
	}
	for _, segments := range [3][]curve.Segment{delay, rate, loss} {
		for i := range segments {
			s := &segments[i]
			b = append(b, uint64(s.Start), math.Float64bits(s.C[0]), math.Float64bits(s.C[1]),
				math.Float64bits(s.C[2]), math.Float64bits(s.C[3]))
		}
	}
	b[start] = firstWord(orderSet, len(b)-start, port)
	return b
}

// appendTimeline encodes a change of the timeline.
func appendTimeline(b []uint64, s clock.State) []uint64 {
	paused := uint64(0)
	if s.Paused {
		paused = 1
	}
	return append(b, firstWord(orderTimeline, 5, 0), uint64(s.Monotonic), uint64(s.Scenario), math.Float64bits(s.Speed), paused)
}

// nextOrder decodes the order that b begins with, and gives its number of words: 0
// if b does not hold all of it.
func nextOrder(b []uint64) (o order, words int, err error) {
	if len(b) == 0 {
		return o, 0, nil
	}
	o.kind, words, o.port = int(b[0]&0xff), int(b[0]>>8&maxOrder), PortID(b[0]>>32)
	if words == 0 {
		return o, 0, errOrder
	}
	if len(b) < words {
		return o, 0, nil
	}
	b = b[1:words]
	switch o.kind {
	case orderClear:
		if len(b) != 0 {
			return o, 0, errOrder
		}
	case orderTimeline:
		if len(b) != 4 {
			return o, 0, errOrder
		}
		o.timeline = clock.State{
			Monotonic: int64(b[0]), Scenario: time.Duration(b[1]),
			Speed: math.Float64frombits(b[2]), Paused: b[3] != 0,
		}
	case orderSet:
		if o.wire, err = decodeWire(b); err != nil {
			return o, 0, err
		}
	default:
		return o, 0, errOrder
	}
	return o, words, nil
}

// words of a wire without its curves, and of a segment.
const (
	wireWords    = 8
	segmentWords = 5
)

func decodeWire(b []uint64) (*Wire, error) {
	if len(b) < wireWords {
		return nil, errOrder
	}
	w := &Wire{
		Peer: PortID(uint32(b[0])), Contact: b[1],
		Start: time.Duration(b[2]), End: time.Duration(b[3]), Queue: int(b[4]),
	}
	flags, counts := b[0], b[5:8]
	b = b[wireWords:]
	if flags&orderGilbertElliott != 0 {
		if len(b) < 4 {
			return nil, errOrder
		}
		w.Loss.GilbertElliott = &GilbertElliott{
			GoodToBad: math.Float64frombits(b[0]), BadToGood: math.Float64frombits(b[1]),
			LossGood: math.Float64frombits(b[2]), LossBad: math.Float64frombits(b[3]),
		}
		b = b[4:]
	}
	left := uint64(len(b) / segmentWords)
	for _, n := range counts {
		if n > left {
			return nil, errOrder
		}
		left -= n
	}
	if left != 0 || len(b)%segmentWords != 0 {
		return nil, errOrder
	}
	segments := make([]curve.Segment, len(b)/segmentWords)
	for i := range segments {
		v := b[i*segmentWords:]
		segments[i] = curve.Segment{Start: time.Duration(v[0]), C: [4]float64{
			math.Float64frombits(v[1]), math.Float64frombits(v[2]), math.Float64frombits(v[3]), math.Float64frombits(v[4]),
		}}
	}
	for i, c := range [3]*curve.Curve{&w.Delay, &w.Rate, &w.Loss.Bernoulli} {
		n := counts[i]
		part := segments[:n:n]
		segments = segments[n:]
		for j := 1; j < len(part); j++ {
			if part[j].Start <= part[j-1].Start {
				return nil, errOrder
			}
		}
		if n > 0 {
			*c = curve.New(part)
		}
	}
	return w, nil
}
