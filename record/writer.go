package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

const (
	scenarioFile = "scenario.yaml"
	runFile      = "run.json"
)

// Writer writes the record of a run that goes on. Its methods are safe for
// concurrent use.
type Writer struct {
	dir string

	mu    sync.Mutex // guards the rest
	files map[string]*lines
	err   error
	done  bool
}

type lines struct {
	file *os.File
	out  *bufio.Writer
}

// Create begins a record in a directory, which is made if need be and must hold no
// record yet. Its outcome is Going until Finish.
func Create(dir string, scenario []byte, run Run) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if exists(filepath.Join(dir, runFile)) {
		return nil, fmt.Errorf("%s holds the record of a run already: give another directory, or remove it", dir)
	}
	for _, s := range streams {
		if exists(filepath.Join(dir, s.Name()+linesSuffix)) || exists(filepath.Join(dir, s.Name()+parquetSuffix)) {
			return nil, fmt.Errorf("%s holds rows of another run (%s): give another directory, or remove it", dir, s.Name())
		}
	}
	w := &Writer{dir: dir, files: make(map[string]*lines)}
	if err := replace(filepath.Join(dir, scenarioFile), scenario); err != nil {
		return nil, err
	}
	run.Outcome = Outcome{State: Going, Converged: run.Outcome.Converged}
	return w, w.Describe(run)
}

// Dir is the record's directory.
func (w *Writer) Dir() string { return w.dir }

// Describe writes run.json anew, whole or not at all.
func (w *Writer) Describe(run Run) error {
	run.Format = Format
	b, err := json.MarshalIndent(&run, "", "  ")
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return replace(filepath.Join(w.dir, runFile), append(b, '\n'))
}

// append adds whole lines to a stream.
func (w *Writer) append(name string, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || w.done {
		return
	}
	l := w.files[name]
	if l == nil {
		f, err := os.OpenFile(filepath.Join(w.dir, name+linesSuffix), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			w.err = fmt.Errorf("record: %w", err)
			return
		}
		l = &lines{file: f, out: bufio.NewWriterSize(f, 1<<16)}
		w.files[name] = l
	}
	if _, err := l.out.Write(b); err != nil {
		w.err = fmt.Errorf("record: %w", err)
	}
}

func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
}

// Flush hands all rows to the kernel, so that they outlast this process.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.files {
		if w.done {
			break
		}
		if err := l.out.Flush(); err != nil && w.err == nil {
			w.err = fmt.Errorf("record: %w", err)
		}
	}
	return w.err
}

// Err is the first thing that went wrong.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Finish ends the record: the streams become Parquet files, and run.json says how it
// ended. Rows that come afterwards are dropped. After an error the rows are where
// they were; Recover tries again. Finishing twice does nothing twice.
func (w *Writer) Finish(run Run) error {
	err := w.Flush()
	w.mu.Lock()
	if w.done {
		w.mu.Unlock()
		return err
	}
	w.done = true
	for _, l := range w.files {
		err = errors.Join(err, l.file.Sync(), l.file.Close())
	}
	w.mu.Unlock()
	// How it ended is said first: converting takes its time, and may be cut short.
	err = errors.Join(err, w.Describe(run))
	rows, _, converted := convertAll(w.dir)
	run.Rows = rows
	return errors.Join(err, converted, w.Describe(run))
}

// convertAll converts what is not converted yet.
func convertAll(dir string) (rows map[string]int64, notes []string, err error) {
	rows = make(map[string]int64)
	for _, s := range streams {
		if !exists(filepath.Join(dir, s.Name()+linesSuffix)) {
			continue
		}
		n, note, e := s.convert(dir)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("record: %s: %w", s.Name(), e))
			continue
		}
		rows[s.Name()] = n
		if note != "" {
			notes = append(notes, note)
		}
	}
	return rows, notes, err
}

// replace writes a file whole or not at all.
func replace(path string, b []byte) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
