// Package bundle packs a scenario and the files that it names into one small
// archive, and unpacks it where pods and agents need files: a gzipped tar, which
// the operator puts into a ConfigMap. It holds the scenario as its user wrote it
// and not what it expands to, so that ten thousand nodes take no more room than
// ten.
//
// The same input gives the same bytes, whose hash names the ConfigMap.
package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"orrery.dev/orrery/scenario"
)

// Key is the name of an archive in a ConfigMap.
const Key = "scenario.tar.gz"

// document is the scenario's name in an archive, which no file of a ConfigMap
// can have.
const document = "@scenario.json"

const (
	// MaxPacked is how large an archive may be, in bytes: an object of Kubernetes
	// has 1 MiB, and a ConfigMap holds binary data in base64 where it is listed.
	MaxPacked = 900 << 10
	// MaxUnpacked is how much may be in it.
	MaxUnpacked = 64 << 20
)

// Pack makes an archive of a scenario in JSON or YAML and its files by name.
func Pack(doc []byte, files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	add := func(name string, content []byte) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	total := len(doc)
	err = add(document, doc)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !scenario.FileName(name) {
			return nil, fmt.Errorf("the file %q cannot be packed; give it a plain name of letters, digits, '-', '_' and '.'", name)
		}
		total += len(files[name])
		err = errors.Join(err, add(name, files[name]))
	}
	if err := errors.Join(err, w.Close(), z.Close()); err != nil {
		return nil, fmt.Errorf("pack the scenario: %w", err)
	}
	if total > MaxUnpacked {
		return nil, fmt.Errorf("the scenario and its files have %d MiB, and %d MiB is the most; select satellites beforehand", total>>20, MaxUnpacked>>20)
	}
	if b.Len() > MaxPacked {
		return nil, fmt.Errorf("the scenario and its files have %d KiB when compressed, and %d KiB is the most that a ConfigMap takes; keep only the satellites that are used in the files", b.Len()>>10, MaxPacked>>10)
	}
	return b.Bytes(), nil
}

// Name is a short name for an archive by its content.
func Name(packed []byte) string {
	sum := sha256.Sum256(packed)
	return hex.EncodeToString(sum[:5])
}

// Unpack writes an archive's files into a directory and reads the scenario
// there. Whatever the archive is, nothing outside of the directory is written.
func Unpack(packed []byte, dir string) (*scenario.Scenario, error) {
	doc, err := extract(packed, dir)
	if err != nil {
		return nil, fmt.Errorf("unpack the scenario: %w", err)
	}
	return scenario.ParseObject(dir, doc)
}

func extract(packed []byte, dir string) (doc []byte, err error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: z, N: MaxUnpacked + 1<<20}
	r := tar.NewReader(limited)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch {
		case h.Typeflag != tar.TypeReg || h.Size > MaxUnpacked:
			return nil, fmt.Errorf("%q is not a file of at most %d MiB", h.Name, MaxUnpacked>>20)
		case h.Name == document:
			if doc, err = io.ReadAll(r); err != nil {
				return nil, err
			}
		case !scenario.FileName(h.Name):
			return nil, fmt.Errorf("%q is no name of a file", h.Name)
		default:
			if err := write(filepath.Join(dir, h.Name), r); err != nil {
				return nil, err
			}
		}
	}
	if doc == nil {
		return nil, errors.New("there is no scenario in it")
	}
	return doc, nil
}

func write(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// Inflate is the content of a gzipped file, MaxUnpacked bytes at most.
func Inflate(compressed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(z, MaxUnpacked+1))
	if err == nil && len(b) > MaxUnpacked {
		err = fmt.Errorf("it has more than %d MiB", MaxUnpacked>>20)
	}
	return b, err
}
