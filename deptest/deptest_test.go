package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "orrery.dev/orrery"

// pkg is a package as "go list" tells it.
type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	Imports    []string
	Standard   bool
	GoFiles    []string
}

// own is the import path without the module's path, "" if the package is not
// of this module.
func (p *pkg) own() string {
	if p.ImportPath == module {
		return "."
	}
	own, ok := strings.CutPrefix(p.ImportPath, module+"/")
	if !ok {
		return ""
	}
	return own
}

// load lists all packages of the module and whatever they import, without
// their tests, for Linux.
func load(t *testing.T) map[string]*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-e", "-json=ImportPath,Name,Dir,Imports,Standard,GoFiles", "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, problems.String())
	}
	all := map[string]*pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all[p.ImportPath] = p
	}
	if all[module+"/scenario"] == nil {
		t.Fatalf("go list names no package scenario among %d", len(all))
	}
	return all
}

// ours are the packages of the module that match, in order.
func ours(all map[string]*pkg, patterns, except []string) []*pkg {
	var out []*pkg
	for _, p := range all {
		if own := p.own(); own != "" && matchAny(patterns, own) && !matchAny(except, own) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *pkg) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return out
}

// short is how patterns call a package.
func short(importPath string) string {
	return strings.TrimPrefix(importPath, module+"/")
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == root || strings.HasPrefix(name, root+"/")
	}
	return pattern == name
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"net", "net", true}, {"net", "net/http", false}, {"net/...", "net/http", true}, {"net/...", "net", true},
		{"net/...", "network", false}, {"...", "x", true},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}

// Every pattern that names packages of this module names one, unless the room
// is still to be built.
func TestPatternsAreNotStale(t *testing.T) {
	all := load(t)
	planned := []string{"web/...", "observe", "route/...", "route"}
	var patterns []string
	patterns = append(append(append(patterns, pure...), generators...), clockReaders...)
	for _, f := range forbiddings {
		patterns = append(append(patterns, f.packages...), f.except...)
	}
	for _, r := range reserves {
		patterns = append(patterns, r.for_...)
	}
	slices.Sort(patterns)
	for _, p := range slices.Compact(patterns) {
		if !slices.Contains(planned, p) && len(ours(all, []string{p}, nil)) == 0 {
			t.Errorf("rules name %q, and no package is called so", p)
		}
	}
}

func TestForbiddings(t *testing.T) {
	all := load(t)
	for _, rule := range forbiddings {
		for _, p := range ours(all, rule.packages, rule.except) {
			for _, chain := range chains(all, p, rule.forbidden) {
				t.Errorf("%s must not import %s: %s.\n\tIt does by %s", p.own(), chain[len(chain)-1], rule.because, strings.Join(chain, " → "))
			}
		}
	}
}

// chains are the shortest ways by which a package comes to import what is
// forbidden, one for each forbidden package. What packages of the standard
// library import is their own affair.
func chains(all map[string]*pkg, from *pkg, forbidden []string) [][]string {
	var found [][]string
	seen := map[string]bool{from.ImportPath: true}
	queue := [][]string{{from.ImportPath}}
	for len(queue) > 0 {
		way := queue[0]
		queue = queue[1:]
		p := all[way[len(way)-1]]
		if p == nil || p.Standard {
			continue
		}
		for _, i := range p.Imports {
			if seen[i] {
				continue
			}
			seen[i] = true
			next := append(slices.Clone(way), i)
			if matchAny(forbidden, short(i)) {
				names := make([]string, len(next))
				for k, n := range next {
					names[k] = short(n)
				}
				found = append(found, names)
				continue
			}
			queue = append(queue, next)
		}
	}
	return found
}

func TestReserves(t *testing.T) {
	all := load(t)
	for _, rule := range reserves {
		for _, p := range ours(all, []string{"..."}, rule.for_) {
			for _, i := range p.Imports {
				if matchAny(rule.imported, i) {
					t.Errorf("%s must not import %s: %s.\n\tOnly these may: %s", p.own(), i, rule.because, strings.Join(rule.for_, ", "))
				}
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, p := range ours(load(t), []string{"..."}, nil) {
		for _, name := range []string{p.Name, path.Base(p.ImportPath)} {
			if slices.Contains(meaningless, name) {
				t.Errorf("%s: a package called %q says nothing of what it is for", p.own(), name)
			}
		}
	}
}

// The architecture page has a row for every room, that is for every folder of
// the top level which holds packages.
func TestArchitecturePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{}
	for _, p := range ours(load(t), []string{"..."}, nil) {
		room, _, _ := strings.Cut(p.own(), "/")
		if room != "." {
			rooms[room] = true
		}
	}
	for room := range rooms {
		if !bytes.Contains(page, []byte("| `"+room+"` |")) {
			t.Errorf("docs/architecture.md has no row for %s; add \"| `%s` | what it is for |\" to its table of rooms", room, room)
		}
	}
}

// No package reads the clock but those in which host time is meant, and none
// draws random numbers that the scenario's seed does not determine.
func TestClockAndChance(t *testing.T) {
	for _, p := range ours(load(t), []string{"..."}, nil) {
		for _, name := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range clockAndChance(t, p.own(), name, source) {
				t.Error(problem)
			}
		}
	}
}

func clockAndChance(t *testing.T, own, name string, source []byte) []string {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, own+"/"+name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	ast.Inspect(f, func(n ast.Node) bool {
		switch from, what := selected(f, n); {
		case from == "time" && slices.Contains(clockFunctions, what) && !matchAny(clockReaders, own):
			problems = append(problems, fmt.Sprintf("%v: time.%s is not for %s: time comes from package clock, or as an argument", files.Position(n.Pos()), what, own))
		case from == "math/rand/v2" && !slices.Contains(seeded, what):
			problems = append(problems, fmt.Sprintf("%v: rand.%s draws from a source that nobody has seeded: randomness comes from the scenario's seed", files.Position(n.Pos()), what))
		}
		return true
	})
	return problems
}

// The checks find what they are for, in packages that are made up.
func TestChecksFind(t *testing.T) {
	all := map[string]*pkg{}
	for from, imports := range map[string][]string{
		module + "/sky":       {"math", module + "/orbit", "example.org/far"},
		module + "/orbit":     {"math"},
		"example.org/far":     {"example.org/farther", "fmt"},
		"example.org/farther": {"golang.org/x/sys/unix"},
		module + "/plan":      {module + "/sky", module + "/fabric"},
		module + "/fabric":    {"golang.org/x/sys/unix"},
	} {
		all[from] = &pkg{ImportPath: from, Imports: imports}
	}
	all["fmt"] = &pkg{ImportPath: "fmt", Standard: true, Imports: []string{"os/exec"}}
	for from, want := range map[string]string{
		"sky":   "sky → example.org/far → example.org/farther → golang.org/x/sys/unix",
		"plan":  "plan → fabric",
		"orbit": "",
	} {
		var got []string
		for _, c := range chains(all, all[module+"/"+from], []string{"golang.org/x/sys/...", "fabric/...", "os/exec"}) {
			got = append(got, strings.Join(c, " → "))
		}
		slices.Sort(got)
		if !strings.Contains(strings.Join(got, "; "), want) || (want == "") != (len(got) == 0) {
			t.Errorf("%s: got %q, want %q", from, got, want)
		}
	}

	source := []byte(`package sky

import (
	"math/rand/v2"
	other "time"
)

var x, y, z = other.Now(), rand.IntN(3), rand.New(rand.NewPCG(1, 2))
`)
	got := clockAndChance(t, "sky", "x.go", source)
	if len(got) != 2 || !strings.HasPrefix(got[0], "sky/x.go:8:15: time.Now") || !strings.HasPrefix(got[1], "sky/x.go:8:28: rand.IntN") {
		t.Errorf("got %q", got)
	}
	if got := clockAndChance(t, "clock", "x.go", source); len(got) != 1 {
		t.Errorf("in package clock: %q", got)
	}
}

// selected resolves a selector on an imported package, as time.Now. Both are
// empty for anything else.
func selected(f *ast.File, n ast.Node) (importPath, name string) {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		local := path.Base(p)
		if local == "v2" {
			local = path.Base(path.Dir(p))
		}
		if i.Name != nil {
			local = i.Name.Name
		}
		if local == x.Name {
			return p, s.Sel.Name
		}
	}
	return "", ""
}
