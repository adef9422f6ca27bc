package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// actVariable makes the test's own binary act the agent: it holds a file to which each start
// adds a letter, and what is to become of the agent at each start: k to be killed, 2 as after
// a panic, 1 as after an error, 0, and w to wait for SIGTERM.
const actVariable = "ORRERY_TEST_ACT_AS_AGENT"

func TestMain(m *testing.M) {
	if file, fates, ok := strings.Cut(os.Getenv(actVariable), "|"); ok {
		act(file, fates)
	}
	os.Exit(m.Run())
}

func act(file, fates string) {
	starts, _ := os.ReadFile(file)
	if err := os.WriteFile(file, append(starts, 'x'), 0o600); err != nil {
		os.Exit(99)
	}
	switch fate := fates[min(len(starts), len(fates)-1)]; fate {
	case 'k':
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case 'w':
		select {} // SIGTERM ends it
	default:
		os.Exit(int(fate - '0'))
	}
}

// An agent that crashes is started again, one that has told an error is not, and neither is
// one that crashes all the time.
func TestKeep(t *testing.T) {
	for _, c := range []struct {
		fates  string
		starts int
		want   string
	}{
		{"k21", 3, "exit status 1"},
		{"k0", 2, "nobody asked it to"},
		{"k", tries, "5 times soon after its start"},
	} {
		file := filepath.Join(t.TempDir(), "starts")
		t.Setenv(actVariable, file+"|"+c.fates)
		err := keep(t.Context(), nil)
		starts, _ := os.ReadFile(file)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(starts) != c.starts {
			t.Errorf("%s: %d starts, then %v; want %d, and %q", c.fates, len(starts), err, c.starts, c.want)
		}
	}
}

// The agent ends when the process that keeps it is asked to.
func TestKeepEnds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "starts")
	t.Setenv(actVariable, file+"|w")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- keep(ctx, nil) }()
	for {
		if b, _ := os.ReadFile(file); len(b) > 0 {
			break
		}
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
