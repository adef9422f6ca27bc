package nodeimage

import (
	"bytes"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Another program reads what is written.
func TestCpio(t *testing.T) {
	program, err := exec.LookPath("cpio")
	if err != nil {
		program, err = exec.LookPath("bsdtar")
	}
	if err != nil {
		t.Skip("neither cpio nor bsdtar is installed, one of which is to read the archive")
	}
	members := map[string]member{
		"init": {mode: 0o755, data: []byte("program")}, "dev/console": {mode: fs.ModeCharDevice | 0o600, major: 5, minor: 1},
		"a/b/c": {mode: 0o644, data: []byte("x")}, "proc": {mode: fs.ModeDir | 0o755},
	}
	args := []string{"-t", "-f", "-"}
	if strings.HasSuffix(program, "cpio") {
		args = []string{"-t", "--quiet"}
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = bytes.NewReader(cpio(members))
	out, err := cmd.CombinedOutput()
	want := []string{"a", "a/b", "a/b/c", "dev", "dev/console", "init", "proc"}
	if got := strings.Fields(strings.ReplaceAll(string(out), "/\n", "\n")); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

// The same members give the same bytes, of a length that the kernel accepts.
func TestCpioSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := map[string]member{}
		for name, data := range rapid.MapOf(rapid.StringMatching(`[a-z]{1,3}(/[a-z]{1,5}){0,3}`), rapid.SliceOf(rapid.Byte())).Draw(t, "files") {
			members[name] = member{mode: 0o644, data: data}
		}
		a, b := cpio(members), cpio(members)
		if !bytes.Equal(a, b) || len(a)%4 != 0 || !bytes.HasSuffix(bytes.TrimRight(a, "\x00"), []byte("TRAILER!!!")) {
			t.Fatalf("%d bytes", len(a))
		}
	})
}

func TestDependencies(t *testing.T) {
	got := dependencies([]byte("kernel/a.ko: kernel/b.ko kernel/c.ko\nkernel/b.ko:\n"))
	if !slices.Equal(got["kernel/a.ko"], []string{"kernel/b.ko", "kernel/c.ko"}) || got["kernel/b.ko"] == nil || len(got) != 2 {
		t.Errorf("%q", got)
	}
}

func FuzzDependencies(f *testing.F) {
	f.Add("kernel/a.ko: kernel/b.ko\n")
	f.Fuzz(func(t *testing.T, text string) {
		for file := range dependencies([]byte(text)) {
			if strings.Contains(file, ":") {
				t.Errorf("%q", file)
			}
		}
	})
}

func TestRootSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root := rapid.Int64Range(1, 1<<34).Draw(t, "root")
		if got := rootSize(root); got < root*5/4 || got%sector != 0 {
			t.Fatalf("%d for %d", got, root)
		}
	})
}
