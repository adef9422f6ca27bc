package kubectl

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"time"

	"github.com/creack/pty"

	"orrery.dev/orrery/node"
)

// Enters implements gateway.Cluster. What its user may not do, kubectl says.
func (s *Scenario) Enters() bool { return true }

// Exec implements gateway.Cluster.
func (s *Scenario) Exec(ctx context.Context, name string, argv []string, streams node.Stdio) (int, error) {
	cmd, err := s.program.Exec(ctx, s.namespace, s.name, name, streams.Terminal, argv...)
	if err != nil {
		return 0, err
	}
	cmd.WaitDelay = time.Second // for what still holds its output
	if streams.Terminal {
		err = onTerminal(cmd, streams)
	} else {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.In, streams.Out, streams.Err
		err = cmd.Run()
	}
	if e := new(exec.ExitError); errors.As(err, &e) && e.ExitCode() >= 0 {
		return e.ExitCode(), nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return 0, err
}

// onTerminal runs kubectl on a terminal of its own, whose sizes it hands on: without one it gives the
// command none.
func onTerminal(cmd *exec.Cmd, streams node.Stdio) error {
	size := pty.Winsize{Cols: 80, Rows: 24}
	select {
	case w := <-streams.Resize:
		size = pty.Winsize{Cols: w.Columns, Rows: w.Rows}
	default:
	}
	terminal, err := pty.StartWithSize(cmd, &size)
	if err != nil {
		return err
	}
	ended, resizing := make(chan struct{}), make(chan struct{})
	defer func() {
		close(ended)
		<-resizing // it asks for the descriptor, which has to be there
		terminal.Close()
	}()
	go func() {
		defer close(resizing)
		for {
			select {
			case w := <-streams.Resize:
				_ = pty.Setsize(terminal, &pty.Winsize{Cols: w.Columns, Rows: w.Rows})
			case <-ended:
				return
			}
		}
	}()
	go func() { _, _ = io.Copy(terminal, streams.In) }() // ends with In, which is the caller's
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		_, _ = io.Copy(streams.Out, terminal) // ends with an error when nobody has the other side any more
	}()
	err = cmd.Wait()
	<-shown // whoever else has the terminal is hung up on with the end of the session's first process
	return err
}

// Log implements gateway.Cluster.
func (s *Scenario) Log(ctx context.Context, name string, lines int) (string, error) {
	pod, err := s.program.podOf(ctx, s.namespace, s.name, name)
	if err != nil {
		return "", err
	}
	return s.program.output(ctx, s.namespace, "logs", pod, "--container=node", "--tail="+strconv.Itoa(lines))
}
