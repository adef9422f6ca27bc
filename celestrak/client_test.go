package celestrak

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFetchEachFormat(t *testing.T) {
	server := newFakeServer(t)
	for _, format := range append([]Format{""}, Formats...) {
		for _, c := range []struct {
			text string
			sets int
		}{{"oneweb", 2}, {"44057", 1}, {"2019-010", 3}} {
			t.Run(string(format)+" "+c.text, func(t *testing.T) {
				q, err := ParseQuery(c.text, format)
				if err != nil {
					t.Fatal(err)
				}
				client := Client{BaseURL: server.URL, Now: server.time, Cache: t.TempDir()}
				server.sent = map[string]time.Time{}
				body, info, err := client.Fetch(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if info.Sets != c.sets || info.Source != FromNetwork || !info.Fetched.Equal(start) || info.CacheProblem != nil {
					t.Errorf("%+v", info)
				}
				if d := info.Newest.Sub(issue(start)).Abs(); d > time.Millisecond || info.Oldest != info.Newest {
					t.Errorf("epochs %v to %v, want %v", info.Oldest, info.Newest, issue(start))
				}
				again, info, err := client.Fetch(t.Context(), q)
				if err != nil || string(again) != string(body) || info.Source != FromCache || info.Sets != c.sets {
					t.Errorf("second time: %+v, %v", info, err)
				}
			})
		}
	}
}

// A model of cache and server: whatever happens, in whatever order, an answer
// is one that the server gave, no older than need be, and the server is asked
// no more often than allowed.
func TestCacheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "celestrak")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		server := &fakeServer{now: start, sent: map[string]time.Time{}}
		server.Server = httptest.NewServer(server)
		defer server.Close()
		server.plain = rapid.Bool().Draw(t, "plain")
		client := Client{BaseURL: server.URL, Now: server.time, Cache: dir}
		q := Query{Group: "oneweb"}

		var held time.Time    // issue of the data in the cache, zero if none
		var checked time.Time // when the server last confirmed it

		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				server.now = server.now.Add(time.Duration(rapid.IntRange(1, 180).Draw(t, "minutes")) * time.Minute)
			},
			"fail or recover": func(*rapid.T) { server.down = !server.down },
			"damage the cache": func(t *rapid.T) {
				// Damaged twice, a file may be whole again: the same bit turned back.
				if held.IsZero() {
					t.Skip("nothing cached, or damaged before")
				}
				files, err := filepath.Glob(filepath.Join(dir, "*"))
				if err != nil || len(files) == 0 {
					t.Fatalf("no file in the cache: %v", err)
				}
				data, err := os.ReadFile(files[0])
				if err != nil || len(data) == 0 {
					t.Fatalf("%d bytes in %s: %v", len(data), files[0], err)
				}
				if rapid.Bool().Draw(t, "cut") {
					data = data[:rapid.IntRange(0, len(data)-1).Draw(t, "length")]
				} else {
					data[rapid.IntRange(0, len(data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				}
				if err := os.WriteFile(files[0], data, 0o600); err != nil {
					t.Fatal(err)
				}
				held, checked = time.Time{}, time.Time{}
			},
			"fetch": func(t *rapid.T) {
				client.Force = rapid.Bool().Draw(t, "force")
				before := len(server.requests)
				body, info, err := client.Fetch(context.Background(), q)
				asked := len(server.requests) - before

				age := server.now.Sub(checked)
				fresh := !held.IsZero() && age < Fresh && !client.Force
				if fresh && asked != 0 || !fresh && asked != 1 {
					t.Fatalf("asked %d times; the cached data was checked %v ago, force %v", asked, age, client.Force)
				}
				switch {
				case fresh:
				case server.down && (held.IsZero() || client.Force):
					var e *Error
					if !errors.As(err, &e) || e.Reason != ReasonUnreachable {
						t.Fatalf("the server is down, and the error is %v", err)
					}
					return
				case server.down:
					if info.Problem == nil || info.Source != FromCache {
						t.Fatalf("the server is down: %+v", info)
					}
				case server.statuses[before] == http.StatusForbidden && held.IsZero():
					var e *Error
					if !errors.As(err, &e) || e.Reason != ReasonNotUpdated {
						t.Fatalf("not updated, and the error is %v", err)
					}
					return
				default:
					held, checked = issue(server.now), server.now
				}
				if err != nil {
					t.Fatal(err)
				}
				if want := encode(JSON, held, 44057, 44058); string(body) != want {
					t.Fatalf("got  %s\nwant %s", body, want)
				}
				if !info.Checked.Equal(checked) || info.CacheProblem != nil {
					t.Fatalf("%+v, checked at %v", info, checked)
				}
			},
		})
	})
}

func TestRefusals(t *testing.T) {
	html := "<!DOCTYPE html><html><body>Welcome to the hotel</body></html>"
	for _, c := range []struct {
		name   string
		query  Query
		status int
		header http.Header
		body   string
		reason Reason
		want   string
	}{
		{"misspelt group", Query{Group: "starlnk"}, 200, nil, `Invalid query: "GROUP=starlnk&FORMAT=json" (GROUP "starlnk" not found)`, ReasonUnknown,
			"CelesTrak has no data for GROUP=starlnk: did you mean starlink?"},
		{"unknown group", Query{Group: "zzzzzzzz"}, 404, nil, "Invalid query", ReasonUnknown,
			"CelesTrak has no data for GROUP=zzzzzzzz: its groups are listed at https://celestrak.org/NORAD/elements/"},
		{"unknown number", Query{Number: 999}, 200, nil, "No GP data found", ReasonUnknown,
			"CelesTrak has no data for CATNR=999: the object may have decayed or its orbit may not be published"},
		{"number beyond TLE", Query{Number: 123456, Format: TLE}, 404, nil, "No GP data found", ReasonUnknown,
			"CelesTrak has no data for CATNR=123456: TLE has no room for this number; use the format json"},
		{"not updated", Query{Group: "starlink"}, 403, nil,
			"GP data has not updated since your last successful\ndownload of GROUP=starlink at 2026-03-27 08:11:36 UTC.\nData is updated once every 2 hours.\n", ReasonNotUpdated,
			"CelesTrak has no newer data for GROUP=starlink than it has sent to this network address at 08:11 UTC, and sends it once; use the file of then, or try again after 10:11 UTC"},
		{"not updated, with status 200 and no time", Query{Group: "starlink"}, 200, nil, "GP data has not updated since your last successful download", ReasonNotUpdated,
			"CelesTrak has no newer data for GROUP=starlink than it has sent to this network address before, and sends it once; use the file of then, or try again in two hours"},
		{"forbidden", Query{Group: "starlink"}, 403, nil, "<html>Forbidden</html>", ReasonRefused,
			"HOST refuses to answer this network address (HTTP 403), as it does after too many requests; do not ask again for two hours, see https://celestrak.org/usage-policy.php"},
		{"too many", Query{Group: "starlink"}, 429, nil, "", ReasonRefused,
			"HOST refuses to answer this network address (HTTP 429), as it does after too many requests; do not ask again for two hours, see https://celestrak.org/usage-policy.php"},
		{"wrong host", Query{Group: "starlink"}, 404, nil, "<html>Not Found</html>", ReasonUnknown,
			"HOST has no page http://HOST/NORAD/elements/gp.php?GROUP=starlink&FORMAT=json (HTTP 404); check the base URL"},
		{"moved", Query{Group: "starlink"}, 301, http.Header{"Location": {"https://celestrak.org/"}}, "", ReasonRefused,
			`HOST redirects to "https://celestrak.org/" (HTTP 301); use that as base URL`},
		{"fault", Query{Group: "starlink"}, 502, nil, "", ReasonUnreachable,
			"HOST has a fault of its own (HTTP 502); try again later"},
		{"teapot", Query{Group: "starlink"}, 418, nil, "short and stout\nhandle", ReasonRefused,
			`HOST answers HTTP 418 to GROUP=starlink: "short and stout"`},
		{"captive portal", Query{Group: "starlink"}, 200, nil, html, ReasonUnreadable,
			"what HOST sent is not to be read as json: line 1: the JSON text is"},
		{"captive portal for TLE", Query{Group: "starlink", Format: TLE}, 200, nil, html, ReasonUnreadable, "what HOST sent is not to be read as tle: "},
		{"empty", Query{Group: "starlink"}, 200, nil, "[]", ReasonUnreadable,
			"what HOST sent is not to be read as json: no element sets found"},
		{"cut short", Query{Number: 44057}, 200, nil, encode(JSON, start, 44057)[:200], ReasonUnreadable, "what HOST sent is not to be read as json: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.header {
					w.Header()[k] = v
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			defer server.Close()
			dir := t.TempDir()
			client := Client{BaseURL: server.URL, Cache: dir}
			_, _, err := client.Fetch(t.Context(), c.query)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			want := strings.ReplaceAll(c.want, "HOST", strings.TrimPrefix(server.URL, "http://"))
			if e.Reason != c.reason || !strings.HasPrefix(e.Error(), want) || strings.Contains(e.Error(), "\n") {
				t.Errorf("got  %s: %s\nwant %s: %s", e.Reason, e, c.reason, want)
			}
			if files, _ := os.ReadDir(dir); len(files) != 0 {
				t.Errorf("a refusal has been cached: %v", files)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	// A gzip file may consist of several, one after the other.
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	z.Write(make([]byte, 1<<20))
	z.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for range MaxSize>>20 + 1 {
			if _, err := w.Write(member.Bytes()); err != nil {
				return // the client has seen enough
			}
		}
	}))
	defer server.Close()
	client := Client{BaseURL: server.URL}
	_, _, err := client.Fetch(t.Context(), Query{Group: "active"})
	var e *Error
	if !errors.As(err, &e) || e.Reason != ReasonTooLarge {
		t.Fatalf("got %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer stuck.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "[")
	}))
	defer broken.Close()
	secret := httptest.NewUnstartedServer(http.NotFoundHandler())
	secret.Config.ErrorLog = log.New(io.Discard, "", 0)
	secret.StartTLS()
	defer secret.Close()

	for _, c := range []struct {
		name   string
		client Client
		want   string
	}{
		{"refused", Client{BaseURL: "http://" + closed.Addr().String()}, "connection refused; check the network, or set HTTPS_PROXY if there is a proxy"},
		{"no name", Client{HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "celestrak.org", Err: "no such host", IsNotFound: true}}
		})}}, "celestrak.org cannot be asked for GROUP=oneweb: its name cannot be resolved; check the network"},
		{"stuck", Client{BaseURL: stuck.URL, HTTP: &http.Client{Timeout: 50 * time.Millisecond}}, "no answer in time; check the network, or try again later"},
		{"broken off", Client{BaseURL: broken.URL}, "unexpected EOF; try again later"},
		{"certificate", Client{BaseURL: secret.URL}, "its certificate is signed by an unknown authority; check the certificates"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := c.client.Fetch(t.Context(), Query{Group: "oneweb"})
			var e *Error
			if !errors.As(err, &e) || e.Reason != ReasonUnreachable || !strings.Contains(e.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := (&Client{BaseURL: stuck.URL}).Fetch(ctx, Query{Group: "oneweb"})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// A cache that cannot be written costs the cache, not the answer.
func TestCacheOutOfOrder(t *testing.T) {
	server := newFakeServer(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	client := Client{BaseURL: server.URL, Cache: filepath.Join(file, "below")}
	body, info, err := client.Fetch(t.Context(), Query{Group: "oneweb"})
	if err != nil || info.CacheProblem == nil || len(body) == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestUserAgent(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.UserAgent()
		fmt.Fprint(w, encode(JSON, start, 5))
	}))
	defer server.Close()
	for _, agent := range []string{"", "orrery/1.2"} {
		if _, _, err := (&Client{BaseURL: server.URL, UserAgent: agent}).Fetch(t.Context(), Query{Number: 5}); err != nil {
			t.Fatal(err)
		}
		if want := agent; got != want && !(want == "" && got == "orrery") {
			t.Errorf("user agent %q, want %q", got, want)
		}
	}
}
