package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// ErrNewer is wrapped by the error for a record of a newer format.
var ErrNewer = errors.New("newer format")

// ErrNone is wrapped by the error for a directory without a record.
var ErrNone = errors.New("no record of a run")

// Dir is a record to be read, of a run that has ended or of one that goes on.
type Dir struct {
	Path string
	Run  Run

	mu    sync.Mutex // guards:
	notes []string
}

// Open reads run.json of a directory.
func Open(dir string) (*Dir, error) {
	b, err := os.ReadFile(filepath.Join(dir, runFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds %w: it has no %s; give a directory that --record made", dir, ErrNone, runFile)
	}
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	// The format decides whether the rest can be understood.
	var format struct {
		Format int    `json:"format"`
		Orrery string `json:"orrery"`
	}
	path := filepath.Join(dir, runFile)
	if err := json.Unmarshal(b, &format); err != nil {
		return nil, fmt.Errorf("%s is no description of a run (%w): restore it, or run that run again", path, err)
	}
	switch {
	case format.Format > Format:
		return nil, fmt.Errorf("%s is of a %w, %d, and this Orrery reads up to %d: read it with Orrery %s or later", dir, ErrNewer, format.Format, Format, format.Orrery)
	case format.Format < 1:
		return nil, fmt.Errorf("%s says no format (a number from 1 to %d): restore it, or run that run again", path, Format)
	}
	d := &Dir{Path: dir}
	if err := json.Unmarshal(b, &d.Run); err != nil {
		return nil, fmt.Errorf("%s is no description of a run (%w): restore it, or run that run again", path, err)
	}
	return d, nil
}

// Scenario is the scenario as resolved, in YAML.
func (d *Dir) Scenario() ([]byte, error) { return os.ReadFile(d.file(scenarioFile)) }

// Notes say in one sentence each what reading has left out, since a crash has cut it
// off.
func (d *Dir) Notes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.notes)
}

func (d *Dir) note(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if text != "" && !slices.Contains(d.notes, text) {
		d.notes = append(d.notes, text)
	}
}

func (d *Dir) file(name string) string { return filepath.Join(d.Path, name) }

// Recover makes Parquet files of what the emulator left as lines when it died. It must
// not be called while the run goes on. The outcome is left as it is, since nobody
// knows how the run ended.
func Recover(dir string) (*Dir, error) {
	d, err := Open(dir)
	if err != nil {
		return nil, err
	}
	rows, notes, err := convertAll(dir)
	d.Run.Unobserved = append(d.Run.Unobserved, notes...)
	for _, n := range notes {
		d.note(n)
	}
	if len(rows) > 0 {
		if d.Run.Rows == nil {
			d.Run.Rows = make(map[string]int64)
		}
		for name, n := range rows {
			d.Run.Rows[name] = n
		}
		err = errors.Join(err, (&Writer{dir: dir}).Describe(d.Run))
	}
	return d, err
}
