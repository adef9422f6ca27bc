package main

import (
	"strings"

	"github.com/charmbracelet/lipgloss"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// worldMap draws nodes on an equirectangular map of the Earth in character
// cells. Land is shaded by the built-in mask.
func worldMap(nodes []*pb.Node, columns, rows int, s style) []string {
	cells := make([][]string, rows)
	for y := range cells {
		cells[y] = make([]string, columns)
		for x := range cells[y] {
			lat := 90 - (float64(y)+0.5)*180/float64(rows)
			lon := -180 + (float64(x)+0.5)*360/float64(columns)
			cells[y][x] = " "
			if isLand(lat, lon) {
				cells[y][x] = s.dim.Render("·")
			}
		}
	}
	place := func(n *pb.Node) (x, y int) {
		x = int((n.GetLongitude() + 180) / 360 * float64(columns))
		y = int((90 - n.GetLatitude()) / 180 * float64(rows))
		return max(0, min(x, columns-1)), max(0, min(y, rows-1))
	}
	taken := make(map[[2]int]bool)
	draw := func(kind, sign string, look lipgloss.Style) {
		for _, n := range nodes {
			if n.GetKind() == kind {
				x, y := place(n)
				cells[y][x] = look.Render(sign)
				taken[[2]int{x, y}] = true
			}
		}
	}
	draw("satellite", "•", s.satellite)
	draw("station", "▲", s.station)
	// Names of stations, where they hide nothing.
	for _, n := range nodes {
		if n.GetKind() != "station" {
			continue
		}
		x, y := place(n)
		name := []rune(n.GetName())
		free := x+1+len(name) < columns
		for i := range name {
			free = free && !taken[[2]int{x + 1 + i, y}]
		}
		if !free || columns < 80 {
			continue
		}
		for i, r := range name {
			cells[y][x+1+i] = s.station.Render(string(r))
			taken[[2]int{x + 1 + i, y}] = true
		}
	}
	out := make([]string, rows)
	for y := range cells {
		out[y] = strings.Join(cells[y], "")
	}
	return out
}
