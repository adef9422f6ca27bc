package plot

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Line is a series of points, in order.
type Line struct {
	// Series gives colour and dashes; lines of one series look alike.
	Series int
	X, Y   []float64
	// Step keeps each value until the next point.
	Step bool
	// Whole draws without dashes, where nothing else has to be told apart.
	Whole bool
	// Dots draws the points instead of a line.
	Dots bool
	// Faint is for what stands behind the others.
	Faint bool
	// Hint is shown when a pointer rests on the line.
	Hint string
}

// Band is the area between two curves over the same X.
type Band struct {
	Series       int
	X, Low, High []float64
	// Neutral is grey, of no series.
	Neutral bool
}

// Chart is a chart with two axes.
type Chart struct {
	// Label tells those who cannot see the chart what it shows.
	Label         string
	Width, Height float64 // 0: 1120 × 260
	X, Y          Axis
	Bands         []Band
	Lines         []Line
	// Marks are instants on the X axis, drawn as short strokes along the bottom.
	Marks []float64
	// Title stands above the chart's left corner.
	Title string
	// Bare leaves out numbers and label of the X axis, for charts stacked over
	// another one.
	Bare bool
}

const (
	fontSize = 11.5
	gap      = 6
)

// SVG is the chart as an element for a page.
func (c *Chart) SVG() string {
	w, h := c.Width, c.Height
	if w == 0 {
		w = 1120
	}
	if h == 0 {
		h = 260
	}
	left, right, top, bottom := 62.0, 18.0, 10.0, 44.0
	if c.Title != "" {
		top = 24
	}
	if c.Bare {
		bottom = 10
	}
	if c.X.Label == "" && !c.Bare {
		bottom = 26
	}
	xLow, xHigh, yLow, yHigh := c.extent()
	x := newScale(c.X, xLow, xHigh, int(w/110))
	y := newScale(c.Y, yLow, yHigh, max(2, int(h/55)))
	b := &canvas{left: left, top: top, width: w - left - right, height: h - top - bottom, x: x, y: y}

	fmt.Fprintf(b, `<svg class="plot" viewBox="0 0 %s %s" role="img" aria-label="%s" font-size="%g">`, num(w), num(h), html.EscapeString(c.Label), fontSize)
	id := b.clip(c)
	b.grid(c, h)
	fmt.Fprintf(b, `<g clip-path="url(#%s)">`, id)
	for i := range c.Bands {
		b.band(&c.Bands[i])
	}
	b.marks(c.Marks)
	for _, faint := range []bool{true, false} {
		for i := range c.Lines {
			if c.Lines[i].Faint == faint {
				b.line(&c.Lines[i])
			}
		}
	}
	b.WriteString("</g>")
	if c.Title != "" {
		fmt.Fprintf(b, `<text class="title" x="%s" y="14">%s</text>`, num(left), html.EscapeString(c.Title))
	}
	b.WriteString("</svg>")
	return b.String()
}

// extent is what the data covers.
func (c *Chart) extent() (xLow, xHigh, yLow, yHigh float64) {
	xLow, xHigh, yLow, yHigh = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	see := func(values []float64, low, high *float64, logarithmic bool) {
		for _, v := range values {
			if math.IsNaN(v) || logarithmic && v <= 0 {
				continue
			}
			*low, *high = min(*low, v), max(*high, v)
		}
	}
	for _, l := range c.Lines {
		see(l.X, &xLow, &xHigh, c.X.Log)
		see(l.Y, &yLow, &yHigh, c.Y.Log)
	}
	for _, l := range c.Bands {
		see(l.X, &xLow, &xHigh, c.X.Log)
		see(l.Low, &yLow, &yHigh, c.Y.Log)
		see(l.High, &yLow, &yHigh, c.Y.Log)
	}
	return xLow, xHigh, yLow, yHigh
}

// canvas draws into the area of a chart.
type canvas struct {
	strings.Builder
	left, top, width, height float64
	x, y                     scale
}

func (b *canvas) px(v float64) float64 { return b.left + b.width*b.x.at(v) }
func (b *canvas) py(v float64) float64 { return b.top + b.height*(1-b.y.at(v)) }

// num writes a coordinate.
func num(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}

// clip defines the area beyond which nothing is drawn. Its name is made of what it
// is, so that a page is the same each time that it is made.
func (b *canvas) clip(c *Chart) string {
	id := fmt.Sprintf("c%sx%sx%sx%s", num(b.left), num(b.top), num(b.width), num(b.height))
	id = strings.ReplaceAll(id, ".", "_")
	fmt.Fprintf(b, `<clipPath id="%s"><rect x="%s" y="%s" width="%s" height="%s"/></clipPath>`, id,
		num(b.left-1), num(b.top-1), num(b.width+2), num(b.height+2))
	return id
}

// grid draws axes, ticks and labels.
func (b *canvas) grid(c *Chart, h float64) {
	right, bottom := b.left+b.width, b.top+b.height
	b.WriteString(`<g class="grid">`)
	for _, t := range b.y.ticks {
		fmt.Fprintf(b, `<path d="M%s %sH%s"/>`, num(b.left), num(b.py(t)), num(right))
	}
	for _, t := range b.x.ticks {
		fmt.Fprintf(b, `<path d="M%s %sV%s"/>`, num(b.px(t)), num(b.top), num(bottom))
	}
	for _, t := range b.x.minor {
		fmt.Fprintf(b, `<path d="M%s %sv-4"/>`, num(b.px(t)), num(bottom))
	}
	fmt.Fprintf(b, `</g><path class="axis" d="M%s %sV%sH%s"/>`, num(b.left), num(b.top), num(bottom), num(right))
	for _, t := range b.y.ticks {
		fmt.Fprintf(b, `<text text-anchor="end" x="%s" y="%s">%s</text>`, num(b.left-gap), num(b.py(t)+fontSize*0.36), c.Y.Unit.Format(t))
	}
	if c.Y.Label != "" {
		middle := b.top + b.height/2
		fmt.Fprintf(b, `<text class="label" text-anchor="middle" transform="translate(12 %s) rotate(-90)">%s</text>`, num(middle), html.EscapeString(c.Y.Label))
	}
	if c.Bare {
		return
	}
	for _, t := range b.x.ticks {
		anchor := "middle"
		if at := b.px(t); at > right-2 && b.x.ticks[0] != t {
			anchor = "end"
			if at < right+2 {
				at = right + 12
			}
			fmt.Fprintf(b, `<text text-anchor="%s" x="%s" y="%s">%s</text>`, anchor, num(at), num(bottom+16), c.X.Unit.Format(t))
			continue
		}
		fmt.Fprintf(b, `<text text-anchor="%s" x="%s" y="%s">%s</text>`, anchor, num(b.px(t)), num(bottom+16), c.X.Unit.Format(t))
	}
	if c.X.Label != "" {
		fmt.Fprintf(b, `<text class="label" text-anchor="middle" x="%s" y="%s">%s</text>`, num(b.left+b.width/2), num(h-6), html.EscapeString(c.X.Label))
	}
}

// marks draws the strokes along the bottom; those that fall on the same tenth of
// a pixel once.
func (b *canvas) marks(at []float64) {
	if len(at) == 0 {
		return
	}
	bottom := b.top + b.height
	b.WriteString(`<path class="mark" d="`)
	last := ""
	for _, v := range at {
		x := strconv.FormatFloat(b.px(v), 'f', 1, 64)
		if x != last {
			fmt.Fprintf(b, "M%s %sv-8", x, num(bottom))
		}
		last = x
	}
	b.WriteString(`"/>`)
}

func (b *canvas) line(l *Line) {
	class := className(l.Series)
	if l.Faint {
		class += " faint"
	}
	if l.Whole {
		class += " whole"
	}
	hint := ""
	if l.Hint != "" {
		hint = "<title>" + html.EscapeString(l.Hint) + "</title>"
	}
	if l.Dots {
		fmt.Fprintf(b, `<path class="dots %s" d="%s">%s</path>`, class, b.dots(l), hint)
		return
	}
	fmt.Fprintf(b, `<path class="line %s" d="%s">%s</path>`, class, b.path(l), hint)
}

// dots are strokes of no length with round ends; those on the same pixel once.
func (b *canvas) dots(l *Line) string {
	var d strings.Builder
	seen := map[[2]int]bool{}
	for i := range l.X {
		if math.IsNaN(l.Y[i]) || math.IsNaN(l.X[i]) {
			continue
		}
		x, y := b.px(l.X[i]), b.py(l.Y[i])
		at := [2]int{int(x * 2), int(y * 2)}
		if !seen[at] {
			seen[at] = true
			fmt.Fprintf(&d, "M%s %sh0", num(x), num(y))
		}
	}
	return d.String()
}

// path joins the points; NaN leaves a gap.
func (b *canvas) path(l *Line) string {
	var d strings.Builder
	down, lastX, lastY := false, "", ""
	for i := range l.X {
		if math.IsNaN(l.Y[i]) || math.IsNaN(l.X[i]) {
			down = false
			continue
		}
		x, y := num(b.px(l.X[i])), num(b.py(l.Y[i]))
		switch {
		case !down:
			fmt.Fprintf(&d, "M%s %s", x, y)
		case x == lastX && y == lastY:
		case l.Step:
			fmt.Fprintf(&d, "H%sV%s", x, y)
		default:
			fmt.Fprintf(&d, "L%s %s", x, y)
		}
		down, lastX, lastY = true, x, y
	}
	return d.String()
}

func (b *canvas) band(a *Band) {
	if len(a.X) == 0 {
		return
	}
	class := "band " + className(a.Series)
	if a.Neutral {
		class = "band neutral"
	}
	fmt.Fprintf(b, `<path class="%s" d="M`, class)
	for i := range a.X {
		fmt.Fprintf(b, "%s %s ", num(b.px(a.X[i])), num(b.py(a.High[i])))
	}
	for i := len(a.X) - 1; i >= 0; i-- {
		fmt.Fprintf(b, "%s %s ", num(b.px(a.X[i])), num(b.py(a.Low[i])))
	}
	b.WriteString(`Z"/>`)
}
