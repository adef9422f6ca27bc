// Package usage reads what a process uses from /proc (proc(5)).
package usage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// tick is the unit of CPU times in /proc: 1/USER_HZ s, the same on all systems that
// Linux runs on but Alpha and IA-64.
const tick = 10 * time.Millisecond

// Usage of a process.
type Usage struct {
	Parent   int
	CPU      time.Duration // user and system time of all its threads since its start
	Resident int64         // bytes of memory
}

var errFormat = errors.New("not in the format of proc(5)")

// Read reads a process's usage.
func Read(proc fs.FS, pid int) (Usage, error) {
	name := strconv.Itoa(pid) + "/stat"
	b, err := fs.ReadFile(proc, name)
	if err != nil {
		return Usage{}, err
	}
	u, err := parse(b)
	if err != nil {
		return Usage{}, fmt.Errorf("%s: %w", name, err)
	}
	return u, nil
}

// parse reads a line of stat. The second field, the name, may hold anything but ends
// with the last parenthesis.
func parse(b []byte) (u Usage, err error) {
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return u, errFormat
	}
	f := bytes.Fields(b[end+1:]) // from field 3, the state, on
	const parent, user, system, resident = 4 - 3, 14 - 3, 15 - 3, 24 - 3
	if len(f) <= resident {
		return u, errFormat
	}
	var n [resident + 1]int64
	for _, i := range []int{parent, user, system, resident} {
		if n[i], err = strconv.ParseInt(string(f[i]), 10, 64); err != nil {
			return u, errFormat
		}
	}
	return Usage{
		Parent: int(n[parent]), CPU: time.Duration(n[user]+n[system]) * tick,
		Resident: n[resident] * int64(os.Getpagesize()),
	}, nil
}

// Proportional is a process's share of memory in bytes (PSS): pages in common are
// divided by the number of their users. The kernel walks through all pages for it.
func Proportional(proc fs.FS, pid int) (int64, error) {
	name := strconv.Itoa(pid) + "/smaps_rollup"
	b, err := fs.ReadFile(proc, name)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == "Pss:" && string(f[2]) == "kB" {
			n, err := strconv.ParseInt(string(f[1]), 10, 64)
			if err != nil {
				break
			}
			return n << 10, nil
		}
	}
	return 0, fmt.Errorf("%s: %w", name, errFormat)
}
