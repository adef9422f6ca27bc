// Command testreport reads the output of "go test -json" and prints what a
// person wants of it: a line for each package as go test prints it, all output
// of tests that failed, every skipped test with its reason, and the counts.
//
//	go test -json ./... | go run ./scripts/testreport -name pure
//
// It exits with 1 if anything failed or nothing ran. With -failures it writes
// which tests failed, one a line, as package and pattern for "go test -run": none,
// should anything have failed that is not a test, such as a build or a package
// that panicked, or should there have been a data race.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	name := flag.String("name", "tests", "what the closing line begins with")
	failures := flag.String("failures", "", "`file` for the tests that failed")
	flag.Parse()
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "testreport: reading the output of go test: %v\n", err)
		os.Exit(1)
	}
	r.close(*name)
	if *failures != "" {
		if err := os.WriteFile(*failures, []byte(strings.Join(r.patterns(), "")), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "testreport:", err)
			os.Exit(1)
		}
	}
	if r.bad() {
		os.Exit(1)
	}
}

// event is a line of go test -json (go doc test2json; build events: go help
// buildjson).
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	ImportPath string
}

// test is a test of a package; the package itself has an empty name.
type test struct{ pkg, name string }

type report struct {
	out     io.Writer
	output  map[test][]string
	parents map[test]bool
	ended   map[test]string // the action that ended it

	skips     []string
	failed    map[string]bool // packages
	badBuilds bool
	races     bool
	badTests  bool
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[test][]string{}, parents: map[test]bool{}, ended: map[test]string{}, failed: map[string]bool{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				// What go prints beside the stream of events.
				fmt.Fprintf(r.out, "%s", line)
			} else {
				r.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.badBuilds = true
	case "output":
		r.races = r.races || strings.HasPrefix(e.Output, "WARNING: DATA RACE")
		if e.Test == "" && packageLine.MatchString(e.Output) {
			fmt.Fprint(r.out, e.Output)
			return
		}
		r.output[t] = append(r.output[t], e.Output)
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			r.parents[test{e.Package, e.Test[:i]}] = true
		}
	case "pass", "fail", "skip":
		r.end(t, e.Action)
	}
}

// packageLine matches the result of a package, in the form that go test has
// without -json.
var packageLine = regexp.MustCompile(`^(ok  |FAIL|---)\t`)

// end keeps what is to be said of a test that has ended, and forgets its
// output.
func (r *report) end(t test, action string) {
	if t.name == "" {
		if action == "fail" {
			r.badTests = true
			r.failed[t.pkg] = true
			r.flush(t.pkg)
		}
		return
	}
	r.ended[t] = action
	switch action {
	case "fail":
		r.badTests = true
		fmt.Fprint(r.out, strings.Join(r.output[t], ""))
	case "skip":
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", t.pkg, t.name, reason(r.output[t])))
	}
	delete(r.output, t)
}

// flush prints what a failing package said outside of tests, and what those of
// its tests said that never came to an end.
func (r *report) flush(pkg string) {
	var tests []test
	for t := range r.output {
		if t.pkg == pkg {
			tests = append(tests, t)
		}
	}
	slices.SortFunc(tests, func(a, b test) int { return strings.Compare(a.name, b.name) })
	for _, t := range tests {
		fmt.Fprint(r.out, strings.Join(r.output[t], ""))
		delete(r.output, t)
	}
}

// location stands before what a test logs.
var location = regexp.MustCompile(`^\s+[\w.-]+\.go:\d+: `)

func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if at := location.FindString(line); at != "" {
			return strings.TrimSpace(line[len(at):])
		}
	}
	return "no reason given"
}

// count says how many tests ended with an action. A test with subtests is
// counted by them alone, unless it failed by itself.
func (r *report) count(action string) int {
	n := 0
	for t, ended := range r.ended {
		if ended == action && !r.parents[t] {
			n++
		}
	}
	return n
}

func (r *report) close(name string) {
	if len(r.skips) > 0 {
		slices.Sort(r.skips)
		fmt.Fprintf(r.out, "\nSkipped:\n  %s\n\n", strings.Join(r.skips, "\n  "))
	}
	fmt.Fprintf(r.out, "%s: %d passed, %d failed, %d skipped\n", name, r.count("pass"), r.failures(), r.count("skip"))
}

// failures counts failed tests, and at least one for what failed outside of
// any test.
func (r *report) failures() int {
	n := r.count("fail")
	if n == 0 && (r.badBuilds || r.badTests) {
		return 1
	}
	return n
}

// patterns are the failed tests without their parents, which failed because of them.
func (r *report) patterns() []string {
	if r.badBuilds || r.races {
		return nil // a second try would only hide it
	}
	within := map[test]bool{} // has a test that failed below it
	packages := map[string]bool{}
	for t, action := range r.ended {
		if action != "fail" {
			continue
		}
		packages[t.pkg] = true
		for i := strings.LastIndexByte(t.name, '/'); i > 0; i = strings.LastIndexByte(t.name[:i], '/') {
			within[test{t.pkg, t.name[:i]}] = true
		}
	}
	for pkg := range r.failed {
		if !packages[pkg] {
			return nil // it panicked, ran out of time, or a TestMain ended it
		}
	}
	var lines []string
	for t, action := range r.ended {
		if action == "fail" && !within[t] {
			elements := strings.Split(t.name, "/")
			for i, e := range elements {
				elements[i] = "^" + regexp.QuoteMeta(e) + "$"
			}
			lines = append(lines, t.pkg+" "+strings.Join(elements, "/")+"\n")
		}
	}
	slices.Sort(lines)
	return lines
}

func (r *report) bad() bool {
	return r.badBuilds || r.badTests || len(r.ended) == 0
}
