package interchange

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"orrery.dev/orrery/scenario"
)

// Import is a foreign scenario as a scenario of Orrery.
type Import struct {
	// Scenario is the scenario file.
	Scenario []byte
	// Files are those that it names, by their paths relative to it.
	Files map[string][]byte
	// Unmapped are sentences about what the foreign scenario says and this one does not.
	Unmapped []string
}

// ScenarioName of an imported scenario among its files.
const ScenarioName = "scenario.yaml"

// ErrForeign is wrapped by errors about files that are not in the format that they are read
// as.
var ErrForeign = errors.New("it cannot be imported")

// mistake is an error about a place in a file; line 0 stands for all of it.
func mistake(file string, line int, format string, args ...any) error {
	if line > 0 {
		file += ":" + strconv.Itoa(line)
	}
	return fmt.Errorf("%s: %s: %w", file, fmt.Sprintf(format, args...), ErrForeign)
}

// importer gathers what becomes an Import.
type importer struct {
	Import
	scenario scenario.Scenario
}

func newImporter(name string) *importer {
	return &importer{
		Import: Import{Files: make(map[string][]byte)},
		scenario: scenario.Scenario{
			APIVersion: scenario.APIVersion, Kind: scenario.Kind,
			Metadata: scenario.Metadata{Name: label(name, 40, "imported")},
		},
	}
}

func (m *importer) unmapped(format string, args ...any) {
	m.Unmapped = append(m.Unmapped, fmt.Sprintf(format, args...))
}

// finish prints the scenario and has it checked as any other.
func (m *importer) finish(from string) (*Import, error) {
	body, err := m.scenario.YAML()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Imported from %s.\n", from)
	if len(m.Unmapped) > 0 {
		b.WriteString("#\n# What did not map:\n")
		for _, u := range m.Unmapped {
			fmt.Fprintf(&b, "#   - %s\n", printable(u))
		}
	}
	m.Scenario = append([]byte(b.String()), body...)
	if _, err := scenario.Parse(ScenarioName, m.Scenario); err != nil {
		return nil, fmt.Errorf("what the import gives is no valid scenario: %w: %w", ErrForeign, err)
	}
	return &m.Import, nil
}

// printable makes a text fit for one line of a comment.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// fileLimit is the largest file that is read.
const fileLimit = 64 << 20

// read a file; a missing one gives an error that is fs.ErrNotExist.
func read(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > fileLimit {
		return "", mistake(name, 0, "it is larger than %d MiB", fileLimit>>20)
	}
	return strings.ReplaceAll(strings.TrimPrefix(string(b), "\ufeff"), "\r\n", "\n"), nil
}

// lines are a text's lines with something on them, and their numbers.
func lines(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(text) {
			n++
			if line = strings.TrimSpace(line); line != "" && !yield(n, line) {
				return
			}
		}
	}
}

// label makes a DNS label out of a text: its letters and digits in lower case, with a '-'
// for whatever is between them, most bytes long. Where nothing is left it is otherwise.
func label(s string, most int, otherwise string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r)
		}
		gap = r < '0' || r > '9' && r < 'a' || r > 'z'
	}
	out := b.String()
	if len(out) > most {
		out = out[:most]
	}
	if out = strings.Trim(out, "-"); out == "" {
		return otherwise
	}
	return out
}

// labels hands out labels of which no two are the same.
type labels map[string]bool

func (l labels) take(s string, otherwise string) string {
	name := label(s, 40, otherwise)
	for i, base := 2, name; l[name]; i++ {
		name = base + "-" + strconv.Itoa(i)
	}
	l[name] = true
	return name
}

// plural is a number and a noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
