package tune

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const good = `{"version":1,"boot":"b","persistent":"/x","sysctls":[{"sysctl":"net.core.rmem_max","old":"1","set":["2","3"]}]}`

func TestDecode(t *testing.T) {
	if r, err := decode([]byte(good)); err != nil || r.Boot != "b" || !r.of("net.core.rmem_max").ours("3") {
		t.Errorf("%+v, %v", r, err)
	}
	for old, bad := range map[string]string{
		`"version":1`: `"version":2`, `"net.core.rmem_max"`: `"../../etc/passwd"`, `"boot"`: `"boots"`, `"1"`: `"1\n2"`,
		`]}]}`: `]},{"sysctl":"net.core.rmem_max","old":"1","set":[]}]}`, `}]}`: `}]} {}`, `{"v`: `"v`,
	} {
		if r, err := decode([]byte(strings.Replace(good, old, bad, 1))); err == nil {
			t.Errorf("%s: taken as %+v", bad, r)
		}
	}
}

// A record that cannot be understood is not overwritten.
func TestBrokenRecord(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, recordName)
	if err := os.WriteFile(file, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	tu := &Tuner{Sysctls: Dir(t.TempDir()), Dir: dir}
	_, applied := tu.Apply(nil, true)
	_, undone := tu.Undo()
	for _, err := range []error{applied, undone} {
		if err == nil || !strings.Contains(err.Error(), file+" cannot be understood") {
			t.Errorf("error %v", err)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "{" {
		t.Errorf("%q", b)
	}
}

// Whatever is read as a record names sysctls only, and is written the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"version":1,"boot":"","sysctls":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		for _, o := range r.Sysctls {
			if strings.ContainsAny(o.Sysctl, "/\x00") || strings.Contains(o.Sysctl, "..") {
				t.Fatalf("%q is a path", o.Sysctl)
			}
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decode(again); err != nil || !reflect.DeepEqual(normalised(r), normalised(same)) {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

// normalised takes no lists and empty ones for the same.
func normalised(r *record) record {
	c := *r
	if len(c.Sysctls) == 0 {
		c.Sysctls = nil
	}
	for i := range c.Sysctls {
		if len(c.Sysctls[i].Set) == 0 {
			c.Sysctls[i].Set = nil
		}
	}
	return c
}
