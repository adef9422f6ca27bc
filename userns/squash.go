package userns

import (
	"bytes"
	"slices"
)

// Squash gives the users or groups of these names the number 0 in a text of the
// form of passwd(5) or group(5). All else stays as it is, byte for byte. It says
// whether anything changed.
func Squash(text []byte, names []string) (out []byte, changed bool) {
	for line := range bytes.Lines(text) {
		// Name, password, number and, in passwd(5), the number of the group.
		f := bytes.Split(line, []byte(":"))
		numbers := map[int]int{4: 1, 7: 2}[len(f)]
		if numbers == 0 || !slices.Contains(names, string(f[0])) {
			out = append(out, line...)
			continue
		}
		for i := range numbers {
			changed = changed || string(f[2+i]) != "0"
			f[2+i] = []byte("0")
		}
		out = append(out, bytes.Join(f, []byte(":"))...)
	}
	return out, changed
}
