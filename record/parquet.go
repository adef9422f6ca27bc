package record

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"
)

// errDamaged is wrapped by the error for a Parquet file that cannot be read.
var errDamaged = errors.New("not a whole Parquet file")

// rowsAtOnce are converted and read together.
const rowsAtOnce = 1024

// rowsPerGroup bounds what a writer holds in memory.
const rowsPerGroup = 1 << 17

// columns of the stream's rows, those of lists by their path.
func (s Stream[T]) columns() []string {
	var row T
	var names []string
	for _, f := range parquet.SchemaOf(&row).Fields() {
		names = append(names, f.Name())
	}
	return names
}

// convert makes a Parquet file of the stream's lines, if there are any. The lines
// are removed when the file is safe.
func (s Stream[T]) convert(dir string) (rows int64, note string, err error) {
	from, to := filepath.Join(dir, s.name+linesSuffix), filepath.Join(dir, s.name+parquetSuffix)
	part := to + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, "", err
	}
	defer func() {
		if err != nil {
			_ = out.Close()
			_ = os.Remove(part)
			if errors.Is(err, fs.ErrNotExist) {
				rows, note, err = 0, "", nil // nothing was written, or it was converted before
			}
		}
	}()
	w := parquet.NewGenericWriter[T](out, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(rowsPerGroup))
	batch := make([]T, 0, rowsAtOnce)
	flush := func() error {
		_, err := w.Write(batch)
		rows += int64(len(batch))
		batch = batch[:0]
		return err
	}
	note, err = eachLine(from, func(r *T) error {
		batch = append(batch, *r)
		if len(batch) < cap(batch) {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = errors.Join(flush(), w.Close())
	}
	if err == nil {
		err = errors.Join(out.Sync(), out.Close())
	}
	if err == nil {
		err = os.Rename(part, to)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return 0, "", err
	}
	return rows, note, os.Remove(from)
}

// syncDir makes names in a directory outlast a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// eachRow passes on the rows of a Parquet file.
func eachRow[T any](path string, f func(*T) error) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return err
	}
	damaged := func(why any) error {
		return fmt.Errorf("%s is %w (%v): copy it again, or run that run again", path, errDamaged, why)
	}
	var mine error // of f
	defer func() {
		// The decoder of a foreign file is not ours to trust.
		if r := recover(); r != nil && mine == nil {
			err = damaged(r)
		}
	}()
	opened, err := parquet.OpenFile(file, st.Size())
	if err != nil {
		return damaged(err)
	}
	r := parquet.NewGenericReader[T](opened)
	defer func() { _ = r.Close() }()
	rows := make([]T, rowsAtOnce)
	for {
		clear(rows) // what a row points to is the last reader's
		n, err := r.Read(rows)
		for i := range rows[:n] {
			if mine = f(&rows[i]); mine != nil {
				return mine
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
	}
}
