package router

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"orrery.dev/orrery/scenario"
)

// FRR has moved the settings of its daemons into one of them, mgmtd, bit by bit:
// those of staticd with version 9, those of zebra with version 10. mgmtd reads
// zebra.conf and staticd.conf for them, hands them out over sockets, and keeps a
// history. The directories of all that are compiled in, and no option changes
// them: so in those versions each of FRR's daemons sees its node's directory
// there, and where all daemons leave a directory with the buffers of their logs.
var frrDirectories = []string{"/etc/frr", "/run/frr", "/var/lib/frr", "/var/tmp/frr"}

// Release is the major version of the FRR that is installed, 0 if none is. It is
// asked once.
func Release() int { return release() }

var release = sync.OnceValue(func() int {
	version, err := Version(context.Background(), FRR)
	if err != nil {
		return 0
	}
	return major(version)
})

// major is the first number of a version, 0 if there is none.
func major(version string) int { return numbers(version)[0] }

// numbers are the first three of a version such as 10.2.1_git; those that are
// not there are 0.
func numbers(version string) (n [3]int) {
	fields := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	for i := range min(len(n), len(fields)) {
		n[i], _ = strconv.Atoi(fields[i])
	}
	return n
}

// Binds lists the directories in whose place each process of a daemon sees its
// node's; frr is the major version of FRR.
func Binds(daemon string, frr int) []string {
	if daemon == FRR && frr >= 9 {
		return frrDirectories
	}
	return nil
}

// manager is the program that has settings of others.
const manager = "mgmtd"

// managed tells whether mgmtd has settings of a protocol's daemons.
func managed(protocol string, frr int) bool {
	return frr >= 10 || frr == 9 && protocol == Static
}

// configuredByManager tells whether a program has no configuration file of its
// own to read: mgmtd reads all files at their fixed places.
func configuredByManager(program string, frr int) bool {
	return program == manager || program == speaker(Static) && frr >= 9
}

// checkBFD refuses an entry for FRR with which routers would lose each other for
// good. In some versions bgpd takes no session from a neighbour while BFD counts
// a neighbour of the same port as lost, and tells BFD of the new one only when
// the session is up (FRR's issue 18408, mended by its pull request 18562).
func checkBFD(r scenario.Routing, version string) error {
	if r.Protocol != BGP || r.BFD == nil {
		return nil
	}
	n := numbers(version)
	if n[0] == 10 && (n[1] == 2 && n[2] < 3 || n[1] == 3 && n[2] < 1) {
		return fmt.Errorf("routing: protocol bgp with bfd: FRR %s finds no new neighbour on a port whose last one BFD has lost; leave bfd out (a lost carrier ends a session at once all the same), or use FRR 10.3.1 or later: %w", version, ErrUnsupported)
	}
	return nil
}
