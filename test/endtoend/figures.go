package endtoend

import (
	"strconv"
	"strings"
)

// Figures reads Prometheus's text format: values by name and labels, as they stand there.
func Figures(text string) map[string]float64 {
	out := make(map[string]float64)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			out[line[:at]] = v
		}
	}
	return out
}

// Sum of all figures of a name, whatever their labels.
func Sum(figures map[string]float64, name string) (sum float64) {
	for k, v := range figures {
		if k == name || strings.HasPrefix(k, name+"{") {
			sum += v
		}
	}
	return sum
}
