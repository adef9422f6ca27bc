package debian

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParsePlan(t *testing.T) {
	got, err := parsePlan(`NOTE: This is only a simulation!
Reading package lists...
Inst libc6 [2.36-9] (2.36-9+deb12u4 Debian:12.5/stable [amd64])
Inst iputils-ping (3:20221126-1 Debian:12.5/stable [amd64]) []
Inst gcc-12-base:i386 (12.2.0-14 Debian:12.5/stable [i386])
Conf libc6 (2.36-9+deb12u4 Debian:12.5/stable [amd64])
`)
	want := []Package{{Name: "gcc-12-base", Version: "12.2.0-14"}, {Name: "iputils-ping", Version: "3:20221126-1"}, {Name: "libc6", Version: "2.36-9+deb12u4"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "Inst x\n", "Inst x ()\n"} {
		if _, err := parsePlan(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add("Inst libc6 [2.36-9] (2.36-9+deb12u4 Debian:12.5/stable [amd64])\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parsePlan(text)
		if err == nil && len(all) == 0 {
			t.Error("no packages and no error")
		}
		for _, p := range all {
			if p.Name == "" && p.Version == "" {
				t.Errorf("%q gives a package without name and version", text)
			}
		}
	})
}

type member struct{ name, link, content string }

// tree is a package with some files.
func tree(t *testing.T, pkg string, members ...member) *Tree {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: 0o755, Size: int64(len(m.content))}
		if m.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, m.link
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	all := &Tree{files: map[string]entry{}}
	if err := all.read(pkg, &b); err != nil {
		t.Fatal(err)
	}
	return all
}

func paths(c *Closure) []string {
	var all []string
	for _, f := range c.Files {
		all = append(all, f.Path)
	}
	return all
}

func TestClosureOfLinks(t *testing.T) {
	all := tree(t, "p",
		member{name: "./bin/a", link: "/etc/alternatives/a"}, member{name: "./etc/alternatives/a", link: "../../sbin/b"},
		member{name: "./sbin/b", content: "text"}, member{name: "./sbin/unused", content: "text"},
		member{name: "./usr/share/doc/p/copyright", content: "licence"})
	c, err := all.Closure("/usr/bin/a")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/alternatives/a", "/usr/bin/a", "/usr/sbin/b", "/usr/share/doc/p/copyright"}
	if !slices.Equal(paths(c), want) || !slices.Equal(c.Packages, []string{"p"}) {
		t.Errorf("got %q of %q, want %q", paths(c), c.Packages, want)
	}
	if _, err := all.Closure("/usr/bin/none"); err == nil {
		t.Error("a file that is not there is taken")
	}
	if got, err := all.Match("/usr/sbin/*"); err != nil || !slices.Equal(got, []string{"/usr/sbin/b", "/usr/sbin/unused"}) {
		t.Errorf("match: %q, %v", got, err)
	}
	if _, err := all.Match("/nothing/*"); err == nil {
		t.Error("a pattern that matches nothing is taken")
	}
}

// A real program needs its loader and its libraries, and they are missed.
func TestClosureOfProgram(t *testing.T) {
	const program = "/bin/sh"
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		t.Skipf("no program to look at: %v", err)
	}
	content, err := os.ReadFile(real)
	if err != nil {
		t.Skipf("no program to look at: %v", err)
	}
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Skipf("%s is no ELF program, as this test needs one: %v", program, err)
	}
	libraries, err := f.ImportedLibraries()
	triplet := triplets[f.Machine]
	if err != nil || len(libraries) == 0 || triplet == "" {
		t.Skipf("%s has no shared libraries (%v) or is for an architecture that is not known here (%v)", program, err, f.Machine)
	}
	members := []member{{name: "./bin/sh", content: string(content)}}
	want := []string{"/usr/bin/sh"}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			loader := make([]byte, p.Filesz-1)
			if _, err := p.ReadAt(loader, 0); err != nil {
				t.Fatal(err)
			}
			members = append(members, member{name: "." + string(loader), content: "loader"})
			want = append(want, merged(string(loader)))
		}
	}
	for _, l := range libraries {
		if _, err := tree(t, "p", members...).Closure("/usr/bin/sh"); err == nil || !strings.Contains(err.Error(), "needs "+l) {
			t.Errorf("without %s: %v", l, err)
		}
		name := fmt.Sprintf("/lib/%s/%s", triplet, l)
		members = append(members, member{name: "." + name, content: "library"})
		want = append(want, merged(name))
	}
	c, err := tree(t, "p", members...).Closure("/usr/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if !slices.Equal(paths(c), want) {
		t.Errorf("got %q, want %q", paths(c), want)
	}
}

// Packages are read whatever is in them.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./bin/a", Size: 1})
	_, _ = w.Write([]byte("x"))
	_ = w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		all := &Tree{files: map[string]entry{}}
		if err := all.read("p", bytes.NewReader(archive)); err != nil {
			return
		}
		for name := range all.files {
			if !strings.HasPrefix(name, "/") || strings.Contains(name, "/../") {
				t.Errorf("a file at %q", name)
			}
		}
	})
}
