package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Stream is one kind of row of a record.
type Stream[T any] struct{ name string }

// The streams of a record.
var (
	Events       = Stream[Event]{"events"}
	Routes       = Stream[RouteChange]{"routes"}
	Pairs        = Stream[PairState]{"pairs"}
	Convergences = Stream[Convergence]{"convergence"}
	Outages      = Stream[Outage]{"outages"}
	RoundTrips   = Stream[RoundTrip]{"rtt"}
	Probes       = Stream[Probe]{"probes"}
	Flows        = Stream[Flow]{"flows"}
	Controls     = Stream[Control]{"control"}
	Resources    = Stream[Resource]{"resources"}
	Fidelities   = Stream[Fidelity]{"fidelity"}
)

// stream is a Stream whatever its rows are.
type stream interface {
	Name() string
	convert(dir string) (rows int64, note string, err error)
	columns() []string
}

// streams are all of them, in the order of the documentation.
var streams = []stream{
	Events, Routes, Pairs, Convergences, Outages, RoundTrips, Probes, Flows, Controls, Resources, Fidelities,
}

// Name of the stream, and of its files without their suffix.
func (s Stream[T]) Name() string { return s.name }

// Write appends rows. It is safe for concurrent use; after an error nothing is
// written any more, and Writer.Err and Finish tell of it.
func (s Stream[T]) Write(w *Writer, rows ...T) {
	if w == nil || len(rows) == 0 {
		return
	}
	var b []byte
	for i := range rows {
		line, err := json.Marshal(&rows[i])
		if err != nil {
			w.fail(fmt.Errorf("record: %s: %w", s.name, err))
			return
		}
		b = append(append(b, line...), '\n')
	}
	w.append(s.name, b)
}

// Each passes every row on in the order of writing, until f returns an error. A
// stream that nothing was written to has no rows. What is left out, since a crash
// cut it off, is said by d.Notes.
func (s Stream[T]) Each(d *Dir, f func(*T) error) error {
	lines, parquet := d.file(s.name+linesSuffix), d.file(s.name+parquetSuffix)
	err := eachRow(parquet, f)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) && exists(lines) {
		note, err := eachLine(lines, f)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		d.note(note)
		return err
	}
	return err
}

// Read gives all rows.
func (s Stream[T]) Read(d *Dir) ([]T, error) {
	var rows []T
	err := s.Each(d, func(r *T) error {
		rows = append(rows, *r)
		return nil
	})
	return rows, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
