package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/router"
	"orrery.dev/orrery/tap"
)

// ordinaryUser is somebody without any rights, and with a directory of his own.
//
// Run by root the test becomes a user whose number nobody has. Where ordinary
// users may not open /dev/net/tun, as they may on most distributions, they get
// one in a mount namespace of the test's own.
type ordinaryUser struct {
	home    string
	program string
	uid     int
	device  bool // a device of his own is needed
}

// noAccount is above what distributions give to users, and below where systemd
// gives numbers to containers.
const noAccount = 60987

func newOrdinaryUser(t *testing.T) *ordinaryUser {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "orr")
	if err != nil {
		t.Fatal(err)
	}
	u := &ordinaryUser{home: home, program: file, uid: os.Geteuid()}
	t.Cleanup(func() {
		if names, err := os.ReadDir(u.runs()); err == nil && len(names) > 0 {
			_, _ = u.orrery(t, "down", "--all")
		}
		_ = os.RemoveAll(home)
	})
	if u.uid == 0 {
		for _, program := range []string{"unshare", "setpriv"} {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("the program %s is not installed (package util-linux)", program)
			}
		}
		u.uid = noAccount
		if err := os.Chown(home, u.uid, u.uid); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(tap.Path)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Mkdir(filepath.Join(home, "dev"), 0o755); err != nil {
			t.Fatal(err)
		}
		u.device = st.Mode().Perm()&6 != 6
	} else if err := tap.Available(); err != nil {
		t.Skip(err)
	}
	// The same program says what the host forbids, and what to do about it.
	if out, err := u.command(t.Context(), u.program, "up", "--for", "1ms", u.write(t, "probe", "protocol: oracle")).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "run as root, or ") {
			t.Skipf("%v: %s", err, out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	return u
}

// runs is where his runs live.
func (u *ordinaryUser) runs() string { return filepath.Join(u.home, "orrery") }

// write gives him a scenario.
func (u *ordinaryUser) write(t *testing.T, name, routing string) string {
	t.Helper()
	path := filepath.Join(u.home, name+".yaml")
	text := strings.Replace(fmt.Sprintf(busyScenario, routing), "name: busy", "name: "+name, 1)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs a program as the user.
func (u *ordinaryUser) command(ctx context.Context, argv ...string) *exec.Cmd {
	var before []string
	if u.uid != os.Geteuid() {
		id := strconv.Itoa(u.uid)
		before = []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all", "--"}
		if u.device {
			before = slices.Concat([]string{"unshare", "--mount", "--propagation", "slave", "sh", "-c", `mount -t tmpfs -o mode=0755 none "$0" &&
				mknod -m 0666 "$0/tun" c 10 200 && mount --bind "$0/tun" ` + tap.Path + ` && umount -l "$0" && exec "$@"`, u.home + "/dev"}, before)
		}
	}
	argv = slices.Concat(before, argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + u.home, "XDG_RUNTIME_DIR=" + u.home}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// orrery runs a verb as the user.
func (u *ordinaryUser) orrery(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	defer cancel()
	out, err := u.command(ctx, append([]string{u.program}, args...)...).CombinedOutput()
	return string(out), err
}

// must is orrery without a failure.
func (u *ordinaryUser) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := u.orrery(t, args...)
	if err != nil {
		t.Fatalf("orrery %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// processes are the user's, without zombies.
func (u *ordinaryUser) processes(t *testing.T) (list []string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		var st syscall.Stat_t
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil || syscall.Stat(dir, &st) != nil || int(st.Uid) != u.uid || bytes.Contains(stat, []byte(") Z ")) {
			continue
		}
		argv, _ := os.ReadFile(dir + "/cmdline")
		list = append(list, filepath.Base(dir)+" "+string(bytes.ReplaceAll(argv, []byte{0}, []byte{' '})))
	}
	return list
}

// gone checks that nothing of the user's is left but his scenarios.
func (u *ordinaryUser) gone(t *testing.T) {
	t.Helper()
	if _, err := os.Lstat(u.runs()); err == nil {
		out, _ := exec.Command("find", u.runs()).CombinedOutput()
		t.Errorf("files are left:\n%s", out)
	}
	if u.uid == os.Geteuid() {
		return // other processes are the user's too
	}
	var left []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if left = u.processes(t); len(left) == 0 {
			return
		}
	}
	t.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
}

// An ordinary user runs routing daemons and commands, and looks and steers from
// outside of the namespaces that they live in.
func TestOrdinaryUser(t *testing.T) {
	u := newOrdinaryUser(t)
	for name, routing := range map[string]string{"oracle": oracleRouting, "bird": birdRouting, "frr": frrRouting, "frr-private": frrRouting + "\n  isolation: all"} {
		t.Run(name, func(t *testing.T) {
			if daemon, _, _ := strings.Cut(name, "-"); daemon != "oracle" {
				if _, err := router.Version(t.Context(), daemon); err != nil {
					t.Skip(err)
				}
			}
			u.must(t, "up", u.write(t, name, routing), "--detach", "--wait", "converged", "--within", "2m")
			if out := u.must(t, "status"); !strings.Contains(out, "1 of 1 reach each other") {
				t.Errorf("status: %s", out)
			}
			if out := u.must(t, "exec", "ground-a", "--", "sh", "-c", "id -u; ls /sys/class/net; cat /proc/[0-9]*/cmdline | tr '\\0' ' '"); !strings.HasPrefix(out, "0\nant0\nlo\n") || !strings.Contains(out, "sleep 3600") {
				t.Errorf("exec: %s", out)
			}
			if out := u.must(t, "ping", "ground-a", "ground-b", "--count", "3", "--interval", "100ms"); !strings.Contains(out, "3 sent, 0 lost") {
				t.Errorf("ping: %s", out)
			}
			capture := u.command(t.Context(), u.program, "capture", "ground-a:ant0")
			out, err := capture.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := capture.Start(); err != nil {
				t.Fatal(err)
			}
			magic := make([]byte, 4)
			if _, err := out.Read(magic); err != nil || !bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) { // pcapng's section header
				t.Errorf("capture: % x, %v", magic, err)
			}
			_ = capture.Process.Kill()
			_ = capture.Wait()
			u.must(t, "down")
			u.gone(t)
		})
	}
}

// Doctor judges as up will: in the namespaces.
func TestOrdinaryUserAsksDoctor(t *testing.T) {
	u := newOrdinaryUser(t)
	out := u.must(t, "doctor", u.write(t, "sick", oracleRouting), "-o", "csv")
	if !strings.Contains(out, "privileges,ok,root of a user namespace,") {
		t.Errorf("doctor: %s", out)
	}
	u.gone(t)
}

// His runs are his alone: nobody else reaches their directory or their socket.
func TestOrdinaryUsersRunIsPrivate(t *testing.T) {
	u := newOrdinaryUser(t)
	u.must(t, "up", u.write(t, "private", oracleRouting), "--detach")
	for path, want := range map[string]os.FileMode{
		"": 0o700, "private/control": 0o700, "private/control/sock": 0o600,
	} {
		var st syscall.Stat_t
		path := filepath.Join(u.runs(), path)
		if err := syscall.Stat(path, &st); err != nil {
			t.Error(err)
			continue
		}
		if mode := os.FileMode(st.Mode & 0o777); mode != want || int(st.Uid) != u.uid {
			t.Errorf("%s: mode %o of user %d, want %o of user %d", path, mode, st.Uid, want, u.uid)
		}
	}
	// Nor do the nodes, which are the user's own processes.
	if out, err := u.orrery(t, "exec", "ground-a", "--", "ls", filepath.Join(u.runs(), "private", "control")); err == nil {
		t.Errorf("a node sees the control socket: %s", out)
	}
	u.must(t, "down")
	u.gone(t)
}

// Without XDG_RUNTIME_DIR runs live in /tmp, where others may have been first.
func TestOrdinaryUserInTheTemporaryDirectory(t *testing.T) {
	u := newOrdinaryUser(t)
	if u.uid == os.Geteuid() {
		t.Skip("needs root: makes a directory that belongs to somebody else")
	}
	root := filepath.Join(u.home, fmt.Sprintf("orrery-%d", u.uid))
	up := func() (string, error) {
		cmd := u.command(t.Context(), u.program, "up", u.write(t, "temporary", oracleRouting), "--for", "1ms", "--plain")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + u.home}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := up(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.Mkdir(root, 0o777); err != nil { // gone after the run, so it is there to be taken
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o777); err != nil {
		t.Fatal(err)
	}
	if out, err := up(); err == nil || !strings.Contains(out, "set ORRERY_RUNTIME_DIR to a directory of your own") {
		t.Errorf("in a directory of somebody else's: %v\n%s", err, out)
	}
	if err := os.Remove(root); err != nil {
		t.Error(err)
	}
	u.gone(t)
}

// Whichever of its processes is killed, the kernel ends all of the run, and down
// removes its files.
func TestOrdinaryUsersEmulatorIsKilled(t *testing.T) {
	u := newOrdinaryUser(t)
	if u.uid == os.Geteuid() {
		t.Skip("needs root: the processes of a user of the test's own are told apart by their user")
	}
	for _, which := range []string{"outside", "inside"} {
		t.Run(which, func(t *testing.T) {
			u.must(t, "up", u.write(t, "killed", oracleRouting), "--detach", "--wait", "up")
			until(t, "the command that leaves its parent", func() bool {
				return strings.Contains(strings.Join(u.processes(t), "\n"), "sleep 3600")
			})
			// The user's process is the oldest, then come the first of the namespaces
			// and the emulator.
			var emulators []int
			for _, p := range u.processes(t) {
				if pid, argv, _ := strings.Cut(p, " "); strings.Contains(argv, "--detached") {
					n, err := strconv.Atoi(pid)
					if err != nil {
						t.Fatal(err)
					}
					emulators = append(emulators, n)
				}
			}
			slices.Sort(emulators)
			if len(emulators) != 3 {
				t.Fatalf("the emulator is %d processes", len(emulators))
			}
			pid := emulators[0]
			if which == "inside" {
				pid = emulators[2]
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			until(t, "all processes gone without any help", func() bool { return len(u.processes(t)) == 0 })
			if out := u.must(t, "down"); !strings.Contains(out, "its emulator was gone") {
				t.Errorf("down: %s", out)
			}
			u.gone(t)
		})
	}
}

// The foreground ends as root's does: with the exit code of the run.
func TestOrdinaryUserInterrupts(t *testing.T) {
	u := newOrdinaryUser(t)
	cmd := u.command(t.Context(), u.program, "up", u.write(t, "front", oracleRouting), "--plain")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	until(t, "up", func() bool {
		select {
		case err := <-done:
			t.Fatalf("it ended: %v\n%s", err, out.String())
		default:
		}
		_, err := u.orrery(t, "nodes") // status is content without a run
		return err == nil
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || !strings.Contains(out.String(), "nothing of the run is left") {
		t.Errorf("%v\n%s", err, out.String())
	}
	u.gone(t)
	if text, err := u.orrery(t, "up", filepath.Join(u.home, "none.yaml")); err == nil || !strings.Contains(text, "none.yaml") {
		t.Errorf("a scenario that is not there: %v, %s", err, text)
	}
}
