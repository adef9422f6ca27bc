package fdstore

import (
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// life is a program's life with a store: f is called with its client. A crash is no
// different from an end: the kernel closes the connection.
func life(t interface{ Fatal(...any) }, s *Store, f func(*Client)) {
	end, finish, err := s.Lend()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(end)
	if err != nil {
		t.Fatal(err)
	}
	f(c)
	c.Close()
	if err := finish(); err != nil {
		t.Fatal(err)
	}
}

// A pipe that a program has kept is open after its end, and closed when the next one drops it.
func TestOutlives(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var s Store
	life(t, &s, func(c *Client) {
		if err := c.Keep("writer", int(w.Fd())); err != nil {
			t.Fatal(err)
		}
	})
	_ = w.Close()
	life(t, &s, func(c *Client) {
		fd, ok := c.Take("writer")
		if _, again := c.Take("writer"); !ok || again {
			t.Fatalf("taken once: %t, twice: %t", ok, again)
		}
		f := os.NewFile(uintptr(fd), "writer")
		if _, err := f.WriteString("hello"); err != nil {
			t.Error(err)
		}
		_ = f.Close()
		if err := c.DropRest(); err != nil { // it was taken
			t.Error(err)
		}
	})
	if got := s.Names(); !slices.Equal(got, []string{"writer"}) {
		t.Errorf("kept are %q", got)
	}
	life(t, &s, func(c *Client) {
		if err := c.DropRest(); err != nil {
			t.Error(err)
		}
	})
	if text, err := io.ReadAll(r); err != nil || string(text) != "hello" { // its end, too
		t.Errorf("read %q, %v", text, err)
	}
}

// Whatever programs do with a store, it holds what a map would, and has no other file open.
func TestAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Store
		defer s.Close()
		model := map[string]uint64{} // inodes
		name := rapid.SampledFrom([]string{"a", "b", "c", ""})
		for range rapid.IntRange(1, 4).Draw(t, "lives") {
			life(t, &s, func(c *Client) {
				fresh := map[string]bool{}
				for range rapid.IntRange(0, 6).Draw(t, "steps") {
					n := name.Draw(t, "name")
					switch rapid.SampledFrom([]string{"keep", "drop", "take", "rest"}).Draw(t, "step") {
					case "keep":
						fd, err := unix.MemfdCreate("kept", unix.MFD_CLOEXEC)
						if err != nil {
							t.Fatal(err)
						}
						if err := c.Keep(n, fd); err != nil {
							t.Fatal(err)
						}
						model[n] = inode(t, fd)
						fresh[n] = true
						_ = unix.Close(fd)
					case "drop":
						if err := c.Drop(n); err != nil {
							t.Fatal(err)
						}
						delete(model, n)
						fresh[n] = true
					case "take":
						fd, ok := c.Take(n)
						if _, there := model[n]; ok && (!there && !fresh[n] || !fresh[n] && inode(t, fd) != model[n]) {
							t.Fatalf("%q is another file than was kept", n)
						} else if !ok && there && !fresh[n] {
							t.Fatalf("%q was kept and cannot be taken", n)
						}
						if ok {
							_ = unix.Close(fd)
						}
						fresh[n] = true
					case "rest":
						if err := c.DropRest(); err != nil {
							t.Fatal(err)
						}
						for _, n := range slices.Collect(keys(model)) {
							if !fresh[n] {
								delete(model, n)
							}
						}
					}
				}
			})
			if got := s.Names(); len(got) != len(model) {
				t.Fatalf("kept are %q, want %v", got, model)
			}
		}
		for n, fd := range s.files {
			if want, ok := model[n]; !ok || inode(t, fd) != want {
				t.Fatalf("%q is another file than was kept", n)
			}
		}
	})
}

func keys(m map[string]uint64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func inode(t *rapid.T, fd int) uint64 {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// What is no message ends the service, and closes the files in it.
func TestBadMessages(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	file := unix.UnixRights(int(w.Fd()))
	for _, bad := range []struct {
		text   string
		rights []byte
	}{{"kname", nil}, {"dname", file}, {"xname", nil}, {"kname", unix.UnixRights(int(w.Fd()), int(w.Fd()))}, {"r", nil}} {
		var s Store
		end, finish, err := s.Lend()
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(end)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.conn.WriteMsgUnix([]byte(bad.text), bad.rights, nil); err != nil {
			t.Fatal(err)
		}
		if err := finish(); !errors.Is(err, errMessage) {
			t.Errorf("%q with %d bytes of rights: %v", bad.text, len(bad.rights), err)
		}
		c.Close()
	}
}

// Without a keeper there is no client.
func TestInherit(t *testing.T) {
	if c, err := Inherit(); c != nil || err != nil {
		t.Errorf("without %s: %v, %v", Variable, c, err)
	}
	t.Setenv(Variable, "one")
	if _, err := Inherit(); err == nil {
		t.Error("a number that is none is no error")
	}
}
