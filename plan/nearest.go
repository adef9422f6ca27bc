package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// nearestGroup joins satellites with their nearest neighbours: those of one
// constellation with each other, or those of two.
//
// At each multiple of the interval the links are chosen anew: all pairs in
// view are gone through by distance, and each is joined if both ends have a
// port left. Pairs that are joined already count as nearer by the hysteresis.
// What remains joined keeps its ports. In between links only end, where the
// ends lose sight of each other.
type nearestGroup struct {
	plan          *Plan
	class         Class
	first, second side // the same satellites within one constellation
	across        *sky.Rule
	within        *sky.Rule // for satellites of one plane
	limit         float64   // km, an upper bound of the range
	interval      time.Duration
	hysteresis    float64 // km
	acquisition   time.Duration
	medium        *medium
}

// side is satellites and the ports that they have for this group.
type side struct {
	nodes []int
	ports int   // each
	base  []int // by satellite: index of the first port within its node
}

func (g *nearestGroup) alone() bool { return &g.first.nodes[0] == &g.second.nodes[0] }

func (c *compiler) addNearest(i int, isl *scenario.ISL) {
	ports := isl.Ports
	if ports == 0 {
		ports = 4
	}
	s := c.side(c.satellite[i], ports, "isl", RoleISL)
	if len(s.nodes) < 2 {
		return
	}
	across, within := rules(&isl.Limits)
	c.groups = append(c.groups, &nearestGroup{
		plan: c.Plan, class: Neighbour, first: s, second: s, across: across, within: within,
		limit:    c.farthest(s, s, &isl.Limits),
		interval: interval(isl.Interval), hysteresis: float64(isl.Hysteresis),
		acquisition: time.Duration(isl.Acquisition), medium: newMedium(&isl.Properties),
	})
}

func (c *compiler) addInterLink(i int) error {
	l := &c.Scenario.Spec.InterLinks[i]
	where := fmt.Sprintf("spec.interLinks[%d]", i)
	var nodes [2][]int
	for k, name := range l.Between {
		for j := range c.Scenario.Spec.Constellations {
			if c.Scenario.Spec.Constellations[j].Name == name {
				nodes[k] = c.satellite[j]
			}
		}
		if nodes[k] == nil {
			return c.Scenario.Problem(fmt.Sprintf("%s.between[%d]", where, k), fmt.Sprintf("there is no constellation %q", name), "name one of spec.constellations")
		}
	}
	if l.Between[0] == l.Between[1] {
		return c.Scenario.Problem(where+".between", "both sides are the same constellation", "use its links for that")
	}
	ports := [2]int{1, 4}
	copy(ports[:], l.Ports)
	// The lower shell's ports look up, the higher one's down.
	names := [2]string{"up", "down"}
	if c.meanRadius(nodes[0]) > c.meanRadius(nodes[1]) {
		names = [2]string{"down", "up"}
	}
	first := c.side(nodes[0], ports[0], names[0], RoleInterShell)
	second := c.side(nodes[1], ports[1], names[1], RoleInterShell)
	across, _ := rules(&l.Limits)
	c.groups = append(c.groups, &nearestGroup{
		plan: c.Plan, class: InterShell, first: first, second: second, across: across, within: across,
		limit:    c.farthest(first, second, &l.Limits),
		interval: interval(l.Interval), hysteresis: float64(l.Hysteresis),
		acquisition: time.Duration(l.Acquisition), medium: newMedium(&l.Properties),
	})
	return nil
}

// interval is the time between two decisions, by default 10 s.
func interval(d scenario.Duration) time.Duration {
	if d <= 0 {
		return 10 * time.Second
	}
	return time.Duration(d)
}

// side gives satellites some ports more, numbered on from those of that name
// that they have.
func (c *compiler) side(nodes []int, ports int, name string, role Role) side {
	s := side{nodes: nodes, ports: ports, base: make([]int, len(nodes))}
	for i, n := range nodes {
		taken := 0
		for _, p := range c.Nodes[n].Ports {
			if p.Role == role && len(p.Name) > len(name) && p.Name[:len(name)] == name {
				taken++
			}
		}
		s.base[i] = len(c.Nodes[n].Ports)
		for k := range ports {
			c.addPort(n, fmt.Sprintf("%s%d", name, taken+k), role)
		}
	}
	return s
}

func (c *compiler) meanRadius(nodes []int) float64 {
	sum := 0.0
	for _, n := range nodes {
		if s, err := c.Nodes[n].Motion.State(0); err == nil {
			sum += s.Position.Norm()
		}
	}
	return sum / float64(max(1, len(nodes)))
}

// farthest bounds the range at which two satellites can see each other.
func (c *compiler) farthest(a, b side, l *scenario.Limits) float64 {
	if l.MaxRange > 0 {
		return float64(l.MaxRange)
	}
	grazing := orbit.EarthRadius + defaultGrazing
	if l.MinGrazingAltitude != nil {
		grazing = orbit.EarthRadius + float64(*l.MinGrazingAltitude)
	}
	horizon := func(nodes []int) float64 {
		far := 0.0
		for _, n := range nodes {
			s, err := c.Nodes[n].Motion.State(0)
			if err != nil {
				continue
			}
			far = max(far, apogee(s))
		}
		return math.Sqrt(max(0, far*far-grazing*grazing))
	}
	return horizon(a.nodes) + horizon(b.nodes)
}

// apogee bounds the distance from the Earth's centre that an orbit reaches,
// with 5 % for what disturbs it.
func apogee(s orbit.State) float64 {
	spin := 2 * math.Pi / 86164 // the state is Earth-fixed
	v := s.Velocity
	v.X -= spin * s.Position.Y
	v.Y += spin * s.Position.X
	r := s.Position.Norm()
	energy := v.Dot(v)/2 - orbit.Mu/r
	if energy >= 0 {
		return 1e6
	}
	a := -orbit.Mu / (2 * energy)
	h := s.Position.Cross(v)
	e := math.Sqrt(max(0, 1-h.Dot(h)/(orbit.Mu*a)))
	return 1.05 * a * (1 + e)
}

func (g *nearestGroup) begin(b *book) planner {
	p := &nearestPlanner{nearestGroup: g, book: b}
	p.sides[0] = newPortsInUse(&g.first)
	p.sides[1] = p.sides[0]
	if !g.alone() {
		p.sides[1] = newPortsInUse(&g.second)
	}
	return p
}

// portsInUse is the state of one side.
type portsInUse struct {
	*side
	peer    []int32 // by satellite and port: who is joined on the other side, -1 if none
	chosen  []int   // by satellite: partners chosen at this decision
	partner []int32 // by satellite and choice: index on the other side
	ends    []sky.End
	alive   []bool
	order   []int32 // satellites that still have ports, by z
}

func newPortsInUse(s *side) *portsInUse {
	n := len(s.nodes)
	peer := make([]int32, n*s.ports)
	for i := range peer {
		peer[i] = -1
	}
	return &portsInUse{
		side: s, peer: peer, chosen: make([]int, n), partner: make([]int32, n*s.ports),
		ends: make([]sky.End, n), alive: make([]bool, n), order: make([]int32, 0, n),
	}
}

// peers are the satellites joined to the ports of i.
func (s *portsInUse) peers(i int32) []int32 { return s.peer[int(i)*s.ports : int(i+1)*s.ports] }

// take joins the first free port of i to other.
func (s *portsInUse) take(i, other int32) int {
	port := slices.Index(s.peers(i), -1)
	s.peers(i)[port] = other
	return port
}

func (s *portsInUse) full(i int32) bool { return s.chosen[i] == s.ports }

func (s *portsInUse) choose(i, other int32) {
	s.partner[int(i)*s.ports+s.chosen[i]] = other
	s.chosen[i]++
}

func (s *portsInUse) has(i, other int32) bool {
	at := int(i) * s.ports
	return slices.Contains(s.partner[at:at+s.chosen[i]], other)
}

// nearLink is a link that is joined.
type nearLink struct {
	i, j         int32 // satellites of both sides
	portI, portJ int
	contact      *joined
}

// option is a pair that may be joined.
type option struct {
	key  float64 // km; once more, less the hysteresis, if the pair is joined
	i, j int32
}

// compareOptions by distance; ties go to the lower satellites.
func compareOptions(a, b option) int {
	switch {
	case a.key < b.key:
		return -1
	case a.key > b.key:
		return 1
	}
	return cmp.Or(cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j))
}

type nearestPlanner struct {
	*nearestGroup
	book    *book
	sides   [2]*portsInUse
	links   []nearLink
	next    time.Duration // decision
	options []option
	fresh   []option // chosen at this decision and not joined before
}

func (p *nearestPlanner) advance(b *block) {
	t := b.from
	for ; p.next < b.to; p.next += p.interval {
		p.watch(b, t, p.next)
		p.decide(b, p.next)
		t = p.next
	}
	p.watch(b, t, b.to)
}

// watch ends the links that are lost in [from, to).
func (p *nearestPlanner) watch(b *block, from, to time.Duration) {
	if from >= to {
		return
	}
	kept := p.links[:0]
	for _, l := range p.links {
		a, z := p.sides[0].nodes[l.i], p.sides[1].nodes[l.j]
		lost := from
		if b.alive(a, from) && b.alive(z, from) {
			pair := p.plan.pair(p.rule(a, z), a, z)
			lost = pair.Loss(&b.paths[a], &b.paths[z], from, to)
		}
		if lost >= to {
			kept = append(kept, l)
			continue
		}
		p.drop(&l, lost)
	}
	p.links = kept
}

func (p *nearestPlanner) drop(l *nearLink, at time.Duration) {
	p.book.close(l.contact, at)
	p.sides[0].peers(l.i)[l.portI] = -1
	p.sides[1].peers(l.j)[l.portJ] = -1
}

func (p *nearestPlanner) rule(a, b int) *sky.Rule {
	if p.within != p.across && p.plan.samePlane(a, b) {
		return p.within
	}
	return p.across
}

// decide chooses all links anew at t.
func (p *nearestPlanner) decide(b *block, t time.Duration) {
	sides := p.sides[:]
	if p.alone() {
		sides = sides[:1]
	}
	for _, s := range sides {
		for i, n := range s.nodes {
			s.chosen[i] = 0
			if s.alive[i] = b.alive(n, t); s.alive[i] {
				s.ends[i] = b.paths[n].End(t)
			}
		}
	}
	p.fresh = p.fresh[:0]
	// Radius by radius: pairs within the first suffice for most satellites, and
	// only those that still have ports look farther.
	for from, to := math.Inf(-1), p.startRadius(); ; from, to = to, to*2 {
		last := to >= p.limit
		if last {
			to = p.limit
		}
		p.collect(from, to)
		for _, o := range p.options {
			p.consider(o)
		}
		if last {
			break
		}
	}
	p.apply(t)
}

// startRadius is one within which a satellite finds about three partners for
// each of its ports, if all are spread evenly over a sphere.
func (p *nearestPlanner) startRadius() float64 {
	r := orbit.EarthRadius + 1000
	n := float64(len(p.second.nodes))
	return min(p.limit, 2*r*math.Sqrt(0.5*float64(p.first.ports)/n))
}

// collect gathers the options with from < key <= to between satellites that
// have ports left, in order.
func (p *nearestPlanner) collect(from, to float64) {
	p.options = p.options[:0]
	for k := range p.links {
		l := &p.links[k]
		if !p.sides[0].alive[l.i] || !p.sides[1].alive[l.j] {
			continue
		}
		d := sky.Range(p.sides[0].ends[l.i].Position, p.sides[1].ends[l.j].Position) - p.hysteresis
		if d > from && d <= to {
			p.options = append(p.options, option{d, l.i, l.j})
		}
	}
	p.sides[0].sortByZ()
	if p.alone() {
		p.sweepAlone(from, to)
	} else {
		p.sides[1].sortByZ()
		p.sweepBetween(from, to)
	}
	slices.SortFunc(p.options, compareOptions)
}

// sortByZ puts the satellites with ports left in order of their z.
func (s *portsInUse) sortByZ() {
	s.order = s.order[:0]
	for i := range s.nodes {
		if s.alive[i] && !s.full(int32(i)) {
			s.order = append(s.order, int32(i))
		}
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.ends[a].Position.Z, s.ends[b].Position.Z), cmp.Compare(a, b))
	})
}

func (p *nearestPlanner) sweepAlone(from, to float64) {
	s := p.sides[0]
	for k, i := range s.order {
		a := s.ends[i].Position
		for _, j := range s.order[k+1:] {
			b := s.ends[j].Position
			if b.Z-a.Z > to {
				break
			}
			p.offer(a, b, min(i, j), max(i, j), from, to)
		}
	}
}

func (p *nearestPlanner) sweepBetween(from, to float64) {
	s, q := p.sides[0], p.sides[1]
	begin := 0
	for _, i := range s.order {
		a := s.ends[i].Position
		for begin < len(q.order) && q.ends[q.order[begin]].Position.Z < a.Z-to {
			begin++
		}
		for _, j := range q.order[begin:] {
			b := q.ends[j].Position
			if b.Z-a.Z > to {
				break
			}
			p.offer(a, b, i, j, from, to)
		}
	}
}

func (p *nearestPlanner) offer(a, b orbit.Vec, i, j int32, from, to float64) {
	x, y, z := b.X-a.X, b.Y-a.Y, b.Z-a.Z
	d2 := x*x + y*y + z*z
	if d2 > to*to || from > 0 && d2 <= from*from {
		return
	}
	p.options = append(p.options, option{math.Sqrt(d2), i, j})
}

// consider joins a pair if both have a port left, see each other, and are not
// joined by an earlier option.
func (p *nearestPlanner) consider(o option) {
	s, q := p.sides[0], p.sides[1]
	if s.full(o.i) || q.full(o.j) || s.has(o.i, o.j) {
		return
	}
	if !p.rule(s.nodes[o.i], q.nodes[o.j]).Holds(&s.ends[o.i], &q.ends[o.j]) {
		return
	}
	s.choose(o.i, o.j)
	q.choose(o.j, o.i)
	if !slices.Contains(s.peers(o.i), o.j) {
		p.fresh = append(p.fresh, o)
	}
}

// apply parts what was not chosen again and joins what is new.
func (p *nearestPlanner) apply(t time.Duration) {
	kept := p.links[:0]
	for _, l := range p.links {
		if p.sides[0].has(l.i, l.j) {
			kept = append(kept, l)
		} else {
			p.drop(&l, t)
		}
	}
	p.links = kept
	for _, o := range p.fresh {
		s, q := p.sides[0], p.sides[1]
		l := nearLink{i: o.i, j: o.j, portI: s.take(o.i, o.j), portJ: q.take(o.j, o.i)}
		l.contact = p.book.open(p.class, p.medium,
			s.nodes[o.i], s.base[o.i]+l.portI, q.nodes[o.j], q.base[o.j]+l.portJ, acquired(t, p.acquisition))
		p.links = append(p.links, l)
	}
}
