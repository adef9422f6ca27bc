package tune

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Outcome is what became of one sysctl.
type Outcome string

// The outcomes.
const (
	Set      Outcome = "set"      // it has the new value
	WouldSet Outcome = "would be" // a rehearsal: it has still the old one
	Same     Outcome = "same"     // it had the value already
	Restored Outcome = "restored" // it has its old value again
	Theirs   Outcome = "theirs"   // somebody else has changed it since: not touched
	Absent   Outcome = "absent"   // this kernel or this namespace has no such sysctl
	Failed   Outcome = "failed"   // it could not be read or written; Reason says why
)

// Change is what happened to one sysctl.
type Change struct {
	Sysctl  string  `json:"sysctl"`
	Was     string  `json:"was"`
	Now     string  `json:"now"` // for WouldSet: what it would be
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
}

// ErrNothing is wrapped by the error of Undo if there is nothing to undo.
var ErrNothing = errors.New("nothing to undo")

// Tuner sets sysctls and takes that back.
type Tuner struct {
	Sysctls Sysctls
	// Dir keeps the record. It is made when it is needed, and removed with the
	// record if that was all in it.
	Dir string
	// Boot identifies the host's present boot.
	Boot string
	// Persistent is the file that makes settings outlive the boot.
	Persistent string
}

// DefaultDir is where this host's record is: ORRERY_STATE_DIR, else
// /var/lib/orrery.
func DefaultDir() string {
	if dir := os.Getenv("ORRERY_STATE_DIR"); dir != "" {
		return dir
	}
	return "/var/lib/orrery"
}

// Host tunes this host, for those who may.
func Host() (*Tuner, error) {
	boot, err := Proc.Read("kernel.random.boot_id")
	if err != nil {
		return nil, fmt.Errorf("tune: %w", err)
	}
	return &Tuner{Sysctls: Proc, Dir: DefaultDir(), Boot: boot, Persistent: "/etc/sysctl.d/60-orrery.conf"}, nil
}

// Rehearse says what Apply would do, and does nothing.
func (t *Tuner) Rehearse(settings []Setting) ([]Change, error) {
	changes, err := t.compare(settings)
	return changes, errors.Join(err, failures(changes))
}

// Apply gives sysctls their values, in order. What cannot be set is told and
// does not keep the others from being set. If persist, the host will have all
// values that were ever applied, and not undone, at each boot too.
func (t *Tuner) Apply(settings []Setting, persist bool) ([]Change, error) {
	changes, err := t.compare(settings)
	if err != nil {
		return nil, err
	}
	if !persist && !slices.ContainsFunc(changes, func(c Change) bool { return c.Outcome == WouldSet }) {
		return changes, failures(changes)
	}
	if err := os.MkdirAll(t.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("tune: %w; only root may tune a host", err)
	}
	unlock, err := t.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Again, now that nobody else tunes.
	if changes, err = t.compare(settings); err != nil {
		return nil, err
	}
	r, err := read(t.Dir)
	if err != nil {
		return nil, err
	}
	if r == nil || t.void(r) {
		r = &record{Version: recordVersion}
	}
	r.Boot = t.Boot
	for _, c := range changes {
		// Also one that has the value already is to be kept, if anything is.
		if c.Outcome == WouldSet || persist && c.Outcome == Same {
			r.intend(Setting{c.Sysctl, c.Now}, c.Was)
		}
	}
	if persist && r.Persistent == "" {
		if err := t.mayPersist(); err != nil {
			return nil, err
		}
		r.Persistent = t.Persistent
	}
	if err := r.write(t.Dir); err != nil {
		return nil, err
	}
	// From here on everything can be undone.
	for i := range changes {
		if c := &changes[i]; c.Outcome == WouldSet {
			t.set(c, r)
		}
	}
	if r.Persistent != "" {
		if err := t.persist(r, changes); err != nil {
			return changes, errors.Join(failures(changes), err)
		}
	}
	return changes, failures(changes)
}

// compare says for each setting whether it is to be set.
func (t *Tuner) compare(settings []Setting) ([]Change, error) {
	changes := make([]Change, 0, len(settings))
	for _, s := range settings {
		s.Value = normal(s.Value)
		if err := s.check(); err != nil {
			return nil, err
		}
		c := Change{Sysctl: s.Sysctl, Now: s.Value, Outcome: WouldSet}
		var err error
		c.Was, err = t.Sysctls.Read(s.Sysctl)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.Outcome, c.Now = Absent, ""
		case err != nil:
			c.Outcome, c.Now, c.Reason = Failed, "", reason(err)
		case c.Was == s.Value:
			c.Outcome = Same
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// set one sysctl, and look what the kernel made of it.
func (t *Tuner) set(c *Change, r *record) {
	want := c.Now
	err := t.Sysctls.Write(c.Sysctl, want)
	now, readErr := t.Sysctls.Read(c.Sysctl)
	if err = errors.Join(err, readErr); err != nil {
		c.Outcome, c.Now, c.Reason = Failed, c.Was, reason(err)
		return
	}
	c.Outcome, c.Now = Set, now
	if now != want {
		c.Outcome, c.Reason = Failed, fmt.Sprintf("the kernel made %s of %s", now, want)
		if o := r.of(c.Sysctl); now != o.Old && !o.ours(now) {
			o.Set = append(o.Set, now)
			if err := r.write(t.Dir); err != nil {
				c.Reason += ", which could not be recorded: " + err.Error()
			}
		}
	}
}

// Undo gives all sysctls that Apply has set their old values, the last one
// first, and forgets them. What cannot be restored stays recorded.
func (t *Tuner) Undo() ([]Change, error) {
	nothing := fmt.Errorf("tune: %w: %s holds no record of a tuning", ErrNothing, t.Dir)
	if _, err := os.Stat(t.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nothing
	}
	unlock, err := t.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := read(t.Dir)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, nothing
	}
	if t.void(r) {
		return nil, errors.Join(t.forget(), fmt.Errorf("tune: %w: the host was started anew since, so its sysctls are its own again", ErrNothing))
	}
	var changes []Change
	var left []original
	for _, o := range slices.Backward(r.Sysctls) {
		c := t.restore(&o)
		changes = append(changes, c)
		if c.Outcome == Failed {
			left = append(left, o)
		}
	}
	if r.Persistent != "" {
		if err := unpersist(r.Persistent); err != nil {
			return changes, errors.Join(failures(changes), err)
		}
	}
	if len(left) > 0 {
		slices.Reverse(left)
		r.Sysctls, r.Persistent = left, ""
		return changes, errors.Join(failures(changes), r.write(t.Dir))
	}
	return changes, t.forget()
}

func (t *Tuner) restore(o *original) Change {
	c := Change{Sysctl: o.Sysctl, Outcome: Same}
	now, err := t.Sysctls.Read(o.Sysctl)
	c.Was, c.Now = now, now
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Outcome = Absent
	case err != nil:
		c.Outcome, c.Reason = Failed, reason(err)
	case now == o.Old:
	case !o.ours(now):
		c.Outcome = Theirs
	default:
		err := t.Sysctls.Write(o.Sysctl, o.Old)
		back, readErr := t.Sysctls.Read(o.Sysctl)
		switch err = errors.Join(err, readErr); {
		case err != nil:
			c.Outcome, c.Reason = Failed, reason(err)
		case back != o.Old:
			c.Now, c.Outcome, c.Reason = back, Failed, fmt.Sprintf("the kernel made %s of %s", back, o.Old)
		default:
			c.Now, c.Outcome = back, Restored
		}
	}
	return c
}

// void says that the kernel has forgotten what a record is about.
func (t *Tuner) void(r *record) bool { return r.Boot != t.Boot && r.Persistent == "" }

// forget removes the record.
func (t *Tuner) forget() error {
	return discard(filepath.Join(t.Dir, recordName))
}

// lock the record's directory against other tuners. Unlocking removes it if
// there is nothing in it.
func (t *Tuner) lock() (unlock func(), err error) {
	d, err := os.Open(t.Dir)
	if err != nil {
		return nil, fmt.Errorf("tune: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("tune: %s is locked by another 'orrery tune'; wait for its end: %w", t.Dir, err)
	}
	return func() {
		_ = os.Remove(t.Dir) // fails if it holds anything
		_ = d.Close()        // ends the lock
	}, nil
}

// mark begins the persistent file, and says whose it is.
const mark = "# Written by 'orrery tune --persist'; 'orrery tune --undo' removes it.\n"

// mayPersist says why the persistent file cannot be written.
func (t *Tuner) mayPersist() error {
	b, err := os.ReadFile(t.Persistent)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(t.Persistent)); err != nil {
			return fmt.Errorf("tune: %w; this host reads no settings at its start from there", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	if !bytes.HasPrefix(b, []byte(mark)) {
		return fmt.Errorf("tune: %s is somebody else's; move it away first", t.Persistent)
	}
	return nil
}

// persist writes the last value of each recorded sysctl to the persistent file,
// but for those that the kernel has just refused.
func (t *Tuner) persist(r *record, changes []Change) error {
	var b strings.Builder
	b.WriteString(mark)
	for _, o := range r.Sysctls {
		if slices.ContainsFunc(changes, func(c Change) bool { return c.Sysctl == o.Sysctl && c.Outcome == Failed }) {
			continue
		}
		fmt.Fprintf(&b, "%s = %s\n", o.Sysctl, o.Set[len(o.Set)-1])
	}
	return durable(r.Persistent, []byte(b.String()))
}

// unpersist removes the persistent file, if it is still ours.
func unpersist(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.HasPrefix(b, []byte(mark)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	return discard(file)
}

// failures joins what could not be done into one error.
func failures(changes []Change) error {
	var list []string
	for _, c := range changes {
		if c.Outcome == Failed {
			list = append(list, c.Sysctl+": "+c.Reason)
		}
	}
	if list == nil {
		return nil
	}
	return fmt.Errorf("tune: %s", strings.Join(list, "; "))
}
