package node

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// witness tells when network namespaces are gone.
//
// The kernel takes namespaces apart in the background, those together that it
// finds waiting (cleanup_net in net/core/net_namespace.c, a work queue that does
// one such batch after the other). It tells nobody when it is done. But in a
// namespace of one's own others can be given numbers (RTM_NEWNSID), and a
// batch begins with taking the numbers of its namespaces away.
//
// So a witness makes a namespace for that purpose alone and numbers all that are
// to go. When they have been let go of, it lets go of a first mark, a
// namespace of its own. Once the mark's number is gone, the mark's batch has begun,
// and whatever was let go of before is in it or in an earlier one. A second mark
// is let go of then. Its number goes when the batch after that one begins: all
// earlier batches are over by then, down to the memory. A number that is left is
// that of a namespace which somebody else holds.
type witness struct {
	home int     // the namespace to which the thread returns
	sock *socket // in the witness's namespace
}

// Numbers of the marks, and the first of all others. The kernel lists numbers
// in ascending order, a part at a time, and finds the place at which to go on by
// counting, so that numbers may be missing from the list while others are being
// taken away. The lowest never are.
const (
	marks       = 2
	firstNumber = marks
)

// newWitness must be called on a thread that the goroutine has locked. It comes
// home from each call.
func newWitness() (w *witness, err error) {
	home, err := unix.Open(ownNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: ownNamespace, Err: err}
	}
	w = &witness{home: home}
	err = w.away(func() (err error) {
		w.sock, err = newSocket()
		return err
	})
	if err != nil {
		_ = unix.Close(home)
		return nil, err
	}
	return w, nil
}

// away calls f in a new namespace and comes home.
func (w *witness) away(f func() error) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	err := f()
	if back := unix.Setns(w.home, unix.CLONE_NEWNET); err == nil && back != nil {
		err = fmt.Errorf("return to the network namespace: %w", back)
	}
	return err
}

func (w *witness) close() {
	w.sock.close()
	_ = unix.Close(w.home)
}

// rtgenmsg is the fixed header of requests about numbers: a family, padded.
var rtgenmsg = []byte{unix.AF_UNSPEC, 0, 0, 0}

// number gives the namespaces that the paths lead to ascending numbers. What
// cannot be opened has none.
func (w *witness) number(paths []string, first uint32) error {
	for len(paths) > 0 {
		chunk := paths[:min(perCall, len(paths))]
		paths = paths[len(chunk):]
		var b batch
		var open []int
		for i, p := range chunk {
			fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			open = append(open, fd)
			b.add(unix.RTM_NEWNSID, 0, rtgenmsg)
			b.attr32(unix.NETNSA_FD, uint32(fd))
			b.attr32(unix.NETNSA_NSID, first+uint32(i))
		}
		first += uint32(len(chunk))
		err := w.sock.do(&b, func(_ int, e unix.Errno) error {
			if e == unix.EEXIST || e == unix.EINVAL {
				return nil // two paths to one namespace, or a path to something else
			}
			return fmt.Errorf("number a network namespace: %w", e)
		})
		for _, fd := range open {
			_ = unix.Close(fd)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// left are the numbers of namespaces that have not begun to end.
func (w *witness) left() (map[uint32]bool, error) {
	numbers := map[uint32]bool{}
	err := w.sock.ask(unix.RTM_GETNSID, true, rtgenmsg, nil, func(m message) error {
		if m.typ != unix.RTM_NEWNSID || len(m.data) < len(rtgenmsg) {
			return nil
		}
		return parseAttrs(m.data[len(rtgenmsg):], func(typ uint16, data []byte) error {
			if typ == unix.NETNSA_NSID && len(data) >= 4 {
				numbers[binary.NativeEndian.Uint32(data)] = true
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("ask for numbers of network namespaces: %w", err)
	}
	return numbers, nil
}

// settle waits until all numbered namespaces that were let go of are gone, and
// returns the numbers of those that somebody still holds. Threads that were in
// one of them a moment ago, and sockets about to be closed, are given time.
func (w *witness) settle() (held []uint32, err error) {
	const patience = 5 * time.Second
	const most = time.Hour // the kernel takes milliseconds for a namespace
	begin := time.Now()
	for since := (time.Time{}); ; time.Sleep(20 * time.Millisecond) {
		left, err := w.gone(begin.Add(most))
		if err != nil {
			return nil, err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if len(left) == 0 || time.Since(since) > patience {
			return slices.Sorted(maps.Keys(left)), nil
		}
	}
}

// gone waits until all numbered namespaces that were let go of are gone, and
// returns the numbers of the others. Waiting ends at the deadline with an error.
func (w *witness) gone(deadline time.Time) (held map[uint32]bool, err error) {
	for mark := range uint32(marks) {
		if err := w.away(func() error { return w.number([]string{ownNamespace}, mark) }); err != nil {
			return nil, err
		}
		for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
			if held, err = w.left(); err != nil {
				return nil, err
			}
			if !held[mark] {
				break
			}
			if time.Now().After(deadline) {
				return nil, fmt.Errorf("the kernel is still taking network namespaces apart: %w", os.ErrDeadlineExceeded)
			}
			time.Sleep(pause)
		}
	}
	return held, nil
}
