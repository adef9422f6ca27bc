package interchange

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"orrery.dev/orrery/plan"
)

// DefaultSample is between two positions of a satellite in CZML if nothing else is asked
// for. In low orbit the polynomial between them is then exact to some centimetres.
const DefaultSample = 60 * time.Second

// samplesAround is how many samples the polynomial of interpolationDegree goes through.
const (
	interpolationDegree = 5
	samplesAround       = interpolationDegree + 1
)

type (
	packet struct {
		ID           string        `json:"id"`
		Name         string        `json:"name,omitempty"`
		Version      string        `json:"version,omitempty"`
		Clock        *czmlClock    `json:"clock,omitempty"`
		Availability string        `json:"availability,omitempty"`
		Position     *czmlPosition `json:"position,omitempty"`
		Point        *czmlPoint    `json:"point,omitempty"`
		Label        *czmlLabel    `json:"label,omitempty"`
		Polyline     *czmlPolyline `json:"polyline,omitempty"`
	}
	czmlClock struct {
		Interval    string  `json:"interval"`
		CurrentTime string  `json:"currentTime"`
		Multiplier  float64 `json:"multiplier"`
		Range       string  `json:"range"`
		Step        string  `json:"step"`
	}
	czmlPosition struct {
		Epoch     string    `json:"epoch,omitempty"`
		Frame     string    `json:"referenceFrame"`
		Algorithm string    `json:"interpolationAlgorithm,omitempty"`
		Degree    int       `json:"interpolationDegree,omitempty"`
		Cartesian []decimal `json:"cartesian"` // t, x, y, z …; x, y, z of what rests
	}
	czmlPoint struct {
		Size  int       `json:"pixelSize"`
		Color czmlColor `json:"color"`
	}
	czmlColor struct {
		RGBA [4]int `json:"rgba"`
	}
	czmlLabel struct {
		Text   string    `json:"text"`
		Font   string    `json:"font"`
		Fill   czmlColor `json:"fillColor"`
		Offset struct {
			Cartesian2 [2]int `json:"cartesian2"`
		} `json:"pixelOffset"`
	}
	czmlPolyline struct {
		Positions struct {
			References [2]string `json:"references"`
		} `json:"positions"`
		Width    int    `json:"width"`
		ArcType  string `json:"arcType"`
		Material struct {
			Solid struct {
				Color czmlColor `json:"color"`
			} `json:"solidColor"`
		} `json:"material"`
	}
)

// decimal is a number with at most three decimals: millimetres, milliseconds.
type decimal float64

// MarshalJSON writes no exponent.
func (d decimal) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(float64(d)*1e3)/1e3, 'f', -1, 64), nil
}

// Colours are those of Okabe and Ito, which all eyes tell apart (M. Okabe, K. Ito, Color
// Universal Design, 2008).
var (
	satelliteColor = czmlColor{[4]int{240, 228, 66, 255}}
	stationColor   = czmlColor{[4]int{86, 180, 233, 255}}
	linkColors     = map[plan.Class]czmlColor{
		plan.IntraPlane: {[4]int{0, 158, 115, 160}},
		plan.InterPlane: {[4]int{86, 180, 233, 160}},
		plan.Neighbour:  {[4]int{86, 180, 233, 160}},
		plan.InterShell: {[4]int{204, 121, 167, 160}},
		plan.Ground:     {[4]int{230, 159, 0, 200}},
	}
)

// CZML writes a span as a CZML document, which Cesium shows: a packet for each node with
// its positions in the Earth-fixed frame at each multiple of step (0: DefaultSample), and
// one for each contact, a line between its nodes that is there while the contact is.
func CZML(ctx context.Context, w io.Writer, p *plan.Plan, s Span, step time.Duration) error {
	if err := s.check(); err != nil {
		return err
	}
	if step == 0 {
		step = DefaultSample
	}
	if step < 0 {
		return fmt.Errorf("positions cannot be %v apart; name a step above 0", step)
	}
	whole := instant(p, s.From) + "/" + instant(p, s.To)
	out := &list{w: bufio.NewWriter(w)}
	out.text("[")
	out.item(packet{ID: "document", Name: p.Scenario.Metadata.Name, Version: "1.0", Clock: &czmlClock{
		Interval: whole, CurrentTime: instant(p, s.From), Multiplier: 10, Range: "LOOP_STOP", Step: "SYSTEM_CLOCK_MULTIPLIER",
	}})
	for i := range p.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if k, ok := nodePacket(p, &p.Nodes[i], s, step); ok {
			out.item(k)
		}
	}
	err := walk(ctx, p, s, nil, func(c *contact) error {
		out.item(linkPacket(p, c))
		return out.err
	})
	if err != nil {
		return err
	}
	out.text("\n]\n")
	return out.flush()
}

// nodePacket is a node and its path. ok is false for a satellite that has no position.
func nodePacket(p *plan.Plan, n *plan.Node, s Span, step time.Duration) (k packet, ok bool) {
	k = packet{ID: n.Name, Name: n.Name, Point: &czmlPoint{4, satelliteColor}}
	if n.Kind == plan.Station {
		k.Point = &czmlPoint{8, stationColor}
		k.Label = &czmlLabel{Text: n.Name, Font: "12px sans-serif", Fill: stationColor}
		k.Label.Offset.Cartesian2 = [2]int{10, -10}
	}
	k.Position = &czmlPosition{Epoch: instant(p, s.From), Frame: "FIXED", Algorithm: "LAGRANGE", Degree: interpolationDegree}
	until, moves := s.To, false
	for at := s.From; ; at += step {
		state, err := n.Motion.State(at)
		if err != nil { // it has decayed
			until = at - step
			break
		}
		q := state.Position.Scale(1e3) // m
		k.Position.Cartesian = append(k.Position.Cartesian, decimal((at - s.From).Seconds()), decimal(q.X), decimal(q.Y), decimal(q.Z))
		moves = moves || state.Velocity.Norm() > 0 || len(k.Position.Cartesian) > 4 && k.Position.Cartesian[1] != decimal(q.X)
		// The last one is at the span's end or beyond, so that nothing is extrapolated.
		if at >= s.To {
			break
		}
	}
	n4 := len(k.Position.Cartesian)
	switch {
	case n4 == 0:
		return packet{}, false
	case !moves && until == s.To:
		k.Position = &czmlPosition{Frame: "FIXED", Cartesian: k.Position.Cartesian[1:4]}
	case n4 < 4*samplesAround:
		// Fewer samples carry a polynomial of a lower degree only.
		k.Position.Degree = max(1, n4/4-1)
	}
	if n.Kind == plan.Station && moves {
		k.Position.Algorithm, k.Position.Degree = "LINEAR", 1 // its course has corners
	}
	k.Availability = instant(p, s.From) + "/" + instant(p, until)
	return k, true
}

// linkPacket is the line of a contact.
func linkPacket(p *plan.Plan, c *contact) packet {
	l := &czmlPolyline{Width: 1, ArcType: "NONE"}
	if c.class == plan.Ground {
		l.Width = 2
	}
	l.Positions.References = [2]string{p.NodeOf(c.a).Name + "#position", p.NodeOf(c.b).Name + "#position"}
	l.Material.Solid.Color = linkColors[c.class]
	return packet{
		ID:           fmt.Sprintf("contact/%d", c.id),
		Name:         portName(p, c.a) + " - " + portName(p, c.b),
		Availability: instant(p, c.start) + "/" + instant(p, c.end),
		Polyline:     l,
	}
}
