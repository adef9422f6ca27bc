package doctor_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"orrery.dev/orrery/doctor"
	"orrery.dev/orrery/doctor/doctortest"
)

var update = flag.Bool("update", false, "write what is found into the files of testdata")

// lacks are the fields of a machine that a golden file may change.
type lacks struct {
	ReadOnly                   bool
	Bytes, Inodes              *int64
	Descriptors                *[2]uint64
	Processes                  *int64
	Permitted, TUN, TAP, Calls string
	NoTSO, NoUSO, NoAnnounce   bool
	NoPriority                 bool
	Cores                      *int
	UID                        int
	Versions                   map[string]string
}

func (l *lacks) apply(m *doctortest.Machine) {
	failure := func(text string) error {
		if text == "" {
			return nil
		}
		return errors.New(text)
	}
	m.ReadOnly, m.UID = l.ReadOnly, l.UID
	m.PermittedError, m.TUNError, m.TAPError, m.KernelError = failure(l.Permitted), failure(l.TUN), failure(l.TAP), failure(l.Calls)
	m.Abilities.TSO, m.Abilities.USO, m.Abilities.Announce = !l.NoTSO, !l.NoUSO, !l.NoAnnounce
	m.Priority = !l.NoPriority
	set(&m.Bytes, l.Bytes)
	set(&m.Inodes, l.Inodes)
	set(&m.Descriptors, l.Descriptors)
	set(&m.Processes, l.Processes)
	set(&m.Cores, l.Cores)
	if l.Versions != nil {
		m.Versions = l.Versions
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Each file of testdata is a need, a machine as it differs from a good one, and
// the table that is to come. Its sections: "need" is one as JSON, none if it is
// not there; "machine" has fields as JSON; "absent" names files that are not
// there; "proc/…", "sys/…" and "run/…" are files; "node/proc/…" is what a new
// network namespace has; "want" is the table.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no files in testdata", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, need, want := doctortest.Good(), doctor.Need{}, (*txtar.File)(nil)
			for i := range archive.Files {
				text := string(archive.Files[i].Data)
				switch name := archive.Files[i].Name; {
				case name == "need":
					if err := json.Unmarshal([]byte(text), &need); err != nil {
						t.Fatal(err)
					}
				case name == "machine":
					var l lacks
					if err := json.Unmarshal([]byte(text), &l); err != nil {
						t.Fatal(err)
					}
					l.apply(m)
				case name == "absent":
					for _, f := range strings.Fields(text) {
						delete(m.Tree, f)
					}
				case name == "want":
					want = &archive.Files[i]
				case strings.HasPrefix(name, "node/"):
					m.NodeTree[strings.TrimPrefix(name, "node/")] = text
				default:
					m.Tree[name] = text
				}
			}
			got := table(examine(t, m, need))
			switch {
			case *update && want != nil:
				want.Data = []byte(got)
				write(t, file, txtar.Format(archive))
			case want == nil || string(want.Data) != got:
				t.Errorf("got, to be accepted with -update:\n%s", got)
			}
		})
	}
}

// table has a line for each finding, and its sentences below.
func table(findings []doctor.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-7s  %s: have %s, need %s\n", f.Verdict, f.Check, f.Have, f.Need)
		if f.Verdict != doctor.OK {
			fmt.Fprintf(&b, "         = %s\n         > %s\n", f.Consequence, f.Remedy)
		}
		for _, s := range f.Settings {
			fmt.Fprintf(&b, "         + %s = %s\n", s.Sysctl, s.Value)
		}
	}
	return b.String()
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
