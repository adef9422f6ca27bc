package underlay

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Status says how it stands with the underlay.
type Status struct {
	Host string
	Run  string
	// Refused datagrams that cannot be laid to a peer.
	Refused Refused
	Peers   []PeerStatus // that have an address, in the order of their names
}

// Refused counts datagrams that were refused, by reason; all only grow.
type Refused struct {
	Strangers uint64 // of another protocol, or of hosts that are no peers
	Versions  uint64 // of another version or release
	Runs      uint64 // of another run
	Sessions  uint64 // of a session that is over or has not begun
	Forged    uint64 // not authentic
	Replayed  uint64 // seen before, or too old to tell
	Malformed uint64 // senseless in what they say
}

// PeerStatus says how it stands with one peer.
type PeerStatus struct {
	Host    string
	Address netip.AddrPort
	// Up: frames are sent to the peer.
	Up bool
	// Differs is in what the peer differs, so that nothing is carried: "version" of the
	// protocol, "release" or "run"; empty if no such thing is known.
	Differs string
	// Heard is how long ago something authentic came; negative for never.
	Heard time.Duration
	// Offset is by how much the peer's monotonic clock is ahead of this host's now. It errs
	// by Uncertainty at most, half of the shortest round trip of late (RoundTrip), and
	// what the clocks may have drifted apart since that. Drift is how much faster the
	// peer's clock runs, as a share: 1e-6 is 1 ppm.
	Offset, Uncertainty, RoundTrip time.Duration
	Drift                          float64
	// Latency of the last datagrams with frames, one way.
	LatencyP50, LatencyP99 time.Duration
	// Datagram is the largest one that is sent, in bytes without IP and UDP headers.
	Datagram int

	// Sent to the peer. Bytes are those of frames.
	SentFrames, SentDatagrams, SentBytes uint64
	// Unsent datagrams were refused by this host's kernel.
	Unsent uint64
	// Received from the peer.
	ReceivedFrames, ReceivedDatagrams uint64
	// Lost datagrams left a gap in their numbers; those under way count until they come.
	// Incomplete frames are those of which pieces were lost.
	Lost, Incomplete uint64
	// Late frames came after they were due, LateMax at most: the underlay took longer
	// than their link's delay.
	Late    uint64
	LateMax time.Duration
	// Refused datagrams of the peer's sessions.
	Refused Refused
	// Warnings say what keeps frames from being carried, or carried faithfully.
	Warnings []string
}

type refusals struct {
	strangers, versions, runs, sessions, forged, replayed, malformed atomic.Uint64
}

func (r *refusals) load() Refused {
	return Refused{
		Strangers: r.strangers.Load(), Versions: r.versions.Load(), Runs: r.runs.Load(), Sessions: r.sessions.Load(),
		Forged: r.forged.Load(), Replayed: r.replayed.Load(), Malformed: r.malformed.Load(),
	}
}

type counts struct {
	sentFrames, sentDatagrams, sentBytes, unsent atomic.Uint64

	receivedFrames, receivedDatagrams, incomplete atomic.Uint64
	lost                                          atomic.Int64
	late                                          atomic.Uint64
	lateMax, lateAt                               atomic.Int64
	refused                                       refusals
}

// lateNews is how long a late frame is worth a warning.
const lateNews = int64(10 * time.Second)

// Status of this moment. It may be called by any goroutine.
func (t *Transport) Status() Status {
	s := Status{Host: t.config.Host, Run: t.config.Run.String(), Refused: t.refused.load()}
	now := t.config.Now()
	for _, p := range t.all() {
		if a := p.address.Load(); a != nil {
			s.Peers = append(s.Peers, p.status(*a, now))
		}
	}
	return s
}

func (p *Peer) status(address netip.AddrPort, now int64) PeerStatus {
	c := &p.counts
	s := PeerStatus{
		Host: p.name, Address: address, Heard: -1, Datagram: int(p.datagram.Load()),
		SentFrames: c.sentFrames.Load(), SentDatagrams: c.sentDatagrams.Load(), SentBytes: c.sentBytes.Load(),
		Unsent:         c.unsent.Load(),
		ReceivedFrames: c.receivedFrames.Load(), ReceivedDatagrams: c.receivedDatagrams.Load(),
		Lost: uint64(max(c.lost.Load(), 0)), Incomplete: c.incomplete.Load(),
		Late: c.late.Load(), LateMax: time.Duration(c.lateMax.Load()),
		Refused: c.refused.load(),
	}
	if heard := p.heard.Load(); heard != 0 {
		s.Heard = time.Duration(max(now-heard, 0))
	}
	session := p.session.Load()
	s.Up = session != nil && session.known.Load() && s.Heard >= 0 && int64(s.Heard) <= silence
	if e := p.estimate.Load(); e != nil {
		s.Offset = time.Duration(e.offset + int64(e.drift*float64(now-e.at)))
		s.RoundTrip, s.Drift = time.Duration(e.trip), e.drift
		s.Uncertainty = time.Duration(sample{at: e.at, trip: e.trip}.uncertainty(now))
	}
	s.LatencyP50, s.LatencyP99 = p.latency.quantiles()
	p.mu.Lock()
	difference := p.difference
	s.Differs = p.differs
	p.mu.Unlock()
	switch {
	case difference != "":
		s.Warnings = append(s.Warnings, difference)
	case s.Heard < 0:
		s.Warnings = append(s.Warnings, fmt.Sprintf("host %s does not answer at %v: see that its agent runs with the same key and that UDP reaches it", p.name, address))
	case int64(s.Heard) > silence:
		s.Warnings = append(s.Warnings, fmt.Sprintf("host %s was last heard %v ago: frames to it are dropped", p.name, s.Heard.Round(time.Second)))
	}
	if at := c.lateAt.Load(); at != 0 && now-at < lateNews {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d of %d frames from host %s came after they were due, by %v at most: the underlay takes %v (p99), longer than their links' delay",
			s.Late, s.ReceivedFrames, p.name, s.LateMax, s.LatencyP99))
	}
	return s
}

// recent holds the last values of a quantity. One thread writes.
type recent struct {
	n      atomic.Uint64
	values [1024]atomic.Int64
}

func (r *recent) add(v int64) {
	n := r.n.Load()
	r.values[n%uint64(len(r.values))].Store(max(v, 0))
	r.n.Store(n + 1)
}

// quantiles are the median and the 99th percentile.
func (r *recent) quantiles() (p50, p99 time.Duration) {
	n := int(min(r.n.Load(), uint64(len(r.values))))
	if n == 0 {
		return 0, 0
	}
	v := make([]int64, n)
	for i := range v {
		v[i] = r.values[i].Load()
	}
	slices.Sort(v)
	return time.Duration(v[n/2]), time.Duration(v[n*99/100])
}
