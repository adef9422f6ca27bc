// Package oneway is the packets of one-way probe streams, and what is learned from those
// that came and those that did not.
//
// A stream's packets are numbered from 0 in order of sending. Each is judged on its own:
// it has come, or it is lost if it has not within Patience. Intervals are summed up by
// when packets were sent, once all of theirs are judged.
package oneway

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"
)

// Patience is how long after its sending, in host time, a packet may come.
const Patience = 2 * time.Second

// Size of a packet's payload in bytes.
const Size = 40

// magic begins each payload: "orrery" and a version.
const magic uint64 = 0x6f72726572790001

// Packet is a payload.
type Packet struct {
	Stream   uint64
	Sequence uint64
	// Sent on the wall clock and on the monotonic clock, in ns.
	Wall, Monotonic int64
}

// Append encodes a packet.
func (p Packet) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, magic)
	b = binary.BigEndian.AppendUint64(b, p.Stream)
	b = binary.BigEndian.AppendUint64(b, p.Sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Wall))
	return binary.BigEndian.AppendUint64(b, uint64(p.Monotonic))
}

var errForeign = errors.New("not a packet of a probe stream")

// Parse decodes a payload. Anybody may have sent it.
func Parse(b []byte) (Packet, error) {
	if len(b) != Size || binary.BigEndian.Uint64(b) != magic {
		return Packet{}, errForeign
	}
	return Packet{
		binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]),
		int64(binary.BigEndian.Uint64(b[24:])), int64(binary.BigEndian.Uint64(b[32:])),
	}, nil
}

// Summary of an interval.
type Summary struct {
	From                        time.Duration // scenario time, of the interval's begin
	Sent, Received, Lost        int64
	Reordered, Duplicated       int64
	Min, P50, P90, P99, Longest time.Duration // delays, if any was received
	// Jitter is the mean difference between delays of packets that follow each other
	// (RFC 5481, section 4.1), if Pairs, their number, is not 0.
	Jitter time.Duration
	Pairs  int64
}

// Outage is a run of packets that were lost.
type Outage struct {
	From, To time.Duration // scenario time of the first that was lost, and of the next that came
	Lost     int64
	Open     bool // none came any more
}

// Account follows one stream. It is not safe for concurrent use.
type Account struct {
	interval time.Duration
	packets  []packet // from the first that is not judged
	first    uint64   // its number
	highest  uint64   // number after the highest that came
	current  Summary
	open     bool // current has packets
	delays   []time.Duration
	before   time.Duration // delay of the packet before, negative if it was lost
	lost     Outage
	came     bool // one came at all
	done     []Summary
	outages  []Outage
}

type packet struct {
	scenario  time.Duration
	monotonic int64
	delay     time.Duration // negative: it has not come
	reordered bool
	more      int64 // times that it came again
}

// OutageOf is how many packets in a row make an outage.
const OutageOf = 2

// NewAccount makes an account whose intervals have a length in scenario time.
func NewAccount(interval time.Duration) *Account {
	return &Account{interval: interval, before: -1}
}

// Sent notes the next packet. It was sent at an instant of scenario time and of the
// host's monotonic clock.
func (a *Account) Sent(scenario time.Duration, monotonic int64) (sequence uint64) {
	a.packets = append(a.packets, packet{scenario: scenario, monotonic: monotonic, delay: -1})
	return a.first + uint64(len(a.packets)) - 1
}

// Came notes that a packet has come, after a delay. Numbers of packets that were never
// sent, or judged already, are ignored.
func (a *Account) Came(sequence uint64, delay time.Duration) {
	if sequence < a.first || sequence-a.first >= uint64(len(a.packets)) {
		return
	}
	p := &a.packets[sequence-a.first]
	if p.delay >= 0 {
		p.more++
		return
	}
	p.delay = max(delay, 0)
	if sequence+1 < a.highest {
		p.reordered = true // RFC 4737, section 3.3
	} else {
		a.highest = sequence + 1
	}
}

// Judge goes on with packets whose fate is known at an instant of the monotonic clock.
func (a *Account) Judge(monotonic int64) {
	n := 0
	for n < len(a.packets) && monotonic-a.packets[n].monotonic > int64(Patience) {
		a.judge(&a.packets[n])
		n++
	}
	a.first += uint64(n)
	a.packets = slices.Delete(a.packets, 0, n)
}

// End judges all that is left: what has been on its way for less than a packet may take
// is not counted. It closes the last interval.
func (a *Account) End() {
	for i := range a.packets {
		if a.packets[i].delay < 0 {
			break // and those after it: they may still be under way
		}
		a.judge(&a.packets[i])
	}
	a.packets = nil
	a.close()
	if a.lost.Lost >= OutageOf {
		a.lost.Open = true
		a.outages = append(a.outages, a.lost)
	}
	a.lost = Outage{}
}

func (a *Account) judge(p *packet) {
	if from := p.scenario - p.scenario%a.interval; !a.open || from != a.current.From {
		a.close()
		a.current, a.open = Summary{From: from}, true
	}
	c := &a.current
	c.Sent++
	c.Duplicated += p.more
	if p.delay < 0 {
		c.Lost++
		if a.came { // before the first there was no network
			if a.lost.Lost == 0 {
				a.lost.From = p.scenario
			}
			a.lost.Lost++
			a.lost.To = p.scenario
		}
		a.before = -1
		return
	}
	a.came = true
	if a.lost.Lost >= OutageOf {
		a.lost.To = p.scenario
		a.outages = append(a.outages, a.lost)
	}
	a.lost = Outage{}
	c.Received++
	if p.reordered {
		c.Reordered++
	}
	a.delays = append(a.delays, p.delay)
	if a.before >= 0 {
		c.Jitter += (p.delay - a.before).Abs() // the sum, until the interval is closed
		c.Pairs++
	}
	a.before = p.delay
}

func (a *Account) close() {
	if !a.open {
		return
	}
	c := &a.current
	if n := len(a.delays); n > 0 {
		slices.Sort(a.delays)
		at := func(q float64) time.Duration { return a.delays[max(0, int(math.Ceil(q*float64(n)))-1)] }
		c.Min, c.P50, c.P90, c.P99, c.Longest = a.delays[0], at(0.5), at(0.9), at(0.99), a.delays[n-1]
	}
	if c.Pairs > 0 {
		c.Jitter /= time.Duration(c.Pairs)
	}
	a.done = append(a.done, *c)
	a.delays, a.open = a.delays[:0], false
}

// Take hands out what is over since the last Take.
func (a *Account) Take() ([]Summary, []Outage) {
	s, o := a.done, a.outages
	a.done, a.outages = nil, nil
	return s, o
}
