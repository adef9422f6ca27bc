// Package plot draws charts as SVG for pages that are read on screens, in the
// dark and on paper.
//
// A chart is a plain value; SVG gives the text to put into a page. Nothing is
// said of colours here: each series has a class by its number (s0, s1, …), and
// Style gives the rules for light and dark. Series differ in colour and in
// dashes, so that print without colour and readers without full colour vision
// tell them apart. The colours are those of M. Okabe and K. Ito, Color Universal
// Design (2008).
//
// # Caveats
//
// Text is laid out by estimated widths, since no font is asked. What lies
// outside of an axis's range is clipped; points of a logarithmic axis at zero or
// below are drawn at its lower end.
package plot
