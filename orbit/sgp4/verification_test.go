package sgp4

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"orrery.dev/orrery/orbit"
	"orrery.dev/orrery/orbit/gp"
)

// data finds a file of the shared data folder, which is not part of the
// repository.
func data(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("ORRERY_DATA"); dir != "" {
		return filepath.Join(dir, name)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "shared", "data", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skipf("no folder shared/data with %s beside the repository, and ORRERY_DATA is not set", name)
		}
		dir = up
	}
}

// card is one satellite of the verification set.
type card struct {
	elements          gp.Elements
	start, stop, step float64
}

// readCards reads the verification set's element sets. Each second line ends
// with start, stop and step in minutes. Some cards were edited by hand after
// their checksums were made, so these are made anew.
func readCards(t testing.TB) []card {
	f, err := os.Open(data(t, "sgp4-ver.tle"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cards []card
	var line1 string
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		switch {
		case strings.HasPrefix(line, "1 "):
			line1 = withChecksum(line)
		case strings.HasPrefix(line, "2 "):
			e, err := gp.ParseTLE("", line1, withChecksum(line))
			if err != nil {
				t.Fatal(err)
			}
			c := card{elements: e}
			if _, err := fmt.Sscan(line[69:], &c.start, &c.stop, &c.step); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			cards = append(cards, c)
		}
	}
	return cards
}

func withChecksum(line string) string {
	sum := 0
	for _, c := range line[:68] {
		switch {
		case c >= '0' && c <= '9':
			sum += int(c - '0')
		case c == '-':
			sum++
		}
	}
	return line[:68] + strconv.Itoa(sum%10)
}

type row struct {
	minutes float64
	state   orbit.State
}

func readStates(t testing.TB) (numbers []int, rows [][]row) {
	f, err := os.Open(data(t, "sgp4-ver.out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) == 2 && fields[1] == "xx" {
			n, err := strconv.Atoi(fields[0])
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, n)
			rows = append(rows, nil)
			continue
		}
		var v [7]float64
		for i := range v {
			if v[i], err = strconv.ParseFloat(fields[i], 64); err != nil {
				t.Fatal(err)
			}
		}
		last := len(rows) - 1
		rows[last] = append(rows[last], row{v[0], orbit.State{
			Position: orbit.Vec{X: v[1], Y: v[2], Z: v[3]},
			Velocity: orbit.Vec{X: v[4], Y: v[5], Z: v[6]},
		}})
	}
	return numbers, rows
}

// codes are the reference's error codes, by satellite.
var codes = map[int]Error{22312: 1, 28350: 1, 28872: 6, 29141: 6, 33333: 4, 33334: 3, 20413: 6}

// TestVerificationSet compares every row of the verification set of AIAA
// 2006-6753. The reference prints the epoch first, then a row per step, and
// stops at an error. At an epoch with an error it prints the state it happened
// to have left from the satellite before.
func TestVerificationSet(t *testing.T) {
	cards := readCards(t)
	numbers, states := readStates(t)
	if len(cards) != len(states) {
		t.Fatalf("%d element sets, but states of %d", len(cards), len(states))
	}
	var worstP, worstV float64
	var compared, errors int
	var left orbit.State
	for i, c := range cards {
		if c.elements.Number != numbers[i] {
			t.Fatalf("entry %d: elements of %d, states of %d", i, c.elements.Number, numbers[i])
		}
		p, err := New(c.elements)
		if err != nil {
			errors++
			if len(states[i]) != 1 || states[i][0].state != left || err != codes[numbers[i]] {
				t.Errorf("%d: New: %v, but the reference has states or error %d", numbers[i], err, codes[numbers[i]])
			}
			continue
		}
		for _, r := range states[i] {
			s, err := p.At(r.minutes)
			if err != nil {
				t.Errorf("%d at %v min: %v, but the reference has a state", numbers[i], r.minutes, err)
				continue
			}
			compared++
			dp := largest(s.Position.Sub(r.state.Position))
			dv := largest(s.Velocity.Sub(r.state.Velocity))
			worstP, worstV = max(worstP, dp), max(worstV, dv)
			if !(dp <= 1e-6) || !(dv <= 1e-8) {
				t.Errorf("%d at %v min: differs by %.3g km, %.3g km/s", numbers[i], r.minutes, dp, dv)
			}
			left = r.state
		}
		// Where the reference stopped early, it met an error one step on.
		if last := states[i][len(states[i])-1].minutes; last < c.stop-1e-6 {
			errors++
			next := min(last+c.step, c.stop)
			s, err := p.At(next)
			if err != codes[numbers[i]] {
				t.Errorf("%d at %v min: the reference has error %d, but we have %v and %v", numbers[i], next, codes[numbers[i]], s, err)
			}
		}
	}
	t.Logf("%d rows, worst %.3g km, %.3g km/s; %d errors", compared, worstP, worstV, errors)
	if compared != 666 || errors != len(codes) {
		t.Errorf("%d rows and %d errors were compared, not 666 and 7", compared, errors)
	}
}

func largest(v orbit.Vec) float64 {
	return math.Max(math.Abs(v.X), math.Max(math.Abs(v.Y), math.Abs(v.Z)))
}
