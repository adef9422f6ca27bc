package plot

import (
	"fmt"
	"strconv"
	"strings"
)

// Styles is how many series look different: seven colours, each with two sets of
// dashes.
const Styles = 14

// Black is a series in the colour of text, beside those.
const Black = Styles

// palette in an order in which neighbours differ in hue and brightness. Yellow is
// left out: it cannot be read on white.
var palette = []struct{ light, dark string }{
	{"#0072b2", "#4aa8e0"}, // blue
	{"#d55e00", "#f0823a"}, // vermilion
	{"#009e73", "#2dc79c"}, // bluish green
	{"#cc79a7", "#e09cc4"}, // reddish purple
	{"#e69f00", "#f0b73c"}, // orange
	{"#56b4e9", "#8fd0f5"}, // sky blue
	{"#000000", "#f2f2f2"}, // black
}

// dashes by series; the first is a whole line.
var dashes = []string{"", "7 3", "2 2.5", "9 3 2 3", "4 2", "12 3", "6 2 2 2 2 2", "1.5 3", "10 2 4 2", "3 3", "14 4", "5 5", "8 2 1 2", "2 4"}

// Style is the style sheet of plots. It asks for --ink, --faint and --paper: the
// colours of text, of lines that guide the eye, and of the ground.
func Style() string {
	var b strings.Builder
	b.WriteString(`
.plot{display:block;width:100%;height:auto;font-family:inherit}
.plot text{fill:var(--soft);font-variant-numeric:tabular-nums}
.plot .title{fill:var(--ink);font-weight:600;font-size:12.5px}
.plot .label{fill:var(--soft)}
.plot .value{fill:var(--ink)}
.plot .grid path{stroke:var(--faint);stroke-width:1;fill:none}
.plot .axis{stroke:var(--soft);stroke-width:1;fill:none}
.plot .mark{stroke:var(--soft);stroke-width:.8;fill:none;opacity:.75}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.line.whole{stroke-dasharray:none!important}
.line.faint{stroke-width:1.1;opacity:.45}
.dots{fill:none;stroke-width:2.4;stroke-linecap:round;stroke-dasharray:none!important}
.dots.faint{opacity:.4}
.bar{stroke:var(--paper);stroke-width:.6;stroke-dasharray:none!important}
.band{stroke:none;opacity:.22}
.band.neutral{fill:var(--soft);opacity:.18}
.whisker{stroke:var(--ink);stroke-width:1.3;fill:none}
.key{vertical-align:middle;flex:none}
`)
	colours := func(dark bool) {
		for i := range Styles {
			p := palette[i%len(palette)]
			colour := p.light
			if dark {
				colour = p.dark
			}
			fmt.Fprintf(&b, ".line.s%d,.dots.s%d{stroke:%s}.bar.s%d,.band.s%d{fill:%s}\n", i, i, colour, i, i, colour)
		}
	}
	colours(false)
	fmt.Fprintf(&b, ".line.s%d{stroke:var(--ink);stroke-width:1.1}\n", Black)
	for i, d := range dashes[:Styles] {
		if d != "" {
			fmt.Fprintf(&b, ".line.s%d{stroke-dasharray:%s}", i, d)
		}
	}
	b.WriteString("\n@media screen and (prefers-color-scheme:dark){\n")
	colours(true)
	b.WriteString("}\n")
	return b.String()
}

// className of a series; those beyond Styles begin anew.
func className(series int) string {
	if series == Black {
		return "s" + strconv.Itoa(Black)
	}
	return "s" + strconv.Itoa(series%Styles)
}
