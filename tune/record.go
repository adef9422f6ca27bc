package tune

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// record is what Undo needs to know. It is written before anything is set.
type record struct {
	Version int `json:"version"`
	// Boot is the id of the boot that the values are of.
	Boot string `json:"boot"`
	// Persistent is the file that sets the values at each boot; empty for none.
	Persistent string     `json:"persistent,omitempty"`
	Sysctls    []original `json:"sysctls"`
}

// original is one sysctl's value before tuning, and all that tuning may have
// made of it since.
type original struct {
	Sysctl string   `json:"sysctl"`
	Old    string   `json:"old"`
	Set    []string `json:"set"`
}

const (
	recordVersion = 1
	recordName    = "tune.json"
)

// ours says whether a value is one that tuning has set.
func (o *original) ours(value string) bool { return slices.Contains(o.Set, value) }

// of is the original of a sysctl, or nil.
func (r *record) of(sysctl string) *original {
	for i := range r.Sysctls {
		if r.Sysctls[i].Sysctl == sysctl {
			return &r.Sysctls[i]
		}
	}
	return nil
}

// intend notes that a sysctl with the value now is going to be set. One that
// somebody else has changed since has a new original.
func (r *record) intend(s Setting, now string) {
	o := r.of(s.Sysctl)
	switch {
	case o == nil:
		r.Sysctls = append(r.Sysctls, original{s.Sysctl, now, []string{s.Value}})
	case now != o.Old && !o.ours(now):
		o.Old, o.Set = now, []string{s.Value}
	default: // the last one is the one to keep
		o.Set = append(slices.DeleteFunc(o.Set, func(v string) bool { return v == s.Value }), s.Value)
	}
}

// decode reads a record and refuses what Undo could not safely follow.
func decode(data []byte) (*record, error) {
	r := new(record)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the record")
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("version %d is not %d", r.Version, recordVersion)
	}
	seen := make(map[string]bool)
	for _, o := range r.Sysctls {
		for _, value := range append([]string{o.Old}, o.Set...) {
			// An old value may be empty, as that of kernel.domainname on some hosts.
			if err := (Setting{o.Sysctl, value}).check(); err != nil && value != "" {
				return nil, err
			}
		}
		if seen[o.Sysctl] {
			return nil, fmt.Errorf("%s is there twice", o.Sysctl)
		}
		seen[o.Sysctl] = true
	}
	return r, nil
}

// read the record of a directory; nil if there is none.
func read(dir string) (*record, error) {
	file := filepath.Join(dir, recordName)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tune: %w", err)
	}
	r, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("tune: %s cannot be understood (%w); put it aside, and set the sysctls in it by hand", file, err)
	}
	return r, nil
}

// write makes the record durable.
func (r *record) write(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	return durable(filepath.Join(dir, recordName), append(data, '\n'))
}

// durable replaces a file as a whole: it has the old content or the new one,
// also after a crash of the host, and the new one once this has returned.
func durable(file string, data []byte) (err error) {
	f, err := os.Create(file + unfinished)
	if err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("tune: %w", err)
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return synchronise(filepath.Dir(file))
}

// unfinished is the ending of a file that is being written. The lock on the
// record's directory keeps it from having two writers.
const unfinished = ".new"

// discard removes a file, and what a killed writer left of it.
func discard(file string) error {
	for _, f := range []string{file + unfinished, file} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tune: %w", err)
		}
	}
	return synchronise(filepath.Dir(file))
}

// synchronise makes a directory's entries durable.
func synchronise(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
