package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Machine is a machine that was started by this process. Its methods can be
// called from several goroutines.
type Machine struct {
	Spec Spec
	// ID names its first process.
	ID ID

	connection *os.File
	answers    chan report // closed when the machine has ended

	request sync.Mutex // held from a request to its answer

	mu    sync.Mutex // guards:
	ended map[string]string
}

// Start makes a machine. The program is one that calls Main.
func Start(program string, spec Spec) (*Machine, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", spec.Name, err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "machine"), os.NewFile(uintptr(pair[1]), "machine")
	defer theirs.Close()
	cmd := exec.Command(program)
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Setsid:     true,
	}
	if err := cmd.Start(); err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("machine %s: %w", spec.Name, err)
	}
	m := &Machine{Spec: spec, connection: ours, answers: make(chan report), ended: map[string]string{}}
	m.ID, err = Identify(cmd.Process.Pid)
	go m.listen(cmd)
	if err == nil {
		err = m.ask(request{Spec: &spec})
	}
	if err != nil {
		_ = m.Kill()
		return nil, fmt.Errorf("machine %s: %w", spec.Name, err)
	}
	return m, nil
}

// listen takes reports until the machine has ended.
func (m *Machine) listen(cmd *exec.Cmd) {
	defer close(m.answers)
	defer func() { _ = cmd.Wait() }()
	for in := json.NewDecoder(bufio.NewReader(m.connection)); ; {
		var r report
		if in.Decode(&r) != nil {
			return
		}
		if r.Ended == "" {
			m.answers <- r
			continue
		}
		m.mu.Lock()
		m.ended[r.Ended] = r.Status
		m.mu.Unlock()
	}
}

func (m *Machine) ask(r request) error {
	m.request.Lock()
	defer m.request.Unlock()
	if err := json.NewEncoder(m.connection).Encode(r); err != nil {
		return fmt.Errorf("the machine does not listen any more: %w", err)
	}
	answer, ok := <-m.answers
	if !ok {
		return errors.New("the machine ended")
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}

// Run starts a process on the machine.
func (m *Machine) Run(p Process) error {
	if err := m.ask(request{Start: &p}); err != nil {
		return fmt.Errorf("machine %s: %s: %w", m.Spec.Name, p.Name, err)
	}
	return nil
}

// Ended says how those processes ended that Run started and that run no more,
// by their names.
func (m *Machine) Ended() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ended := make(map[string]string, len(m.ended))
	for name, status := range m.ended {
		ended[name] = status
	}
	return ended
}

// Command is a command that runs on the machine, in all of its namespaces, and
// ends with it. It must be waited for before the machine's end, or fails then.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	return Command(ctx, m.ID, args...)
}

// Command is like Machine.Command, for a machine that another process started.
func Command(ctx context.Context, id ID, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{
		"--target", strconv.Itoa(id.PID), "--mount", "--uts", "--ipc", "--net", "--pid", "--",
	}, args...)...)
}

// Kill ends the machine and everything on it, and returns when all is gone. It
// can be called again.
func (m *Machine) Kill() error {
	err := m.ID.Kill()
	// Draining also lets listen come to its end.
	for range m.answers {
	}
	_ = m.connection.Close()
	return err
}
