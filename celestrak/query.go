package celestrak

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"orrery.dev/orrery/orbit/gp"
)

// Format is an encoding that CelesTrak offers, in its own words.
type Format string

// The formats. All but TLE are OMM (CCSDS 502.0-B-3).
const (
	JSON Format = "json"
	CSV  Format = "csv"
	XML  Format = "xml"
	KVN  Format = "kvn"
	TLE  Format = "tle"
)

// Formats that there are.
var Formats = []Format{JSON, CSV, XML, KVN, TLE}

// gp is the format as package gp calls it.
func (f Format) gp() (gp.Format, error) {
	switch f {
	case JSON:
		return gp.OMMJSON, nil
	case CSV:
		return gp.OMMCSV, nil
	case XML:
		return gp.OMMXML, nil
	case KVN:
		return gp.OMMKVN, nil
	case TLE:
		return gp.TLE, nil
	}
	return "", fmt.Errorf("format %q is unknown; use json, csv, xml, kvn or tle", string(f))
}

// Query is a question for element sets. Exactly one of Group, Number and
// Launch is set.
type Query struct {
	Group  string // "starlink": see Groups
	Number int    // NORAD catalogue number, 1 to 999999999
	Launch string // international designator of a launch, "2019-029": all of its objects
	Format Format // JSON if empty
}

var (
	number = regexp.MustCompile(`^[0-9]+$`)
	launch = regexp.MustCompile(`^[0-9]{4}-[0-9]{3}$`)
	group  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// maxNumber is the largest catalogue number, of nine digits.
const maxNumber = 999_999_999

// ParseQuery reads a query as a person types it: a catalogue number ("25544"),
// a launch ("1998-067") or a group ("starlink").
func ParseQuery(text string, format Format) (Query, error) {
	q := Query{Format: format}
	switch {
	case number.MatchString(text):
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxNumber {
			return Query{}, fmt.Errorf("catalogue number %s is out of range; it has one to nine digits", text)
		}
		q.Number = n
	case launch.MatchString(text):
		q.Launch = text
	default:
		q.Group = text
	}
	return q, q.check()
}

func (q Query) check() error {
	if _, err := q.format().gp(); err != nil {
		return err
	}
	set := 0
	for _, is := range []bool{q.Group != "", q.Number != 0, q.Launch != ""} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("a query has one group, catalogue number or launch, and this one has %d", set)
	case q.Group != "" && !group.MatchString(q.Group):
		return fmt.Errorf("%q is no name of a group; names are like starlink or gps-ops", q.Group)
	case q.Number < 0 || q.Number > maxNumber:
		return fmt.Errorf("catalogue number %d is out of range; it has one to nine digits", q.Number)
	case q.Launch != "" && !launch.MatchString(q.Launch):
		return fmt.Errorf("%q is no launch; launches are like 1998-067", q.Launch)
	}
	return nil
}

func (q Query) format() Format {
	if q.Format == "" {
		return JSON
	}
	return q.Format
}

// String is the query in CelesTrak's words, "GROUP=starlink".
func (q Query) String() string {
	switch {
	case q.Number != 0:
		return "CATNR=" + strconv.Itoa(q.Number)
	case q.Launch != "":
		return "INTDES=" + q.Launch
	}
	return "GROUP=" + q.Group
}

// url of the query (https://celestrak.org/NORAD/documentation/gp-data-formats.php).
func (q Query) url(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", fmt.Errorf("%q is no base URL; one is like %s", base, BaseURL)
	}
	u = u.JoinPath("NORAD/elements/gp.php")
	u.RawQuery = q.String() + "&FORMAT=" + string(q.format())
	return u.String(), nil
}

// Groups are CelesTrak's groups as of 2026, for completion and for guessing
// what a misspelt name was meant to be. Others are accepted too.
var Groups = []string{
	"active", "amateur", "analyst", "argos", "beidou", "cosmos-1408-debris", "cosmos-2251-debris",
	"cubesat", "dmc", "education", "engineering", "eutelsat", "fengyun-1c-debris", "galileo", "geo",
	"geodetic", "glo-ops", "globalstar", "gnss", "gps-ops", "hulianwang", "intelsat", "iridium-33-debris",
	"iridium-NEXT", "kuiper", "last-30-days", "military", "musson", "nnss", "oneweb", "orbcomm", "other",
	"other-comm", "planet", "qianfan", "radar", "resource", "sarsat", "satnogs", "sbas", "science", "ses",
	"spire", "starlink", "stations", "tdrss", "telesat", "visual", "weather", "x-comm",
}

// meant guesses which known group a name was meant to be, by at most two slips
// of the keyboard or by its beginning; "" if none is near.
func meant(name string) string {
	name = strings.ToLower(name)
	slips := min(3, (len(name)+1)/2)
	var near, longer string
	for _, g := range Groups {
		low := strings.ToLower(g)
		if d := distance(name, low); d < slips {
			near, slips = g, d
		}
		if len(name) >= 3 && strings.HasPrefix(low, name) && (longer == "" || len(g) < len(longer)) {
			longer = g
		}
	}
	if near != "" {
		return near
	}
	return longer
}

// distance is the Levenshtein distance of two short names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], slices.Min([]int{row[j+1] + 1, row[j] + 1, diagonal + cost})
		}
	}
	return row[len(b)]
}
