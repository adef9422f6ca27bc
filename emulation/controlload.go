package emulation

import (
	"time"

	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/record"
)

// controlLoad is what control protocols send.
type controlLoad struct {
	*recorder
	counter fabric.ControlCounter // nil if the fabric does not count
	at      time.Duration
	seen    [][fabric.Protocols]fabric.Load // by port
	frames  int64                           // all of them less those, in sum
	bytes   int64
}

func newControlLoad(c *recorder) *controlLoad {
	l := &controlLoad{recorder: c, at: c.run.timeline.Now(), seen: make([][fabric.Protocols]fabric.Load, c.run.plan.NumPorts())}
	counter, ok := c.run.fabric.(fabric.ControlCounter)
	if !ok {
		c.unobserved("control: this fabric does not tell protocols apart")
		return l
	}
	l.counter = counter
	return l
}

// look records what was sent since the last look: by port where there was any, and in
// sum whatever it is.
func (l *controlLoad) look() {
	if l.counter == nil {
		return
	}
	now := l.run.timeline.Now()
	row := record.Control{At: l.at.Microseconds(), Interval: (now - l.at).Microseconds()}
	var rows []record.Control
	var sum [fabric.Protocols]fabric.Load
	var frames, bytes int64
	for id := range l.seen {
		port := plan.PortID(id)
		have := l.counter.Control(fabric.PortID(id))
		total := l.run.fabric.Counters(fabric.PortID(id))
		frames += int64(total.SentFrames)
		bytes += int64(total.SentBytes)
		for p, load := range have {
			frames -= int64(load.Frames)
			bytes -= int64(load.Bytes)
			grown := fabric.Load{Frames: load.Frames - l.seen[id][p].Frames, Bytes: load.Bytes - l.seen[id][p].Bytes}
			if grown.Frames == 0 {
				continue
			}
			sum[p].Frames += grown.Frames
			sum[p].Bytes += grown.Bytes
			r := row
			r.Port, r.Protocol, r.Frames, r.Bytes = l.run.portName(port), fabric.Protocol(p).String(), grown.Frames, grown.Bytes
			if c := l.run.director.contact(port); c != nil {
				r.Peer = l.run.portName(peer(c, port))
			}
			rows = append(rows, r)
		}
		l.seen[id] = have
	}
	for p, load := range sum {
		r := row
		r.Protocol, r.Frames, r.Bytes = fabric.Protocol(p).String(), load.Frames, load.Bytes
		rows = append(rows, r)
	}
	// A port's two counts are not read at one instant: what comes in between belongs to
	// the next interval.
	frames, bytes = max(frames, l.frames), max(bytes, l.bytes)
	row.Protocol, row.Frames, row.Bytes = "other", uint64(frames-l.frames), uint64(bytes-l.bytes)
	record.Controls.Write(l.out, append(rows, row)...)
	l.at, l.frames, l.bytes = now, frames, bytes
}
