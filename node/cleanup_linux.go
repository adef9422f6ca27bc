package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
)

// ErrHeld is wrapped by the error of Destroy and Cleanup for namespaces that
// are not the run's alone any more: a process elsewhere has them open. All else
// is gone then.
var ErrHeld = errors.New("held from outside")

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
	const patience = time.Minute
	begin := time.Now()
	lock, err := lockDir(dir)
	for ; errors.Is(err, ErrInUse) && time.Since(begin) < patience; lock, err = lockDir(dir) {
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
	emulator, started, err := readJournal(dir)
	// The journal comes first and goes last: without one nothing was made, unless
	// somebody has removed it.
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("node: journal: %w", err)
	}
	// A killed emulator is not over before the kernel has closed all of its files,
	// which takes seconds for thousands of devices; these hold the namespaces.
	for !emulator.over() && time.Since(begin) < patience {
		time.Sleep(10 * time.Millisecond)
	}
	err = teardown(dir, started, 2*time.Second, false)
	if err == nil || errors.Is(err, ErrHeld) {
		removeRun(dir)
	}
	return err
}

// Remains tells whether a run directory holds more than files: a run that
// lives, or what Cleanup has to end.
func Remains(runDir string) bool {
	_, err := os.Lstat(filepath.Join(runDir, journalFile))
	spaces, _ := os.ReadDir(filepath.Join(runDir, namespaceDir))
	return err == nil || len(spaces) > 0
}

// teardown ends the processes that are recorded or run in one of the run's
// namespaces, then the namespaces, then the files. keep leaves the nodes'
// directories. It returns when the kernel has nothing left of the namespaces.
func teardown(dir string, recorded []processID, grace time.Duration, keep bool) error {
	spaces := filepath.Join(dir, namespaceDir)
	if err := endProcesses(spaces, recorded, grace); err != nil {
		return err
	}
	held := endNamespaces(spaces)
	if held != nil && !errors.Is(held, ErrHeld) {
		return held
	}
	if err := os.RemoveAll(spaces); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if !keep {
		if err := os.RemoveAll(filepath.Join(dir, nodeDir)); err != nil {
			return fmt.Errorf("node: %w", err)
		}
	}
	return held
}

// endNamespaces lets go of all namespaces bound in a directory at once, and
// waits until they are gone.
func endNamespaces(spaces string) error {
	entries, err := os.ReadDir(spaces)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	names := make([]string, len(entries))
	paths := make([]string, len(entries))
	for i, e := range entries {
		names[i], paths[i] = e.Name(), filepath.Join(spaces, e.Name())
	}
	if err := abortConnections(paths); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	result := make(chan error)
	thread.Go(func() {
		w, err := newWitness()
		if err != nil {
			result <- fmt.Errorf("node: %w", err)
			return
		}
		defer w.close()
		files := make([]nsfsFile, len(paths)) // nobody can tell afterwards
		for i, p := range paths {
			files[i] = namespaceAt(p)
		}
		err = w.number(paths, firstNumber)
		if err == nil {
			err = unmountAll(spaces)
		}
		var held []uint32
		if err == nil {
			held, err = w.settle()
		}
		if err == nil && len(held) > 0 {
			first := held[0] - firstNumber
			err = fmt.Errorf("node: %d network namespaces, among them that of node %s, are %w: %s; they end when that is over", len(held), names[first], ErrHeld, holder(files[first]))
		}
		if err != nil && !errors.Is(err, ErrHeld) {
			err = fmt.Errorf("node: %w", err)
		}
		result <- err
	})
	return <-result
}

// unmountAll unmounts whatever is mounted on dir: twice, should a killed run
// have got to the mount but no further.
func unmountAll(dir string) error {
	for {
		err := unix.Unmount(dir, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil // not mounted
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
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
		// What keeps private views ends after all that is in them.
		last := !slices.ContainsFunc(living, func(p processID) bool { return !keeper(p.PID) })
		for _, p := range living {
			switch {
			case late, last:
				_ = unix.Kill(p.PID, unix.SIGKILL)
			case keeper(p.PID):
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
	var found []processID
	for _, pid := range pids() {
		if pid == os.Getpid() {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) == nil && inodes[st.Ino] {
			if p := identify(pid); p.alive() {
				found = append(found, p)
			}
		}
	}
	return found
}
