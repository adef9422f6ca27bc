// Package manifest describes a node image: a directory with a boot file, a root and perhaps a
// disk image, and manifest.json that has the size and SHA-256 of each. Where the image is
// signed, manifest.json.sig beside it holds the Ed25519 signature of manifest.json's bytes in base64.
//
// The boot file's first program is given the manifest by the server, checks the signature
// with the key that is built into it, and then fetches and checks the root.
package manifest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// The names of the files of an image.
const (
	Name      = "manifest.json"
	Signature = "manifest.json.sig"
)

// Format is the version of the format.
const Format = 1

// Manifest describes an image.
type Manifest struct {
	Format       int    `json:"format"`
	Version      string `json:"version"`      // of Orrery
	Architecture string `json:"architecture"` // "x86-64" or "arm64"
	Kernel       string `json:"kernel"`       // its release
	Cmdline      string `json:"cmdline"`      // of the kernel
	Boot         File   `json:"boot"`         // unified kernel image for booting by network
	Root         File   `json:"root"`         // file system of user space
	// Disk is a whole disk, and Slots the boot files for its two roots, by "a" and "b". Both are there or none.
	Disk  *File            `json:"disk,omitempty"`
	Slots map[string]*File `json:"slots,omitempty"`
	// Packages are name and version of every Debian package in Root, in order.
	Packages []string `json:"packages"`
}

// File is one file of an image.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal digits
	// Data are the parts outside of which all bytes are zero, and which alone need to be sent. Nil stands for the whole file.
	Data []Extent `json:"data,omitempty"`
}

// Extent is a part of a file.
type Extent struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// ErrHash is wrapped by the error for a file that is not the one of the manifest.
var ErrHash = errors.New("wrong image hash")

// block is the unit in which zeros are looked for, in bytes.
const block = 1 << 20

// Of describes a file's content.
func Of(name string, r io.Reader) (File, error) {
	f := File{Name: name}
	h := sha256.New()
	buffer, zeros := make([]byte, block), make([]byte, block)
	holes := false
	for {
		n, err := io.ReadFull(r, buffer)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return File{}, err
		}
		h.Write(buffer[:n])
		last := len(f.Data) - 1
		switch {
		case n == 0:
		case bytes.Equal(buffer[:n], zeros[:n]):
			holes = true
		case last >= 0 && f.Data[last].Offset+f.Data[last].Length == f.Size:
			f.Data[last].Length += int64(n)
		default:
			f.Data = append(f.Data, Extent{f.Size, int64(n)})
		}
		f.Size += int64(n)
		if err != nil {
			break
		}
	}
	if !holes {
		f.Data = nil
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return f, nil
}

// Check reads a file's content and says whether it is the file.
func (f File) Check(r io.Reader) error {
	got, err := Of(f.Name, r)
	switch {
	case err != nil:
		return err
	case got.Size != f.Size:
		return fmt.Errorf("%w: %s has %d bytes, the manifest says %d", ErrHash, f.Name, got.Size, f.Size)
	case got.SHA256 != f.SHA256:
		return fmt.Errorf("%w: %s has the SHA-256 %s, the manifest says %s", ErrHash, f.Name, got.SHA256, f.SHA256)
	}
	return nil
}

func (f File) check() error {
	b, err := hex.DecodeString(f.SHA256)
	if f.Name == "" || f.Name != filepath.Base(f.Name) || !filepath.IsLocal(f.Name) || strings.ContainsAny(f.Name, "/\\ ?#%") {
		return fmt.Errorf("%q is not the name of a file beside the manifest", f.Name)
	}
	if err != nil || len(b) != sha256.Size || f.Size <= 0 {
		return fmt.Errorf("%s has no size or no SHA-256", f.Name)
	}
	end := int64(0)
	for _, d := range f.Data {
		if d.Offset < end || d.Length <= 0 || d.Length > f.Size-d.Offset {
			return fmt.Errorf("%s has no part of %d bytes at %d after byte %d", f.Name, d.Length, d.Offset, end)
		}
		end = d.Offset + d.Length
	}
	return nil
}

// Decode reads a manifest and checks its form.
func Decode(data []byte) (*Manifest, error) {
	m := new(Manifest)
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", Name, err)
	}
	if m.Format != Format {
		return nil, fmt.Errorf("%s has format %d, and this program reads %d; build the image anew", Name, m.Format, Format)
	}
	files := []File{m.Boot, m.Root}
	if m.Disk != nil {
		files = append(files, *m.Disk)
	}
	for _, f := range m.Slots {
		if f == nil {
			return nil, fmt.Errorf("%s has a slot without a file; build the image anew", Name)
		}
		files = append(files, *f)
	}
	for _, f := range files {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("%s: %w; build the image anew", Name, err)
		}
	}
	if strings.ContainsAny(m.Cmdline, "\n\r\x00") {
		return nil, fmt.Errorf("%s: the command line has more than one line; build the image anew", Name)
	}
	return m, nil
}

// Encode is the text of a manifest, the same for the same manifest.
func (m *Manifest) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// ErrSignature is wrapped by the error for a missing or wrong signature.
var ErrSignature = errors.New("wrong image signature")

// Sign makes the content of the signature's file.
func Sign(data []byte, key ed25519.PrivateKey) []byte {
	return []byte(base64.StdEncoding.EncodeToString(ed25519.Sign(key, data)) + "\n")
}

// Verify checks a signature's file.
func Verify(data, signature []byte, key ed25519.PublicKey) error {
	if len(bytes.TrimSpace(signature)) == 0 {
		return fmt.Errorf("%w: the image is not signed, and only signed ones may be used", ErrSignature)
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(signature)))
	if err != nil || len(raw) != ed25519.SignatureSize || !ed25519.Verify(key, data, raw) {
		return fmt.Errorf("%w: the manifest was not signed by the key of this site", ErrSignature)
	}
	return nil
}

// PublicKey reads a public key: a line of base64.
func PublicKey(text []byte) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, errors.New("this is not a public key; \"orrery image key\" makes a pair")
	}
	return b, nil
}

// PrivateKey reads a private key: a line of base64.
func PrivateKey(text []byte) (ed25519.PrivateKey, error) {
	b, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(b) != ed25519.SeedSize {
		return nil, errors.New("this is not a private key; \"orrery image key\" makes a pair")
	}
	return ed25519.NewKeyFromSeed(b), nil
}

// EncodeKey is the line of base64 that PublicKey, or with a seed PrivateKey, reads.
func EncodeKey(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b) + "\n") }
