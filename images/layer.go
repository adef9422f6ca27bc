package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// File is a file of a layer.
type File struct {
	// Path is where it is in the image, from "/" on, or without.
	Path string
	// Mode has permissions, and ModeDir or ModeSymlink if it is one.
	Mode fs.FileMode
	// Link is what a symbolic link points to.
	Link string
	// From is the file on this host with the content of a regular file. If it
	// is empty, Content counts.
	From    string
	Content []byte
}

// name is the path as it stands in a layer.
func (f File) name() string {
	return strings.TrimPrefix(path.Clean("/"+f.Path), "/")
}

// withParents adds the directories that files are in and that are not listed,
// and sorts. Two files of the same path are a mistake.
func withParents(files []File) ([]File, error) {
	byName := map[string]File{}
	for _, f := range files {
		name := f.name()
		if name == "" {
			continue // the root is there already
		}
		if _, ok := byName[name]; ok {
			return nil, fmt.Errorf("a layer has two files /%s", name)
		}
		byName[name] = f
	}
	for _, f := range files {
		for dir := path.Dir(f.name()); dir != "."; dir = path.Dir(dir) {
			if above, ok := byName[dir]; ok {
				if !above.Mode.IsDir() {
					return nil, fmt.Errorf("a layer has a file /%s in /%s, which is no directory", f.name(), dir)
				}
				continue
			}
			byName[dir] = File{Path: dir, Mode: fs.ModeDir | 0o755}
		}
	}
	all := make([]File, 0, len(byName))
	for _, f := range byName {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.name(), b.name()) })
	return all, nil
}

// writeTar writes files, of which parents come first, as a layer.
func writeTar(w io.Writer, files []File, epoch time.Time) error {
	out := tar.NewWriter(w)
	for _, f := range files {
		if err := writeFile(out, f, epoch); err != nil {
			return fmt.Errorf("/%s: %w", f.name(), err)
		}
	}
	return out.Close()
}

func writeFile(out *tar.Writer, f File, epoch time.Time) error {
	header := &tar.Header{Name: f.name(), ModTime: epoch, Format: tar.FormatPAX}
	header.Mode = int64(f.Mode.Perm())
	for bit, value := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if f.Mode&bit != 0 {
			header.Mode |= value
		}
	}
	switch f.Mode.Type() {
	case fs.ModeDir:
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		return out.WriteHeader(header)
	case fs.ModeSymlink:
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Link, 0o777
		return out.WriteHeader(header)
	case 0:
	default:
		return fmt.Errorf("%v: a layer has regular files, directories and symbolic links", f.Mode.Type())
	}
	header.Typeflag, header.Size = tar.TypeReg, int64(len(f.Content))
	var content io.Reader = bytes.NewReader(f.Content)
	if f.From != "" {
		from, err := os.Open(f.From)
		if err != nil {
			return err
		}
		defer from.Close()
		info, err := from.Stat()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file", f.From)
		}
		header.Size, content = info.Size(), from
	}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(out, content)
	return err
}
