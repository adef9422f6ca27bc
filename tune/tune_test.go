package tune_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"orrery.dev/orrery/tune"
	"orrery.dev/orrery/tune/tunetest"
)

var host = map[string]string{
	"net.core.rmem_max": "212992", "net.ipv4.tcp_rmem": "4096 131072 6291456", "kernel.pid_max": "32768", "fs.mount-max": "100",
}

func tuner(t testing.TB, tree tune.Sysctls) *tune.Tuner {
	dir := t.TempDir()
	return &tune.Tuner{Sysctls: tree, Dir: filepath.Join(dir, "state"), Boot: "one", Persistent: filepath.Join(dir, "60-orrery.conf")}
}

func outcomes(changes []tune.Change) string {
	var list []string
	for _, c := range changes {
		list = append(list, fmt.Sprintf("%s %s: %s > %s", c.Outcome, c.Sysctl, c.Was, c.Now))
	}
	return strings.Join(list, "\n")
}

func expect(t *testing.T, changes []tune.Change, err error, want ...string) {
	t.Helper()
	if got := outcomes(changes); err != nil || got != strings.Join(want, "\n") {
		t.Errorf("error %v, got:\n%s\nwant:\n%s", err, got, strings.Join(want, "\n"))
	}
}

// nothing says that no file of the tuner's is there.
func nothing(t *testing.T, tu *tune.Tuner) {
	t.Helper()
	for _, f := range []string{tu.Dir, tu.Persistent, tu.Persistent + ".new"} {
		if _, err := os.Lstat(f); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", f, err)
		}
	}
}

func TestApplyAndUndo(t *testing.T) {
	tree := tunetest.New(host)
	tu := tuner(t, tree)
	settings := []tune.Setting{
		{"net.core.rmem_max", "1048576"}, {"net.ipv4.tcp_rmem", "4096  131072\t50000000"}, {"fs.mount-max", "100"}, {"net.core.nothing", "1"},
	}
	planned := []string{
		"would be net.core.rmem_max: 212992 > 1048576", "would be net.ipv4.tcp_rmem: 4096 131072 6291456 > 4096 131072 50000000",
		"same fs.mount-max: 100 > 100", "absent net.core.nothing:  > ",
	}
	changes, err := tu.Rehearse(settings)
	expect(t, changes, err, planned...)
	if !maps.Equal(tree.Values, host) {
		t.Errorf("a rehearsal changed %v", tree.Values)
	}
	nothing(t, tu)

	changes, err = tu.Apply(settings, false)
	done := slices.Clone(planned)
	for i := range done {
		done[i] = strings.Replace(done[i], "would be", "set", 1)
	}
	expect(t, changes, err, done...)
	// A larger network: the first values are still the ones to go back to.
	changes, err = tu.Apply([]tune.Setting{{"net.core.rmem_max", "2097152"}, {"kernel.pid_max", "4194304"}}, false)
	expect(t, changes, err, "set net.core.rmem_max: 1048576 > 2097152", "set kernel.pid_max: 32768 > 4194304")
	changes, err = tu.Undo()
	expect(t, changes, err, "restored kernel.pid_max: 4194304 > 32768", "restored net.ipv4.tcp_rmem: 4096 131072 50000000 > 4096 131072 6291456", "restored net.core.rmem_max: 2097152 > 212992")
	if !maps.Equal(tree.Values, host) {
		t.Errorf("%v is left", tree.Values)
	}
	nothing(t, tu)
	if _, err := tu.Undo(); !errors.Is(err, tune.ErrNothing) {
		t.Errorf("undone twice: %v", err)
	}
	nothing(t, tu)
	// What needs no change leaves no record.
	if _, err := tu.Apply(settings[2:], false); err != nil {
		t.Error(err)
	}
	nothing(t, tu)
}

// What somebody else has set since is theirs.
func TestTheirs(t *testing.T) {
	tree := tunetest.New(host)
	tu := tuner(t, tree)
	settings := []tune.Setting{{"net.core.rmem_max", "1048576"}, {"kernel.pid_max", "65536"}}
	if _, err := tu.Apply(settings, false); err != nil {
		t.Fatal(err)
	}
	tree.Values["net.core.rmem_max"] = "500000"
	tree.Values["kernel.pid_max"] = "99999"
	// Tuned again: what is there now is what to go back to.
	if _, err := tu.Apply(settings[1:], false); err != nil {
		t.Fatal(err)
	}
	changes, err := tu.Undo()
	expect(t, changes, err, "restored kernel.pid_max: 65536 > 99999", "theirs net.core.rmem_max: 500000 > 500000")
	nothing(t, tu)
}

func TestPersist(t *testing.T) {
	tree := tunetest.New(host)
	tu := tuner(t, tree)
	if _, err := tu.Apply([]tune.Setting{{"fs.mount-max", "100"}, {"kernel.pid_max", "65536"}}, true); err != nil {
		t.Fatal(err)
	}
	lines := func() string {
		t.Helper()
		b, err := os.ReadFile(tu.Persistent)
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(b), "\n")
		return after
	}
	if got := lines(); got != "fs.mount-max = 100\nkernel.pid_max = 65536\n" {
		t.Errorf("persistent: %q", got)
	}
	// After another boot the file has set the values; a further tuning adds to it.
	tu.Boot = "two"
	if _, err := tu.Apply([]tune.Setting{{"net.core.rmem_max", "1048576"}}, false); err != nil {
		t.Fatal(err)
	}
	if got := lines(); !strings.HasSuffix(got, "kernel.pid_max = 65536\nnet.core.rmem_max = 1048576\n") {
		t.Errorf("persistent: %q", got)
	}
	if _, err := tu.Undo(); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(tree.Values, host) {
		t.Errorf("%v is left", tree.Values)
	}
	nothing(t, tu)

	// Somebody else's file is not touched.
	if err := os.WriteFile(tu.Persistent, []byte("kernel.pid_max = 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tu.Apply([]tune.Setting{{"kernel.pid_max", "65536"}}, true); err == nil || !strings.Contains(err.Error(), "somebody else's") {
		t.Errorf("error %v", err)
	}
	if !maps.Equal(tree.Values, host) {
		t.Errorf("%v was set without a record", tree.Values)
	}
	if _, err := os.Stat(tu.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an empty directory is left")
	}
}

// After a boot the record is void.
func TestAnotherBoot(t *testing.T) {
	tree := tunetest.New(host)
	tu := tuner(t, tree)
	settings := []tune.Setting{{"kernel.pid_max", "65536"}}
	if _, err := tu.Apply(settings, false); err != nil {
		t.Fatal(err)
	}
	tu.Boot = "two" // and the administrator's own configuration has the same value now
	if _, err := tu.Undo(); !errors.Is(err, tune.ErrNothing) || tree.Values["kernel.pid_max"] != "65536" {
		t.Errorf("error %v, value %s", err, tree.Values["kernel.pid_max"])
	}
	nothing(t, tu)
}

// What the kernel refuses or changes is told, the rest is done.
func TestRefused(t *testing.T) {
	tree := tunetest.New(host)
	tree.Before = func(verb, sysctl, _ string) error {
		if verb == "write" && sysctl == "kernel.pid_max" {
			return &fs.PathError{Op: "write", Path: sysctl, Err: unix.EINVAL}
		}
		return nil
	}
	tree.Clamp = func(sysctl, value string) string {
		if sysctl == "fs.mount-max" {
			return "150"
		}
		return value
	}
	tu := tuner(t, tree)
	changes, err := tu.Apply([]tune.Setting{{"kernel.pid_max", "7"}, {"fs.mount-max", "200"}, {"net.core.rmem_max", "1048576"}}, true)
	if err == nil || err.Error() != "tune: kernel.pid_max: invalid argument; fs.mount-max: the kernel made 150 of 200" {
		t.Errorf("error %v", err)
	}
	expect(t, changes, nil, "failed kernel.pid_max: 32768 > 32768", "failed fs.mount-max: 100 > 150", "set net.core.rmem_max: 212992 > 1048576")
	if b, _ := os.ReadFile(tu.Persistent); strings.Contains(string(b), "pid_max") || !strings.Contains(string(b), "rmem_max = 1048576\n") {
		t.Errorf("persistent: %q", b)
	}
	tree.Clamp = nil
	if _, err := tu.Undo(); err != nil {
		t.Error(err)
	}
	if !maps.Equal(tree.Values, host) {
		t.Errorf("%v is left", tree.Values)
	}
	nothing(t, tu)

	// What cannot be restored stays recorded.
	if _, err := tu.Apply([]tune.Setting{{"fs.mount-max", "200"}, {"net.core.rmem_max", "1048576"}}, false); err != nil {
		t.Fatal(err)
	}
	before := tree.Before
	tree.Before = func(verb, sysctl, value string) error {
		if value == host["fs.mount-max"] {
			return unix.EPERM
		}
		return before(verb, sysctl, value)
	}
	if _, err := tu.Undo(); err == nil || tree.Values["net.core.rmem_max"] != "212992" {
		t.Errorf("error %v, %v", err, tree.Values)
	}
	tree.Before = nil
	changes, err = tu.Undo()
	expect(t, changes, err, "restored fs.mount-max: 200 > 100")
	nothing(t, tu)
}

func TestNamesAndValues(t *testing.T) {
	tu := tuner(t, tunetest.New(host))
	for _, s := range []tune.Setting{{"../../etc/passwd", "1"}, {"rmem_max", "1"}, {"net..core", "1"}, {"net.core.rmem_max", ""}, {"", "1"}} {
		if _, err := tu.Apply([]tune.Setting{s}, false); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
	nothing(t, tu)
}

func TestOneAtATime(t *testing.T) {
	tree := tunetest.New(host)
	tu := tuner(t, tree)
	var second error
	tree.Before = func(verb, _, _ string) error {
		if verb == "write" {
			other := *tu
			other.Sysctls = tunetest.New(host)
			_, second = other.Apply([]tune.Setting{{"kernel.pid_max", "65536"}}, false)
		}
		return nil
	}
	if _, err := tu.Apply([]tune.Setting{{"kernel.pid_max", "65536"}}, false); err != nil {
		t.Fatal(err)
	}
	if second == nil || !strings.Contains(second.Error(), "another") {
		t.Errorf("the second tuner: %v", second)
	}
}

// memoryDir is on a file system in memory if there is one: each step of the
// model waits for the disk otherwise.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "tune-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// crash is the death of the process.
type crash struct{}

// Whatever is tuned, undone, changed by others and killed at whatever call:
// after an undo every sysctl has the value that tuning found.
func TestModel(t *testing.T) {
	base := memoryDir(t)
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			r.Fatal(err)
		}
		defer os.RemoveAll(dir)
		tree := tunetest.New(host)
		tu := &tune.Tuner{Sysctls: tree, Dir: filepath.Join(dir, "state"), Boot: "one", Persistent: filepath.Join(dir, "60-orrery.conf")}
		baseline := maps.Clone(host) // what others have set last
		names := slices.Sorted(maps.Keys(host))
		next := 1_000_000 // no value is set twice
		fresh := func() string { next++; return fmt.Sprint(next) }
		undo := func() {
			if _, err := tu.Undo(); err != nil && !errors.Is(err, tune.ErrNothing) {
				r.Fatal(err)
			}
			if !maps.Equal(tree.Values, baseline) {
				r.Fatalf("undone to %v, want %v", tree.Values, baseline)
			}
			for _, f := range []string{tu.Dir, tu.Persistent} {
				if _, err := os.Lstat(f); !errors.Is(err, fs.ErrNotExist) {
					r.Fatalf("%s is left", f)
				}
			}
		}
		die := func(f func()) {
			if k := rapid.IntRange(0, 20).Draw(r, "calls to live"); k > 0 {
				tree.Before = func(string, string, string) error {
					if k--; k == 0 {
						panic(crash{})
					}
					return nil
				}
			}
			defer func() {
				tree.Before = nil
				if p := recover(); p != nil && p != (crash{}) {
					panic(p)
				}
			}()
			f()
		}
		r.Repeat(map[string]func(*rapid.T){
			"tune": func(r *rapid.T) {
				var settings []tune.Setting
				for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 4, rapid.ID).Draw(r, "names") {
					settings = append(settings, tune.Setting{Sysctl: n, Value: fresh()})
				}
				persist := rapid.Bool().Draw(r, "persist")
				die(func() {
					if _, err := tu.Apply(settings, persist); err != nil {
						r.Fatal(err)
					}
				})
			},
			"undo":      func(*rapid.T) { undo() },
			"half undo": func(*rapid.T) { die(func() { _, _ = tu.Undo() }) },
			"others": func(r *rapid.T) {
				n := rapid.SampledFrom(names).Draw(r, "name")
				baseline[n] = fresh()
				tree.Values[n] = baseline[n]
			},
		})
		undo()
	})
}

// A directory of files is as good as /proc/sys.
func TestDir(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "net/core"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "net/core/rmem_max")
	if err := os.WriteFile(file, []byte("1\t2  3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := tune.Dir(dir)
	if v, err := d.Read("net.core.rmem_max"); v != "1 2 3" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if err := d.Write("net.core.rmem_max", "123456789"); err != nil {
		t.Fatal(err)
	}
	if v, _ := d.Read("net.core.rmem_max"); v != "123456789" {
		t.Errorf("%q", v)
	}
	if err := d.Write("net.core.none", "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "net/core/none")); err == nil {
		t.Error("a sysctl was made")
	}
}
