package userns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrUnavailable is wrapped by the errors of Run and Available where the host
// lets ordinary users have no namespaces.
var ErrUnavailable = errors.New("user namespaces are not available")

// Options of Run.
type Options struct {
	// Args of the program, without its name.
	Args []string
	// Env is added to the environment.
	Env []string
	// Squash names users and groups that are root in the namespaces.
	Squash []string
}

// Environment variables tell a process which of the three it is.
const (
	roleKey   = "ORRERY_USERNS_ROLE"
	squashKey = "ORRERY_USERNS_SQUASH"
	first     = "first"  // the first process of the namespaces
	inside    = "inside" // the program in them
)

// Codes with which the first process ends by itself.
const (
	exitUnavailable = 3 // it could not set the namespaces up
	exitSignal      = 128
)

// linkFD is the first process's end of the pipe from the user's process. Each
// byte is a signal to pass on; the pipe ends when that process does.
const linkFD = 3

// Inside tells whether Run started this process.
func Inside() bool { return os.Getenv(roleKey) == inside }

// Run runs this program again, with args, in namespaces of its own, with the
// same standard files. It returns the program's exit code, 128 plus the number of
// the signal that ended it. When ctx ends the program gets SIGTERM; the caller
// sees to it that signals to this process end ctx.
//
// The program must call Init before all else.
func Run(ctx context.Context, o Options) (exit int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("user namespace: %w", err)
	}
	r, link, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("user namespace: %w", err)
	}
	defer r.Close()
	defer link.Close()
	cmd := exec.Command(self, o.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Env = append(cmd.Env, roleKey+"="+first, squashKey+"="+strings.Join(o.Squash, ","))
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return 0, explain(err)
	}
	defer context.AfterFunc(ctx, func() {
		_, _ = link.Write([]byte{byte(syscall.SIGTERM)}) // it may just have ended
	})()
	err = cmd.Wait()
	if ended := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ended) {
		return 0, fmt.Errorf("user namespace: %w", err)
	}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return exitSignal + int(s.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// attributes of a process in new namespaces, in which the user is root.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

// Available tries whether Run would work: nil, or an error that wraps
// ErrUnavailable and says what to do. The program must have called Init.
func Available(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("user namespace: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleKey+"="+first, squashKey+"=")
	cmd.Args = append(cmd.Args, tryOnly)
	cmd.SysProcAttr = attributes()
	var said strings.Builder
	cmd.Stderr = &said
	err = cmd.Run()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) && said.Len() > 0 {
		text := strings.TrimSuffix(strings.TrimSpace(said.String()), ": "+ErrUnavailable.Error())
		return fmt.Errorf("%s: %w", strings.TrimPrefix(text, "orrery: "), ErrUnavailable)
	}
	if err != nil {
		return explain(err)
	}
	return nil
}

// tryOnly, as the only argument, makes the first process end when it has set
// the namespaces up.
const tryOnly = "--try-user-namespace"

// explain says why the kernel refuses namespaces and what to do about it.
func explain(err error) error {
	return fmt.Errorf("run as root, or %s (%w): %w", remedy(readSysctl), err, ErrUnavailable)
}

func readSysctl(path string) string {
	b, _ := os.ReadFile("/proc/sys/" + path)
	return strings.TrimSpace(string(b))
}

// remedy finds what most probably stands in the way of a user namespace.
func remedy(sysctl func(path string) string) string {
	switch {
	case sysctl("user/max_user_namespaces") == "0":
		return "let users have namespaces with `sysctl -w user.max_user_namespaces=10000`"
	case sysctl("kernel/unprivileged_userns_clone") == "0":
		return "let users have namespaces with `sysctl -w kernel.unprivileged_userns_clone=1`"
	case sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "let this program have a user namespace with an AppArmor profile that says `userns,`, or all programs with `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
	default:
		return "let users have namespaces; containers forbid them by a seccomp profile or by covering parts of /proc"
	}
}

// Init makes a process that Run started do its part. It must be the first that
// a program does; in the first process of the namespaces it does not return.
func Init() {
	if os.Getenv(roleKey) != first {
		return
	}
	code, err := lead()
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = explain(err)
		}
		fmt.Fprintln(os.Stderr, "orrery: user namespace: "+err.Error())
		code = exitUnavailable
	}
	os.Exit(code)
}

// lead is the first process: it sets the namespaces up, starts the program, and
// ends with it or with the user's process.
func lead() (exit int, err error) {
	if err := furnish(strings.Split(os.Getenv(squashKey), ",")); err != nil {
		return 0, err
	}
	if slices.Equal(os.Args[1:], []string{tryOnly}) {
		return 0, nil
	}
	// A signal from a terminal goes to all three; this process must outlive it.
	// They are caught and not ignored since the program would inherit that.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	env := slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, roleKey+"=") || strings.HasPrefix(s, squashKey+"=")
	})
	unix.CloseOnExec(linkFD)
	program, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env: append(env, roleKey+"="+inside), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return 0, &os.PathError{Op: "start", Path: os.Args[0], Err: err}
	}
	go func() {
		link := os.NewFile(linkFD, "link")
		said := make([]byte, 1)
		for {
			if _, err := io.ReadFull(link, said); err != nil {
				os.Exit(exitSignal + int(syscall.SIGKILL)) // and the kernel ends the others
			}
			_ = unix.Kill(program, unix.Signal(said[0]))
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case pid == program && status.Signaled():
			return exitSignal + int(status.Signal()), nil
		case pid == program && status.Exited():
			return status.ExitStatus(), nil
		}
	}
}
