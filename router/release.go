package router

import (
	"context"
	"strconv"
	"strings"
	"sync"
)

// FRR has moved the settings of its daemons into one of them, mgmtd, bit by bit:
// those of staticd with version 9, those of zebra with version 10. mgmtd reads
// zebra.conf and staticd.conf for them, and hands them out over sockets. The
// directories of both are compiled in, and no option changes them: so in those
// versions each of FRR's daemons sees its node's directory there.
var frrDirectories = []string{"/etc/frr", "/run/frr", "/var/lib/frr"}

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
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(first)
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
