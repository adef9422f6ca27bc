package provision

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"orrery.dev/orrery/provision/manifest"
)

// Images are those below the served directory. They may be replaced while the server runs: each is
// looked at when it is offered, and its boot file is hashed when it has changed.
type Images struct {
	root *os.Root
	key  ed25519.PublicKey // nil: images may be unsigned

	mu     sync.Mutex
	hashed map[string]hashed // by path of the boot file
}

// hashed is what a file was when it was hashed.
type hashed struct {
	size    int64
	changed time.Time
	want    string
	err     error
}

// Image is one that may be offered.
type Image struct {
	*manifest.Manifest
	Directory string // below the served one
	Raw       []byte // the manifest's content
	Signature []byte
}

// BootFile is the path of the boot file below the served directory.
func (i *Image) BootFile() string { return path.Join(i.Directory, i.Boot.Name) }

// NewImages are those below a directory, signed with a key unless it is nil.
func NewImages(root *os.Root, key ed25519.PublicKey) *Images {
	return &Images{root: root, key: key, hashed: map[string]hashed{}}
}

// Open reads the manifest of an image, checks its signature, and its boot file's hash.
func (s *Images) Open(directory string) (*Image, error) {
	fail := func(err error) (*Image, error) { return nil, fmt.Errorf("image %s: %w", directory, err) }
	raw, err := s.read(path.Join(directory, manifest.Name))
	if err != nil {
		return fail(err)
	}
	image := &Image{Directory: directory, Raw: raw}
	if image.Signature, err = s.read(path.Join(directory, manifest.Signature)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	if s.key != nil {
		if err := manifest.Verify(raw, image.Signature, s.key); err != nil {
			return fail(err)
		}
	}
	if image.Manifest, err = manifest.Decode(raw); err != nil {
		return fail(err)
	}
	if err := s.check(image); err != nil {
		return fail(err)
	}
	return image, nil
}

// maxManifest bounds the files that are read whole.
const maxManifest = 1 << 20

func (s *Images) read(name string) ([]byte, error) {
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && len(data) > maxManifest {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxManifest)
	}
	return data, err
}

// check hashes the boot file, if it has changed since the last time.
func (s *Images) check(i *Image) error {
	f, err := s.root.Open(i.BootFile())
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.hashed[i.BootFile()]
	if !ok || h.size != info.Size() || !h.changed.Equal(info.ModTime()) || h.want != i.Boot.SHA256 {
		h = hashed{info.Size(), info.ModTime(), i.Boot.SHA256, i.Boot.Check(f)}
		s.hashed[i.BootFile()] = h
	}
	return h.err
}
