package main

import (
	"strings"
	"testing"
)

func run(t *testing.T, lines ...string) (*report, string) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	r.close("pure")
	return r, out.String()
}

func TestPass(t *testing.T) {
	r, out := run(t,
		`{"Action":"run","Package":"a","Test":"TestX"}`,
		`{"Action":"output","Package":"a","Test":"TestX","Output":"chatter\n"}`,
		`{"Action":"run","Package":"a","Test":"TestX/one"}`,
		`{"Action":"pass","Package":"a","Test":"TestX/one"}`,
		`{"Action":"run","Package":"a","Test":"TestX/two"}`,
		`{"Action":"output","Package":"a","Test":"TestX/two","Output":"    x_test.go:9: needs root: make namespaces\n"}`,
		`{"Action":"output","Package":"a","Test":"TestX/two","Output":"--- SKIP: TestX/two (0.00s)\n"}`,
		`{"Action":"skip","Package":"a","Test":"TestX/two"}`,
		`{"Action":"pass","Package":"a","Test":"TestX"}`,
		`{"Action":"output","Package":"a","Output":"ok  \ta\t0.012s\n"}`,
		`{"Action":"pass","Package":"a"}`,
	)
	want := "ok  \ta\t0.012s\n\nSkipped:\n  a TestX/two: needs root: make namespaces\n\npure: 1 passed, 0 failed, 1 skipped\n"
	if out != want {
		t.Errorf("got  %q\nwant %q", out, want)
	}
	if r.bad() {
		t.Error("counted as a failure")
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"test", []string{
			`{"Action":"run","Package":"a","Test":"TestX"}`,
			`{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:3: 1 != 2\n"}`,
			`{"Action":"fail","Package":"a","Test":"TestX"}`,
			`{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}`,
			`{"Action":"fail","Package":"a"}`,
		}, []string{"1 != 2", "FAIL\ta\t0.1s", "pure: 0 passed, 1 failed"}},
		{"build", []string{
			`{"ImportPath":"a","Action":"build-output","Output":"x.go:1:1: no\n"}`,
			`{"ImportPath":"a","Action":"build-fail"}`,
			`{"Action":"fail","Package":"a"}`,
		}, []string{"x.go:1:1: no", "pure: 0 passed, 1 failed"}},
		{"exit within a test", []string{
			`{"Action":"run","Package":"a","Test":"TestX"}`,
			`{"Action":"output","Package":"a","Test":"TestX","Output":"last words\n"}`,
			`{"Action":"fail","Package":"a"}`,
		}, []string{"last words", "pure: 0 passed, 1 failed"}},
		{"nothing", []string{`{"Action":"pass","Package":"a"}`}, []string{"pure: 0 passed, 0 failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, out := run(t, c.lines...)
			if !r.bad() {
				t.Error("counted as a success")
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%q lacks %q", out, w)
				}
			}
		})
	}
}

// What failed can be run again by itself, but for what is not a test's.
func TestPatterns(t *testing.T) {
	subtest := []string{
		`{"Action":"fail","Package":"a","Test":"TestX/one (1)"}`,
		`{"Action":"pass","Package":"a","Test":"TestX/two"}`,
		`{"Action":"fail","Package":"a","Test":"TestX"}`,
		`{"Action":"fail","Package":"a"}`,
		`{"Action":"fail","Package":"b","Test":"TestY"}`,
		`{"Action":"fail","Package":"b"}`,
	}
	r, _ := run(t, subtest...)
	if got, want := strings.Join(r.patterns(), ""), "a ^TestX$/^one \\(1\\)$\nb ^TestY$\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for name, event := range map[string]string{
		"a package that panicked": `{"Action":"fail","Package":"c"}`,
		"a build":                 `{"Action":"build-fail","ImportPath":"c"}`,
		"a data race":             `{"Action":"output","Package":"b","Test":"TestY","Output":"WARNING: DATA RACE\n"}`,
	} {
		r, _ := run(t, append(subtest, event)...)
		if got := r.patterns(); len(got) > 0 {
			t.Errorf("%s: got %q, want none", name, got)
		}
	}
}
