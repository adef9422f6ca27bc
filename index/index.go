// Package index lists runs that were recorded on this host, wherever their
// directories lie, in one SQLite file.
//
// The index holds nothing that the directories do not: it can be removed, and
// Rebuild makes it anew. A run that is added again replaces what was known of it.
// Directories that are gone are listed as gone until Forget.
package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", without cgo

	"orrery.dev/orrery/record"
)

// version of the tables; 0 is that of a file without any. An index of a newer one is an
// error.
const version = 1

const tables = `
create table run (
  dir         text primary key,
  scenario    text not null,
  state       text not null,
  fidelity    text not null,
  started     text not null, -- RFC 3339, UTC
  ended       text,          -- null while it goes on
  span_us     integer not null,
  speed       real not null,
  seed        text not null,
  satellites  integer not null,
  stations    integer not null,
  routing     text not null,
  orrery      text not null,
  kernel      text not null,
  labels      text not null  -- JSON
) strict;
create index run_started on run (started);
`

// Run is an entry.
type Run struct {
	Dir        string            `json:"dir"`
	Scenario   string            `json:"scenario"`
	State      record.State      `json:"state"`
	Fidelity   string            `json:"fidelity"`
	Started    time.Time         `json:"started"`
	Ended      time.Time         `json:"ended,omitzero"`
	Span       time.Duration     `json:"span_ns"` // of scenario time
	Speed      float64           `json:"speed"`
	Seed       uint64            `json:"seed,string"`
	Satellites int               `json:"satellites"`
	Stations   int               `json:"stations"`
	Routing    string            `json:"routing"`
	Orrery     string            `json:"orrery"`
	Kernel     string            `json:"kernel"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Gone says that the directory is not there any more.
	Gone bool `json:"gone,omitempty"`
}

// Trusted says whether the run is complete and was faithful.
func (r *Run) Trusted() bool { return r.State == record.Complete && r.Fidelity == record.Faithful }

// Index is an open index. Several processes may have the same one open.
type Index struct {
	db   *sql.DB
	path string
}

// Open opens the index at a path, and makes it if there is none. One that is
// damaged or of another version is an error that says how to make it anew.
func Open(ctx context.Context, path string) (*Index, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+(escape(path))+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	i := &Index{db: db, path: path}
	if err := i.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the index of runs, %s, cannot be used (%w); remove it, and make it anew with \"orrery runs --rebuild DIR\"", path, err), db.Close())
	}
	return i, nil
}

// escape is a path as part of a URI.
func escape(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

func (i *Index) prepare(ctx context.Context) error {
	tx, err := i.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing once committed
	var found int
	if err := tx.QueryRowContext(ctx, "pragma user_version").Scan(&found); err != nil {
		return err
	}
	switch {
	case found == version:
		return nil
	case found > version:
		return fmt.Errorf("it was made by a newer version")
	}
	if _, err := tx.ExecContext(ctx, tables+fmt.Sprintf("pragma user_version = %d;", version)); err != nil {
		return err
	}
	return tx.Commit()
}

// Close closes the index.
func (i *Index) Close() error { return i.db.Close() }

const instant = "2006-01-02T15:04:05.000Z"

// Add reads the record in a directory, and enters it under its absolute path.
func (i *Index) Add(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	d, err := record.Open(dir)
	if err != nil {
		return err
	}
	return i.add(ctx, i.db, dir, &d.Run)
}

type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (i *Index) add(ctx context.Context, to executor, dir string, r *record.Run) error {
	labels, err := json.Marshal(r.Labels)
	if err != nil {
		return err
	}
	var ended any
	if !r.Ended.IsZero() {
		ended = r.Ended.UTC().Format(instant)
	}
	_, err = to.ExecContext(ctx, `insert or replace into run values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		dir, r.Scenario.Name, string(r.Outcome.State), r.Fidelity.Level, r.Started.UTC().Format(instant), ended, max(0, r.Span.To-r.Span.From),
		r.Scenario.Speed, fmt.Sprint(r.Scenario.Seed), r.Scenario.Satellites, len(r.Scenario.Stations), strings.Join(r.Scenario.Routing, ", "),
		r.Orrery, r.Machine.Kernel, string(labels))
	return err
}

// Rebuild empties the index and enters the records of some directories, all or
// nothing. It gives their number, and an error for each that could not be read.
func (i *Index) Rebuild(ctx context.Context, dirs []string) (int, []error, error) {
	tx, err := i.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing once committed
	if _, err := tx.ExecContext(ctx, "delete from run"); err != nil {
		return 0, nil, err
	}
	n := 0
	var problems []error
	for _, dir := range dirs {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return 0, nil, err
		}
		d, err := record.Open(dir)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if err := i.add(ctx, tx, dir, &d.Run); err != nil {
			return 0, nil, err
		}
		n++
	}
	return n, problems, tx.Commit()
}

// Filter chooses entries; what is zero chooses all.
type Filter struct {
	Scenario string
	State    record.State
	// Labels that a run has.
	Labels map[string]string
	// Trusted leaves out what is not complete or was not faithful.
	Trusted bool
	// Below is a directory that runs lie in.
	Below string
}

// List gives the entries, the newest first.
func (i *Index) List(ctx context.Context, f Filter) ([]Run, error) {
	query := `select dir, scenario, state, fidelity, started, ended, span_us, speed, seed, satellites, stations, routing, orrery, kernel, labels from run where true`
	var args []any
	where := func(condition string, values ...any) {
		query += " and " + condition
		args = append(args, values...)
	}
	if f.Scenario != "" {
		where("scenario = ?", f.Scenario)
	}
	if f.State != "" {
		where("state = ?", string(f.State))
	}
	if f.Trusted {
		where("state = ? and fidelity = ?", string(record.Complete), record.Faithful)
	}
	if f.Below != "" {
		below := strings.TrimSuffix(f.Below, "/")
		where("(dir = ? or substr(dir, 1, ?) = ?)", below, len([]rune(below))+1, below+"/")
	}
	for name, value := range f.Labels {
		// The name is looked up as text: it may hold anything.
		where("exists (select 1 from json_each(labels) where key = ? and value = ?)", name, value)
	}
	rows, err := i.db.QueryContext(ctx, query+" order by started desc, dir", args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
	var list []Run
	for rows.Next() {
		var r Run
		var started, labels, seed string
		var ended sql.NullString
		var span int64
		if err := rows.Scan(&r.Dir, &r.Scenario, &r.State, &r.Fidelity, &started, &ended, &span, &r.Speed, &seed, &r.Satellites, &r.Stations, &r.Routing, &r.Orrery, &r.Kernel, &labels); err != nil {
			return nil, err
		}
		r.Span = time.Duration(span) * time.Microsecond
		_, _ = fmt.Sscan(seed, &r.Seed)                // 0 if it is none, as of a record without
		r.Started, _ = time.Parse(instant, started)    // as written above
		r.Ended, _ = time.Parse(instant, ended.String) // likewise; null is no instant
		if err := json.Unmarshal([]byte(labels), &r.Labels); err != nil {
			return nil, err
		}
		if _, err := os.Stat(r.Dir); errors.Is(err, fs.ErrNotExist) {
			r.Gone = true
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Forget removes the entries of directories that are gone, and gives their number.
func (i *Index) Forget(ctx context.Context) (int, error) {
	list, err := i.List(ctx, Filter{})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, r := range list {
		if !r.Gone {
			continue
		}
		if _, err := i.db.ExecContext(ctx, "delete from run where dir = ?", r.Dir); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// DefaultPath is the index of this user on this host: runs.sqlite in
// ORRERY_STATE_DIR, else for root in /var/lib/orrery, else below XDG_STATE_HOME, else
// below ~/.local/state.
func DefaultPath() string {
	dir := os.Getenv("ORRERY_STATE_DIR")
	switch {
	case dir != "":
	case os.Geteuid() == 0:
		dir = "/var/lib/orrery"
	case os.Getenv("XDG_STATE_HOME") != "":
		dir = filepath.Join(os.Getenv("XDG_STATE_HOME"), "orrery")
	default:
		home, err := os.UserHomeDir()
		if err != nil {
			home = os.TempDir()
		}
		dir = filepath.Join(home, ".local", "state", "orrery")
	}
	return filepath.Join(dir, "runs.sqlite")
}
