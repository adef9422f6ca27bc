package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"orrery.dev/orrery/kube/fdstore"
)

// The agent of a worker carries its frames, and a kubelet takes seconds to find that a
// container has ended and to start it again. So the container's first process is one that
// does nothing else than to start the agent again at once, and to keep the files of its
// devices, which have their carriers meanwhile.
const (
	// longEnough to have lived for the next end to count as the first.
	longEnough = 30 * time.Second
	// tries that end before that, after which the kubelet is to see it.
	tries = 5
	// exitTold is the code with which it ends after an error that it has told. A panic has
	// another one (2), and a signal none.
	exitTold = 1
	// grace for the agent to end by itself.
	grace = 20 * time.Second
)

// keep starts this program with the arguments, and starts it again when it crashes, until ctx
// ends, it crashes too often, or it ends with an error that it has told.
func keep(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// The kernel ends the agent with the thread that has started it (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var devices fdstore.Store
	defer devices.Close()
	for short := 0; ; {
		began := time.Now()
		cmd := exec.CommandContext(ctx, self, args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		const first = 3 // number of the first of cmd.ExtraFiles
		end, finish, err := devices.Lend()
		if err != nil {
			return err
		}
		cmd.ExtraFiles = []*os.File{end}
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", fdstore.Variable, first))
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = grace
		err = errors.Join(cmd.Start(), end.Close())
		if err == nil {
			err = cmd.Wait()
		}
		if lost := finish(); lost != nil {
			fmt.Fprintf(os.Stderr, "orrery-agent: devices may lose their carriers: %v\n", lost)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			return errors.New("the agent has ended, and nobody asked it to")
		}
		if e := new(exec.ExitError); errors.As(err, &e) && e.ExitCode() == exitTold {
			return fmt.Errorf("the agent has ended: %w", err)
		}
		if time.Since(began) < longEnough {
			short++
		} else {
			short = 0
		}
		if short >= tries {
			return fmt.Errorf("the agent has ended %d times soon after its start, at last with: %w", short, err)
		}
		fmt.Fprintf(os.Stderr, "orrery-agent: the agent has ended (%v), and is started again\n", err)
	}
}
