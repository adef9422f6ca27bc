package celestrak

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// start of all tests' time.
var start = time.Date(2026, 3, 27, 8, 11, 36, 0, time.UTC)

const layout = "2006-01-02T15:04:05.000000"

// encode writes one made-up element set per number, of the same epoch.
func encode(format Format, epoch time.Time, numbers ...int) string {
	var b strings.Builder
	fields := func(number int) [][2]string {
		return [][2]string{
			{"OBJECT_NAME", fmt.Sprintf("TEST-%d", number)}, {"OBJECT_ID", "2019-010A"}, {"EPOCH", epoch.Format(layout)},
			{"MEAN_MOTION", "13.16594606"}, {"ECCENTRICITY", "0.0002574"}, {"INCLINATION", "87.9123"},
			{"RA_OF_ASC_NODE", "141.913"}, {"ARG_OF_PERICENTER", "59.6606"}, {"MEAN_ANOMALY", "300.478"},
			{"EPHEMERIS_TYPE", "0"}, {"CLASSIFICATION_TYPE", "U"}, {"NORAD_CAT_ID", fmt.Sprint(number)},
			{"ELEMENT_SET_NO", "999"}, {"REV_AT_EPOCH", "17103"}, {"BSTAR", "0.00048632"},
			{"MEAN_MOTION_DOT", "0.00000199"}, {"MEAN_MOTION_DDOT", "0"},
		}
	}
	switch format {
	case JSON:
		b.WriteString("[")
		for i, n := range numbers {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString("{")
			for j, f := range fields(n) {
				if j > 0 {
					b.WriteString(",")
				}
				fmt.Fprintf(&b, "%q:%q", f[0], f[1])
			}
			b.WriteString("}")
		}
		b.WriteString("]")
	case CSV:
		for i, n := range numbers {
			var head, row []string
			for _, f := range fields(n) {
				head, row = append(head, f[0]), append(row, f[1])
			}
			if i == 0 {
				fmt.Fprintf(&b, "%s\r\n", strings.Join(head, ","))
			}
			fmt.Fprintf(&b, "%s\r\n", strings.Join(row, ","))
		}
	case KVN:
		for _, n := range numbers {
			b.WriteString("CCSDS_OMM_VERS = 3.0\nCREATION_DATE =\nORIGINATOR =\n")
			for _, f := range fields(n) {
				fmt.Fprintf(&b, "%s = %s\n", f[0], f[1])
			}
		}
	case XML:
		b.WriteString("<?xml version=\"1.0\"?>\n<ndm>")
		for _, n := range numbers {
			b.WriteString(`<omm id="CCSDS_OMM_VERS" version="3.0"><body><segment>`)
			for _, f := range fields(n) {
				fmt.Fprintf(&b, "<%s>%s</%s>\n", f[0], f[1], f[0])
			}
			b.WriteString("</segment></body></omm>")
		}
		b.WriteString("</ndm>")
	case TLE:
		for _, n := range numbers {
			day := float64(epoch.YearDay()) + float64(epoch.Sub(epoch.Truncate(24*time.Hour)))/float64(24*time.Hour)
			fmt.Fprintf(&b, "TEST-%d\r\n%s\r\n%s\r\n", n,
				checksum(fmt.Sprintf("1 %05dU 19010A   %02d%012.8f  .00000199  00000+0  48632-3 0  999", n, epoch.Year()%100, day)),
				checksum(fmt.Sprintf("2 %05d  87.9123 141.9130 0002574  59.6606 300.4780 13.1659460617103", n)))
		}
	}
	return b.String()
}

// checksum appends the last digit of a TLE line.
func checksum(line string) string {
	sum := 0
	for _, c := range line {
		if c >= '0' && c <= '9' {
			sum += int(c - '0')
		} else if c == '-' {
			sum++
		}
	}
	return fmt.Sprintf("%s%d", line, sum%10)
}

// fakeServer behaves like CelesTrak, as far as its documentation and its
// users tell: new data every two hours, each sent once to the same address.
type fakeServer struct {
	*httptest.Server

	mu       sync.Mutex
	now      time.Time
	down     bool // answers HTTP 503
	plain    bool // has no Last-Modified and answers 200 again, as for small groups
	sent     map[string]time.Time
	requests []string
	statuses []int
}

func newFakeServer(t testing.TB) *fakeServer {
	f := &fakeServer{now: start, sent: map[string]time.Time{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// issue is when the data of an instant came out.
func issue(now time.Time) time.Time { return now.Truncate(2 * time.Hour) }

func (f *fakeServer) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.answer(w, r)
	f.requests = append(f.requests, r.URL.String())
	f.statuses = append(f.statuses, status)
}

func (f *fakeServer) answer(w http.ResponseWriter, r *http.Request) int {
	say := func(status int, text string) int {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
		return status
	}
	if f.down {
		return say(http.StatusServiceUnavailable, "busy")
	}
	if r.URL.Path != "/NORAD/elements/gp.php" {
		return say(http.StatusNotFound, "<html>not here</html>")
	}
	format := Format(strings.ToLower(r.URL.Query().Get("FORMAT")))
	var numbers []int
	switch {
	case r.URL.Query().Get("GROUP") == "oneweb":
		numbers = []int{44057, 44058}
	case r.URL.Query().Get("CATNR") == "44057":
		numbers = []int{44057}
	case r.URL.Query().Get("INTDES") == "2019-010":
		numbers = []int{44057, 44059, 44060}
	case r.URL.Query().Has("GROUP"):
		return say(http.StatusOK, fmt.Sprintf("Invalid query: %q (GROUP not found)", r.URL.RawQuery))
	default:
		return say(http.StatusNotFound, "No GP data found")
	}
	came := issue(f.now)
	if !f.plain {
		if since, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil && !came.After(since) {
			return say(http.StatusNotModified, "")
		}
		if last, ok := f.sent[r.URL.RawQuery]; ok && issue(last).Equal(came) {
			return say(http.StatusForbidden, fmt.Sprintf("GP data has not updated since your last successful\ndownload of %s at %s UTC.\nData is updated once every 2 hours.\n",
				strings.Split(r.URL.RawQuery, "&")[0], last.Format("2006-01-02 15:04:05")))
		}
		w.Header().Set("Last-Modified", came.Format(http.TimeFormat))
	}
	f.sent[r.URL.RawQuery] = f.now
	body := encode(format, came, numbers...)
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return say(http.StatusOK, body)
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	fmt.Fprint(z, body)
	z.Close()
	return http.StatusOK
}
