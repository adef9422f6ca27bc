package router

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"

	"orrery.dev/orrery/node"
	"orrery.dev/orrery/scenario"
)

// frrDir is where Debian, Ubuntu and Fedora keep FRR's daemons.
const frrDir = "/usr/lib/frr"

// frrUser is the user that FRR's daemons change to. They refuse to stay root.
const frrUser = "frr"

// birdProcess runs BIRD. Paths are relative to the node's directory, which is
// the working directory: a unix socket's path has 107 bytes at most. One that
// recovers starts as if it had been there before (RFC 3623): it makes
// adjacencies and listens before it advertises itself.
func birdProcess(dir string, recovers bool) node.Process {
	argv := []string{"bird", "-f", "-c", "bird.conf", "-s", "bird.ctl", "-P", "bird.pid"}
	if recovers {
		argv = append(argv, "-R")
	}
	return node.Process{
		Name:    "bird",
		Argv:    argv,
		Dir:     dir,
		Restart: node.Always,
		Ready: func(ctx context.Context) error {
			_, err := askBIRD(ctx, Socket(dir, BIRD, "bird"), "show status")
			return err
		},
	}
}

// frrProcess runs one of the daemons of an entry, of that major version of FRR.
func frrProcess(dir, program string, r scenario.Routing, frr int) node.Process {
	argv := []string{filepath.Join(frrDir, program)}
	if !configuredByManager(program, frr) {
		argv = append(argv, "-f", program+".conf")
	}
	p := node.Process{
		Name: program,
		Argv: append(argv,
			"-i", program+".pid", "-z", "zserv.api", "--vty_socket", ".",
			"-A", "127.0.0.1", "-P", "0", // no terminal over TCP
			"--log", "stdout", "--log-level", "informational",
			"--limit-fds", "1024", // else its tables are as long as the limit of open files
		),
		Dir:      dir,
		BindOver: Binds(FRR, frr),
		Restart:  node.Always,
		Ready: func(ctx context.Context) error {
			_, err := askFRR(ctx, Socket(dir, FRR, program), "show version")
			return err
		},
	}
	switch program {
	case manager:
	case "zebra":
		if r.MaxPaths > 0 {
			p.Argv = append(p.Argv, "--ecmp", strconv.Itoa(r.MaxPaths))
		}
		if managed(r.Protocol, frr) {
			p.After = manager
		}
	case "bfdd":
		if len(p.BindOver) == 0 {
			p.Argv = append(p.Argv, "--bfdctl", "bfdd.sock") // else one place for all nodes
		}
		fallthrough
	default:
		p.After = "zebra" // one that does not find zebra tries again only after 10 s
	}
	return p
}

// Write puts a node's files into its directory, and gives the directory to the
// user that the daemons change to.
func Write(dir string, out Output) error {
	if out.Daemon == FRR {
		o, err := frrOwner()
		if err != nil {
			return err
		}
		if err := os.Chown(dir, o.uid, o.gid); err != nil {
			return fmt.Errorf("router: %w", err)
		}
		if err := reachable(dir, o); err != nil {
			return err
		}
	}
	for _, f := range out.Files {
		path := filepath.Join(dir, f.Name)
		err := os.WriteFile(path, f.Content, 0o644)
		if err == nil {
			err = os.Chmod(path, 0o644) // whatever the mask: one of FRR that cannot read it would run without
		}
		if err != nil {
			return fmt.Errorf("router: %w", err)
		}
	}
	return nil
}

// owner is a user and a group.
type owner struct{ uid, gid int }

// reachable says which directory above dir keeps an owner from it. Daemons of FRR that
// cannot reach their sockets would find neither each other nor words for that.
func reachable(dir string, o owner) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return fmt.Errorf("router: %w", err)
		}
		search := fs.FileMode(0o001)
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == o.uid {
			search = 0o100
		} else if ok && int(st.Gid) == o.gid {
			search = 0o010
		}
		if info.Mode()&search == 0 {
			return fmt.Errorf("router: FRR's daemons change to the user %s, who cannot reach %s, since %s has mode %04o; `chmod o+x %s`, or give the run another directory", frrUser, dir, above, info.Mode().Perm(), above)
		}
		if above == filepath.Dir(above) {
			return nil
		}
	}
}

var frrOwner = sync.OnceValues(func() (o owner, err error) {
	u, err := user.Lookup(frrUser)
	if err != nil {
		return owner{}, fmt.Errorf("router: FRR's user %q is not there; install FRR with `apt-get install frr`: %w", frrUser, ErrMissing)
	}
	if o.uid, err = strconv.Atoi(u.Uid); err == nil {
		o.gid, err = strconv.Atoi(u.Gid)
	}
	return o, err
})

// Users are the users and groups that daemons change to, or want to be in.
var Users = []string{frrUser, "frrvty"}

// ErrMissing is wrapped by errors about software that is not installed.
var ErrMissing = errors.New("not installed")

// Preflight says whether the daemons that a scenario's entries need are
// installed.
func Preflight(entries []scenario.Routing) error {
	for _, r := range entries {
		daemon, err := Daemon(r)
		if err != nil {
			return err
		}
		if daemon == "" {
			continue
		}
		for _, program := range programsOf(daemon, r, Release()) {
			if _, err := exec.LookPath(programPath(daemon, program)); err != nil {
				return fmt.Errorf("routing: protocol %s needs %s, which is not there; install it with `apt-get install %s`: %w", r.Protocol, programPath(daemon, program), packages[daemon], ErrMissing)
			}
		}
		if daemon == FRR {
			if _, err := frrOwner(); err != nil {
				return err
			}
			version, err := Version(context.Background(), FRR)
			if err != nil {
				return err
			}
			if err := checkBFD(r, version); err != nil {
				return err
			}
		}
	}
	return nil
}

// packages of Debian and Ubuntu.
var packages = map[string]string{BIRD: "bird2", FRR: "frr"}

func programPath(daemon, program string) string {
	if daemon == FRR {
		return filepath.Join(frrDir, program)
	}
	return program
}

// Version is the version of an installed daemon, such as 2.0.12.
func Version(ctx context.Context, daemon string) (string, error) {
	argv := map[string][]string{BIRD: {"bird", "--version"}, FRR: {filepath.Join(frrDir, "zebra"), "-v"}}[daemon]
	if argv == nil {
		return "", fmt.Errorf("router: no daemon is called %q", daemon)
	}
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("router: %s is not there; install it with `apt-get install %s`: %w", argv[0], packages[daemon], ErrMissing)
	}
	if err != nil {
		return "", fmt.Errorf("router: %s: %w", argv[0], err)
	}
	v := versionPattern.FindSubmatch(out)
	if v == nil {
		return "", fmt.Errorf("router: %s says no version", argv[0])
	}
	return string(v[1]), nil
}

var versionPattern = regexp.MustCompile(`version (\d[^\s]*)`)
