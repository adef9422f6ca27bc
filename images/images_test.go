package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"pgregory.net/rapid"
)

// A layer does not depend on the order in which files are given, nor on what
// they are on this host beside their content.
func TestReproducible(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab]{1,2}(/[ab]{1,2}){0,2}/f`), 1, 8, rapid.ID[string]).Draw(t, "paths")
		var files []File
		for _, p := range paths {
			files = append(files, File{Path: p, Mode: 0o644, Content: rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "content")})
		}
		epoch := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "epoch"), 0)
		a := archive(t, Image{Name: "test/a:1", Layers: [][]File{files}}, epoch, filepath.Join(dir, "a.tar"))

		shuffle := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		shuffle.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		for i := range files {
			// The same content, from a file of another time and owner's mode.
			from := filepath.Join(dir, "from"+files[i].name()[:1]+string(rune('a'+i)))
			if err := os.WriteFile(from, files[i].Content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(from, time.Unix(12345, 0), time.Unix(12345, 0)); err != nil {
				t.Fatal(err)
			}
			files[i].From, files[i].Content = from, nil
		}
		b := archive(t, Image{Name: "test/a:1", Layers: [][]File{files}}, epoch, filepath.Join(dir, "b.tar"))
		if !bytes.Equal(a, b) {
			t.Fatal("the same files give two images")
		}
	})
}

func archive(t *rapid.T, i Image, epoch time.Time, file string) []byte {
	built, err := i.Build(epoch)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(file, i.Name, built); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestNamesOfNoArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, file + ".missing"} {
		if names, err := Names(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("the images are %q, %v", names, err)
		}
	}
}

// What comes out of an archive is what went in.
func TestArchive(t *testing.T) {
	epoch := time.Unix(1700000000, 0).UTC()
	image := Image{
		Name: "orrery.dev/test:1", Entrypoint: []string{"/bin/a"}, Command: []string{"x"}, Env: []string{"PATH=/bin"},
		Labels: map[string]string{"k": "v"},
		Layers: [][]File{
			{{Path: "/bin/a", Mode: fs.ModeSetuid | 0o755, Content: []byte("program")}, {Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777}},
			{{Path: "/lib", Mode: fs.ModeSymlink, Link: "usr/lib"}},
		},
	}
	built, err := image.Build(epoch)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "deep", "image.tar")
	if err := Write(file, image.Name, built); err != nil {
		t.Fatal(err)
	}
	if names, err := Names(file); err != nil || len(names) != 1 || !slices.Equal(names[0], []string{image.Name}) {
		t.Errorf("the archive's images are %q, %v", names, err)
	}
	read, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := read.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !config.Created.Equal(epoch) || config.OS != "linux" || !slices.Equal(config.Config.Entrypoint, image.Entrypoint) || config.Config.Labels["k"] != "v" {
		t.Errorf("configuration %+v", config)
	}
	layers, err := read.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for in := tar.NewReader(content); ; {
			h, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			if !h.ModTime.Equal(epoch) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
				t.Errorf("%s is of %v and owned by %d:%d %q", h.Name, h.ModTime, h.Uid, h.Gid, h.Uname)
			}
			got = append(got, strings.TrimSpace(h.FileInfo().Mode().String()+" "+h.Name+" "+h.Linkname+string(text)))
		}
	}
	want := []string{"drwxr-xr-x bin/", "urwxr-xr-x bin/a program", "dtrwxrwxrwx tmp/", "Lrwxrwxrwx lib usr/lib"}
	if !slices.Equal(got, want) {
		t.Errorf("layers have %q, want %q", got, want)
	}
}

func TestRefuses(t *testing.T) {
	for want, files := range map[string][]File{
		"two files /a":       {{Path: "/a", Mode: 0o644}, {Path: "b/../a", Mode: 0o644}},
		"no directory":       {{Path: "/a", Mode: 0o644}, {Path: "/a/b", Mode: 0o644}},
		"regular files":      {{Path: "/a", Mode: fs.ModeDevice}},
		"no such file":       {{Path: "/a", From: "/nonexistent/x"}},
		"is no regular file": {{Path: "/a", From: "/"}},
	} {
		if _, err := (Image{Name: "test/a:1", Layers: [][]File{files}}).Build(time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", files, err, want)
		}
	}
	built, err := Image{}.Build(time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(t.TempDir(), "a"), "Not A Name", built); err == nil {
		t.Error("a bad name is taken")
	}
}

func TestEpoch(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if e, err := Epoch(); err != nil || e.Unix() != 1700000000 {
		t.Errorf("got %v, %v", e, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if e, err := Epoch(); err != nil || e.Unix() != 0 {
		t.Errorf("empty: got %v, %v", e, err)
	}
	for _, bad := range []string{"x", "-1", "1.5"} {
		t.Setenv("SOURCE_DATE_EPOCH", bad)
		if _, err := Epoch(); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
