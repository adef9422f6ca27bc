package manifest

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func example(t testing.TB) *Manifest {
	t.Helper()
	f, err := Of("boot.efi", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	return &Manifest{Format: Format, Architecture: "x86-64", Boot: f, Root: f, Packages: []string{"a 1"}}
}

func TestRoundTrip(t *testing.T) {
	m := example(t)
	raw, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(raw)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, change := range []func(*Manifest){
		func(m *Manifest) { m.Format = 2 },
		func(m *Manifest) { m.Root.Name = "../x" },
		func(m *Manifest) { m.Root.SHA256 = "12" },
		func(m *Manifest) { m.Boot.Size = 0 },
		func(m *Manifest) { m.Cmdline = "a\nb" },
		func(m *Manifest) { m.Disk = &File{} },
	} {
		m := example(t)
		change(m)
		raw, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(raw); err == nil {
			t.Errorf("%+v is taken", m)
		}
	}
}

func TestCheck(t *testing.T) {
	m := example(t)
	if err := m.Boot.Check(strings.NewReader("x")); err != nil {
		t.Error(err)
	}
	for _, content := range []string{"", "y", "xx"} {
		if err := m.Boot.Check(strings.NewReader(content)); !errors.Is(err, ErrHash) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestSignature(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("manifest")
	signature := Sign(data, private)
	if err := Verify(data, signature, public); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"no signature":   Verify(data, nil, public),
		"another key":    Verify(data, signature, other),
		"another text":   Verify([]byte("Manifest"), signature, public),
		"half of it":     Verify(data, signature[:20], public),
		"something else": Verify(data, []byte("rubbish"), public),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
	a, err := PublicKey(EncodeKey(public))
	if err != nil || !bytes.Equal(a, public) {
		t.Errorf("%v", err)
	}
	b, err := PrivateKey(EncodeKey(private.Seed()))
	if err != nil || !bytes.Equal(b, private) {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	raw, err := example(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err == nil && (!filepath.IsLocal(m.Root.Name) || strings.Contains(m.Root.Name, "/")) {
			t.Errorf("%q", m.Root.Name)
		}
	})
}

// What lies outside of the parts of a file is zero, and the parts do not waste much.
func TestExtents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var content []byte
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			content = append(content, make([]byte, rapid.IntRange(0, 3*block).Draw(t, "zeros"))...)
			content = append(content, rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "data")...)
		}
		content = append(content, 1)
		f, err := Of("disk", bytes.NewReader(content))
		if err != nil || f.check() != nil || f.Size != int64(len(content)) || f.Check(bytes.NewReader(content)) != nil {
			t.Fatalf("%+v, %v, %v", f, err, f.check())
		}
		if f.Data == nil {
			return
		}
		rest := bytes.Clone(content)
		var sent int64
		for _, d := range f.Data {
			clear(rest[d.Offset : d.Offset+d.Length])
			sent += d.Length
		}
		if !bytes.Equal(rest, make([]byte, len(rest))) || sent > 10*block {
			t.Fatalf("%v of %d bytes", f.Data, len(content))
		}
	})
	for _, data := range [][]Extent{{{-1, 2}}, {{0, 0}}, {{0, 11}}, {{4, 2}, {5, 1}}, {{9, 1 << 62}}} {
		f := File{Name: "disk", Size: 10, SHA256: strings.Repeat("0", 64), Data: data}
		if f.check() == nil {
			t.Errorf("%v is accepted", data)
		}
	}
}
