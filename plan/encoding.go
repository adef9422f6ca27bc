package plan

import (
	"encoding/binary"
	"math"
	"time"

	"orrery.dev/orrery/curve"
)

// writer appends what a snapshot consists of.
type writer struct {
	bytes []byte
	at    map[*joined]int // place of each live contact
}

func (w *writer) count(n int)          { w.bytes = binary.AppendUvarint(w.bytes, uint64(n)) }
func (w *writer) time(t time.Duration) { w.bytes = binary.AppendVarint(w.bytes, int64(t)) }

func (w *writer) float(x float64) {
	w.bytes = binary.LittleEndian.AppendUint64(w.bytes, math.Float64bits(x))
}

func (w *writer) flag(f bool) {
	n := 0
	if f {
		n = 1
	}
	w.count(n)
}

func (w *writer) text(s string) {
	w.count(len(s))
	w.bytes = append(w.bytes, s...)
}

// contact names a live contact, or none.
func (w *writer) contact(j *joined) {
	if j == nil {
		w.count(0)
		return
	}
	w.count(w.at[j] + 1)
}

// reader takes a snapshot apart. After the first fault it gives zeros, and is bad.
type reader struct {
	bytes []byte
	live  []*joined
	bad   bool
}

func (r *reader) fail() { r.bad, r.bytes = true, nil }

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.bytes) {
		r.fail()
		return nil
	}
	b := r.bytes[:n]
	r.bytes = r.bytes[n:]
	return b
}

// count is a number up to most. Counts of things are bounded by what is left to read.
func (r *reader) count(most int) int {
	n, size := binary.Uvarint(r.bytes)
	if size <= 0 || most < 0 || n > uint64(most) {
		r.fail()
		return 0
	}
	r.bytes = r.bytes[size:]
	return int(n)
}

// below is a number below n.
func (r *reader) below(n int) int { return r.count(n - 1) }

func (r *reader) time() time.Duration {
	v, size := binary.Varint(r.bytes)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.bytes = r.bytes[size:]
	return time.Duration(v)
}

func (r *reader) flag() bool { return r.below(2) == 1 }

func (r *reader) text() string { return string(r.take(r.count(len(r.bytes)))) }

func (r *reader) curve() (list []curve.Segment) {
	const size = 4*8 + 1 // of a segment, at least
	n := r.count(len(r.bytes) / size)
	if n > 0 {
		list = make([]curve.Segment, 0, n)
	}
	for range n {
		s := curve.Segment{Start: r.time()}
		for k := range s.C {
			if b := r.take(8); b != nil {
				s.C[k] = math.Float64frombits(binary.LittleEndian.Uint64(b))
			}
		}
		if k := len(list); k > 0 && list[k-1].Start >= s.Start {
			r.fail()
		}
		if r.bad {
			return nil
		}
		list = append(list, s)
	}
	return list
}

// contact is a live contact, or nil for none.
func (r *reader) contact() *joined {
	n := r.count(len(r.live))
	if n == 0 {
		return nil
	}
	return r.live[n-1]
}

// joins fails unless a contact, if it is one, is open between two ports.
func (r *reader) joins(j *joined, a, b PortID) {
	if j != nil && (j.a != a || j.b != b || j.end != never) {
		r.fail()
	}
}
