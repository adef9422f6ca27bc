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
	"time"

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

// Cleanup ends whatever a run left behind whose emulator was killed, from
// nothing but its run directory. It refuses, with ErrInUse, while the emulator
// lives. Cleaning up twice, or where nothing is, does nothing.
func Cleanup(runDir string) error {
	dir, err := filepath.Abs(runDir)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(dir)
	for begin := time.Now(); errors.Is(err, ErrInUse) && time.Since(begin) < 5*time.Second; lock, err = lockDir(dir) {
		// A child that was being forked when the emulator was killed shares its
		// lock until it is dead too, which is a matter of moments.
		emulator, _, readErr := readJournal(dir)
		if readErr != nil || emulator.alive() {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	_, started, err := readJournal(dir)
	if errors.Is(err, os.ErrNotExist) {
		// Nothing was made: the journal comes first and goes last.
		removeRun(dir)
		return nil
	}
	if err != nil {
		return fmt.Errorf("node: journal: %w", err)
	}
	if err := teardown(dir, started, 2*time.Second, false); err != nil {
		return err
	}
	removeRun(dir)
	return nil
}

// teardown ends the processes that are recorded or run in one of the run's
// namespaces, then the namespaces, then the files. keep leaves the nodes'
// directories.
func teardown(dir string, recorded []processID, grace time.Duration, keep bool) error {
	spaces := filepath.Join(dir, namespaceDir)
	if err := endProcesses(spaces, recorded, grace); err != nil {
		return err
	}
	// Twice, should a killed run have got to the mount but no further.
	for {
		err := unix.Unmount(spaces, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // not mounted
		}
		if err != nil {
			return fmt.Errorf("node: unmount %s: %w", spaces, err)
		}
	}
	if err := os.RemoveAll(spaces); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if !keep {
		if err := os.RemoveAll(filepath.Join(dir, nodeDir)); err != nil {
			return fmt.Errorf("node: %w", err)
		}
	}
	return nil
}

// endProcesses ends processes: first asked, and after the grace period killed.
func endProcesses(spaces string, recorded []processID, grace time.Duration) error {
	inodes := map[uint64]bool{}
	names, err := os.ReadDir(spaces)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("node: %w", err)
	}
	for _, e := range names {
		var st, parent unix.Stat_t
		path := filepath.Join(spaces, e.Name())
		// Only what is bound to a namespace: it lies on another file system.
		if unix.Stat(path, &st) == nil && unix.Stat(spaces, &parent) == nil && st.Dev != parent.Dev {
			inodes[st.Ino] = true
		}
	}
	deadline := time.Now().Add(grace)
	asked := map[processID]bool{}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		var living []processID
		for _, p := range recorded {
			if p.PID != os.Getpid() && p.alive() {
				living = append(living, processID{PID: p.PID, Start: p.Start})
			}
		}
		living = append(living, inhabitants(inodes)...)
		if len(living) == 0 {
			return nil
		}
		late := time.Now().After(deadline)
		if late && time.Now().After(deadline.Add(10*time.Second)) {
			return fmt.Errorf("node: %d processes, among them %d, do not end even when killed; they may be stuck in the kernel", len(living), living[0].PID)
		}
		for _, p := range living {
			switch {
			case late:
				_ = unix.Kill(p.PID, unix.SIGKILL)
			case !asked[p]:
				asked[p] = true
				_ = unix.Kill(p.PID, unix.SIGTERM)
				_ = unix.Kill(p.PID, unix.SIGCONT) // a stopped process hears nothing
			}
		}
		time.Sleep(pause)
	}
}

// inhabitants are the processes, other than this one, in one of the network
// namespaces.
func inhabitants(inodes map[uint64]bool) []processID {
	if len(inodes) == 0 {
		return nil
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	var found []processID
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		var st unix.Stat_t
		if unix.Stat("/proc/"+name+"/ns/net", &st) == nil && inodes[st.Ino] {
			if p := identify(pid); p.alive() {
				found = append(found, p)
			}
		}
	}
	return found
}
