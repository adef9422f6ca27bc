package celestrak

import (
	"bytes"
	"crypto/sha256"
	"net/url"
	"slices"
	"strings"
	"testing"

	"orrery.dev/orrery/orbit/gp"
)

func TestParseQuery(t *testing.T) {
	for _, c := range []struct {
		text   string
		format Format
		want   string // the query's URL, or the error
	}{
		{"starlink", "", "https://celestrak.org/NORAD/elements/gp.php?GROUP=starlink&FORMAT=json"},
		{"iridium-NEXT", TLE, "https://celestrak.org/NORAD/elements/gp.php?GROUP=iridium-NEXT&FORMAT=tle"},
		{"25544", KVN, "https://celestrak.org/NORAD/elements/gp.php?CATNR=25544&FORMAT=kvn"},
		{"999999999", XML, "https://celestrak.org/NORAD/elements/gp.php?CATNR=999999999&FORMAT=xml"},
		{"1998-067", CSV, "https://celestrak.org/NORAD/elements/gp.php?INTDES=1998-067&FORMAT=csv"},
		{"0", "", "catalogue number 0 is out of range; it has one to nine digits"},
		{"1234567890", "", "catalogue number 1234567890 is out of range; it has one to nine digits"},
		{"", "", "a query has one group, catalogue number or launch, and this one has 0"},
		{"star link", "", `"star link" is no name of a group; names are like starlink or gps-ops`},
		{"a&FORMAT=tle", "", `"a&FORMAT=tle" is no name of a group; names are like starlink or gps-ops`},
		{"starlink", "yaml", `format "yaml" is unknown; use json, csv, xml, kvn or tle`},
	} {
		q, err := ParseQuery(c.text, c.format)
		got := ""
		if err == nil {
			got, err = q.url(BaseURL)
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q as %q:\ngot  %s\nwant %s", c.text, c.format, got, c.want)
		}
	}
}

func TestBaseURL(t *testing.T) {
	for base, want := range map[string]string{
		"http://127.0.0.1:80":       "http://127.0.0.1:80/NORAD/elements/gp.php?CATNR=5&FORMAT=json",
		"https://mirror.example/x/": "https://mirror.example/x/NORAD/elements/gp.php?CATNR=5&FORMAT=json",
		"celestrak.org":             `"celestrak.org" is no base URL; one is like https://celestrak.org`,
		"ftp://celestrak.org":       `"ftp://celestrak.org" is no base URL; one is like https://celestrak.org`,
		"http://\x7f":               `"http://\x7f" is no base URL; one is like https://celestrak.org`,
	} {
		got, err := Query{Number: 5}.url(base)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", base, got, want)
		}
	}
}

func TestMeant(t *testing.T) {
	for name, want := range map[string]string{
		"starlnk": "starlink", "STARLINK": "starlink", "iridium-next": "iridium-NEXT", "onweb": "oneweb",
		"iridium": "iridium-NEXT", "gps": "gps-ops", "go": "", "kuipr": "kuiper", "qwertyuiop": "", "globalsta": "globalstar",
	} {
		if got := meant(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if !slices.IsSortedFunc(Groups, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }) {
		t.Error("Groups is not sorted")
	}
}

func TestJoin(t *testing.T) {
	for _, format := range Formats {
		got, err := Join(format, []byte(encode(format, start, 1, 2)), []byte(encode(format, start, 3)))
		if format == XML {
			if err == nil {
				t.Error("XML was joined")
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		sets, err := gp.Read(strings.NewReader(string(got)), gp.Detect)
		if err != nil || len(sets) != 3 || sets[0].Number != 1 || sets[1].Number != 2 || sets[2].Number != 3 {
			t.Errorf("%s: %+v, %v", format, sets, err)
		}
	}
	one := []byte(encode(XML, start, 1))
	if got, err := Join(XML, one); err != nil || string(got) != string(one) {
		t.Errorf("one answer: %v", err)
	}
	if _, err := Join(CSV, []byte("A,B\n1,2\n"), []byte("B,A\n1,2\n")); err == nil {
		t.Error("CSV with other columns was joined")
	}
	if _, err := Join("yaml", nil, nil); err == nil {
		t.Error("an unknown format was joined")
	}
}

// Whatever is accepted goes into the URL as one parameter.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"starlink", "25544", "1998-067", "a&b=c", "ä", "1 2", "%00", strings.Repeat("9", 30)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseQuery(text, JSON)
		if err != nil {
			return
		}
		address, err := q.url(BaseURL)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		v, err := url.ParseQuery(u.RawQuery)
		if err != nil || len(v) != 2 || u.Host != "celestrak.org" || u.Path != "/NORAD/elements/gp.php" {
			t.Fatalf("%q became %s", text, address)
		}
	})
}

// A damaged cache is never taken for an answer.
func FuzzCache(f *testing.F) {
	const address = "https://celestrak.org/x"
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"URL":"https://celestrak.org/x"}` + "\nbody"))
	const head = `{"URL":"https://celestrak.org/x"}` + "\n"
	f.Add([]byte(sum([]byte(head+"body")) + "\n" + head + "body"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := cache{t.TempDir()}
		if err := WriteFile(c.path(address), data); err != nil {
			t.Fatal(err)
		}
		e := c.load(address)
		if e == nil {
			return
		}
		if e.URL != address || !bytes.HasSuffix(data, e.body) || !bytes.HasPrefix(data, []byte(sum(data[2*sha256.Size+1:])+"\n")) {
			t.Fatalf("%q was read as %+v", data, e)
		}
	})
}
