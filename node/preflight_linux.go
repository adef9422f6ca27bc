package node

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
)

// What Preflight can find missing. Each error that it returns wraps one of
// these, or tap.ErrUnavailable, and says what to do.
var (
	ErrNotPermitted = errors.New("not permitted")
	ErrDescriptors  = errors.New("too few file descriptors")
	ErrInUse        = errors.New("name in use")
	ErrLeftOver     = errors.New("remains of a killed run")
	ErrSpec         = errors.New("impossible node")
)

// reserve of file descriptors for all but the nodes: the emulator's own files,
// terminals, API connections, captures.
const reserve = 256

// Preflight says whether these nodes can be made here, without making
// anything. It raises the limit of open files as far as it is allowed to.
func Preflight(cfg Config, specs []Spec) error {
	if err := permitted(); err != nil {
		return err
	}
	if err := tap.Available(); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if err := checkSpecs(specs); err != nil {
		return err
	}
	if err := enoughDescriptors(specs); err != nil {
		return err
	}
	return free(cfg.RunDir)
}

// permitted looks for the capabilities that namespaces and devices need.
func permitted() error {
	const sysAdmin, netAdmin = 1 << unix.CAP_SYS_ADMIN, 1 << unix.CAP_NET_ADMIN
	have, err := effective()
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if have&sysAdmin != 0 && have&netAdmin != 0 {
		return nil
	}
	if userNamespaces() {
		return fmt.Errorf("node: network namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN; run as root, or in a user namespace of your own: `unshare --user --map-root-user --mount orrery …`: %w", ErrNotPermitted)
	}
	return fmt.Errorf("node: network namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN, and this host allows no user namespaces; run as root: %w", ErrNotPermitted)
}

// effective reads this process's effective capabilities.
func effective() (uint64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(v), 16, 64)
		}
	}
	return 0, errors.New("/proc/self/status has no CapEff")
}

// userNamespaces says whether an ordinary user may have one: the limit is above
// 0, and neither Debian's nor Ubuntu's switch forbids them.
func userNamespaces() bool {
	for path, forbidden := range map[string]string{
		"/proc/sys/user/max_user_namespaces":                     "0",
		"/proc/sys/kernel/unprivileged_userns_clone":             "0",
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
	} {
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) == forbidden {
			return false
		}
	}
	_, err := os.Stat("/proc/self/ns/user")
	return err == nil
}

// checkSpecs finds what the kernel would refuse only half way.
func checkSpecs(specs []Spec) error {
	seen := map[string]bool{}
	for i := range specs {
		s := &specs[i]
		if s.Name == "" || s.Name == "." || s.Name == ".." || strings.ContainsAny(s.Name, "/\x00") || len(s.Name) > 64 {
			return fmt.Errorf("node %q: a name has 1 to 64 bytes, being a host name, and no '/': %w", s.Name, ErrSpec)
		}
		if seen[s.Name] {
			return fmt.Errorf("node %s: two nodes have this name: %w", s.Name, ErrSpec)
		}
		seen[s.Name] = true
		ports := map[string]bool{"lo": true}
		for _, p := range s.Ports {
			if p.Name == "" || len(p.Name) >= unix.IFNAMSIZ || p.Name == "." || p.Name == ".." || strings.ContainsAny(p.Name, "/: \t\n%") {
				return fmt.Errorf("node %s: port %q: an interface name has 1 to %d bytes and none of '/', ':', '%%' and space: %w", s.Name, p.Name, unix.IFNAMSIZ-1, ErrSpec)
			}
			if ports[p.Name] {
				return fmt.Errorf("node %s: two interfaces are called %s: %w", s.Name, p.Name, ErrSpec)
			}
			ports[p.Name] = true
			if p.MTU != 0 && (p.MTU < 1280 || p.MTU > 65521) {
				return fmt.Errorf("node %s: port %s: MTU %d is outside of 1280 (the least that IPv6 works with) … 65521: %w", s.Name, p.Name, p.MTU, ErrSpec)
			}
		}
	}
	return nil
}

// descriptorsFor counts the files that nodes keep open: one per device, one
// routing socket per node, two per private view.
func descriptorsFor(specs []Spec) int {
	n := len(specs) + portsOf(specs)
	for i := range specs {
		if specs[i].Private {
			n += 2
		}
	}
	return n
}

func portsOf(specs []Spec) (n int) {
	for i := range specs {
		n += len(specs[i].Ports)
	}
	return n
}

func enoughDescriptors(specs []Spec) error {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("node: %w", os.NewSyscallError("getrlimit", err))
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	need := uint64(descriptorsFor(specs) + len(open) + reserve)
	if lim.Cur < need && lim.Cur < lim.Max {
		lim.Cur = lim.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &lim)
	}
	if lim.Cur < need && lim.Max < need {
		// Only with CAP_SYS_RESOURCE.
		more := unix.Rlimit{Cur: need, Max: need}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &more) == nil {
			lim = more
		}
	}
	if lim.Cur < need {
		return fmt.Errorf("node: %d nodes need %d file descriptors and the limit is %d; raise it with `ulimit -n %d` (hard limit: /etc/security/limits.conf) or choose fewer nodes: %w", len(specs), need, lim.Cur, need, ErrDescriptors)
	}
	return nil
}

// free says whether the run directory belongs to nobody.
func free(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, lockFile)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Lstat(filepath.Join(dir, journalFile)); err == nil {
		return fmt.Errorf("node: %s holds what is left of a run that was killed; clean up with `orrery down %s`: %w", dir, filepath.Base(dir), ErrLeftOver)
	}
	return nil
}

// raiseNeighbourLimits makes room for the neighbours of all ports: the tables
// of neighbours, though kept per device, are limited per host, by default to
// 1,024 entries. The limits are only ever raised, and stay so.
func raiseNeighbourLimits(log *slog.Logger, specs []Spec) {
	need := 4 * (len(specs) + portsOf(specs)) // the peer, its loopback, multicast groups
	for _, family := range []string{"ipv4", "ipv6"} {
		for i, factor := range []int{1, 2, 4} {
			path := fmt.Sprintf("/proc/sys/net/%s/neigh/default/gc_thresh%d", family, i+1)
			b, err := os.ReadFile(path)
			if err != nil {
				continue // not in the initial namespace
			}
			have, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil || have >= factor*need {
				continue
			}
			if err := os.WriteFile(path, []byte(strconv.Itoa(factor*need)), 0o644); err != nil {
				log.Warn("cannot raise the host's limit of neighbours; many nodes may lose theirs", "sysctl", path, "have", have, "need", factor*need, "error", err)
			}
		}
	}
}
