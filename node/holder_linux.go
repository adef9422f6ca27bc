package node

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// nsfsFile is what tells a namespace from all others, on the kernel's file system
// for them (nsfs).
type nsfsFile struct{ dev, inode uint64 }

// namespaceAt is the namespace that a path leads to; zero if it leads nowhere.
func namespaceAt(path string) nsfsFile {
	var st unix.Statx_t
	// A descriptor may be of a file on a server that does not answer.
	if unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st) != nil {
		return nsfsFile{}
	}
	return nsfsFile{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino}
}

// holder names a process that keeps a network namespace alive and how it does, or
// says that none can be seen: sockets that were passed on or that the kernel has
// not closed yet are no process's.
func holder(ns nsfsFile) string {
	const nobody = "no process that can be seen holds it"
	if ns == (nsfsFile{}) {
		return nobody
	}
	for _, pid := range pids() {
		dir := fmt.Sprintf("/proc/%d", pid)
		var how string
		switch {
		case leads(dir+"/task/*/ns/net", ns):
			how = "is in it"
		case mounted(dir+"/mountinfo", ns):
			how = "has a copy of the mounts of that moment"
		case leads(dir+"/fd/*", ns):
			how = "has it open"
		default:
			continue
		}
		name, _ := os.ReadFile(dir + "/comm")
		return fmt.Sprintf("process %d (%s) %s", pid, cmp.Or(strings.TrimSpace(string(name)), "?"), how)
	}
	return nobody
}

func pids() (list []int) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

// leads tells whether a path that matches the pattern leads to a namespace.
func leads(pattern string, ns nsfsFile) bool {
	paths, _ := filepath.Glob(pattern)
	return slices.ContainsFunc(paths, func(p string) bool { return namespaceAt(p) == ns })
}

// mounted tells whether a list of mounts (proc_pid_mountinfo(5)) has the namespace
// in it. Its fourth field is what of the file system is mounted.
func mounted(file string, ns nsfsFile) bool {
	what := fmt.Sprintf("net:[%d]", ns.inode)
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 3 && fields[3] == what {
			return true
		}
	}
	return false
}
