package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// spawner starts processes in namespaces.
//
// A child inherits the namespaces of the thread that forks it. So a few threads
// do nothing else: they enter a node's network namespace, take a fresh UTS
// namespace with the node's host name, and fork. No helper program stands
// between the engine and the process.
//
// Children are killed when the thread that forked them ends (PR_SET_PDEATHSIG):
// a network whose links died with the emulator is of no use to anybody. The
// threads therefore live until release. A process that changes its user loses
// this tie; Cleanup finds it all the same.
type spawner struct {
	reaper *reaper

	mu      sync.Mutex // guards:
	jobs    chan spawnJob
	threads sync.WaitGroup // in nodes' namespaces
}

// spawnJob is one process to be.
type spawnJob struct {
	namespace, host string
	path            string
	argv, env       []string
	dir             string
	files           []uintptr
	terminal        bool     // files[0] is a terminal, to be the controlling one
	view            *view    // nil: of the network namespace alone
	bind            *binding // nil: none
	result          chan<- spawnResult
}

type spawnResult struct {
	pid    int
	exited <-chan syscall.WaitStatus
	err    error
}

// spawners is the number of forking threads. Go forks one child at a time per
// process; the second thread prepares meanwhile.
const spawners = 2

func newSpawner() *spawner { return &spawner{reaper: newReaper()} }

// start starts a process. Its end is sent on the channel that is returned.
func (s *spawner) start(j spawnJob) (pid int, exited <-chan syscall.WaitStatus, err error) {
	if j.view != nil {
		return s.startPrivate(&j)
	}
	result := make(chan spawnResult, 1)
	j.result = result
	s.mu.Lock()
	if s.jobs == nil {
		jobs := make(chan spawnJob)
		s.jobs = jobs
		s.reaper.begin()
		for range spawners {
			s.threads.Add(1)
			thread.Go(func() {
				defer s.threads.Done()
				defer rememberHome()()
				s.serve(jobs)
			})
		}
	}
	s.jobs <- j // under mu: release does not close it meanwhile
	s.mu.Unlock()
	r := <-result
	return r.pid, r.exited, r.err
}

// release ends the threads, and with them what children they still have.
func (s *spawner) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs != nil {
		close(s.jobs)
		s.jobs = nil
		s.threads.Wait()
		s.reaper.end()
	}
}

func (s *spawner) serve(jobs <-chan spawnJob) {
	for j := range jobs {
		pid, err := j.fork()
		if err != nil {
			j.result <- spawnResult{err: err}
			continue
		}
		j.result <- spawnResult{pid: pid, exited: s.reaper.watch(pid)}
	}
}

// fork runs on a thread of its own.
func (j *spawnJob) fork() (int, error) {
	if err := enter(j.namespace); err != nil {
		return 0, err
	}
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		return 0, fmt.Errorf("make a UTS namespace: %w", err)
	}
	if err := unix.Sethostname([]byte(j.host)); err != nil {
		return 0, fmt.Errorf("set the host name %s: %w", j.host, err)
	}
	if j.bind != nil {
		leave, err := j.bind.enter()
		if err != nil {
			return 0, err
		}
		defer leave()
	}
	sys := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if j.terminal {
		sys.Setsid, sys.Setctty, sys.Ctty = true, true, 0
	} else {
		sys.Setpgid = true
	}
	return syscall.ForkExec(j.path, j.argv, &syscall.ProcAttr{Dir: j.dir, Env: j.env, Files: j.files, Sys: sys})
}

// reaper waits for children without a thread or a descriptor for each. It
// reaps only those that it was told of: other parts of the program have
// children of their own.
type reaper struct {
	mu       sync.Mutex // guards:
	children map[int]chan<- syscall.WaitStatus
	signals  chan os.Signal
}

func newReaper() *reaper { return &reaper{children: map[int]chan<- syscall.WaitStatus{}} }

func (r *reaper) begin() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	r.mu.Lock()
	r.signals = signals
	r.mu.Unlock()
	go func() {
		for range signals {
			r.reap()
		}
	}()
}

// end stops listening. The last children, killed with their threads a moment
// ago, are waited for one by one.
func (r *reaper) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	signal.Stop(r.signals)
	close(r.signals)
	r.signals = nil
	for pid, c := range r.children {
		delete(r.children, pid)
		go await(pid, c)
	}
}

func await(pid int, c chan<- syscall.WaitStatus) {
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	c <- status
}

// watch returns a channel on which the child's end is sent.
func (r *reaper) watch(pid int) <-chan syscall.WaitStatus {
	c := make(chan syscall.WaitStatus, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.signals == nil {
		go await(pid, c)
		return c
	}
	r.children[pid] = c
	r.try(pid) // its SIGCHLD may have come before it was known
	return c
}

// reap takes all children that have ended. SIGCHLD tells only that there is at
// least one.
func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		// Which child ended, without reaping it.
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		pid := signalled(&info)
		if err != nil || pid == 0 {
			return
		}
		if _, mine := r.children[pid]; !mine {
			break // it hides the others
		}
		if !r.try(pid) {
			break
		}
	}
	for pid := range r.children {
		r.try(pid)
	}
}

// signalled is si_pid. It begins the union that follows signo, errno and code
// and is aligned for pointers.
func signalled(info *unix.Siginfo) int {
	const word = unsafe.Sizeof(uintptr(0))
	const at = (3*4 + word - 1) &^ (word - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), at)))
}

// try reaps one child if it has ended. mu is held.
func (r *reaper) try(pid int) bool {
	var status syscall.WaitStatus
	for {
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if got != pid {
			return false
		}
		r.children[pid] <- status
		delete(r.children, pid)
		return true
	}
}

// searchPath is where commands without a slash are looked for.
var searchPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// environment is what every process gets, before its own.
func environment(node, dir string, more []string) []string {
	env := []string{"PATH=" + strings.Join(searchPath, ":"), "HOME=" + dir, "LANG=C.UTF-8", "ORRERY_NODE=" + node}
	return append(env, more...)
}

// find is the file that a command means. The error wraps fs.ErrNotExist or
// fs.ErrPermission.
func find(command, dir string) (string, error) {
	if command == "" {
		return "", fmt.Errorf("no command: %w", fs.ErrNotExist)
	}
	if strings.Contains(command, "/") {
		path := command
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return path, executable(path)
	}
	problem := fmt.Errorf("%s: not found in %s: %w", command, strings.Join(searchPath, ":"), fs.ErrNotExist)
	for _, d := range searchPath {
		path := filepath.Join(d, command)
		err := executable(path)
		if err == nil {
			return path, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			problem = err
		}
	}
	return "", problem
}

func executable(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.IsDir() || st.Mode()&0o111 == 0 {
		return &os.PathError{Op: "execute", Path: path, Err: fs.ErrPermission}
	}
	return nil
}
