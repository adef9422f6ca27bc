package supervise

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	// retry is how long to wait before what has ended is started again; it doubles
	// up to retryMost while the process lives for less than settled.
	retry, retryMost = 500 * time.Millisecond, 30 * time.Second
	settled          = 10 * time.Second
	// poll is how often to look whether a process may be started.
	poll = 100 * time.Millisecond
	// grace is how long processes have to end by themselves.
	grace = 3 * time.Second
)

// child is a process with its state. Times are by the monotonic clock.
type child struct {
	Process
	pid   int // 0 while it does not run
	done  bool
	due   time.Time // when to start it
	began time.Time
	pause time.Duration
}

// Main is Run with the signals of the calling process, for its main function.
func Main(list []Process) int {
	// It allocates next to nothing from here on, and stays for long.
	debug.FreeOSMemory()
	stop, wake := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(wake, syscall.SIGCHLD)
	return Run(list, stop, wake, func(text string) { fmt.Fprintln(os.Stderr, "orrery-init: "+text) })
}

// Run keeps the processes running until a signal comes on stop, which it passes
// on to them, or until none is left to run. It returns the exit status for the
// caller: 0 after a signal, 1 if a process could never be started. wake is to
// receive SIGCHLD. Run takes in all children of the calling process.
func Run(list []Process, stop, wake <-chan os.Signal, log func(string)) int {
	now := time.Now()
	children := make([]*child, len(list))
	for i, p := range list {
		children[i] = &child{Process: p, due: now.Add(p.Delay), pause: retry}
	}
	status := 0
	for {
		reap(children, log)
		next, left := poll, false
		for _, c := range children {
			if c.done {
				continue
			}
			left = true
			if c.pid != 0 {
				next = max(next, time.Hour)
				continue
			}
			if wait := time.Until(c.due); wait > 0 {
				continue
			}
			if c.After != "" && !listens(find(children, c.After)) {
				continue
			}
			if err := c.start(); err != nil {
				log("process " + c.Name + " cannot be started: " + err.Error())
				c.ended(1)
				status = 1
			}
		}
		if !left {
			return status
		}
		if waiting(children) {
			next = poll
		}
		timer := time.NewTimer(next)
		select {
		case s := <-stop:
			timer.Stop()
			end(children, s, wake)
			return 0
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// waiting says whether a process is still to be started.
func waiting(children []*child) bool {
	for _, c := range children {
		if !c.done && c.pid == 0 {
			return true
		}
	}
	return false
}

func find(children []*child, name string) *child {
	for _, c := range children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// listens says whether a process runs and takes connections on its socket.
func listens(c *child) bool {
	return c != nil && c.pid != 0 && (c.Socket == "" || Listens(c.Socket))
}

// Listens says whether a unix socket takes connections.
func Listens(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func (c *child) start() error {
	c.began = time.Now()
	pid, err := syscall.ForkExec(c.Argv[0], c.Argv, &syscall.ProcAttr{
		Dir: c.Dir, Env: append(os.Environ(), c.Env...), Files: []uintptr{0, 1, 2},
		// A group of its own, so that what a command starts ends with it.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return err
	}
	c.pid = pid
	if c.Nice != 0 {
		return syscall.Setpriority(syscall.PRIO_PROCESS, pid, c.Nice)
	}
	return nil
}

// ended decides what becomes of a process that has ended with a status.
func (c *child) ended(status int) {
	c.pid = 0
	if c.Restart != Always && (c.Restart != OnFailure || status == 0) {
		c.done = true
		return
	}
	if time.Since(c.began) > settled {
		c.pause = retry
	}
	c.due = time.Now().Add(c.pause)
	c.pause = min(2*c.pause, retryMost)
}

// reap takes in all children that have ended, also those that others left.
func reap(children []*child, log func(string)) {
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for _, c := range children {
			if c.pid == pid {
				status := w.ExitStatus()
				if w.Signaled() {
					status = 128 + int(w.Signal())
					log("process " + c.Name + " was ended by " + w.Signal().String())
				} else if status != 0 {
					log("process " + c.Name + " ended with a failure")
				}
				c.ended(status)
			}
		}
	}
}

// end passes a signal on, waits for the processes, and kills what is left.
func end(children []*child, s os.Signal, wake <-chan os.Signal) {
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	signal := syscall.SIGTERM
	if n, ok := s.(syscall.Signal); ok {
		signal = n
	}
	tell(children, signal)
	for {
		reap(children, func(string) {})
		running := false
		for _, c := range children {
			running = running || c.pid != 0
		}
		if !running {
			return
		}
		select {
		case <-deadline.C:
			tell(children, syscall.SIGKILL)
			return
		case <-wake:
		}
	}
}

// tell sends a signal to all processes and what they started.
func tell(children []*child, s syscall.Signal) {
	for _, c := range children {
		if c.pid != 0 {
			_ = syscall.Kill(-c.pid, s) // it may have ended just now
		}
	}
}
