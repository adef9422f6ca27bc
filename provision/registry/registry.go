package registry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Limit is how many machines are kept that the site file does not name.
const Limit = 1024

// keepUnknown is for how long such a machine is kept after it was last seen, if others want its
// place.
const keepUnknown = 24 * time.Hour

// roomy is how many lines beyond four a machine the journal has before it is written anew.
const roomy = 1000

// ErrFull is wrapped by the error for an unknown machine above Limit.
var ErrFull = errors.New("too many unknown machines")

const journalName = "machines.jsonl"

// Registry is the machines of one site. Its methods may be called concurrently.
type Registry struct {
	path string

	lock *os.File // held while the journal is open

	mu       sync.Mutex
	file     *os.File
	lines    int                // of the journal
	machines map[string]Machine // by key
	broken   error              // of a write; what is on disk is unknown since
}

// Open reads the journal in a directory, which it makes, and locks it.
func Open(dir string) (*Registry, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the state of the site cannot be kept: %w", err)
	}
	r := &Registry{path: filepath.Join(dir, journalName), machines: map[string]Machine{}}
	var err error
	if r.lock, err = os.OpenFile(r.path+".lock", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("the state of the site cannot be kept: %w", err)
	}
	if err = unix.Flock(int(r.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = fmt.Errorf("%s is in use by another server; end that one, or give this site another directory \"state\": %w", dir, err)
	} else if err = r.read(); err == nil {
		err = r.rewrite()
	}
	if err != nil {
		return nil, errors.Join(err, r.lock.Close())
	}
	return r, nil
}

// read fills machines from the journal.
func (r *Registry) read() error {
	data, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the journal of machines: %w", err)
	}
	machines, err := decode(data)
	if err != nil {
		return fmt.Errorf("%s: %w; mend the line, or move the file away and let machines be given addresses anew", r.path, err)
	}
	r.machines = machines
	return nil
}

// decode reads a journal.
func decode(data []byte) (map[string]Machine, error) {
	machines := map[string]Machine{}
	input := bufio.NewReader(bytes.NewReader(data))
	for n := 1; ; n++ {
		line, err := input.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return machines, nil // what has no end was never confirmed to anybody
		}
		var m Machine
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("line %d is not a record of a machine: %w", n, err)
		}
		if m.Key == "" {
			return nil, fmt.Errorf("line %d is a record without a key", n)
		}
		machines[m.Key] = m
	}
}

// rewrite writes the journal anew and keeps it open.
func (r *Registry) rewrite() error {
	fail := func(err error) error { return fmt.Errorf("the journal of machines cannot be written: %w", err) }
	f, err := os.OpenFile(r.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fail(err)
	}
	var all bytes.Buffer
	for _, m := range r.list() {
		line, err := json.Marshal(m)
		if err != nil {
			f.Close()
			return fail(err)
		}
		all.Write(append(line, '\n'))
	}
	_, err = f.Write(all.Bytes())
	err = errors.Join(err, f.Sync())
	if err == nil {
		err = os.Rename(r.path+".new", r.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(r.path))
	}
	if err != nil {
		f.Close()
		return fail(err)
	}
	if r.file != nil {
		_ = r.file.Close() // what was in it stands in the new one
	}
	r.file, r.lines = f, len(r.machines)
	return nil
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Update changes the record of a key by f, which gets a new one with that key alone if there
// is none. It returns once the change is on disk. An error of f changes nothing.
func (r *Registry) Update(key string, f func(m *Machine) error) (Machine, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, old := r.machines[key]
	before := m
	m.Key = key
	if err := f(&m); err != nil {
		return before, err
	}
	if old && reflect.DeepEqual(m, before) {
		return m, nil
	}
	if !old && m.Standing != "known" && r.unknown() >= Limit && !r.forget(m.FirstSeen.Add(-keepUnknown)) {
		return Machine{}, fmt.Errorf("%s is one machine more than the %d unknown ones that are kept for a day; name it in the site file: %w", key, Limit, ErrFull)
	}
	if err := r.append(m); err != nil {
		return before, err
	}
	r.machines[key] = m
	return m, nil
}

// forget drops the unknown machines that were last seen before an instant, for others to have
// their place; false if there is none. Mu is held.
func (r *Registry) forget(before time.Time) bool {
	had := len(r.machines)
	maps.DeleteFunc(r.machines, func(_ string, m Machine) bool { return m.Standing != "known" && m.LastSeen.Before(before) })
	if len(r.machines) == had {
		return false
	}
	if r.broken == nil {
		r.broken = r.rewrite()
	}
	return true
}

// append writes a record. Mu is held.
func (r *Registry) append(m Machine) error {
	if r.broken == nil && r.lines >= roomy+4*len(r.machines) {
		r.broken = r.rewrite() // or it would grow for as long as machines are seen
	}
	if r.broken != nil {
		return r.broken
	}
	r.lines++
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = r.file.Write(append(line, '\n'))
	err = errors.Join(err, r.file.Sync())
	if err != nil {
		// Half a line may stand there now: nothing may follow it.
		r.broken = fmt.Errorf("the journal of machines cannot be written, so no address can be promised; make room and start the server again: %w", err)
		return r.broken
	}
	return nil
}

func (r *Registry) unknown() int {
	n := 0
	for _, m := range r.machines {
		if m.Standing != "known" {
			n++
		}
	}
	return n
}

// Get is the record of a key.
func (r *Registry) Get(key string) (Machine, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.machines[key]
	return m, ok
}

// List is all machines, by name and key.
func (r *Registry) List() []Machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list()
}

// list is List with mu held.
func (r *Registry) list() []Machine {
	list := make([]Machine, 0, len(r.machines))
	for _, m := range r.machines {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b Machine) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
	return list
}

// Find is the first machine for which f is true, in no order.
func (r *Registry) Find(f func(*Machine) bool) (Machine, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.machines {
		if f(&m) {
			return m, true
		}
	}
	return Machine{}, false
}

// Close ends the use of the journal, which has everything already.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.file.Close(), r.lock.Close())
}
