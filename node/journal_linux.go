package node

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// What the engine makes below the run directory.
const (
	lockFile     = "lock"
	journalFile  = "journal"
	namespaceDir = "netns" // one binding per node
	nodeDir      = "nodes" // one directory per node
)

// journal tells a later Cleanup what was made: JSON lines, each written before
// the thing that it tells of (a process: as soon as its id is known; until then
// its namespace gives it away). It holds the run directory's lock.
type journal struct {
	dir  string
	lock *os.File

	mu   sync.Mutex // guards:
	file *os.File
}

// entry is one line of the journal.
type entry struct {
	// Emulator begins the journal: the process that holds the lock.
	Emulator *processID `json:"emulator,omitempty"`
	// Nodes are going to be made.
	Nodes []string `json:"nodes,omitempty"`
	// Process was started.
	Process *processID `json:"process,omitempty"`
}

// processID names a process for good: an id alone may be given to another
// process later.
type processID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot: field 22 of proc_pid_stat(5)
	Node  string `json:"node,omitempty"`
	Name  string `json:"name,omitempty"`
}

// openJournal locks the run directory and begins a journal.
func openJournal(dir string, specs []Spec) (*journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(dir, journalFile)); err == nil {
		_ = lock.Close()
		return nil, fmt.Errorf("node: %s holds what is left of a run that was killed; clean up with `orrery down %s`: %w", dir, filepath.Base(dir), ErrLeftOver)
	}
	f, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("node: %w", err)
	}
	j := &journal{dir: dir, lock: lock, file: f}
	self := identify(os.Getpid())
	names := make([]string, len(specs))
	for i := range specs {
		names[i] = specs[i].Name
	}
	if err := j.write(entry{Emulator: &self, Nodes: names}); err != nil {
		j.remove()
		return nil, err
	}
	return j, nil
}

func (j *journal) write(e entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("node: journal: %w", err)
	}
	return nil
}

// remove ends the journal and gives the lock back; the run directory goes too
// if it is empty.
func (j *journal) remove() {
	_ = j.file.Close()
	removeRun(j.dir)
	_ = j.lock.Close()
}

// removeRun removes the files of journal and lock, last of all.
func removeRun(dir string) {
	_ = os.Remove(filepath.Join(dir, journalFile))
	_ = os.Remove(filepath.Join(dir, lockFile))
	_ = os.Remove(dir) // fails, as it should, if others keep files here
}

// lockDir takes the lock that a live run holds on its directory.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	for range 100 {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, fmt.Errorf("node: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("node: %s belongs to a run that is alive; end it with `orrery down %s` or choose another name: %w", dir, filepath.Base(dir), ErrInUse)
			}
			return nil, fmt.Errorf("node: lock %s: %w", path, err)
		}
		// The file may have been removed by the run that had the lock before.
		var mine, there unix.Stat_t
		if unix.Fstat(int(f.Fd()), &mine) == nil && unix.Stat(path, &there) == nil && mine.Ino == there.Ino {
			return f, nil
		}
		_ = f.Close()
	}
	return nil, fmt.Errorf("node: lock %s: it is removed again and again", path)
}

// readJournal returns the processes of a journal. A torn last line, which a
// kill may leave, is ignored.
func readJournal(dir string) (emulator processID, started []processID, err error) {
	f, err := os.Open(filepath.Join(dir, journalFile))
	if err != nil {
		return processID{}, nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if e.Emulator != nil {
			emulator = *e.Emulator
		}
		if e.Process != nil {
			started = append(started, *e.Process)
		}
	}
	return emulator, started, lines.Err()
}

// identify completes a process id with its start time.
func identify(pid int) processID {
	start, _, _ := procStat(pid)
	return processID{PID: pid, Start: start}
}

// alive says whether the very process still runs; a zombie does not.
func (p processID) alive() bool {
	start, state, err := procStat(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// over says whether nothing is left of the process that the kernel would still
// have to clear away. Its first thread may be a zombie before the others are.
func (p processID) over() bool {
	start, state, err := procStat(p.PID)
	if err != nil || start != p.Start {
		return true
	}
	threads, _ := os.ReadDir("/proc/" + strconv.Itoa(p.PID) + "/task")
	return state == 'Z' && len(threads) <= 1
}

// procStat reads the start time and the state of a process.
func procStat(pid int) (start uint64, state byte, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	return parseStat(b)
}

// parseStat reads proc_pid_stat(5). The command's name, in parentheses, may
// itself hold spaces and parentheses.
func parseStat(b []byte) (start uint64, state byte, err error) {
	i := bytes.LastIndexByte(b, ')')
	fields := bytes.Fields(b[i+1:]) // the first of these is field 3
	if i < 0 || len(fields) < 20 {
		return 0, 0, errors.New("malformed process status")
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return start, fields[0][0], err
}
