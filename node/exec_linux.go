package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit codes of Exec where the command has none of its own, as shells have them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // plus the signal's number
)

// drain is how long Exec waits, after the command's end, for output that a
// child of the command may still write: the time without any.
const drain = 500 * time.Millisecond

// Exec implements Engine. The exit code is the command's own, 128 plus the
// number of the signal that ended it, 127 if there is no such command and 126
// if it cannot be executed (these two with an error). When ctx ends, the
// command's group gets SIGTERM, and SIGKILL after the grace period.
//
// Reading from In may go on after Exec has returned, until it next returns.
func (l *Linux) Exec(ctx context.Context, node string, argv []string, stdio Stdio) (int, error) {
	n, err := l.node(node)
	if err != nil {
		return exitNotExecutable, err
	}
	if len(argv) == 0 {
		return exitNotFound, fmt.Errorf("node %s: no command", node)
	}
	path, err := find(argv[0], "/")
	if err != nil {
		return exitFor(err), fmt.Errorf("node %s: %w", node, err)
	}
	w := &wires{over: make(chan struct{})}
	defer w.closeAll()
	if stdio.Terminal {
		err = w.terminal(stdio)
	} else {
		err = w.pipes(stdio)
	}
	if err != nil {
		return exitNotExecutable, fmt.Errorf("node %s: %w", node, err)
	}
	job := spawnJob{
		namespace: n.namespace, host: n.name, path: path, argv: argv,
		env: environment(n.name, "/", nil), dir: n.dir, terminal: stdio.Terminal,
	}
	if stdio.Terminal {
		job.env = append(job.env, "TERM="+terminalType())
	}
	for _, f := range w.child {
		job.files = append(job.files, f.Fd())
	}
	if n.private {
		if job.view, err = l.viewOf(n); err != nil {
			return exitNotExecutable, fmt.Errorf("node %s: %w", node, err)
		}
	}
	pid, exited, err := l.spawn.start(job)
	if err != nil {
		return exitFor(err), fmt.Errorf("node %s: %s: %w", node, path, err)
	}
	_ = l.record(identify(pid)) // its namespace gives it away as well
	w.run(stdio)
	var status syscall.WaitStatus
	select {
	case status = <-exited:
		if stdio.Terminal {
			killGroup(pid, unix.SIGHUP) // as a terminal that is closed
		}
	case <-ctx.Done():
		status = endGroup(pid, exited, l.cfg.Grace)
		err = ctx.Err()
	}
	w.drain()
	if status.Signaled() {
		return exitSignal + int(status.Signal()), err
	}
	return status.ExitStatus(), err
}

func exitFor(err error) int {
	if errors.Is(err, fs.ErrNotExist) {
		return exitNotFound
	}
	return exitNotExecutable
}

func terminalType() string {
	if t := os.Getenv("TERM"); t != "" && t != "dumb" {
		return t
	}
	return "xterm-256color"
}

// wires connect a command's standard files with the caller's readers and
// writers.
type wires struct {
	child  []*os.File // ends of the command, in order of descriptors
	ours   []*os.File // our ends
	starts []func()   // copying, to be begun once the command runs
	output int        // how many of starts copy output
	ended  chan struct{}
	moved  atomic.Int64 // bytes of output so far
	master *os.File     // of the terminal
	over   chan struct{}
}

// pipes gives the command a pipe for each stream. What already is a file is
// handed over as it is.
func (w *wires) pipes(stdio Stdio) error {
	if err := w.input(stdio.In); err != nil {
		return err
	}
	for _, out := range []io.Writer{stdio.Out, stdio.Err} {
		if f, ok := out.(*os.File); ok && f != nil {
			w.child = append(w.child, f)
			continue
		}
		if out == nil {
			f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			w.child, w.ours = append(w.child, f), append(w.ours, f)
			continue
		}
		r, c, err := os.Pipe()
		if err != nil {
			return err
		}
		w.child, w.ours = append(w.child, c), append(w.ours, r, c)
		w.copyOutput(out, r)
	}
	return nil
}

func (w *wires) input(in io.Reader) error {
	if in == nil {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		w.child, w.ours = append(w.child, f), append(w.ours, f)
		return nil
	}
	if f, ok := in.(*os.File); ok {
		w.child = append(w.child, f)
		return nil
	}
	c, p, err := os.Pipe()
	if err != nil {
		return err
	}
	w.child, w.ours = append(w.child, c), append(w.ours, c)
	w.starts = append(w.starts, func() {
		_, _ = io.Copy(p, in)
		_ = p.Close() // not among ours: this goroutine may outlive Exec
	})
	return nil
}

func (w *wires) copyOutput(to io.Writer, from io.Reader) {
	w.output++
	w.starts = append(w.starts, func() {
		_, _ = io.Copy(counted{to, &w.moved}, from)
		w.ended <- struct{}{}
	})
}

// terminal gives the command a pseudo-terminal (pty(7)).
func (w *wires) terminal(stdio Stdio) error {
	master, slave, err := openTerminal()
	if err != nil {
		return err
	}
	w.master = master
	select {
	case size, ok := <-stdio.Resize: // the first size is there before the command
		if ok {
			resize(master, size)
		}
	default:
	}
	w.ours = append(w.ours, master, slave)
	w.child = []*os.File{slave, slave, slave}
	if stdio.In != nil {
		w.starts = append(w.starts, func() { _, _ = io.Copy(master, stdio.In) })
	}
	out := stdio.Out
	if out == nil {
		out = io.Discard
	}
	w.copyOutput(out, master)
	return nil
}

// run begins the copying. The command's ends are closed here, so that the end
// of output can be seen.
func (w *wires) run(stdio Stdio) {
	for _, c := range w.child {
		for _, o := range w.ours {
			if c == o {
				_ = c.Close()
			}
		}
	}
	w.ended = make(chan struct{}, w.output)
	for _, f := range w.starts {
		go f()
	}
	if w.master != nil && stdio.Resize != nil {
		go func() {
			for {
				select {
				case size, ok := <-stdio.Resize:
					if !ok {
						return
					}
					resize(w.master, size)
				case <-w.over:
					return
				}
			}
		}()
	}
}

// drain waits for the end of output, or for a time without any.
func (w *wires) drain() {
	for left := w.output; left > 0; {
		before := w.moved.Load()
		select {
		case <-w.ended:
			left--
		case <-time.After(drain):
			if w.moved.Load() == before {
				return
			}
		}
	}
}

func (w *wires) closeAll() {
	close(w.over)
	for _, f := range w.ours {
		_ = f.Close()
	}
}

// counted counts what is written.
type counted struct {
	w io.Writer
	n *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// openTerminal makes a pseudo-terminal. The master side works with deadlines
// and Close like any pipe.
func openTerminal() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, os.NewSyscallError("TIOCSPTLCK", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, os.NewSyscallError("TIOCGPTN", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	return master, slave, err
}

func resize(master *os.File, size WindowSize) {
	raw, err := master.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns})
	})
}
