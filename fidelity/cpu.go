package fidelity

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// CPU is what all processors together did since the system's start, in ticks of
// 1/100 s on almost all systems (USER_HZ; proc(5), /proc/stat).
type CPU struct {
	Total uint64
	Busy  uint64 // neither idle nor waiting for a disk nor stolen
	Steal uint64 // wanted, and given to others by the hypervisor
}

// Sub is what happened since o.
func (c CPU) Sub(o CPU) CPU {
	return CPU{c.Total - o.Total, c.Busy - o.Busy, c.Steal - o.Steal}
}

// Share of the total that ticks are, from 0 to 1.
func (c CPU) Share(ticks uint64) float64 {
	if c.Total == 0 {
		return 0
	}
	return float64(ticks) / float64(c.Total)
}

// ReadCPU reads stat of a proc file system.
func ReadCPU(proc fs.FS) (CPU, error) {
	data, err := fs.ReadFile(proc, "stat")
	if err != nil {
		return CPU{}, fmt.Errorf("CPU times: %w", err)
	}
	return parseStat(data)
}

var errStat = errors.New("CPU times: the first line of /proc/stat is not one of cpu times")

// parseStat reads the first line: cpu user nice system idle iowait irq softirq
// steal guest guest_nice. The times of guests are part of user and nice.
func parseStat(data []byte) (CPU, error) {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 5 || string(fields[0]) != "cpu" {
		return CPU{}, errStat
	}
	var c CPU
	for i, f := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(string(f), 10, 63)
		if err != nil {
			return CPU{}, errStat
		}
		c.Total += n
		switch i {
		case 3, 4: // idle, iowait
		case 7:
			c.Steal += n
		default:
			c.Busy += n
		}
	}
	return c, nil
}
