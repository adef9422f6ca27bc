package main

import (
	"strings"

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
	for _, n := range nodes {
		if n.GetKind() == "satellite" {
			x, y := place(n)
			cells[y][x] = s.satellite.Render("•")
		}
	}
	for _, n := range nodes {
		if n.GetKind() == "station" {
			x, y := place(n)
			cells[y][x] = s.station.Render("▲")
		}
	}
	out := make([]string, rows)
	for y := range cells {
		out[y] = strings.Join(cells[y], "")
	}
	return out
}
