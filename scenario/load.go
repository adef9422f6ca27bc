package scenario

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Load reads a scenario file, fills in the defaults and checks it, with the
// files that it names. A scenario that is not valid gives Errors; a file that
// cannot be read gives the operating system's error.
func Load(path string) (*Scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the scenario cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("the scenario cannot be read: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; name a scenario file", path)
	}
	var data bytes.Buffer
	if _, err := data.ReadFrom(&limited{f, maxSize + 1}); err != nil {
		return nil, fmt.Errorf("the scenario cannot be read: %w", err)
	}
	return parse(newSource(path), data.Bytes(), true)
}

// limited ends a stream after n bytes, so that /dev/zero is a large file only.
type limited struct {
	f *os.File
	n int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, io.EOF
	}
	n, err := l.f.Read(p[:min(len(p), l.n)])
	l.n -= n
	return n, err
}

// Parse is Load for a text; name stands in messages, and its directory is the
// one that relative paths start from. Parse touches no file.
func Parse(name string, data []byte) (*Scenario, error) {
	return parse(newSource(name), data, false)
}

// ParseObject is Parse for a Kubernetes object in JSON, whose lines nobody has
// written: problems name the fields by their paths alone. Relative paths of the
// files that the scenario names start from dir.
func ParseObject(dir string, data []byte) (*Scenario, error) {
	src := newSource(filepath.Join(dir, "scenario.json"))
	src.object = true
	return parse(src, data, false)
}

func parse(src *source, data []byte, files bool) (*Scenario, error) {
	root, values, err := src.read(data)
	if err != nil {
		return nil, err
	}
	s := &Scenario{source: src}
	r := &report{source: src}
	examine(r, root, values, s, files)
	if err := r.errors(); err != nil {
		return nil, err
	}
	return s, nil
}

// read makes a tree of a text and keeps its lines; parseTree says what values is.
func (s *source) read(data []byte) (root *node, values int, err error) {
	fail := func(at position, what, right string) error {
		r := &report{source: s}
		r.add(at, "", what, right)
		return r.errors()
	}
	if len(data) > maxSize {
		return nil, 0, fail(position{}, fmt.Sprintf("the file is larger than %d MiB", maxSize>>20), "a scenario is some kilobytes of YAML; name orbit files in it instead of writing them out")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	s.lines = strings.Split(text, "\n")
	if at, what := unreadable(text); what != "" {
		return nil, 0, fail(at, what, "write UTF-8 text")
	}
	root, values, syntax := parseTree(text)
	if syntax != nil {
		return nil, 0, fail(syntax.at, syntax.what, syntax.right)
	}
	return root, values, nil
}

// examine runs all checks of a document of so many values, ended early by too
// many problems.
func examine(r *report, root *node, values int, s *Scenario, files bool) {
	defer r.catch()
	if otherKind(r, root, Kind) {
		return
	}
	decode(root, values+maxAliased, s, r)
	s.check(r)
	if files {
		s.checkFiles(r)
	}
}

// otherKind says whether a document is an object of another kind than the one that is
// wanted, of which nothing else is worth telling.
func otherKind(r *report, root *node, want string) bool {
	for _, e := range root.entries {
		if e.key.text == "kind" && e.value.kind == scalar && e.value.text != want && nearest(e.value.text, []string{want}) == "" {
			r.add(e.value.position, "kind", fmt.Sprintf("the kind is %q, not %s", clipped(e.value.text), want), fmt.Sprintf("write \"apiVersion: %s\" and \"kind: %s\"", APIVersion, want))
			return true
		}
	}
	return false
}

// unreadable finds bytes that no text has.
func unreadable(text string) (position, string) {
	at := position{1, 1}
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			return at, "the file is not UTF-8"
		case r < ' ' && r != '\n' && r != '\t', r == 0x7f, r == 0xfeff:
			return at, fmt.Sprintf("the file holds the control character U+%04X", r)
		case r == '\n':
			at = position{at.line + 1, 1}
		default:
			at.column++
		}
	}
	return position{}, ""
}

// Path makes a path of the scenario file absolute or relative to the working
// directory: relative ones start from the directory of the scenario file.
func (s *Scenario) Path(path string) string {
	if s.source == nil || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(s.source.name), path)
}

// Problem is an error about a field of the scenario ("spec.stations[2].name"),
// for what only shows later, such as the content of an orbit file. It points
// at the line of the file if there is one.
func (s *Scenario) Problem(path, what, right string) error {
	if s.source == nil {
		return (*source)(nil).problem(position{}, path, what, right)
	}
	return s.source.problem(s.source.at(path), path, what, right)
}
