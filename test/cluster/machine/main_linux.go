package machine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Main is the machine's own program; it returns the exit code. It is run by
// Start with the connection as descriptor 3.
func Main() int {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "this program is the first process of a test cluster's machine; package machine starts it")
		return 2
	}
	connection := os.NewFile(connectionFD, "connection")
	unix.CloseOnExec(connectionFD)
	i := &initProcess{out: json.NewEncoder(connection), running: map[int]string{}}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	go func() {
		for range children {
			i.reap()
		}
	}()
	in := json.NewDecoder(bufio.NewReader(connection))
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			return 0 // and everything on the machine ends
		}
		var err error
		switch {
		case r.Spec != nil:
			err = furnish(*r.Spec)
		case r.Start != nil:
			err = i.start(*r.Start)
		}
		answer := report{}
		if err != nil {
			answer.Error = err.Error()
		}
		i.tell(answer)
	}
}

// initProcess starts processes, and reaps them and every orphan.
type initProcess struct {
	mu      sync.Mutex // guards:
	out     *json.Encoder
	running map[int]string // names by process id
}

func (i *initProcess) tell(r report) {
	i.mu.Lock()
	defer i.mu.Unlock()
	_ = i.out.Encode(r) // if nobody listens any more, the machine ends anyway
}

func (i *initProcess) start(p Process) error {
	if len(p.Args) == 0 {
		return fmt.Errorf("process %s has no program", p.Name)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	// Held until the child is known, so that reap cannot meet it before.
	i.mu.Lock()
	defer i.mu.Unlock()
	// Of two values for a name the first counts.
	env := append(slices.Clone(p.Env), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/run")
	pid, err := syscall.ForkExec(p.Args[0], p.Args, &syscall.ProcAttr{
		Dir:   "/",
		Env:   env,
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Args[0], err)
	}
	i.running[pid] = p.Name
	return nil
}

// reap collects all children that have ended.
func (i *initProcess) reap() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		name, ok := i.running[pid]
		if !ok {
			continue
		}
		delete(i.running, pid)
		how := fmt.Sprintf("ended with code %d", status.ExitStatus())
		if status.Signaled() {
			how = fmt.Sprintf("was ended by signal %d (%v)", status.Signal(), status.Signal())
		}
		_ = i.out.Encode(report{Ended: name, Status: how})
	}
}
