package router

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"orrery.dev/orrery/scenario"
)

func TestVersion(t *testing.T) {
	for _, daemon := range []string{BIRD, FRR} {
		v, err := Version(context.Background(), daemon)
		if errors.Is(err, ErrMissing) {
			t.Logf("%v", err) // said in one sentence, as it should
			continue
		}
		if err != nil || v == "" || v[0] < '0' || v[0] > '9' {
			t.Errorf("%s: %q, %v", daemon, v, err)
		}
	}
	if _, err := Version(context.Background(), "gated"); err == nil {
		t.Error("a daemon that does not exist has a version")
	}
}

func TestPreflightFindsWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Preflight([]scenario.Routing{{Protocol: Oracle}, {Protocol: OSPF3}})
	if !errors.Is(err, ErrMissing) || err.Error() != "routing: protocol ospf3 needs bird, which is not there; install it with `apt-get install bird2`: not installed" {
		t.Errorf("without BIRD: %v", err)
	}
	if err := Preflight([]scenario.Routing{{Protocol: Oracle}, {Protocol: None}}); err != nil {
		t.Errorf("without need: %v", err)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, Output{Daemon: BIRD, Files: []File{{Name: "bird.conf", Content: []byte("x\n")}}}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "bird.conf")); err != nil || string(b) != "x\n" {
		t.Errorf("%q, %v", b, err)
	}
}
