package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Delays between the death of a process and its next start: doubled at each
// death, and short again after a life of lifetimeOfHealth.
const (
	firstBackoff     = 250 * time.Millisecond
	lastBackoff      = 10 * time.Second
	lifetimeOfHealth = 20 * time.Second
)

type processKey struct{ node, name string }

// process is one supervised process, in all of its lives.
type process struct {
	l    *Linux
	n    *linuxNode
	spec Process
	log  string

	abrupt  atomic.Bool   // set before stop is closed: it is not asked to end, but killed
	stop    chan struct{} // closed by end
	endOnce sync.Once
	done    chan struct{} // closed when the last life is over
	up      chan struct{} // closed when it is up for the first time
	upOnce  sync.Once

	mu     sync.Mutex // guards:
	status ProcessStatus
}

// Start implements Engine. Unless it waits for another process, the first
// start happens before it returns; what cannot be started at all is an error,
// and is listed as failed.
func (l *Linux) Start(ctx context.Context, node string, spec Process) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if spec.Name == "" || strings.ContainsAny(spec.Name, "/\x00") || len(spec.Argv) == 0 {
		return fmt.Errorf("node %s: process %q: it needs a name without '/', and a command", node, spec.Name)
	}
	n, err := l.node(node)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if l.ending {
		l.mu.Unlock()
		return fmt.Errorf("node %s: %w", node, errClosed)
	}
	key := processKey{node, spec.Name}
	if old, ok := l.processes[key]; ok {
		select {
		case <-old.done: // ended: the name is free
		default:
			l.mu.Unlock()
			return fmt.Errorf("node %s: a process %s runs already; stop it first", node, spec.Name)
		}
	}
	p := &process{
		l: l, n: n, spec: spec,
		log:    filepath.Join(n.dir, spec.Name+".log"),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		up:     make(chan struct{}),
		status: ProcessStatus{Node: node, Name: spec.Name, Log: filepath.Join(n.dir, spec.Name+".log")},
	}
	p.enter(Starting, 0, "")
	l.processes[key] = p
	l.mu.Unlock()

	if spec.After != "" {
		go func() {
			if p.await(processKey{node, spec.After}) {
				_ = p.first() // the status tells
			} else {
				p.enter(Exited, 0, "")
				close(p.done)
			}
		}()
		return nil
	}
	return p.first()
}

// first starts the process for the first time.
func (p *process) first() error {
	pid, exited, err := p.launch()
	if err != nil {
		p.enter(Failed, 0, err.Error())
		close(p.done)
		return fmt.Errorf("node %s: start %s: %w", p.n.name, p.spec.Name, err)
	}
	p.enter(Starting, pid, "")
	go p.supervise(pid, exited)
	return nil
}

// await returns true once another process is up, false if this one is to end
// before.
func (p *process) await(other processKey) bool {
	for {
		p.l.mu.Lock()
		o, ok := p.l.processes[other]
		p.l.mu.Unlock()
		up := (<-chan struct{})(nil)
		if ok {
			up = o.up
		}
		select {
		case <-up:
			return true
		case <-p.stop:
			return false
		case <-time.After(100 * time.Millisecond): // it may be started, or replaced, later
		}
	}
}

// Stop implements Engine. The process is no longer listed afterwards.
func (l *Linux) Stop(ctx context.Context, node, name string) error {
	return l.finish(ctx, node, name, false)
}

// Kill implements Killer.
func (l *Linux) Kill(ctx context.Context, node, name string) error {
	return l.finish(ctx, node, name, true)
}

func (l *Linux) finish(ctx context.Context, node, name string, abrupt bool) error {
	key := processKey{node, name}
	l.mu.Lock()
	p, ok := l.processes[key]
	l.mu.Unlock()
	if !ok {
		return fmt.Errorf("node %s: no process %s", node, name)
	}
	if abrupt {
		p.abrupt.Store(true)
	}
	p.end()
	select {
	case <-p.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.processes[key] == p {
		delete(l.processes, key)
	}
	return nil
}

// Processes implements Engine. They are ordered by node and name.
func (l *Linux) Processes() []ProcessStatus {
	l.mu.Lock()
	list := make([]ProcessStatus, 0, len(l.processes))
	for _, p := range l.processes {
		p.mu.Lock()
		list = append(list, p.status)
		p.mu.Unlock()
	}
	l.mu.Unlock()
	sort.Slice(list, func(i, j int) bool {
		if list[i].Node != list[j].Node {
			return list[i].Node < list[j].Node
		}
		return list[i].Name < list[j].Name
	})
	return list
}

// end asks for the end of the process; done tells when it has come.
func (p *process) end() { p.endOnce.Do(func() { close(p.stop) }) }

func (p *process) enter(state ProcessState, pid int, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State, p.status.PID, p.status.Since = state, pid, time.Now()
	if reason != "" {
		p.status.Reason = reason // kept through a restart: the cause of the last death
	}
}

// launch starts the process once.
func (p *process) launch() (int, <-chan syscall.WaitStatus, error) {
	dir := p.spec.Dir
	if dir == "" {
		dir = p.n.dir
	}
	path, err := find(p.spec.Argv[0], dir)
	if err != nil {
		return 0, nil, err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, nil, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	var v *view
	if p.spec.Private {
		if v, err = p.l.viewOf(p.n); err != nil {
			return 0, nil, err
		}
	}
	b, err := p.l.bindingOf(p.n, p.spec.BindOver)
	if err != nil {
		return 0, nil, err
	}
	pid, exited, err := p.l.spawn.start(spawnJob{
		view:      v,
		namespace: p.n.namespace, host: p.n.name,
		path: path, argv: p.spec.Argv, env: environment(p.n.name, p.n.dir, p.spec.Env), dir: dir,
		files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		bind:  b,
	})
	if err != nil {
		return 0, nil, err
	}
	if n := p.spec.Nice; n != 0 {
		// The whole group, should it have forked already. One that has ended is seen
		// to by its supervisor.
		if err := unix.Setpriority(unix.PRIO_PGRP, pid, n); err != nil && !errors.Is(err, unix.ESRCH) {
			p.l.log.Warn("a process keeps its priority", "node", p.n.name, "process", p.spec.Name, "error", err)
		}
	}
	id := identify(pid)
	id.Node, id.Name = p.n.name, p.spec.Name
	if err := p.l.record(id); err != nil {
		p.l.log.Warn("a process is not in the journal", "node", p.n.name, "process", p.spec.Name, "error", err)
	}
	return pid, exited, nil
}

// record writes a process to the journal.
func (l *Linux) record(id processID) error {
	l.mu.Lock()
	j := l.journal
	l.mu.Unlock()
	if j == nil {
		return errClosed
	}
	return j.write(entry{Process: &id})
}

// supervise sees a process through all of its lives.
func (p *process) supervise(pid int, exited <-chan syscall.WaitStatus) {
	defer close(p.done)
	backoff := firstBackoff
	for {
		born := time.Now()
		status, notReady := p.live(pid, exited)
		select {
		case <-p.stop:
			p.enter(Exited, 0, "")
			return
		default:
		}
		state, reason := p.verdict(status, notReady)
		p.enter(state, 0, reason)
		if state == Failed {
			p.l.log.Warn("process ended", "node", p.n.name, "process", p.spec.Name, "reason", reason)
		}
		if p.spec.Restart == Never || (p.spec.Restart == OnFailure && state == Exited) {
			return
		}
		if time.Since(born) > lifetimeOfHealth {
			backoff = firstBackoff
		}
		for {
			select {
			case <-p.stop:
				return
			case <-time.After(backoff):
			}
			backoff = min(2*backoff, lastBackoff)
			var err error
			if pid, exited, err = p.launch(); err == nil {
				break
			}
			p.enter(Failed, 0, err.Error())
		}
		p.mu.Lock()
		p.status.Restarts++
		p.mu.Unlock()
		p.enter(Starting, pid, "")
	}
}

// live goes with one life of the process from its start to its end. notReady
// says why it was ended for never becoming ready.
func (p *process) live(pid int, exited <-chan syscall.WaitStatus) (status syscall.WaitStatus, notReady error) {
	p.enter(Starting, pid, "")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready := make(chan error, 1)
	if p.spec.Ready == nil {
		ready <- nil
	} else {
		go func() { ready <- waitReady(ctx, p.spec.Ready, p.l.cfg.ReadyWithin) }()
	}
	for {
		select {
		case status = <-exited:
			killGroup(pid, unix.SIGKILL) // what it left behind in its group
			return status, nil
		case <-p.stop:
			if p.abrupt.Load() {
				killGroup(pid, unix.SIGKILL)
				return <-exited, nil
			}
			return endGroup(pid, exited, p.l.cfg.Grace), nil
		case err := <-ready:
			if err != nil {
				return endGroup(pid, exited, p.l.cfg.Grace), err
			}
			p.enter(Running, pid, "")
			p.upOnce.Do(func() { close(p.up) })
		}
	}
}

// waitReady asks until the answer is nil, seldom once it takes long.
func waitReady(ctx context.Context, ready func(context.Context) error, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready within %v: %w", within, err)
		case <-time.After(pause):
		}
	}
}

// killGroup signals a process and all in its group.
func killGroup(pid int, sig unix.Signal) { _ = unix.Kill(-pid, sig) }

// endGroup ends a process group: asked first, killed after the grace period.
func endGroup(pid int, exited <-chan syscall.WaitStatus, grace time.Duration) syscall.WaitStatus {
	killGroup(pid, unix.SIGTERM)
	killGroup(pid, unix.SIGCONT)
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case status := <-exited:
		killGroup(pid, unix.SIGKILL)
		return status
	case <-late.C:
		killGroup(pid, unix.SIGKILL)
		return <-exited
	}
}

// verdict says how a life ended.
func (p *process) verdict(status syscall.WaitStatus, notReady error) (ProcessState, string) {
	var reason string
	switch {
	case notReady != nil:
		reason = notReady.Error()
	case status.Exited() && status.ExitStatus() == 0:
		return Exited, ""
	case status.Exited():
		reason = fmt.Sprintf("exit status %d", status.ExitStatus())
	case status.Signaled():
		reason = "killed by " + unix.SignalName(status.Signal())
		if status.CoreDump() {
			reason += " (core dumped)"
		}
	default:
		reason = fmt.Sprintf("ended (wait status %#x)", uint32(status))
	}
	if line := lastLine(p.log); line != "" {
		reason += ": " + line
	}
	return Failed, reason
}

// lastLine is the last line of a log that is not blank, shortened to 200 bytes.
func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const tail = 4096
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-tail), io.SeekStart)
	}
	b, err := io.ReadAll(io.LimitReader(f, tail))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	b = bytes.TrimSpace(b)
	b = b[bytes.LastIndexByte(b, '\n')+1:]
	return strings.ToValidUTF8(string(b[:min(len(b), 200)]), "?")
}
