package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"orrery.dev/orrery/curve"
)

// A snapshot is the state of a cursor between two windows: what is joined, what the
// planners have decided and predicted, and how far each curve reaches. What follows from the
// plan alone (paths, candidates of a block) is computed again. Numbers are written
// bit for bit, so a cursor that resumes goes on exactly as the one that was
// snapshotted.
//
// The layout, all numbers as varints of package encoding/binary but floats (8 bytes,
// little-endian):
//
//	"orrery plan" version fingerprint (32 bytes)
//	at, next block
//	lost nodes; warnings not yet handed out
//	contacts opened so far, of each port that has any
//	live contacts: class, medium, ports, nodes, instants, curves
//	state of each planner, which names contacts by their place in the list above
//	SHA-256 of all before

// snapshotMagic begins a snapshot.
const snapshotMagic = "orrery plan"

// snapshotVersion is raised whenever the layout, or how contacts are found, changes.
const snapshotVersion = 1

// ErrSnapshot is wrapped by errors of Resume for what is no snapshot of this plan.
var ErrSnapshot = errors.New("the snapshot cannot be used")

// Fingerprint tells plans apart: it depends on the scenario, and on where all nodes are
// at its beginning.
func (p *Plan) Fingerprint() [sha256.Size]byte {
	h := sha256.New()
	var b []byte
	b = binary.AppendVarint(b, p.Epoch.Unix())
	b = binary.AppendVarint(b, int64(p.Epoch.Nanosecond()))
	if spec, err := json.Marshal(&p.Scenario.Spec); err == nil {
		b = append(b, spec...)
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		b = append(b, n.Name...)
		for _, q := range n.Ports {
			b = append(b, 0)
			b = append(b, q.Name...)
		}
		if e, err := p.movers[i].At(0); err == nil {
			for _, x := range []float64{e.Position.X, e.Position.Y, e.Position.Z, e.Velocity.X, e.Velocity.Y, e.Velocity.Z} {
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
			}
		}
		b = append(b, 1)
		h.Write(b)
		b = b[:0]
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// At is where the next window begins.
func (c *Cursor) At() time.Duration { return c.at }

// Snapshot is the cursor's state, from which Resume goes on. It grows with the nodes and
// links of the plan, and not with time.
func (c *Cursor) Snapshot() []byte {
	p := c.book.plan
	print := p.Fingerprint()
	w := &writer{at: make(map[*joined]int, len(c.book.live))}
	w.bytes = append(w.bytes, snapshotMagic...)
	w.count(snapshotVersion)
	w.bytes = append(w.bytes, print[:]...)
	w.time(c.at)
	w.time(c.ephemeris.next)
	lost := 0
	for _, l := range c.ephemeris.lost {
		if l {
			lost++
		}
	}
	w.count(lost)
	for i, l := range c.ephemeris.lost {
		if l {
			w.count(i)
		}
	}
	w.count(len(c.warnings))
	for _, k := range c.warnings {
		w.time(k.At)
		w.text(k.Node)
		w.text(k.Text)
	}
	c.book.write(w)
	for _, q := range c.planners {
		q.write(w)
	}
	sum := sha256.Sum256(w.bytes)
	return append(w.bytes, sum[:]...)
}

// Resume is a cursor that goes on where a snapshot of the same plan was taken, in windows
// of a length.
func (p *Plan) Resume(snapshot []byte, length time.Duration) (*Cursor, error) {
	body := len(snapshot) - sha256.Size
	if body < 0 || sha256.Sum256(snapshot[:body]) != [sha256.Size]byte(snapshot[body:]) {
		return nil, fmt.Errorf("plan: %w: it is damaged", ErrSnapshot)
	}
	return p.resume(snapshot[:body], length)
}

// resume is Resume without the sum at the end.
func (p *Plan) resume(body []byte, length time.Duration) (*Cursor, error) {
	r := &reader{bytes: body}
	if string(r.take(len(snapshotMagic))) != snapshotMagic || r.count(1<<20) != snapshotVersion {
		return nil, fmt.Errorf("plan: %w: another release has made it", ErrSnapshot)
	}
	if print := p.Fingerprint(); string(r.take(len(print))) != string(print[:]) {
		return nil, fmt.Errorf("plan: %w: it is another scenario's", ErrSnapshot)
	}
	c := p.Windows(length)
	c.at, c.ephemeris.next = r.time(), r.time()
	if c.at < 0 || c.ephemeris.next%blockLength != 0 || c.ephemeris.next <= c.at && c.at > 0 {
		r.fail()
	}
	for range r.count(len(p.Nodes)) {
		c.ephemeris.lost[r.below(len(p.Nodes))] = true
	}
	for range r.count(len(body)) {
		c.warnings = append(c.warnings, Warning{r.time(), r.text(), r.text()})
	}
	c.book.read(r)
	for _, q := range c.planners {
		q.read(r)
	}
	if r.bad || len(r.bytes) > 0 {
		return nil, fmt.Errorf("plan: %w: it is malformed", ErrSnapshot)
	}
	if err := c.ephemeris.resume(); err != nil {
		return nil, fmt.Errorf("plan: %w: %w", ErrSnapshot, err)
	}
	return c, nil
}

// resume computes the ends at the last knot of the block before, where the next one
// begins.
func (e *ephemeris) resume() error {
	if e.next == 0 {
		return nil
	}
	rotation := e.earth.At(e.next)
	for i := range e.lost {
		if e.lost[i] {
			continue
		}
		var err error
		if e.ends[i*knotsPerBlock+knotsPerBlock-1], err = e.end(i, e.next, rotation); err != nil {
			return fmt.Errorf("%s is lost at %v: %w", e.plan.Nodes[i].Name, e.next, err)
		}
	}
	return nil
}

// media are all kinds of links, in order of the groups.
func (p *Plan) media() (list []*medium) {
	for _, g := range p.groups {
		list = append(list, g.media()...)
	}
	return list
}

func (g *fixedGroup) media() []*medium   { return []*medium{g.medium} }
func (g *nearestGroup) media() []*medium { return []*medium{g.medium} }
func (g *groundGroup) media() (list []*medium) {
	for _, l := range g.links {
		list = append(list, l.medium)
	}
	return list
}

func (b *book) write(w *writer) {
	opened := 0
	for _, n := range b.ordinal {
		if n > 0 {
			opened++
		}
	}
	w.count(opened)
	for p, n := range b.ordinal {
		if n > 0 {
			w.count(p)
			w.count(int(n))
		}
	}
	media := b.plan.media()
	w.count(len(b.live))
	for i, j := range b.live {
		w.at[j] = i
		w.count(int(j.class))
		w.count(slices.Index(media, j.medium))
		w.count(int(j.id & math.MaxUint32))
		w.count(int(j.a))
		w.count(int(j.b))
		w.time(j.start)
		w.time(j.end)
		w.time(j.fitted)
		for _, c := range [][]curve.Segment{j.delay, j.rate, j.loss} {
			w.count(len(c))
			for _, s := range c {
				w.time(s.Start)
				for _, x := range s.C {
					w.float(x)
				}
			}
		}
	}
}

func (b *book) read(r *reader) {
	for range r.count(len(b.ordinal)) {
		p := r.below(len(b.ordinal))
		b.ordinal[p] = uint32(r.count(math.MaxUint32))
	}
	media := b.plan.media()
	for range r.count(len(r.bytes)) {
		j := &joined{class: Class(r.below(int(Ground) + 1))}
		if m := r.below(len(media)); !r.bad {
			j.medium = media[m]
		}
		ordinal := r.count(math.MaxUint32)
		j.a, j.b = PortID(r.below(len(b.busy))), PortID(r.below(len(b.busy)))
		j.id = ContactID(j.a)<<32 | ContactID(ordinal)
		j.start, j.end, j.fitted = r.time(), r.time(), r.time()
		j.delay, j.rate, j.loss = r.curve(), r.curve(), r.curve()
		if r.bad {
			return
		}
		j.nodeA, j.nodeB = b.plan.ports[j.a].Node, b.plan.ports[j.b].Node
		if j.end == never {
			if b.busy[j.a] != nil || b.busy[j.b] != nil || j.a == j.b {
				r.fail()
				return
			}
			b.busy[j.a], b.busy[j.b] = j, j
		}
		b.live = append(b.live, j)
	}
	r.live = b.live
}

func (p *fixedPlanner) write(w *writer) {
	for _, j := range p.open {
		w.contact(j)
	}
}

func (p *fixedPlanner) read(r *reader) {
	for i := range p.open {
		l := &p.links[i]
		p.open[i] = r.contact()
		r.joins(p.open[i], p.plan.id(l.nodeA, l.portA), p.plan.id(l.nodeB, l.portB))
	}
}

func (p *nearestPlanner) write(w *writer) {
	w.time(p.next)
	w.count(len(p.links))
	for i := range p.links {
		l := &p.links[i]
		w.count(int(l.i))
		w.count(int(l.j))
		w.count(l.portI)
		w.count(l.portJ)
		w.contact(l.contact)
	}
}

func (p *nearestPlanner) read(r *reader) {
	p.next = r.time()
	if p.next < 0 {
		r.fail()
	}
	s, q := p.sides[0], p.sides[1]
	for range r.count(len(r.bytes)) {
		l := nearLink{i: int32(r.below(len(s.nodes))), j: int32(r.below(len(q.nodes))), portI: r.below(s.ports), portJ: r.below(q.ports)}
		l.contact = r.contact()
		if l.contact == nil {
			r.fail()
		}
		if r.bad {
			return
		}
		r.joins(l.contact, p.plan.id(s.nodes[l.i], s.base[l.i]+l.portI), p.plan.id(q.nodes[l.j], q.base[l.j]+l.portJ))
		s.peers(l.i)[l.portI] = l.j
		q.peers(l.j)[l.portJ] = l.i
		p.links = append(p.links, l)
	}
}

func (p *groundPlanner) write(w *writer) {
	for _, t := range p.terminals {
		w.flag(t.dirty)
		w.count(len(t.views))
		for _, v := range t.views {
			w.count(v.node)
			w.time(v.sets)
			w.time(v.leave)
		}
		for i := range t.antennas {
			a := &t.antennas[i]
			w.contact(a.contact)
			if a.contact == nil {
				continue
			}
			w.count(a.node)
			w.count(a.port)
			w.flag(a.leaving)
			w.time(a.release)
		}
	}
	w.count(len(p.events.events))
	for _, e := range p.events.events {
		w.time(e.at)
		w.count(int(e.kind))
		w.count(e.index)
		w.count(e.node)
	}
}

func (p *groundPlanner) read(r *reader) {
	for _, t := range p.terminals {
		t.dirty = r.flag()
		for range r.count(len(p.used)) {
			v := view{r.below(len(p.used)), r.time(), r.time()}
			if n := len(t.views); n > 0 && t.views[n-1].node >= v.node {
				r.fail()
			}
			t.views = append(t.views, v)
		}
		for i := range t.antennas {
			j := r.contact()
			if j == nil {
				continue
			}
			a := antenna{contact: j, node: r.below(len(p.used)), port: r.count(math.MaxInt16), leaving: r.flag(), release: r.time()}
			if r.bad || a.port >= len(p.used[a.node]) || p.used[a.node][a.port] {
				r.fail()
				return
			}
			r.joins(j, p.plan.id(t.node, t.base+i), p.plan.id(a.node, p.base[a.node]+a.port))
			p.used[a.node][a.port] = true
			t.antennas[i] = a
		}
	}
	p.events.events = nil
	for range r.count(len(r.bytes)) {
		e := event{at: r.time(), kind: eventKind(r.below(int(tick) + 1)), index: r.count(math.MaxInt32), node: r.count(len(p.used))}
		if e.kind == tick && (e.index >= len(p.links) || p.links[e.index].interval <= 0) || e.kind != tick && (e.index >= len(p.terminals) || e.node >= len(p.used)) {
			r.fail()
		}
		if r.bad {
			return
		}
		p.events.push(e)
	}
}
