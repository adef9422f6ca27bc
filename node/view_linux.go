package node

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// view is what the private processes of a node see: each other and the node's
// files, and nothing of other nodes. It is a namespace each of processes, mounts,
// IPC and host name beside the node's network. It is made when the first
// private process of a node starts.
//
// A PID namespace lives as long as its first process. That is a shell which waits
// for a child that never says anything: a shell that waits reaps whatever is
// given to it, orphans of the node among them. Its child reads a pipe whose other
// end is the emulator's. When the emulator ends, however it does, the child
// reads the end of the file, the shell ends, and the kernel kills all that is
// in the namespace, whatever users they changed to.
type view struct {
	pidfd int      // of the first process; names all of the namespaces
	hold  *os.File // the pipe
	gone  <-chan syscall.WaitStatus
}

// viewHolder is a node's view, if it has one.
type viewHolder struct {
	mu sync.Mutex // guards:
	v  *view
}

// keeperScript is what the first process of a view runs. It mounts the
// processes' file system first, since that shows the namespace of whoever
// mounts it. Descriptor 3 is the pipe. A signal to all processes of a node must
// not end it before the others.
const keeperScript = `mount -t proc -o nosuid,nodev,noexec proc /proc || exit 1
trap '' HUP INT TERM
cat <&3 >/dev/null 2>&1 3<&- &
echo up
exec >/dev/null 2>&1 3<&-
wait`

// viewOf is the node's view, made now unless it lives.
func (l *Linux) viewOf(n *linuxNode) (*view, error) {
	n.view.mu.Lock()
	defer n.view.mu.Unlock()
	if v := n.view.v; v != nil {
		select {
		case <-v.gone: // somebody in the node ended it
			v.close()
			n.view.v = nil
		default:
			return v, nil
		}
	}
	template, err := l.viewTemplate()
	if err != nil {
		return nil, fmt.Errorf("private view: %w", err)
	}
	v, err := l.newView(n, template)
	if err != nil {
		return nil, fmt.Errorf("private view: %w", err)
	}
	n.view.v = v
	return v, nil
}

// close lets go of a view, which ends it.
func (v *view) close() {
	_ = v.hold.Close()
	_ = unix.Close(v.pidfd)
}

// closeViews ends all views. It is called when no process may start any more.
func (l *Linux) closeViews(nodes []*linuxNode) {
	for _, n := range nodes {
		n.view.mu.Lock()
		if n.view.v != nil {
			n.view.v.close()
			n.view.v = nil
		}
		n.view.mu.Unlock()
	}
	l.template.mu.Lock()
	defer l.template.mu.Unlock()
	if l.template.ns != nil {
		_ = l.template.ns.Close()
		l.template.ns = nil
	}
}

// template is the mount namespace that views and bindings are copies of: this process's own
// without the bindings of namespaces, of which there is one per node, and
// without others' runs. What others unmount goes from it as well: bindings that
// stayed in a copy would keep their namespaces alive.
type template struct {
	mu sync.Mutex // guards:
	ns *os.File
}

func (l *Linux) viewTemplate() (*os.File, error) {
	l.template.mu.Lock()
	defer l.template.mu.Unlock()
	if l.template.ns != nil {
		return l.template.ns, nil
	}
	err := aside(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
			return fmt.Errorf("let mounts come from outside only: %w", err)
		}
		runs := append([]string{l.cfg.RunDir}, l.cfg.Hidden...)
		mounts, err := mountPoints(func(point, source string) bool {
			return source == mountSource || below(point, runs)
		})
		if err != nil {
			return err
		}
		for _, m := range mounts {
			_ = unix.Unmount(m, unix.MNT_DETACH) // what cannot be, will be covered
		}
		l.template.ns, err = os.Open("/proc/thread-self/ns/mnt")
		return err
	})
	return l.template.ns, err
}

// mountPoints lists the mount points of the calling thread's namespace that are
// wanted, outer ones first: what is mounted below goes with them.
func mountPoints(wanted func(point, source string) bool) ([]string, error) {
	f, err := os.Open("/proc/thread-self/mountinfo") // proc_pid_mountinfo(5)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		this, file := strings.Fields(before), strings.Fields(after)
		if len(this) < 5 || len(file) < 2 {
			continue
		}
		point := unescape.Replace(this[4])
		if wanted(point, file[1]) {
			list = append(list, point)
		}
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	return list, lines.Err()
}

// unescape undoes how the kernel writes paths.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// aside calls f on a thread that ends with it.
func aside(f func() error) error {
	result := make(chan error)
	thread.Go(func() {
		comeHome := rememberHome()
		err := f()
		comeHome()
		result <- err
	})
	return <-result
}

func (l *Linux) newView(n *linuxNode, template *os.File) (*view, error) {
	shell, err := find("sh", "/")
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	said, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer said.Close()
	defer out.Close()
	held, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer held.Close()
	v := &view{pidfd: -1, hold: hold}
	var pid int
	err = aside(func() (err error) {
		if err := enter(n.namespace); err != nil { // before its binding is out of sight
			return err
		}
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err := unix.Setns(int(template.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter the mount namespace: %w", err)
		}
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC); err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		if err := unix.Sethostname([]byte(n.name)); err != nil {
			return fmt.Errorf("set the host name %s: %w", n.name, err)
		}
		if err := l.furnish(n); err != nil {
			return err
		}
		pid, err = syscall.ForkExec(shell, []string{"sh", "-c", keeperScript}, &syscall.ProcAttr{
			Dir: "/", Env: environment(n.name, n.dir, nil), Files: []uintptr{null.Fd(), out.Fd(), out.Fd(), held.Fd()},
			Sys: &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWPID, PidFD: &v.pidfd},
		})
		if err != nil {
			return fmt.Errorf("start %s: %w", shell, err)
		}
		return nil
	})
	if err != nil {
		_ = hold.Close()
		return nil, err
	}
	v.gone = l.spawn.reaper.watch(pid)
	_ = out.Close()
	text, err := io.ReadAll(io.LimitReader(said, 4096))
	if err == nil && string(text) != "up\n" {
		err = fmt.Errorf("mount its /proc: %s; a container may forbid it, then say `isolation: none` in the scenario", bytes.TrimSpace(text))
	}
	if err == nil && v.pidfd < 0 {
		err = errors.New("the kernel has no file descriptors for processes; use Linux 5.8 or later")
	}
	if err != nil {
		v.close()
		<-v.gone
		return nil, err
	}
	_ = l.record(identify(pid)) // its namespace gives it away as well
	return v, nil
}

// scratch are directories that programs leave files and sockets in for others
// to find. In a view they are empty.
var scratch = []string{"/run", "/tmp", "/var/tmp", "/dev/shm"}

// furnish makes the mounts of a view in the calling thread's mount namespace.
func (l *Linux) furnish(n *linuxNode) error {
	// What is to be seen is opened before it is covered.
	shown := make(map[string]int)
	defer func() {
		for _, fd := range shown {
			_ = unix.Close(fd)
		}
	}()
	for _, dir := range append([]string{n.dir}, l.cfg.Shown...) {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: dir, Err: err}
		}
		shown[dir] = fd
	}
	for _, dir := range scratch {
		mode := "mode=1777"
		if dir == "/run" {
			mode = "mode=0755"
		}
		if err := cover(dir, mode); err != nil {
			return err
		}
	}
	for _, dir := range l.cfg.Shown {
		if err := uncover(dir, shown[dir], scratch); err != nil {
			return err
		}
	}
	// A directory that is shown may be one above all runs.
	runs := append([]string{l.cfg.RunDir}, l.cfg.Hidden...)
	for _, dir := range runs {
		if err := cover(dir, "mode=0755"); err != nil {
			return err
		}
	}
	if err := uncover(n.dir, shown[n.dir], append(runs, scratch...)); err != nil {
		return err
	}
	// The devices of the node instead of the host's. A kernel may refuse it to a
	// user namespace; they are names only.
	_ = unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	return nil
}

// cover makes a directory an empty one, if it is there.
func cover(dir, mode string) error {
	err := unix.Mount(mountSource, dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, mode)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cover %s: %w", dir, err)
	}
	return nil
}

// uncover shows an open directory at its path again if that lies below a
// covered one.
func uncover(dir string, fd int, covered []string) error {
	if !below(dir, covered) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// /proc/self is that of the whole process, as its descriptors are.
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("show %s: %w", dir, err)
	}
	return nil
}

// startPrivate starts a process in a view. The thread that forks it ends at
// once: the process is tied to the view and not to the thread.
func (s *spawner) startPrivate(j *spawnJob) (pid int, exited <-chan syscall.WaitStatus, err error) {
	err = aside(func() (err error) {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		const all = unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID | unix.CLONE_NEWNS
		if err := unix.Setns(j.view.pidfd, all); err != nil {
			return fmt.Errorf("join the private view: %w", err)
		}
		if j.bind != nil {
			if err := j.bind.make(); err != nil {
				return err
			}
		}
		sys := &syscall.SysProcAttr{}
		if j.terminal {
			sys.Setsid, sys.Setctty, sys.Ctty = true, true, 0
		} else {
			sys.Setpgid = true
		}
		pid, err = syscall.ForkExec(j.path, j.argv, &syscall.ProcAttr{Dir: j.dir, Env: j.env, Files: j.files, Sys: sys})
		return err
	})
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			err = fmt.Errorf("%w in the node's private view, where %s are empty", err, strings.Join(scratch, ", "))
		}
		return 0, nil, err
	}
	return pid, s.reaper.watch(pid), nil
}

// keeper tells whether a process is the first of a PID namespace below this
// process's own, or waits with it: their process group has number 1 there.
func keeper(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(b) {
		if groups, ok := bytes.CutPrefix(line, []byte("NSpgid:")); ok {
			f := bytes.Fields(groups)
			return len(f) > 1 && string(f[len(f)-1]) == "1"
		}
	}
	return false
}

// cleaned are absolute paths.
func cleaned(paths []string) ([]string, error) {
	out := make([]string, len(paths))
	for i, p := range paths {
		var err error
		if out[i], err = filepath.Abs(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}
