package plan

import (
	"cmp"
	"math"
	"slices"

	"orrery.dev/orrery/orbit"
)

// layout is the planes of a constellation in order of their ascending nodes,
// eastward, and in each its satellites in order of flight. Planes of a file may
// have unequal numbers of satellites.
type layout struct {
	planes [][]placed
	raan   []float64 // of the planes, rad
}

// placed is a satellite in its orbit at the epoch: with the unit vectors p to
// it and q a quarter of a revolution ahead, a circular motion is
// p·cos(nt) + q·sin(nt).
type placed struct {
	node     int
	p, q     orbit.Vec
	raan     float64 // rad
	latitude float64 // argument of latitude, rad
}

// layOut finds the planes of constellation i. Those of a Walker are known.
// Those of a file are groups of neighbouring ascending nodes, and its nodes'
// Plane and Slot are set.
func (c *compiler) layOut(i int) *layout {
	var all []placed
	rotation := orbit.NewEarth(c.Epoch).At(0)
	for _, n := range c.satellite[i] {
		if s, err := c.Nodes[n].Motion.State(0); err == nil {
			all = append(all, place(n, rotation.Inertial(s)))
		}
	}
	l := &layout{}
	if c.Scenario.Spec.Constellations[i].Walker != nil {
		for _, s := range all {
			if n := &c.Nodes[s.node]; n.Plane == len(l.planes) {
				l.planes = append(l.planes, nil)
				l.raan = append(l.raan, s.raan)
			}
			last := len(l.planes) - 1
			l.planes[last] = append(l.planes[last], s)
		}
		return l
	}
	for _, plane := range cluster(all) {
		slices.SortFunc(plane, func(a, b placed) int {
			return cmp.Or(cmp.Compare(a.latitude, b.latitude), cmp.Compare(a.node, b.node))
		})
		for slot, s := range plane {
			c.Nodes[s.node].Plane, c.Nodes[s.node].Slot = len(l.planes), slot
		}
		l.planes = append(l.planes, plane)
	}
	for _, plane := range l.planes {
		l.raan = append(l.raan, meanAngle(plane))
	}
	return l
}

func place(node int, s orbit.State) placed {
	p := s.Position.Scale(1 / s.Position.Norm())
	h := s.Position.Cross(s.Velocity)
	h = h.Scale(1 / h.Norm())
	raan := math.Atan2(h.X, -h.Y)
	sin, cos := math.Sincos(raan)
	ahead := h.Cross(orbit.Vec{X: cos, Y: sin}) // 90° ahead of the node
	return placed{
		node: node, p: p, q: h.Cross(p),
		raan:     turn(raan),
		latitude: turn(math.Atan2(p.Dot(ahead), p.X*cos+p.Y*sin)),
	}
}

// turn brings an angle into [0, 2π).
func turn(a float64) float64 {
	if a = math.Mod(a, 2*math.Pi); a < 0 {
		a += 2 * math.Pi
	}
	return a
}

func meanAngle(sats []placed) float64 {
	var x, y float64
	for _, s := range sats {
		sin, cos := math.Sincos(s.raan)
		x, y = x+cos, y+sin
	}
	return turn(math.Atan2(y, x))
}

// cluster groups satellites whose ascending nodes are near each other. The
// gaps between the sorted nodes of a constellation are of two kinds: hundredths
// of a degree within planes, degrees between them. The cut is made in the widest
// void between the two kinds, on a logarithmic scale; gaps below 0.2° never
// part planes and gaps above 20° always do. The first plane is the one after
// the widest gap, so that the seam of a star comes last.
func cluster(all []placed) [][]placed {
	n := len(all)
	if n == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.raan, b.raan), cmp.Compare(a.node, b.node))
	})
	gap := func(i int) float64 { return turn(all[(i+1)%n].raan - all[i].raan) }
	gaps := make([]float64, n)
	widest := n - 1
	for i := range gaps {
		gaps[i] = gap(i)
		if gaps[i] > gaps[widest]+1e-9 {
			widest = i
		}
	}
	limit := voidBetween(gaps)
	var planes [][]placed
	for k := range n {
		i := (widest + 1 + k) % n
		if k == 0 || gaps[(i+n-1)%n] > limit {
			planes = append(planes, nil)
		}
		planes[len(planes)-1] = append(planes[len(planes)-1], all[i])
	}
	return planes
}

// voidBetween is the gap above which planes part.
func voidBetween(gaps []float64) float64 {
	const least, most = 0.2 * orbit.Degree, 20 * orbit.Degree
	sorted := []float64{least}
	for _, g := range gaps {
		if g > least && g < most {
			sorted = append(sorted, g)
		}
	}
	sorted = append(sorted, most)
	slices.Sort(sorted)
	best, limit := 0.0, most
	for i := 1; i < len(sorted); i++ {
		if ratio := sorted[i] / sorted[i-1]; ratio > best {
			best, limit = ratio, math.Sqrt(sorted[i]*sorted[i-1])
		}
	}
	return limit
}

// hasSeam tells whether the planes leave out so wide an arc that those on both
// sides of it are no neighbours: more than twice the middle one of the gaps.
func (l *layout) hasSeam() bool {
	n := len(l.planes)
	if n < 3 {
		return true
	}
	gaps := make([]float64, n)
	for i := range gaps {
		gaps[i] = turn(l.raan[(i+1)%n] - l.raan[i])
	}
	seam := gaps[n-1]
	slices.Sort(gaps)
	return seam > 2*gaps[n/2]
}

// ring pairs each satellite with the next one ahead in its plane.
func (l *layout) ring() (links [][2]int) {
	for _, plane := range l.planes {
		n := len(plane)
		if n < 2 {
			continue
		}
		for s := range plane {
			if n == 2 && s == 1 {
				break // ahead of the second is the first again
			}
			links = append(links, [2]int{plane[s].node, plane[(s+1)%n].node})
		}
	}
	return links
}

// across pairs satellites of neighbouring planes, west first, and if closed
// those of the last plane with the first. Nobody has two partners on one side.
func (l *layout) across(closed bool) (links [][2]int) {
	n := len(l.planes)
	for i := range n {
		if i == n-1 && (!closed || n < 3) {
			break
		}
		links = append(links, match(l.planes[i], l.planes[(i+1)%n])...)
	}
	return links
}

// nearness of two satellites is the mean cosine of the angle between them over
// a revolution, if both fly circles at the same rate. The greater it is, the
// smaller is their mean square distance.
func nearness(a, b *placed) float64 { return (a.p.Dot(b.p) + a.q.Dot(b.q)) / 2 }

// match gives the satellites of one plane partners in the next.
//
// Planes of equally many satellites are shifted as a whole so that the sum of
// nearness is greatest, which for a Walker pattern is the nearest neighbour of
// each. Otherwise pairs are taken in order of nearness, each satellite once; who
// is left over has no partner on that side.
func match(west, east []placed) (links [][2]int) {
	const tie = 1e-9
	if n := len(west); n == len(east) {
		best, shift := math.Inf(-1), 0
		for k := range n {
			sum := 0.0
			for s := range west {
				sum += nearness(&west[s], &east[(s+k)%n])
			}
			if sum > best+tie*float64(n) {
				best, shift = sum, k
			}
		}
		for s := range west {
			links = append(links, [2]int{west[s].node, east[(s+shift)%n].node})
		}
		return links
	}
	type candidate struct {
		near float64
		w, e int
	}
	var all []candidate
	for w := range west {
		for e := range east {
			all = append(all, candidate{nearness(&west[w], &east[e]), w, e})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.near, a.near), cmp.Compare(a.w, b.w), cmp.Compare(a.e, b.e))
	})
	takenW, takenE := make([]bool, len(west)), make([]bool, len(east))
	for _, k := range all {
		if !takenW[k.w] && !takenE[k.e] {
			takenW[k.w], takenE[k.e] = true, true
			links = append(links, [2]int{west[k.w].node, east[k.e].node})
		}
	}
	slices.SortFunc(links, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	return links
}
