package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A process that has its node's directory in the place of others finds its own
// files there, and leaves the host's as they are.
func TestBindOver(t *testing.T) {
	l, shown := privately(t, 2)
	there := filepath.Join(shown, "there")
	if err := os.Mkdir(there, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(there, "file"), []byte("the host's"), 0o644); err != nil {
		t.Fatal(err)
	}
	absent := []string{filepath.Join(shown, "absent"), filepath.Join(shown, "no", "such", "place"), "/run/orrery-test-absent/place"}
	for _, private := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "private"}[private]
		t.Run(name, func(t *testing.T) {
			for _, node := range []string{"n0", "n1"} {
				places := append([]string{there}, absent...)
				script := "echo " + node + " > " + there + "/mine; cat " + strings.Join(places, "/mine ") + "/mine; ls -A " + there + "; exec sleep 1000"
				if err := l.Start(t.Context(), node, Process{Name: name, Argv: []string{"sh", "-c", script}, Private: private, BindOver: places}); err != nil {
					t.Fatal(err)
				}
			}
			for _, node := range []string{"n0", "n1"} {
				log := filepath.Join(l.Dir(node), name+".log")
				eventually(t, node+" has said what it sees", func() bool {
					b, err := os.ReadFile(log)
					return err == nil && strings.Count(string(b), "\n") >= 6 // four times its name, and two files at least
				})
				b, err := os.ReadFile(log)
				if err != nil || !strings.HasPrefix(string(b), strings.Repeat(node+"\n", 4)) || strings.Contains(string(b), "file\n") {
					t.Errorf("%s sees %q, %v", node, b, err)
				}
				if b, err := os.ReadFile(filepath.Join(l.Dir(node), "mine")); err != nil || string(b) != node+"\n" {
					t.Errorf("in the directory of %s is %q, %v", node, b, err)
				}
			}
			if got := in(t, l, "n0", "ls -A "+there+" "+shown); !strings.Contains(got, "file") || strings.Contains(got, "mine") || strings.Contains(got, "absent") {
				t.Errorf("another process sees %q", got)
			}
		})
	}
	if files, err := os.ReadDir(there); err != nil || len(files) != 1 {
		t.Errorf("on the host are %v, %v", files, err)
	}
	for _, path := range append(absent, filepath.Join(shown, "no"), "/run/orrery-test-absent") {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was made on the host: %v", path, err)
		}
	}
	for _, place := range []string{"relative", "/no-such-directory-of-orrery/x"} {
		if err := l.Start(t.Context(), "n0", Process{Name: "refused", Argv: []string{"true"}, BindOver: []string{place}}); err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("over %s: %v", place, err)
		}
	}
	// The threads that start processes are where they were.
	if err := l.Start(t.Context(), "n1", Process{Name: "later", Argv: []string{"sh", "-c", "cat " + there + "/file; hostname; exec sleep 1000"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a later process sees the host's files", func() bool {
		b, err := os.ReadFile(filepath.Join(l.Dir("n1"), "later.log"))
		return err == nil && string(b) == "the host'sn1\n"
	})
}

// A process from its start to its end, with and without a mount namespace.
func BenchmarkStart(b *testing.B) {
	l := start(b, specs(1, 4))
	for name, over := range map[string][]string{"open": nil, "bound": {"/srv", "/mnt", "/opt"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := l.Start(b.Context(), "n0", Process{Name: "p", Argv: []string{"sleep", "1000"}, BindOver: over}); err != nil {
					b.Fatal(err)
				}
				if err := l.Stop(b.Context(), "n0", "p"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
