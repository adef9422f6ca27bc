package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// membership is a socket of a process and the rtnetlink groups that it was taken
// out of. The socket is known by its inode: a descriptor of ours would keep the
// node's namespace.
type membership struct {
	inode  uint64
	groups []int
}

// Silence implements Silencer. It reaches into the process by pidfd_getfd(2),
// which Linux has since 5.6 and which wants the rights of a debugger.
func (l *Linux) Silence(node, name string) (restore func() error, err error) {
	problem := func(err error) error {
		return fmt.Errorf("node %s: rtnetlink groups of process %s: %w", node, name, err)
	}
	l.mu.Lock()
	p, ok := l.processes[processKey{node, name}]
	l.mu.Unlock()
	if !ok {
		return nil, problem(os.ErrNotExist)
	}
	p.mu.Lock()
	pid := p.status.PID
	p.mu.Unlock()
	who := identify(pid)
	if pid == 0 || !who.alive() {
		return func() error { return nil }, nil
	}
	var left []membership
	err = eachSocket(pid, func(inode uint64, fd int) error {
		groups, err := groupsOf(fd)
		if err != nil || len(groups) == 0 {
			return err
		}
		left = append(left, membership{inode, groups})
		return setGroups(fd, unix.NETLINK_DROP_MEMBERSHIP, groups)
	})
	if err != nil {
		return nil, problem(err)
	}
	return func() error {
		if !who.alive() {
			return nil
		}
		err := eachSocket(pid, func(inode uint64, fd int) error {
			i := slices.IndexFunc(left, func(m membership) bool { return m.inode == inode })
			if i < 0 {
				return nil
			}
			return setGroups(fd, unix.NETLINK_ADD_MEMBERSHIP, left[i].groups)
		})
		if err != nil && who.alive() {
			return problem(err)
		}
		return nil
	}, nil
}

// eachSocket calls f with a duplicate of each NETLINK_ROUTE socket of a process.
func eachSocket(pid int, f func(inode uint64, fd int) error) error {
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(handle)
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Stat("/proc/"+strconv.Itoa(pid)+"/fd/"+e.Name(), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			continue
		}
		fd, err := unix.PidfdGetfd(handle, number, 0)
		if errors.Is(err, unix.EBADF) {
			continue // closed meanwhile
		}
		if err != nil {
			return os.NewSyscallError("pidfd_getfd (Linux 5.6 or later)", err)
		}
		if routing(fd) {
			err = f(st.Ino, fd)
		}
		_ = unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

// routing tells whether a socket speaks rtnetlink.
func routing(fd int) bool {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_NETLINK {
		return false
	}
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	return err == nil && protocol == unix.NETLINK_ROUTE
}

// groupsOf lists the groups of a socket.
func groupsOf(fd int) (groups []int, err error) {
	var bits [32]byte // rtnetlink has some 40 groups
	size := uint32(len(bits))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_NETLINK, unix.NETLINK_LIST_MEMBERSHIPS,
		uintptr(unsafe.Pointer(&bits[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("getsockopt(NETLINK_LIST_MEMBERSHIPS)", errno)
	}
	for word := 0; word+4 <= len(bits); word += 4 {
		set := binary.NativeEndian.Uint32(bits[word:])
		for bit := range 32 {
			if set>>bit&1 != 0 {
				groups = append(groups, word*8+bit+1)
			}
		}
	}
	return groups, nil
}

// setGroups enters (NETLINK_ADD_MEMBERSHIP) or leaves groups.
func setGroups(fd, option int, groups []int) error {
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, g); err != nil {
			return os.NewSyscallError("setsockopt(NETLINK_..._MEMBERSHIP)", err)
		}
	}
	return nil
}
