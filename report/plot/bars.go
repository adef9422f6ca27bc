package plot

import (
	"fmt"
	"html"
)

// Bar is a row of a bar chart: parts laid end to end.
type Bar struct {
	Name  string
	Parts []Part
	// Low and High are the ends of an interval around the sum, drawn if they differ.
	Low, High float64
}

// Part of a bar.
type Part struct {
	Series int
	Value  float64
	Hint   string
}

// Bars is a chart of horizontal bars.
type Bars struct {
	Label string
	Width float64 // 0: 1120
	X     Axis
	Rows  []Bar
}

const (
	barHeight = 16.0
	barStep   = 27.0
)

// SVG is the chart as an element for a page.
func (c *Bars) SVG() string {
	w := c.Width
	if w == 0 {
		w = 1120
	}
	longest, high := 0, 0.0
	for _, r := range c.Rows {
		longest = max(longest, len([]rune(r.Name)))
		high = max(high, r.High)
		sum := 0.0
		for _, p := range r.Parts {
			sum += p.Value
		}
		high = max(high, sum)
	}
	left := min(16+float64(longest)*fontSize*0.58, w*0.45)
	h := barStep*float64(len(c.Rows)) + 52
	x := newScale(c.X, 0, high, int((w-left)/95))
	b := &canvas{left: left, top: 6, width: w - left - 18 - 60, height: barStep * float64(len(c.Rows)), x: x, y: scale{from: 0, to: 1}}
	fmt.Fprintf(b, `<svg class="plot" viewBox="0 0 %s %s" role="img" aria-label="%s" font-size="%g">`, num(w), num(h), html.EscapeString(c.Label), fontSize)
	b.grid(&Chart{X: c.X}, h)
	for i, r := range c.Rows {
		y := b.top + barStep*float64(i) + (barStep-barHeight)/2
		fmt.Fprintf(b, `<text text-anchor="end" x="%s" y="%s">%s</text>`, num(left-gap), num(y+barHeight/2+fontSize*0.36), html.EscapeString(r.Name))
		sum := 0.0
		for _, p := range r.Parts {
			from := b.px(sum)
			sum += p.Value
			hint := ""
			if p.Hint != "" {
				hint = "<title>" + html.EscapeString(p.Hint) + "</title>"
			}
			fmt.Fprintf(b, `<rect class="bar %s" x="%s" y="%s" width="%s" height="%s">%s</rect>`, className(p.Series),
				num(from), num(y), num(max(0, b.px(sum)-from)), num(barHeight), hint)
		}
		end := b.px(sum)
		if r.High > r.Low {
			middle := y + barHeight/2
			fmt.Fprintf(b, `<path class="whisker" d="M%s %sH%sM%s %sv8M%s %sv8"/>`, num(b.px(r.Low)), num(middle), num(b.px(r.High)),
				num(b.px(r.Low)), num(middle-4), num(b.px(r.High)), num(middle-4))
			end = max(end, b.px(r.High))
		}
		fmt.Fprintf(b, `<text class="value" x="%s" y="%s">%s</text>`, num(end+gap), num(y+barHeight/2+fontSize*0.36), c.X.Unit.Format(sum))
	}
	b.WriteString("</svg>")
	return b.String()
}

// Key is the sample of a series for a legend: a stroke, or a filled square.
func Key(series int, filled bool) string {
	class := className(series)
	if filled {
		return `<svg class="key" viewBox="0 0 14 10" width="14" height="10" aria-hidden="true"><rect class="bar ` + class + `" width="14" height="10"/></svg>`
	}
	return `<svg class="key" viewBox="0 0 34 10" width="34" height="10" aria-hidden="true"><path class="line ` + class + `" d="M1 5H33"/></svg>`
}
