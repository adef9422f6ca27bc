package gp

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawElements draws an element set whose values a TLE holds exactly.
func drawElements(t *rapid.T) Elements {
	decimal := func(name string, lo, hi int, scale float64) float64 {
		return float64(rapid.IntRange(lo, hi).Draw(t, name)) / scale
	}
	day := rapid.IntRange(0, 364).Draw(t, "day")
	fraction := rapid.Int64Range(0, 1e8-1).Draw(t, "fraction of day")
	year := rapid.IntRange(1957, 2056).Draw(t, "year")
	return Elements{
		Name:       rapid.StringMatching(`[A-Z]{3,8}-[0-9]{1,4}( \[[+-]\])?`).Draw(t, "name"),
		Number:     rapid.IntRange(0, 339999).Draw(t, "number"),
		Designator: fmt.Sprintf("%d-%03d%s", rapid.IntRange(1957, 2056).Draw(t, "launch year"), rapid.IntRange(1, 999).Draw(t, "launch"), rapid.StringMatching(`[A-Z]{1,3}`).Draw(t, "piece")),
		Epoch: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, day).
			Add(time.Duration(fraction) * 864 * time.Microsecond),
		MeanMotion:        decimal("mean motion", 1, 17e8, 1e8),
		Eccentricity:      decimal("eccentricity", 0, 9999999, 1e7),
		Inclination:       decimal("inclination", 0, 1800000, 1e4),
		RAAN:              decimal("raan", 0, 3599999, 1e4),
		ArgumentOfPerigee: decimal("perigee", 0, 3599999, 1e4),
		MeanAnomaly:       decimal("anomaly", 0, 3599999, 1e4),
		BStar:             drawExponential(t, "bstar"),
		MeanMotionDot:     decimal("dot", -99999999, 99999999, 1e8),
		MeanMotionDDot:    drawExponential(t, "ddot"),
	}
}

func drawExponential(t *rapid.T, name string) float64 {
	digits := rapid.IntRange(-99999, 99999).Draw(t, name)
	v, _ := strconv.ParseFloat(fmt.Sprintf("%de%d", digits, -5-rapid.IntRange(0, 9).Draw(t, name+" exponent")), 64)
	return v
}

// exponential writes v as " 12345-4". It is exact for what drawExponential
// draws, which is v = digits·10^(k-5) with k <= 0.
func exponential(v float64) string {
	for k := 0; k <= 9; k++ {
		digits := math.Round(math.Abs(v) * math.Pow(10, float64(5+k)))
		if back, _ := strconv.ParseFloat(fmt.Sprintf("%.0fe%d", digits, -5-k), 64); digits <= 99999 && back == math.Abs(v) {
			sign := " "
			if v < 0 {
				sign = "-"
			}
			return fmt.Sprintf("%s%05.0f-%d", sign, digits, k)
		}
	}
	panic(v)
}

// formatTLE writes an element set as two lines.
func formatTLE(e Elements) (line1, line2 string) {
	number := fmt.Sprintf("%05d", e.Number)
	if e.Number >= 100000 {
		number = fmt.Sprintf("%c%04d", "ABCDEFGHJKLMNPQRSTUVWXYZ"[e.Number/10000-10], e.Number%10000)
	}
	sinceYear := e.Epoch.Sub(time.Date(e.Epoch.Year(), 1, 1, 0, 0, 0, 0, time.UTC))
	units := int64(sinceYear / (864 * time.Microsecond))
	dot := strings.Replace(fmt.Sprintf("%+.8f", e.MeanMotionDot), "0.", ".", 1)
	line1 = fmt.Sprintf("1 %sU %-8s %02d%03d.%08d %s %s %s 0  999",
		number, e.Designator[2:4]+e.Designator[5:], e.Epoch.Year()%100, units/1e8+1, units%1e8,
		strings.Replace(dot, "+", " ", 1), exponential(e.MeanMotionDDot), exponential(e.BStar))
	line2 = fmt.Sprintf("2 %s %8.4f %8.4f %07.0f %8.4f %8.4f %11.8f12345",
		number, e.Inclination, e.RAAN, e.Eccentricity*1e7, e.ArgumentOfPerigee, e.MeanAnomaly, e.MeanMotion)
	return withChecksum(line1), withChecksum(line2)
}

func withChecksum(line string) string {
	return line[:68] + string(checksum(line[:68]+"0"))
}

// ommFields are the fields of an OMM in the order of the standard.
func ommFields(e Elements) [][2]string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	return [][2]string{
		{"OBJECT_NAME", e.Name},
		{"OBJECT_ID", e.Designator},
		{"CENTER_NAME", "EARTH"},
		{"REF_FRAME", "TEME"},
		{"TIME_SYSTEM", "UTC"},
		{"MEAN_ELEMENT_THEORY", "SGP4"},
		{"EPOCH", e.Epoch.Format("2006-01-02T15:04:05.000000")},
		{"MEAN_MOTION", number(e.MeanMotion)},
		{"ECCENTRICITY", number(e.Eccentricity)},
		{"INCLINATION", number(e.Inclination)},
		{"RA_OF_ASC_NODE", number(e.RAAN)},
		{"ARG_OF_PERICENTER", number(e.ArgumentOfPerigee)},
		{"MEAN_ANOMALY", number(e.MeanAnomaly)},
		{"EPHEMERIS_TYPE", "0"},
		{"NORAD_CAT_ID", strconv.Itoa(e.Number)},
		{"BSTAR", number(e.BStar)},
		{"MEAN_MOTION_DOT", number(e.MeanMotionDot)},
		{"MEAN_MOTION_DDOT", number(e.MeanMotionDDot)},
	}
}

// writers write element sets in each format.
var writers = map[Format]func([]Elements) string{
	TLE: func(sets []Elements) string {
		var b strings.Builder
		for _, e := range sets {
			l1, l2 := formatTLE(e)
			fmt.Fprintf(&b, "%-24s\r\n%s\r\n%s  \r\n", e.Name, l1, l2)
		}
		return b.String()
	},
	OMMJSON: func(sets []Elements) string {
		var b strings.Builder
		for i, e := range sets {
			b.WriteString([]string{"[", ","}[min(i, 1)])
			for j, f := range ommFields(e) {
				// Every other number is a string, as Space-Track has them.
				v := f[1]
				if _, err := strconv.ParseFloat(v, 64); err != nil || j%2 == 0 {
					v = strconv.Quote(v)
				}
				fmt.Fprintf(&b, "%s%q:%s", []string{"{", ",\n"}[min(j, 1)], f[0], v)
			}
			b.WriteString("}\n")
		}
		return b.String() + "]"
	},
	OMMCSV: func(sets []Elements) string {
		var b strings.Builder
		for i, e := range sets {
			var keys, values []string
			for j, f := range ommFields(e) {
				keys = append(keys, f[0])
				if v := f[1]; j%2 == 0 {
					values = append(values, `"`+v+`"`)
				} else {
					values = append(values, v)
				}
			}
			if i == 0 {
				fmt.Fprintln(&b, strings.Join(keys, ","))
			}
			fmt.Fprintln(&b, strings.Join(values, ","))
		}
		return b.String()
	},
	OMMXML: func(sets []Elements) string {
		var b strings.Builder
		b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<ndm>\n")
		for _, e := range sets {
			b.WriteString("<omm id=\"CCSDS_OMM_VERS\" version=\"2.0\"><header><CREATION_DATE/></header><body><segment><metadata>\n")
			for _, f := range ommFields(e) {
				switch f[0] {
				case "EPOCH":
					b.WriteString("</metadata><data><meanElements>\n")
				case "EPHEMERIS_TYPE":
					b.WriteString("</meanElements><tleParameters>\n")
				}
				fmt.Fprintf(&b, "  <%s>%s</%s>\n", f[0], f[1], f[0])
			}
			b.WriteString("</tleParameters></data></segment></body></omm>\n")
		}
		return b.String() + "</ndm>\n"
	},
	OMMKVN: func(sets []Elements) string {
		var b strings.Builder
		for _, e := range sets {
			b.WriteString("CCSDS_OMM_VERS = 2.0\nCOMMENT made up\nCREATION_DATE = 2026-03-01T00:00:00\n\n")
			for _, f := range ommFields(e) {
				unit := map[string]string{"MEAN_MOTION": " [rev/day]", "INCLINATION": " [deg]"}[f[0]]
				fmt.Fprintf(&b, "%-20s = %s%s\n", f[0], f[1], unit)
			}
		}
		return b.String()
	},
}

// TestRoundTrip writes random element sets in every format and reads them
// back, with the format given and found by content.
func TestRoundTrip(t *testing.T) {
	for format, write := range writers {
		t.Run(string(format), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				sets := rapid.SliceOfN(rapid.Custom(drawElements), 1, 4).Draw(t, "sets")
				text := write(sets)
				for _, f := range []Format{format, Detect} {
					got, err := Read(strings.NewReader(text), f)
					if err != nil {
						t.Fatalf("%v in\n%s", err, text)
					}
					if len(got) != len(sets) {
						t.Fatalf("%d sets of %d in\n%s", len(got), len(sets), text)
					}
					for i := range sets {
						want := sets[i]
						if format != TLE { // OMM epochs have microseconds
							want.Epoch = want.Epoch.Truncate(time.Microsecond)
						}
						if got[i] != want {
							t.Fatalf("got\n%+v, want\n%+v, in\n%s", got[i], want, text)
						}
					}
				}
			})
		})
	}
}

// A made-up satellite in a common orbit.
const (
	nameLine = "EXAMPLE 7"
	line1    = "1 A2345U 26007B   26060.50000000  .00001234 -12345-6  28098-4 0  9991"
	line2    = "2 A2345  53.0537 123.4567 0001234  88.7654 271.2345 15.06391234 12343"
)

func TestParseTLE(t *testing.T) {
	e, err := ParseTLE(nameLine, line1, line2)
	if err != nil {
		t.Fatal(err)
	}
	want := Elements{
		Name: "EXAMPLE 7", Number: 102345, Designator: "2026-007B",
		Epoch:      time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		MeanMotion: 15.06391234, Eccentricity: 0.0001234, Inclination: 53.0537,
		RAAN: 123.4567, ArgumentOfPerigee: 88.7654, MeanAnomaly: 271.2345,
		BStar: 0.28098e-4, MeanMotionDot: 0.00001234, MeanMotionDDot: -0.12345e-6,
	}
	if e != want {
		t.Errorf("got  %+v\nwant %+v", e, want)
	}
	if a := e.MeanAltitude(); math.Abs(a-545) > 5 {
		t.Errorf("mean altitude %v km, want about 545", a)
	}
}

func TestFileShapes(t *testing.T) {
	two := line1 + "\n" + line2
	for name, c := range map[string]struct {
		text  string
		names []string
	}{
		"two lines":        {two, []string{""}},
		"three lines":      {nameLine + "\n" + two + "\n", []string{nameLine}},
		"numbered name":    {"0 " + nameLine + "\n" + two, []string{nameLine}},
		"CRLF and blanks":  {nameLine + "   \r\n" + line1 + "  \r\n" + line2 + " \r\n\r\n", []string{nameLine}},
		"byte order mark":  {"\ufeff" + two, []string{""}},
		"mixed":            {two + "\n\n# comment\n" + nameLine + "\n" + two + "\n" + two, []string{"", nameLine, ""}},
		"name like a line": {"1 SMALL STEP\n" + two, []string{"1 SMALL STEP"}},
	} {
		t.Run(name, func(t *testing.T) {
			sets, err := Read(strings.NewReader(c.text), Detect)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range sets {
				names = append(names, e.Name)
			}
			if fmt.Sprint(names) != fmt.Sprint(c.names) {
				t.Errorf("names %q, want %q", names, c.names)
			}
		})
	}
}

// TestOMMShapes has what publishers write besides the plain fields.
func TestOMMShapes(t *testing.T) {
	want := sample(t)
	once := []Elements{want}
	object := strings.TrimSuffix(strings.TrimPrefix(writers[OMMJSON](once), "["), "\n]")
	xml := writers[OMMXML](once)
	kvn := writers[OMMKVN](once)
	csv := writers[OMMCSV](once)
	replace := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("%q is not in %s", old, s)
		}
		return strings.ReplaceAll(s, old, new)
	}
	for name, c := range map[string]struct {
		text  string
		count int
	}{
		"JSON, one object":         {object, 1},
		"JSON, fields not known":   {replace(object, "{", `{"DECAY_DATE":null,"RCS":{"SIZE":["L",{}]},"TLE_LINE0":"0 X","GP_ID":7,"ACTIVE":true,`), 1},
		"JSON, indented":           {"\n [ \r\n" + object + ",\n" + object + "\n]\n", 2},
		"XML, omm alone":           {replace(replace(xml, "<ndm>", ""), "</ndm>", ""), 1},
		"XML, units and namespace": {replace(replace(xml, "<MEAN_MOTION>", `<MEAN_MOTION units="rev/day">`), "<ndm>", `<ndm xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><!-- c -->`), 1},
		"KVN, two with versions":   {kvn + "\n" + kvn, 2},
		"KVN, one version":         {kvn + replace(kvn, "CCSDS_OMM_VERS = 2.0\n", ""), 2},
		"KVN, day of year":         {replace(kvn, "2026-03-01T12:00:00.000000", "2026-060T12:00:00.000Z"), 1},
		"KVN, other words":         {replace(replace(kvn, "= SGP4", "= SGP/SGP4"), "= EARTH", "= Earth"), 1},
		"CSV, CRLF":                {replace(csv, "\n", "\r\n"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			sets, err := Read(strings.NewReader(c.text), Detect)
			if err != nil {
				t.Fatalf("%v in\n%s", err, c.text)
			}
			if len(sets) != c.count {
				t.Fatalf("%d sets, want %d", len(sets), c.count)
			}
			for _, e := range sets {
				if e != want {
					t.Errorf("got  %+v\nwant %+v", e, want)
				}
			}
		})
	}

	quoted := replace(csv, `"EXAMPLE 7"`, `"EXAMPLE ""7"", B"`)
	sets, err := Read(strings.NewReader(quoted), OMMCSV)
	if err != nil || sets[0].Name != `EXAMPLE "7", B` {
		t.Errorf("quotes within quotes: %v, %v", sets, err)
	}
}

// TestMeanAltitude takes orbits whose altitude is known.
func TestMeanAltitude(t *testing.T) {
	for _, c := range []struct {
		e    Elements
		want float64
		near float64
	}{
		{Elements{MeanMotion: 1.00273791}, 35786, 3}, // geostationary
		{Elements{MeanMotion: 2.00563, Inclination: 55}, 20182, 10},
		// Near 54.7°, where 3cos²i = 1, J2 does not change the mean anomaly's rate.
		{Elements{MeanMotion: 16, Inclination: math.Acos(math.Sqrt(1.0/3)) * 180 / math.Pi}, math.Cbrt(Mu*math.Pow(86400/16/(2*math.Pi), 2)) - EarthRadius, 1e-9},
	} {
		if a := c.e.MeanAltitude(); math.Abs(a-c.want) > c.near {
			t.Errorf("%v rev/day: %v km, want %v", c.e.MeanMotion, a, c.want)
		}
	}
}

// TestErrors has one case for each kind of fault and the sentence for it.
func TestErrors(t *testing.T) {
	edit := func(line string, column int, text string) string {
		return withChecksum(line[:column-1] + text + line[column-1+len(text):])
	}
	tle := func(l1, l2 string) string { return nameLine + "\n" + l1 + "\n" + l2 + "\n" }
	json := func(old, new string) string {
		s := writers[OMMJSON]([]Elements{sample(t)})
		if !strings.Contains(s, old) {
			t.Fatalf("%q is not in %s", old, s)
		}
		return strings.Replace(s, old, new, 1)
	}
	kvn := writers[OMMKVN]([]Elements{sample(t)})
	csv := writers[OMMCSV]([]Elements{sample(t)})
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "no element sets found; give a TLE or OMM file"},
		{"checksum", tle(line1[:68]+"7", line2), `line 2: checksum is "7"; expected 1 in column 69: the sum of the line's digits, a minus counting 1, modulo 10`},
		{"short line", tle(line1[:60], line2), `line 2: element line 1 is "` + line1[:60] + `"; expected 69 columns, not 60`},
		{"no line 2", nameLine + "\n" + line1 + "\n", `line 2: element line 2 is missing; expected the line that belongs to element line 1 before the end of the file`},
		{"no line 1", line2, `line 1: element line 1 is "` + line2 + `"; expected 69 columns that begin with "1 "`},
		{"two names", "A\nB\n", `line 2: element line 1 is "B"; expected 69 columns that begin with "1 "`},
		{"only a name", "No GP data found", `line 1: element line 1 is "No GP data found"; expected 69 columns that begin with "1 "`},
		{"other satellite", tle(line1, edit(line2, 3, "A2346")), `line 3: catalogue number is "A2346"; expected "A2345" as in the line before`},
		{"Alpha-5 has no I", tle(edit(line1, 3, "I2345"), line2), `line 2: catalogue number is "I2345"; expected five digits, or a letter other than I and O and four digits, in columns 3-7`},
		{"epoch day", tle(edit(line1, 21, "000"), line2), `line 2: epoch day is "000.50000000"; expected a day of the year from 1 to 366.99999999 in columns 21-32`},
		{"epoch year", tle(edit(line1, 19, "2x"), line2), `line 2: epoch year is "2x"; expected two digits in columns 19-20`},
		{"exponent", tle(edit(line1, 54, " 28098x4"), line2), `line 2: B* is " 28098x4"; expected a number such as 12345-4, meaning 0.12345e-4, in columns 54-61`},
		{"huge drag", tle(edit(line1, 54, " 28098+5"), line2), `line 2: B* is " 28098+5"; expected a number from -100 to 100 in columns 54-61`},
		{"SGP4-XP", tle(edit(line1, 63, "4"), line2), `line 2: ephemeris type is "4"; expected elements of SGP4 (type 0): those of SGP4-XP (type 4) need a propagator that is not public`},
		{"inclination", tle(line1, edit(line2, 9, "190.0537")), `line 3: inclination is "190.0537"; expected a number from 0 to 180 in columns 9-16`},
		{"eccentricity", tle(line1, edit(line2, 27, ".001234")), `line 3: eccentricity is ".001234"; expected seven decimals without a point in columns 27-33`},
		{"mean motion", tle(line1, edit(line2, 53, "           ")), `line 3: mean motion is "           "; expected a number from 1e-08 to 20 in columns 53-63`},
		{"not ASCII", tle(strings.Replace(line1, "U", "\x80", 1), line2), `line 2: column 8 of element line 1 is "\x80"; expected printable ASCII`},

		{"JSON range", json(`"ECCENTRICITY":"0.0001234"`, `"ECCENTRICITY":1.5`), `line 9: ECCENTRICITY is "1.5"; expected a number from 0 to 0.9999999`},
		{"JSON missing", json(`"BSTAR":2.8098e-05,`, ``), `line 1: BSTAR is missing; expected a number from -100 to 100`},
		{"JSON kind", json(`"ECCENTRICITY":"0.0001234"`, `"ECCENTRICITY":[1]`), `line 9: ECCENTRICITY is "["; expected a number or a string`},
		{"JSON twice", json(`"ECCENTRICITY":`, `"INCLINATION":1,"ECCENTRICITY":`), `line 10: INCLINATION is "53.0537"; expected each field once in a message; it stands in line 9 already`},
		{"JSON end", json(`}`, ``), `line 19: the JSON text is "invalid character ']' after object key:value pair"; expected well-formed JSON`},
		{"JSON not an array", `[17]`, `line 1: the JSON array is "17"; expected objects, one for each satellite`},
		{"JSON more", json("\n]", "\n][]"), `line 19: the text after the end of the JSON is "["; expected nothing more`},
		{"frame", json(`"TEME"`, `"ITRF"`), `line 4: REF_FRAME is "ITRF"; expected TEME`},
		{"OMM epoch", json(`2026-03-01T12:00:00.000000`, `01.03.2026`), `line 7: EPOCH is "01.03.2026"; expected a UTC date and time such as 2026-03-01T12:00:00.123456, from 1957 on`},
		{"OMM number", json(`"102345"`, `"A2345"`), `line 15: NORAD_CAT_ID is "A2345"; expected a catalogue number of up to nine digits`},
		{"CSV columns", csv + "1,2,3\n", `line 3: the line is "1,2,3"; expected 18 values as in the header, not 3`},
		{"CSV quotes", csv + `"a` + "\n", `line 3: the line is "\"a"; expected up to 256 values with commas in between, each quoted wholly or not at all`},
		{"KVN line", strings.Replace(kvn, "BSTAR                =", "BSTAR", 1), `line 20: the line is "BSTAR 2.8098e-05"; expected KEYWORD = value`},
		{"XML root", "<html><body>busy</body></html>", `line 1: the root element is "html"; expected ndm or omm`},
		{"XML end", "<ndm>\n<omm>", `line 2: the XML text is "XML syntax error on line 2: unexpected EOF"; expected well-formed XML in UTF-8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(c.text), Detect)
			if err == nil {
				t.Fatalf("no error for\n%s", c.text)
			}
			if err.Error() != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			var field *FieldError
			if !errors.As(err, &field) && err != ErrNone {
				t.Errorf("%T is not a *FieldError", err)
			}
		})
	}
}

func sample(t testing.TB) Elements {
	e, err := ParseTLE(nameLine, line1, line2)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// endless is a hostile input.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += int64(len(p))
	return len(p), nil
}

func TestSizeIsBounded(t *testing.T) {
	r := &endless{}
	if _, err := Read(r, Detect); err == nil || !strings.Contains(err.Error(), "larger than 128 MiB") {
		t.Errorf("got %v", err)
	}
	if r.read > MaxSize+1<<20 {
		t.Errorf("read %d bytes", r.read)
	}
}
