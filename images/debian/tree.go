package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"

	"orrery.dev/orrery/images"
)

// Tree is what is in some packages, in memory.
type Tree struct {
	files map[string]entry // by absolute path
}

type entry struct {
	images.File
	pkg string // the package that has it
}

// Open reads packages. If several have the same file, the later one counts.
func Open(ctx context.Context, packages []Package) (*Tree, error) {
	t := &Tree{files: map[string]entry{}}
	for _, p := range packages {
		if err := t.open(ctx, p); err != nil {
			return nil, fmt.Errorf("%s: %w", p.File, err)
		}
	}
	return t, nil
}

func (t *Tree) open(ctx context.Context, p Package) (err error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", p.File)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = t.read(p.Name, out)
	if err != nil {
		_ = cmd.Process.Kill()
	}
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("dpkg-deb: %w: %s", ended, strings.TrimSpace(complaint.String()))
	}
	return err
}

// read takes the files of a package's tar archive.
func (t *Tree) read(pkg string, archive io.Reader) error {
	for in := tar.NewReader(archive); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			// dpkg-deb pads the archive.
			_, err := io.Copy(io.Discard, archive)
			return err
		}
		if err != nil {
			return err
		}
		at := merged(header.Name)
		f := images.File{Path: at, Mode: header.FileInfo().Mode()}
		switch header.Typeflag {
		case tar.TypeReg:
			if f.Content, err = io.ReadAll(in); err != nil {
				return err
			}
		case tar.TypeSymlink:
			f.Link = header.Linkname
			if path.IsAbs(f.Link) {
				f.Link = merged(f.Link)
			}
		case tar.TypeLink:
			target, ok := t.files[merged(header.Linkname)]
			if !ok {
				return fmt.Errorf("%s is a link to %s, which is not there", header.Name, header.Linkname)
			}
			f.Content = target.Content
		default: // directories come with what is in them
			continue
		}
		t.files[at] = entry{f, pkg}
	}
}

// merged is the path of a file where /usr is merged: /bin, /sbin and /lib* are
// links into it (Debian's usrmerge).
func merged(name string) string {
	name = path.Clean("/" + name)
	top, _, _ := strings.Cut(name[1:], "/")
	if top == "bin" || top == "sbin" || strings.HasPrefix(top, "lib") {
		return "/usr" + name
	}
	return name
}

// Match lists the files whose paths match any of some patterns, as path.Match
// has them, in order.
func (t *Tree) Match(patterns ...string) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		before := len(all)
		for name := range t.files {
			ok, err := path.Match(pattern, name)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", pattern, err)
			}
			if ok {
				all = append(all, name)
			}
		}
		if len(all) == before {
			return nil, fmt.Errorf("no package has a file %s", pattern)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Closure is a set of files that has everything that its programs need.
type Closure struct {
	Files []images.File
	// Packages are the names of those that files came from, in order.
	Packages []string
}

// Closure takes files and adds what they link to, the shared libraries and
// loaders that they name, what those name, and the copyright of each package
// of which it took something.
func (t *Tree) Closure(names ...string) (*Closure, error) {
	taken := map[string]bool{}
	packages := map[string]bool{}
	queue := slices.Clone(names)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if taken[name] {
			continue
		}
		f, ok := t.files[name]
		if !ok {
			return nil, fmt.Errorf("no package has the file %s", name)
		}
		taken[name] = true
		packages[f.pkg] = true
		more, err := t.needs(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		queue = append(queue, more...)
	}
	c := &Closure{}
	for pkg := range packages {
		c.Packages = append(c.Packages, pkg)
		if notice := "/usr/share/doc/" + pkg + "/copyright"; t.files[notice].Mode.IsRegular() && t.files[notice].Path != "" {
			taken[notice] = true
		}
	}
	slices.Sort(c.Packages)
	for name := range taken {
		c.Files = append(c.Files, t.files[name].File)
	}
	slices.SortFunc(c.Files, func(a, b images.File) int { return strings.Compare(a.Path, b.Path) })
	return c, nil
}

// needs lists the files without which a file is of no use.
func (t *Tree) needs(f entry) ([]string, error) {
	if f.Mode&fs.ModeSymlink != 0 {
		to := f.Link
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(f.Path), to)
		}
		return []string{merged(to)}, nil
	}
	if !bytes.HasPrefix(f.Content, []byte(elf.ELFMAG)) {
		return nil, nil
	}
	program, err := elf.NewFile(bytes.NewReader(f.Content))
	if err != nil {
		return nil, err
	}
	var needed []string
	for _, p := range program.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader := make([]byte, p.Filesz)
		if _, err := p.ReadAt(loader, 0); err != nil {
			return nil, err
		}
		needed = append(needed, merged(string(bytes.TrimRight(loader, "\x00"))))
	}
	libraries, err := program.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	if len(libraries) == 0 {
		return needed, nil
	}
	dirs, err := t.searched(f.Path, program)
	if err != nil {
		return nil, err
	}
	for _, library := range libraries {
		at := slices.IndexFunc(dirs, func(dir string) bool { return t.files[path.Join(dir, library)].Path != "" })
		if at < 0 {
			return nil, fmt.Errorf("needs %s, which is in none of %s", library, strings.Join(dirs, ", "))
		}
		needed = append(needed, path.Join(dirs[at], library))
	}
	return needed, nil
}

// triplets are the names of Debian's architectures in paths.
var triplets = map[elf.Machine]string{
	elf.EM_X86_64:  "x86_64-linux-gnu",
	elf.EM_AARCH64: "aarch64-linux-gnu",
	elf.EM_RISCV:   "riscv64-linux-gnu",
}

// searched are the directories in which a program's libraries are looked for:
// its own (DT_RPATH, DT_RUNPATH), and those that the loader has built in.
func (t *Tree) searched(name string, program *elf.File) ([]string, error) {
	triplet, ok := triplets[program.Machine]
	if !ok {
		return nil, fmt.Errorf("programs for %v: their libraries' place is not known here", program.Machine)
	}
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		lists, err := program.DynString(tag)
		if err != nil {
			return nil, err
		}
		for _, list := range lists {
			for _, dir := range strings.Split(list, ":") {
				dirs = append(dirs, merged(strings.NewReplacer("$ORIGIN", path.Dir(name), "${ORIGIN}", path.Dir(name)).Replace(dir)))
			}
		}
	}
	return append(dirs, "/usr/lib/"+triplet, "/usr/lib"), nil
}
