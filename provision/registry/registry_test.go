package registry

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func open(t rapid.TB, dir string) *Registry {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever is changed, and wherever the journal is cut off by a crash, what was told before is there afterwards.
func TestJournal(t *testing.T) {
	top := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(top, fmt.Sprint(n))
		r := open(t, dir)
		model := map[string]Machine{}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range rapid.IntRange(1, 20).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				r = open(t, dir)
			case 1: // killed while it wrote the next line
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.WriteString(`{"key":"a","name":"half`); err != nil {
					t.Fatal(err)
				}
				f.Close()
				r = open(t, dir)
			default:
				key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
				m, err := r.Update(key, func(m *Machine) error {
					m.Name, m.Address = fmt.Sprint("n", i), netip.MustParseAddr("fd00::1")
					m.Enter(Stages[i%len(Stages)], now.Add(time.Duration(i)*time.Second))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				model[key] = m
			}
			got := map[string]Machine{}
			for _, m := range r.List() {
				got[m.Key] = m
			}
			if !reflect.DeepEqual(got, model) {
				t.Fatalf("got %+v, want %+v", got, model)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	if _, err := Open(dir); err == nil {
		t.Error("two servers have the journal open")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, journalName), []byte("{\"key\":\"a\"}\nrubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a journal with rubbish is read")
	}
}

// The journal does not grow for as long as machines are seen.
func TestJournalIsRewritten(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	const times = 3 * roomy
	for i := range times {
		if _, err := r.Update("a", func(m *Machine) error { m.Error = fmt.Sprint(i); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, journalName))
	if n := bytes.Count(data, []byte("\n")); err != nil || n > roomy+10 {
		t.Errorf("the journal of one machine has %d lines, %v", n, err)
	}
	r = open(t, dir)
	defer r.Close()
	if m, ok := r.Get("a"); !ok || m.Error != fmt.Sprint(times-1) {
		t.Errorf("the machine is %+v, %t", m, ok)
	}
}

// Forged machines cannot fill the disk; those of the site file have room all the same.
func TestLimit(t *testing.T) {
	r := open(t, t.TempDir())
	defer r.Close()
	r.machines = map[string]Machine{}
	for i := range Limit {
		r.machines[fmt.Sprint(i)] = Machine{Standing: "accept"}
	}
	if _, err := r.Update("more", func(*Machine) error { return nil }); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	if _, err := r.Update("known", func(m *Machine) error { m.Standing = "known"; return nil }); err != nil {
		t.Error(err)
	}
	// One that was not seen for a day makes room.
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for key, m := range r.machines {
		if m.LastSeen = now; key == "7" {
			m.LastSeen = now.Add(-25 * time.Hour)
		}
		r.machines[key] = m
	}
	for _, want := range []error{nil, ErrFull} {
		_, err := r.Update(fmt.Sprintf("late %v", want), func(m *Machine) error { m.Standing, m.FirstSeen, m.LastSeen = "accept", now, now; return nil })
		if !errors.Is(err, want) {
			t.Errorf("a machine when one of %d is old: %v, want %v", Limit, err, want)
		}
	}
	if _, ok := r.Get("7"); ok {
		t.Error("the old machine is still kept")
	}
	failure := errors.New("x")
	if _, err := r.Update("other", func(m *Machine) error { m.Standing = "known"; return failure }); !errors.Is(err, failure) {
		t.Error(err)
	}
	if _, ok := r.Get("other"); ok {
		t.Error("what failed was kept")
	}
}

// A full disk: nothing is promised that was not written.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("no /dev/full, which stands for a full disk: %v", err)
	}
	r := open(t, t.TempDir())
	r.file.Close()
	r.file = full
	if _, err := r.Update("a", func(m *Machine) error { m.Standing = "known"; return nil }); err == nil {
		t.Error("a full disk goes unnoticed")
	}
	if _, ok := r.Get("a"); ok {
		t.Error("what was not written is known")
	}
	_ = r.Close()
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("{\"key\":\"a\",\"address\":\"fd00::1\",\"passed\":{\"kernel\":\"2026-01-01T00:00:00Z\"}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		machines, err := decode(data)
		if err != nil {
			return
		}
		for key, m := range machines {
			if key == "" || m.Key != key {
				t.Errorf("%q: %+v", key, m)
			}
		}
	})
}
