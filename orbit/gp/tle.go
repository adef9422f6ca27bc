package gp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseTLE reads one two-line element set. The name may be empty. Blanks
// after column 69 are ignored.
func ParseTLE(name, line1, line2 string) (Elements, error) {
	return parseTLE(name, line1, 1, line2, 2)
}

// columns of the format, counted from 1 as in its description (CelesTrak,
// "NORAD two-line element set format"; Space-Track, "Basic description of the
// TLE format").
type columns struct {
	name        string
	first, last int
}

func (k columns) String() string { return fmt.Sprintf("columns %d-%d", k.first, k.last) }

var (
	columnNumber       = columns{"catalogue number", 3, 7}
	columnDesignator   = columns{"international designator", 10, 17}
	columnEpochYear    = columns{"epoch year", 19, 20}
	columnEpochDay     = columns{"epoch day", 21, 32}
	columnType         = columns{"ephemeris type", 63, 63}
	columnDot          = columns{"first derivative of mean motion", 34, 43}
	columnDDot         = columns{"second derivative of mean motion", 45, 52}
	columnBStar        = columns{"B*", 54, 61}
	columnInclination  = columns{"inclination", 9, 16}
	columnRAAN         = columns{"right ascension of the ascending node", 18, 25}
	columnEccentricity = columns{"eccentricity", 27, 33}
	columnPerigee      = columns{"argument of perigee", 35, 42}
	columnAnomaly      = columns{"mean anomaly", 44, 51}
	columnMotion       = columns{"mean motion", 53, 63}
)

// lineLength is the number of columns with the checksum.
const lineLength = 69

// card is one line of an element set and collects the first error met in it.
type card struct {
	line int // in the file
	text string
	err  *FieldError
}

func (c *card) fail(field, found, want string) {
	if c.err == nil {
		c.err = &FieldError{Line: c.line, Field: field, Found: found, Want: want}
	}
}

func (c *card) at(k columns) string { return c.text[k.first-1 : k.last] }

// number reads a decimal number that may be padded with blanks.
func (c *card) number(k columns, b bounds) float64 {
	v, ok := parseDecimal(strings.TrimSpace(c.at(k)))
	if !ok || !b.hold(v) {
		c.fail(k.name, c.at(k), fmt.Sprintf("%v in %v", b, k))
	}
	return v
}

// exponential reads a number such as " 12345-4", which is 0.12345e-4.
func (c *card) exponential(k columns, b bounds) float64 {
	s := strings.TrimSpace(c.at(k))
	sign := 1.0
	if s != "" && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	i := strings.LastIndexAny(s, "+-")
	if i <= 0 || i != len(s)-2 || !digits(s[:i]) || !digits(s[i+1:]) {
		c.fail(k.name, c.at(k), fmt.Sprintf("a number such as 12345-4, meaning 0.12345e-4, in %v", k))
		return 0
	}
	v, _ := strconv.ParseFloat("0."+s[:i]+"e"+s[i:], 64)
	if v *= sign; !b.hold(v) {
		c.fail(k.name, c.at(k), fmt.Sprintf("%v in %v", b, k))
	}
	return v
}

// designator turns "98067A" into "1998-067A". Anything else of the launch
// field is kept as it stands, since analysts' objects have none.
func (c *card) designator(k columns) string {
	s := strings.TrimSpace(c.at(k))
	if len(s) < 6 || !digits(s[:5]) {
		return s
	}
	year, _ := strconv.Atoi(s[:2])
	return strconv.Itoa(fullYear(year)) + "-" + s[2:]
}

// fullYear: the first satellite flew in 1957.
func fullYear(two int) int {
	if two < 57 {
		return 2000 + two
	}
	return 1900 + two
}

// catalogue reads a catalogue number in five columns, in which Alpha-5 writes
// numbers from 100000 to 339999 with a letter in the first (without I and O).
func (c *card) catalogue(k columns) int {
	s := strings.TrimSpace(c.at(k))
	n, ok := 0, false
	switch {
	case digits(s):
		n, _ = strconv.Atoi(s)
		ok = true
	case len(s) == 5 && digits(s[1:]):
		const letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
		if i := strings.IndexByte(letters, s[0]); i >= 0 {
			n, _ = strconv.Atoi(s[1:])
			n += (i + 10) * 10000
			ok = true
		}
	}
	if !ok {
		c.fail(k.name, c.at(k), "five digits, or a letter other than I and O and four digits, in "+k.String())
	}
	return n
}

// epoch: the day of the year counts from 1. Its decimals, eight by rule and
// ten at most, are exact in nanoseconds.
func (c *card) epoch() time.Time {
	year := strings.TrimSpace(c.at(columnEpochYear))
	if !digits(year) {
		c.fail(columnEpochYear.name, c.at(columnEpochYear), fmt.Sprintf("two digits in %v", columnEpochYear))
		return time.Time{}
	}
	whole, decimals, _ := strings.Cut(strings.TrimSpace(c.at(columnEpochDay)), ".")
	decimals = (decimals + "0000000000")[:10]
	day, _ := strconv.Atoi(whole)
	if !digits(whole) || !digits(decimals) || day < 1 || day > 366 {
		c.fail(columnEpochDay.name, c.at(columnEpochDay), fmt.Sprintf("a day of the year from 1 to 366.99999999 in %v", columnEpochDay))
		return time.Time{}
	}
	y, _ := strconv.Atoi(year)
	part, _ := strconv.ParseInt(decimals, 10, 64)
	const perDay = 24 * time.Hour
	return time.Date(fullYear(y), time.January, 1, 0, 0, 0, 0, time.UTC).
		Add(time.Duration(day-1)*perDay + time.Duration(part)*(perDay/1e10))
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// parseDecimal accepts digits with a sign and a point, and nothing else that
// strconv would: no exponent, no hexadecimal, no infinity.
func parseDecimal(s string) (float64, bool) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && !(i == 0 && (c == '-' || c == '+')) {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsInf(v, 0)
}

// newCard checks what holds for both lines; which is 1 or 2.
func newCard(which byte, text string, line int) *card {
	text = strings.TrimRight(text, " \t\r\n")
	c := &card{line: line, text: text}
	name := "element line " + string(which)
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			c.fail(fmt.Sprintf("column %d of %s", i+1, name), text[i:i+1], "printable ASCII")
			return c
		}
	}
	switch {
	case len(text) != lineLength:
		c.fail(name, text, fmt.Sprintf("%d columns, not %d", lineLength, len(text)))
	case text[0] != which || text[1] != ' ':
		c.fail(name, text, fmt.Sprintf("a line that begins with %q", string(which)+" "))
	case text[lineLength-1] != checksum(text):
		c.fail("checksum", text[lineLength-1:], fmt.Sprintf("%c in column %d: the sum of the line's digits, a minus counting 1, modulo 10", checksum(text), lineLength))
	}
	return c
}

// checksum of the first 68 columns, as a digit.
func checksum(text string) byte {
	sum := 0
	for i := 0; i < lineLength-1; i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			sum += int(c - '0')
		case c == '-':
			sum++
		}
	}
	return byte('0' + sum%10)
}

func parseTLE(name, text1 string, at1 int, text2 string, at2 int) (Elements, error) {
	e := Elements{Name: strings.TrimSpace(name)}
	c := newCard('1', text1, at1)
	if c.err != nil {
		return Elements{}, c.err
	}
	e.Number = c.catalogue(columnNumber)
	e.Designator = c.designator(columnDesignator)
	e.Epoch = c.epoch()
	e.MeanMotionDot = c.number(columnDot, boundsDot)
	e.MeanMotionDDot = c.exponential(columnDDot, boundsDot)
	e.BStar = c.exponential(columnBStar, boundsBStar)
	if kind := c.at(columnType); kind == typeXP {
		c.fail(columnType.name, kind, wantSGP4)
	}
	if c.err != nil {
		return Elements{}, c.err
	}

	c = newCard('2', text2, at2)
	if c.err != nil {
		return Elements{}, c.err
	}
	if n := c.catalogue(columnNumber); c.err == nil && n != e.Number {
		c.fail(columnNumber.name, c.at(columnNumber), fmt.Sprintf("%q as in the line before", text1[2:7]))
	}
	e.Inclination = c.number(columnInclination, boundsInclination)
	e.RAAN = c.number(columnRAAN, boundsAngle)
	if s := c.at(columnEccentricity); digits(s) {
		v, _ := strconv.Atoi(s)
		e.Eccentricity = float64(v) / 1e7
	} else {
		c.fail(columnEccentricity.name, s, fmt.Sprintf("seven decimals without a point in %v", columnEccentricity))
	}
	e.ArgumentOfPerigee = c.number(columnPerigee, boundsAngle)
	e.MeanAnomaly = c.number(columnAnomaly, boundsAngle)
	e.MeanMotion = c.number(columnMotion, boundsMotion)
	if c.err != nil {
		return Elements{}, c.err
	}
	return e, nil
}

// typeXP is the ephemeris type of SGP4-XP.
const (
	typeXP   = "4"
	wantSGP4 = "elements of SGP4 (type 0): those of SGP4-XP (type 4) need a propagator that is not public"
)

// readTLE reads a file of element sets with or without lines for names. Blank
// lines and lines that begin with # are skipped.
func readTLE(text string) ([]Elements, error) {
	var sets []Elements
	var name string
	var nameLine int
	lines := lineReader{text: text}
	for lines.next() {
		line := lines.line
		switch {
		case skipTLE(line):
		case strings.HasPrefix(line, "1 ") && (len(strings.TrimRight(line, " \t\r")) == lineLength || strings.HasPrefix(lines.peek(), "2 ")):
			first, at := line, lines.number
			for lines.next() && skipTLE(lines.line) {
			}
			if lines.done {
				return nil, &FieldError{lines.number, "element line 2", "", "the line that belongs to element line 1 before the end of the file"}
			}
			e, err := parseTLE(name, first, at, lines.line, lines.number)
			if err != nil {
				return nil, err
			}
			sets = append(sets, e)
			name, nameLine = "", 0
		case nameLine != 0 || strings.HasPrefix(line, "2 "):
			return nil, &FieldError{lines.number, "element line 1", line, `69 columns that begin with "1 "`}
		default:
			name, nameLine = line, lines.number
			// A name may have a line number too: "0 VANGUARD 1".
			name = strings.TrimSpace(strings.TrimPrefix(name, "0 "))
		}
	}
	if nameLine != 0 {
		return nil, &FieldError{nameLine, "element line 1", name, `69 columns that begin with "1 "`}
	}
	return sets, nil
}

func skipTLE(line string) bool {
	return line == "" || line[0] == '#' || strings.TrimSpace(line) == ""
}
