package underlay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// challenge is drawn anew for each request; its answer bears it.
type challenge [16]byte

// hello is a request or an answer: the packets by which two transports learn each
// other's session and clock.
type hello struct {
	kind      byte
	run       [runSize]byte
	session   sessionNumber // the sender's
	challenge challenge     // of the request, in both
	known     uint64        // what the sender has of the receiver's session number; 0 if nothing
	// Timestamps of RFC 5905: a request has its transmission in t3; an answer repeats
	// that in t1, and has the request's reception in t2 and its own transmission in t3.
	t1, t2, t3        int64
	from, to, release string
}

const (
	helloFixed = prefix + sessionSize + 16 + 8 + 3*8
	// MaxName bounds the names of hosts and releases, in bytes.
	MaxName  = 64
	helloMax = helloFixed + 3*(1+MaxName) + macSize
)

// encode appends h and its code to b.
func (h *hello) encode(b, key []byte) []byte {
	start := len(b)
	b = append(b, magic0, magic1, Version, h.kind)
	b = append(b, h.run[:]...)
	b = append(b, h.session[:]...)
	b = append(b, h.challenge[:]...)
	b = binary.BigEndian.AppendUint64(b, h.known)
	for _, t := range [3]int64{h.t1, h.t2, h.t3} {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	for _, s := range [3]string{h.from, h.to, h.release} {
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	return append(b, mac(key, b[start:])...)
}

// decodeHello takes what follows magic, version and kind for granted; ok is false if b,
// whose code was checked, is not one of this version.
func decodeHello(b []byte) (h hello, ok bool) {
	if len(b) < helloFixed+macSize || len(b) > helloMax {
		return h, false
	}
	b = b[:len(b)-macSize]
	h.kind = b[atKind]
	h.run = [runSize]byte(b[atRun:])
	b = b[prefix:]
	h.session, b = sessionNumber(b[:sessionSize]), b[sessionSize:]
	h.challenge, b = challenge(b[:16]), b[16:]
	h.known, b = binary.BigEndian.Uint64(b), b[8:]
	for _, t := range [3]*int64{&h.t1, &h.t2, &h.t3} {
		*t, b = int64(binary.BigEndian.Uint64(b)), b[8:]
	}
	for _, s := range [3]*string{&h.from, &h.to, &h.release} {
		if len(b) == 0 || int(b[0]) > MaxName || int(b[0]) > len(b)-1 {
			return h, false
		}
		*s, b = string(b[1:1+b[0]]), b[1+b[0]:]
	}
	return h, len(b) == 0
}

// request is one that has not been answered.
type request struct {
	challenge challenge
	sent      int64 // instant of this host's clock; 0 if there is none
}

const (
	// A peer is asked every eager ns until its session and its clock are known, but at
	// most eagerRequests times, and every calm ns afterwards.
	eager         = int64(50e6)
	calm          = int64(250e6)
	eagerRequests = 40
	eagerSamples  = 16
	// Not more often than every hasty ns, whatever its requests say.
	hasty = int64(5e6)
	// mtuCheck is how often the path's MTU is looked at.
	mtuCheck = int64(10e9)
)

// Poll asks the peers that are to be asked by now, an instant of this host's clock,
// and gives the instant at which it wants to be called again.
func (t *Transport) Poll(now int64) (next int64) {
	next = now + calm
	for _, p := range t.all() {
		if at := p.poll(now); at > 0 {
			next = min(next, at)
		}
	}
	return next
}

// poll gives the instant of p's next request, or 0 for none.
func (p *Peer) poll(now int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := p.address.Load()
	if to == nil {
		return 0
	}
	if now < p.nextRequest {
		return p.nextRequest
	}
	if now >= p.nextMTU {
		p.nextMTU = now + mtuCheck
		p.measure(*to)
	}
	r := &p.requests[p.requested%len(p.requests)]
	p.requested++
	draw(r.challenge[:])
	h := p.hello(kindRequest, r.challenge)
	r.sent = p.transport.config.Now()
	h.t3 = r.sent
	p.tell(*to, h)
	interval := calm
	if s := p.session.Load(); p.eagerly < eagerRequests && (s == nil || !s.known.Load() || p.clock.n < eagerSamples) {
		p.eagerly++
		interval = eager
	}
	p.lastRequest, p.nextRequest = now, now+interval
	return p.nextRequest
}

func (p *Peer) hello(kind byte, c challenge) *hello {
	config := &p.transport.config
	h := &hello{
		kind: kind, run: [runSize]byte(config.Run[:]), session: p.transport.session, challenge: c,
		from: config.Host, to: p.name, release: config.Release,
	}
	if s := p.session.Load(); s != nil {
		h.known = s.remote.id()
	}
	return h
}

// tell sends h; what is lost is sent again, as the next one.
func (p *Peer) tell(to netip.AddrPort, h *hello) {
	b := h.encode(make([]byte, 0, helloMax), p.transport.helloKey)
	if p.transport.config.Conn.Send(to, b, len(b)) != nil {
		p.counts.unsent.Add(1)
	}
}

// hear takes a request or an answer, or what another version has in its place, that
// was read at instant came.
func (t *Transport) hear(b []byte, from netip.AddrPort, came int64) {
	if !authentic(t.helloKey, b) {
		t.refused.forged.Add(1)
		return
	}
	if v := b[atVersion]; v != Version {
		t.refused.versions.Add(1)
		if p := t.at(from); p != nil {
			p.differ("version", fmt.Sprintf("host %s speaks version %d of the underlay's protocol, and this host version %d: run the same release on both", p.name, v, Version))
		}
		return
	}
	h, ok := decodeHello(b)
	if !ok {
		t.refused.malformed.Add(1)
		return
	}
	p := t.known(h.from)
	if p == nil || h.to != t.config.Host || p.address.Load() == nil {
		t.refused.strangers.Add(1)
		return
	}
	switch {
	case h.release != t.config.Release:
		t.refused.versions.Add(1)
		p.differ("release", fmt.Sprintf("host %s has release %q, and this host %q: run the same release on both", p.name, h.release, t.config.Release))
	case h.run != [runSize]byte(t.config.Run[:]):
		t.refused.runs.Add(1)
		p.differ("run", fmt.Sprintf("host %s carries run %x, and this host %v: give both the same scenario and epoch", p.name, h.run, t.config.Run))
	case h.kind == kindRequest:
		p.answer(&h, came)
	default:
		p.learn(&h, came)
	}
}

// differ notes why nothing is carried between p and this host, and in what they differ.
func (p *Peer) differ(in, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.differs, p.difference = in, why
}

// answer answers a request. It may be a replay, so nothing is believed of what it says;
// but if the peer might have begun anew, it is asked soon.
func (p *Peer) answer(r *hello, came int64) {
	to := p.address.Load()
	if to == nil {
		return
	}
	h := p.hello(kindAnswer, r.challenge)
	h.t1, h.t2, h.t3 = r.t3, came, p.transport.config.Now()
	p.tell(*to, h)
	s := p.session.Load()
	if s == nil || s.remote != r.session || r.known != p.transport.session.id() || !s.known.Load() {
		p.mu.Lock()
		p.nextRequest = min(p.nextRequest, p.lastRequest+hasty)
		p.eagerly = 0
		p.mu.Unlock()
	}
}

// learn takes an answer, which is believed if it answers one of the last requests.
func (p *Peer) learn(h *hello, came int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var r *request
	for i := range p.requests {
		if q := &p.requests[i]; q.sent != 0 && q.challenge == h.challenge {
			r = q
		}
	}
	if r == nil {
		p.counts.refused.replayed.Add(1)
		return
	}
	sent := r.sent
	*r = request{}
	p.differs, p.difference = "", ""
	p.heard.Store(came)
	s := p.session.Load()
	if s == nil || s.remote != h.session {
		next, err := p.newSession(h.session)
		if err != nil {
			p.difference = fmt.Sprintf("no keys for host %s: %v", p.name, err)
			return
		}
		s = next
		p.clock = filter{} // it may be another boot of that host
		p.estimate.Store(nil)
		p.transport.enter(p, s)
	}
	s.known.Store(h.known == p.transport.session.id())
	if sample, ok := newSample(sent, h.t2, h.t3, came); ok {
		p.estimate.Store(p.clock.add(sample, p.estimate.Load()))
	}
}
