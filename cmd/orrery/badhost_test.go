package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// badHost runs "orrery up" where something is missing.
type badHost struct {
	routing string
	// launch makes the command of a program and its arguments.
	launch func(t *testing.T, argv []string) *exec.Cmd
	says   []string
}

func plainly(_ *testing.T, argv []string) *exec.Cmd { return exec.Command(argv[0], argv[1:]...) }

// within runs a program after a shell's preparations, in mount and other
// namespaces of its own.
func within(prepare string, unshare ...string) func(*testing.T, []string) *exec.Cmd {
	return func(t *testing.T, argv []string) *exec.Cmd {
		if _, err := exec.LookPath("unshare"); err != nil {
			t.Skip("the program unshare is not installed (package util-linux)")
		}
		args := slices.Concat(unshare, []string{"sh", "-c", prepare + ` && exec "$@"`, "sh"})
		if err := exec.Command("unshare", slices.Concat(unshare, []string{"true"})...).Run(); err != nil {
			t.Skipf("unshare %s: %v", strings.Join(unshare, " "), err)
		}
		return exec.Command("unshare", slices.Concat(args, argv)...)
	}
}

const (
	oracleRouting = "protocol: oracle"
	birdRouting   = "protocol: ospf3\n      daemon: bird"
	frrRouting    = "protocol: isis\n      daemon: frr"
)

var badHosts = map[string]badHost{
	"no bird": {birdRouting, func(t *testing.T, argv []string) *exec.Cmd {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "PATH="+t.TempDir())
		return cmd
	}, []string{"bird", "apt-get install bird2"}},
	"no frr": {frrRouting, func(t *testing.T, argv []string) *exec.Cmd {
		if _, err := os.Stat("/usr/lib/frr"); err != nil {
			return plainly(t, argv) // it is missing anyway
		}
		return within("mount -t tmpfs none /usr/lib/frr", "--mount")(t, argv)
	}, []string{"/usr/lib/frr/", "apt-get install frr"}},
	"few descriptors": {oracleRouting, // Where it may not raise the limit again.
		within("ulimit -n 64", "--user", "--map-root-user", "--mount"), []string{"not all ports of 6 nodes can be opened", "have 64, need", "ulimit -n"}},
	"no /dev/net/tun": {oracleRouting,
		within("mount -t tmpfs none /dev/net", "--mount"),
		[]string{"/dev/net/tun does not exist", "modprobe tun"}},
	"ordinary user without user namespaces": {oracleRouting, func(t *testing.T, argv []string) *exec.Cmd {
		if _, err := exec.LookPath("setpriv"); err != nil {
			t.Skip("the program setpriv is not installed (package util-linux)")
		}
		// The limit belongs to a user namespace, here one of the test's own.
		return within("echo 0 > /proc/sys/user/max_user_namespaces", "--user", "--map-root-user", "--mount")(t,
			append([]string{"setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"}, argv...))
	}, []string{"run as root", "sysctl -w user.max_user_namespaces"}},
	"long path": {oracleRouting, func(t *testing.T, argv []string) *exec.Cmd {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "ORRERY_RUNTIME_DIR="+filepath.Join(t.TempDir(), strings.Repeat("long", 25)))
		return cmd
	}, []string{"control/sock", "ORRERY_RUNTIME_DIR"}},
}

// What a host lacks is told in one sentence, with code 3, before anything is
// made.
func TestBadHosts(t *testing.T) {
	needKernel(t)
	if os.Geteuid() != 0 {
		t.Skip("taking abilities away needs root")
	}
	for name, c := range badHosts {
		t.Run(name, func(t *testing.T) {
			r := startForeground(t, fmt.Sprintf(busyScenario, c.routing))
			if err := os.Chmod(filepath.Dir(r.cmd.Args[2]), 0o755); err != nil {
				t.Fatal(err)
			}
			scenario := filepath.Join(filepath.Dir(r.root), "busy.yaml")
			text, err := os.ReadFile(r.cmd.Args[2])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(scenario, text, 0o644); err != nil {
				t.Fatal(err)
			}
			before := takeSnapshot(t, r.root)
			for _, mode := range []string{"--plain", "--detach"} {
				cmd := c.launch(t, []string{r.cmd.Path, "up", scenario, mode})
				if cmd.Env == nil {
					cmd.Env = r.cmd.Env
				} else if !strings.Contains(cmd.Env[len(cmd.Env)-1], "RUNTIME_DIR") {
					cmd.Env = append(cmd.Env, "ORRERY_RUNTIME_DIR="+r.root)
				}
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				err := cmd.Run()
				if e := new(exec.ExitError); !errors.As(err, &e) || e.ExitCode() != exitHost {
					t.Errorf("%s: %v, want exit code %d", mode, err, exitHost)
				}
				said := stderr.String()
				for _, want := range c.says {
					if !strings.Contains(said, want) {
						t.Errorf("%s: says %q, want %q", mode, said, want)
					}
				}
				if !strings.HasPrefix(said, "orrery: ") || strings.Count(said, "\n") != 1 || stdout.Len() > 0 {
					t.Errorf("%s: not one sentence: %q and %q", mode, said, stdout.String())
				}
			}
			nothingLeft(t, r, before, nil, nil)
		})
	}
}

// A limit that the emulator may raise itself is no lack.
func TestRaisesDescriptors(t *testing.T) {
	needKernel(t)
	r := startForeground(t, fmt.Sprintf(busyScenario, oracleRouting))
	r.cmd.Args = append(r.cmd.Args, "--for", "1s")
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	if lim.Max < 1024 {
		t.Skipf("the hard limit of open files is %d", lim.Max)
	}
	r.cmd.Path, r.cmd.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -S -n 64 && exec "$@"`, "sh"}, r.cmd.Args...)
	r.start(t)
	if err := r.wait(t); err != nil {
		t.Errorf("%v\n%s", err, r.out)
	}
}
