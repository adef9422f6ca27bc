package thread

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Group is a control group of version 1 that has real-time. Where the kernel gives each
// such group its own share (CONFIG_RT_GROUP_SCHED), a new one has none, and neither have
// those below it, such as containers: no capability lets a thread of theirs be a real-time
// one (Documentation/scheduler/sched-rt-group.rst). Threads that need it go into this group
// one by one, and all others stay where they are.
type Group struct {
	// Runtime of each Period that the group may use of a CPU.
	Runtime, Period time.Duration

	dir   string
	tasks *os.File
	root  *os.File // of the hierarchy, if it is open for this group alone
}

// inUse is where RealTime goes if it may not stay where it is.
var inUse atomic.Pointer[Group]

const (
	runtimeFile = "cpu.rt_runtime_us"
	periodFile  = "cpu.rt_period_us"
	// step by which less is asked for, of the parent's whole, until there is room; and
	// what remains for others, if they had none before.
	step = 20
)

// HostGroup is a group directly below the root of the host's hierarchy. It needs
// CAP_SYS_ADMIN, and the host's process namespace where cgroup namespaces are in use.
// Nothing is mounted where anybody sees it.
func HostGroup(name string) (g *Group, err error) {
	options, err := hierarchy()
	if err != nil {
		return nil, err
	}
	var root *os.File
	err = Do(func() error {
		// A mount shows what is below the root of the mounting thread's namespace.
		if fd, err := unix.Open("/proc/1/ns/cgroup", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			_ = unix.Setns(fd, unix.CLONE_NEWCGROUP)
			_ = unix.Close(fd)
		}
		root, err = mount(options)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the control groups of the CPUs cannot be mounted: %w", err)
	}
	if g, err = NewGroup(fmt.Sprintf("/proc/self/fd/%d", root.Fd()), name); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	g.root = root
	return g, nil
}

// hierarchy is what the hierarchy of version 1 with the CPUs has in it, as its mount has to
// say again.
func hierarchy() ([]string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 {
			for _, c := range strings.Split(f[1], ",") {
				if c == "cpu" {
					return strings.Split(f[1], ","), nil
				}
			}
		}
	}
	return nil, errors.New("no control groups of version 1 rule the CPUs: real-time priority is a matter of CAP_SYS_NICE")
}

// mount opens the root of a hierarchy that is mounted nowhere else for it.
func mount(options []string) (*os.File, error) {
	context, err := unix.Fsopen("cgroup", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(context)
	for _, o := range options {
		if err := unix.FsconfigSetFlag(context, o); err != nil {
			return nil, os.NewSyscallError("fsconfig", err)
		}
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return nil, os.NewSyscallError("fsconfig", err)
	}
	fd, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	return os.NewFile(uintptr(fd), "control groups"), nil
}

// NewGroup makes a group below a parent's directory, and gives it as much of the parent's
// real-time as no other group has, but for a twentieth. One that is there is taken as it is,
// if it has real-time: others may use it, too.
func NewGroup(parent, name string) (*Group, error) {
	whole, err := microseconds(parent, runtimeFile)
	if err != nil {
		return nil, fmt.Errorf("the kernel gives real-time to no control groups (CONFIG_RT_GROUP_SCHED): %w", err)
	}
	g := &Group{dir: filepath.Join(parent, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := g.fill(whole); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	if g.tasks, err = os.OpenFile(filepath.Join(g.dir, "tasks"), os.O_WRONLY, 0); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// fill gives the group its share of the parent's whole. What others have only the kernel
// knows, so it is asked for less and less.
func (g *Group) fill(whole time.Duration) (err error) {
	if g.Period, err = microseconds(g.dir, periodFile); err != nil {
		return err
	}
	if g.Runtime, err = microseconds(g.dir, runtimeFile); err != nil || g.Runtime != 0 {
		return err
	}
	for part := step - 1; part > 0 && whole > 0; part-- {
		want := whole * time.Duration(part) / step
		err := os.WriteFile(filepath.Join(g.dir, runtimeFile), strconv.AppendInt(nil, want.Microseconds(), 10), 0)
		if err == nil {
			g.Runtime = want
			return nil
		}
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return fmt.Errorf("other control groups have all the real-time that there is; lower theirs, %s", runtimeFile)
}

func microseconds(dir, file string) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return time.Duration(n) * time.Microsecond, err
}

// Use has threads that ask for RealTime, and may not have it where they are, go into the
// group, until it is closed.
func (g *Group) Use() { inUse.Store(g) }

// join moves the calling thread.
func (g *Group) join() error {
	_, err := g.tasks.WriteString("0")
	return err
}

// leaving is how long threads may take to end until the group is left behind.
const leaving = time.Second

// Close removes the group, unless somebody else's threads are in it. The caller's must have
// been told to end.
func (g *Group) Close() error {
	inUse.CompareAndSwap(g, nil)
	var errs []error
	if g.tasks != nil {
		errs = append(errs, g.tasks.Close())
	}
	err := g.remove()
	for wait := time.Millisecond; errors.Is(err, unix.EBUSY) && wait < leaving; wait *= 2 {
		time.Sleep(wait)
		err = g.remove()
	}
	if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, err)
	}
	if g.root != nil {
		errs = append(errs, g.root.Close())
	}
	return errors.Join(errs...)
}

// remove gives the real-time back first: a group that is gone has it for some moments yet.
func (g *Group) remove() error {
	if err := os.WriteFile(filepath.Join(g.dir, runtimeFile), []byte("0"), 0); err != nil {
		return err
	}
	return os.Remove(g.dir)
}
