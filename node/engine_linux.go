package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// Config of the Linux engine.
type Config struct {
	// RunDir is the run's own directory, such as /run/orrery/NAME. It is made
	// when needed; everything that the engine makes can be found from it.
	RunDir string
	// Grace is how long a process has between SIGTERM and SIGKILL. Default 2 s.
	Grace time.Duration
	// ReadyWithin is how long a process may take until its Ready says nil.
	// Default 60 s.
	ReadyWithin time.Duration
	// KeepFiles makes Destroy leave the nodes' directories, which hold the logs.
	KeepFiles bool
	// Hidden are directories besides RunDir that private processes find empty:
	// that of all runs, for one.
	Hidden []string
	// Shown are directories that private processes see even though they lie below
	// /tmp, /var/tmp, /run or /dev/shm, which are empty for them: that of the
	// scenario, for one.
	Shown []string
	// Logger hears of deaths and restarts. Default: none.
	Logger *slog.Logger
}

// Linux is the Engine that makes real nodes. Beyond Engine it is a Lookuper.
type Linux struct {
	cfg   Config
	log   *slog.Logger
	spawn *spawner

	template template // of private views

	roster

	mu        sync.Mutex // guards all below
	journal   *journal   // nil while there are no nodes
	processes map[processKey]*process
	ending    bool // Destroy has begun: no process may start
}

var (
	errClosed = errors.New("the node was destroyed")
	_         = Engine((*Linux)(nil))
	_         = Lookuper((*Linux)(nil))
	_         = DropCounter((*Linux)(nil))
	_         = Silencer((*Linux)(nil))
	_         = Killer((*Linux)(nil))
)

// NewLinux returns an engine without nodes. It touches nothing until Create.
func NewLinux(cfg Config) (*Linux, error) {
	dir, err := filepath.Abs(cfg.RunDir)
	if cfg.RunDir == "" || err != nil {
		return nil, errors.New("node: no run directory is given")
	}
	cfg.RunDir = dir
	if cfg.Hidden, err = cleaned(cfg.Hidden); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	if cfg.Shown, err = cleaned(cfg.Shown); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 2 * time.Second
	}
	if cfg.ReadyWithin <= 0 {
		cfg.ReadyWithin = 60 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Linux{
		cfg:       cfg,
		log:       cfg.Logger,
		spawn:     newSpawner(),
		roster:    newRoster(),
		processes: map[processKey]*process{},
	}, nil
}

// Create implements Engine. It can be called once until Destroy.
func (l *Linux) Create(ctx context.Context, specs []Spec) (err error) {
	if err := Preflight(l.cfg, specs); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.journal != nil {
		return fmt.Errorf("node: this engine has nodes in %s already; destroy them first", l.cfg.RunDir)
	}
	j, err := openJournal(l.cfg.RunDir, specs)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			l.close()
			_ = teardown(j.dir, nil, l.cfg.Grace, false)
			j.remove()
			l.journal = nil
		}
	}()
	l.journal, l.ending = j, false
	if err := mountNamespaces(j.dir); err != nil {
		return err
	}
	raiseNeighbourLimits(l.log, specs)
	for i := range specs {
		s := &specs[i]
		n := newNode(s.Name, filepath.Join(j.dir, namespaceDir, s.Name))
		n.dir, n.private = filepath.Join(j.dir, nodeDir, s.Name), s.Private
		if err := os.Mkdir(n.dir, 0o755); err != nil {
			return fmt.Errorf("node: %w", err)
		}
		l.add(n)
	}
	return l.build(ctx, specs)
}

// build makes all namespaces on a few threads. More than the processors would
// only wait for the kernel's one lock on network configuration.
func (l *Linux) build(ctx context.Context, specs []Spec) error {
	var (
		next  atomic.Int64
		group sync.WaitGroup
		once  sync.Once
		first error
		stop  atomic.Bool
	)
	settings := map[bool]func() []setting{
		false: sync.OnceValue(func() []setting { return differing(settings(false)) }),
		true:  sync.OnceValue(func() []setting { return differing(settings(true)) }),
	}
	work := func() {
		defer group.Done()
		defer rememberHome()()
		sysctls := newSysctls()
		defer sysctls.close()
		for !stop.Load() {
			i := int(next.Add(1)) - 1
			if i >= len(specs) {
				return
			}
			s := &specs[i]
			n, err := l.node(s.Name)
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				n.ports, n.sock, err = build(s, n.namespace, sysctls, settings[s.Forward])
			}
			if err != nil {
				once.Do(func() { first = fmt.Errorf("node %s: %w", s.Name, err) })
				stop.Store(true)
				return
			}
		}
	}
	for range min(4, runtime.NumCPU(), len(specs)) {
		group.Add(1)
		thread.Go(work)
	}
	group.Wait()
	return first
}

// Dir implements Engine.
func (l *Linux) Dir(node string) string {
	return filepath.Join(l.cfg.RunDir, nodeDir, node)
}

// Namespace is the path at which the node's network namespace is bound, for
// tools that take one, such as nsenter --net=PATH.
func (l *Linux) Namespace(node string) string {
	return filepath.Join(l.cfg.RunDir, namespaceDir, node)
}

// Destroy implements Engine. Whoever reads the devices' files must have
// stopped before. The error wraps ErrHeld if all is gone but namespaces that
// somebody else has open.
func (l *Linux) Destroy(ctx context.Context) error {
	l.mu.Lock()
	if l.journal == nil {
		l.mu.Unlock()
		return nil
	}
	l.ending = true
	all := make([]*process, 0, len(l.processes))
	for _, p := range l.processes {
		all = append(all, p)
	}
	l.mu.Unlock()

	for _, p := range all {
		p.end()
	}
	for _, p := range all {
		<-p.done // bounded: what ignores SIGTERM for the grace period is killed
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.journal == nil {
		return nil
	}
	clear(l.processes)
	nodes := l.close()
	// Processes that left their group, and those of Exec.
	err := teardown(l.journal.dir, nil, l.cfg.Grace, l.cfg.KeepFiles)
	l.closeViews(nodes)
	l.journal.remove()
	l.journal = nil
	return err
}

// close gives up all descriptors and threads that hold namespaces, and returns the nodes
// that there were. mu is held.
func (l *Linux) close() []*linuxNode {
	l.spawn.release()
	nodes := l.clear()
	for _, n := range nodes {
		n.close()
	}
	return nodes
}

// mountSource names the run's file systems in lists of mounts.
const mountSource = "orrery"

// mountNamespaces makes the place where namespaces are bound: a file system of
// its own, so that one call unmounts all of them together. It is taken out of its
// parent's peer group, so that the bindings do not spread to other mount
// namespaces, and given one of its own, so that mount namespaces which are copied
// from this one during the run lose the bindings when this one does.
func mountNamespaces(runDir string) error {
	dir := filepath.Join(runDir, namespaceDir)
	for _, d := range []string{dir, filepath.Join(runDir, nodeDir)} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("node: %w", err)
		}
	}
	if err := unix.Mount(mountSource, dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755"); err != nil {
		return fmt.Errorf("node: mount a tmpfs on %s: %w", dir, err)
	}
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", dir, "", propagation, ""); err != nil {
			return fmt.Errorf("node: change the propagation of %s: %w", dir, err)
		}
	}
	return nil
}
