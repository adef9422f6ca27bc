package bundle

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const doc = `{"apiVersion": "orrery.dev/v1alpha1", "kind": "Scenario", "metadata": {"name": "a"},
"spec": {"stations": [{"name": "oslo", "position": {"lat": "59deg", "lon": "10deg"}}]}}`

// What is packed is what is unpacked, and the same always gives the same bytes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := rapid.MapOfN(rapid.StringMatching(`[a-z][-a-zA-Z0-9._]{0,20}`), rapid.SliceOfN(rapid.Byte(), 0, 200), 0, 5).Draw(t, "files")
		packed, err := Pack([]byte(doc), files)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Pack([]byte(doc), files)
		if err != nil || !bytes.Equal(packed, again) || Name(packed) != Name(again) {
			t.Fatalf("packed twice, it differs: %v", err)
		}
		dir, err := os.MkdirTemp("", "bundle-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s, err := Unpack(packed, dir)
		if err != nil || s.Metadata.Name != "a" || len(s.Spec.Stations) != 1 {
			t.Fatalf("unpacked %+v, %v", s, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != len(files) {
			t.Fatalf("%d files of %d, %v", len(entries), len(files), err)
		}
		for name, want := range files {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !bytes.Equal(got, want) || s.Path(name) != filepath.Join(dir, name) {
				t.Fatalf("%s is %q, %v", name, got, err)
			}
		}
	})
}

func TestPackRefuses(t *testing.T) {
	if _, err := Pack([]byte(doc), map[string][]byte{"../x": nil}); err == nil || !strings.Contains(err.Error(), "plain name") {
		t.Errorf("a path for a name: %v", err)
	}
	noise := make([]byte, MaxPacked+1)
	_, _ = rand.Read(noise)
	if _, err := Pack([]byte(doc), map[string][]byte{"x": noise}); err == nil || !strings.Contains(err.Error(), "ConfigMap") {
		t.Errorf("more than a ConfigMap takes: %v", err)
	}
	if _, err := Pack([]byte(doc), map[string][]byte{"x": make([]byte, MaxUnpacked+1)}); err == nil || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("more than is unpacked: %v", err)
	}
}

func TestInflate(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, MaxUnpacked+1))
	_ = z.Close()
	if _, err := Inflate(b.Bytes()); err == nil {
		t.Error("a file that grows without bound is inflated")
	}
}

// No archive makes a file outside of its directory, or a panic.
func FuzzUnpack(f *testing.F) {
	good, err := Pack([]byte(doc), map[string][]byte{"x.tle": []byte("1\n")})
	if err != nil {
		f.Fatal(err)
	}
	plain, err := Inflate(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(bytes.Replace(plain, []byte("x.tle"), []byte("../xx"), 1))
	f.Fuzz(func(t *testing.T, tarball []byte) {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.NoCompression)
		_, _ = z.Write(tarball)
		_ = z.Close()
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, _ = Unpack(b.Bytes(), dir)
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Fatalf("files outside of the directory: %v", entries)
		}
	})
}
