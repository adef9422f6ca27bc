package fdstore

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Store keeps files. The zero value is an empty one. It serves one program at a time.
type Store struct {
	mu    sync.Mutex     // held while a program is served
	files map[string]int // descriptors: in an os.File the runtime would wait for each of them
}

// Lend returns the end of a connection that a program is to inherit, and serves the other one
// in the background. The caller closes the end as soon as the program has it. finish waits
// until the program, and all that may have the end from it, have closed it, and says what went
// wrong; a program that is served after that is given what this one has left.
func (s *Store) Lend() (end *os.File, finish func() error, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("fdstore: %w", err)
	}
	own := os.NewFile(uintptr(fds[0]), "fdstore")
	defer own.Close()
	end = os.NewFile(uintptr(fds[1]), "fdstore")
	c, err := connection(own)
	if err != nil {
		_ = end.Close()
		return nil, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- errors.Join(s.serve(c), c.Close()) }()
	return end, func() error { return <-done }, nil
}

func (s *Store) serve(c *net.UnixConn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, fd := range s.files {
		if err := send(c, message{keep, name, fd}); err != nil {
			return over(err)
		}
	}
	if err := send(c, message{kind: ready}); err != nil {
		return over(err)
	}
	for {
		m, err := receive(c)
		if err != nil {
			return over(err)
		}
		switch m.kind {
		case keep:
			s.drop(m.name)
			if s.files == nil {
				s.files = make(map[string]int)
			}
			s.files[m.name] = m.fd
		case drop:
			s.drop(m.name)
		default:
			return errMessage
		}
	}
}

// over is no error if the program has ended.
func over(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return err
}

func (s *Store) drop(name string) {
	if fd, ok := s.files[name]; ok {
		_ = unix.Close(fd)
		delete(s.files, name)
	}
}

// Names of what is kept.
func (s *Store) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.files))
	for name := range maps.Keys(s.files) {
		names = append(names, name)
	}
	return names
}

// Close closes all that is kept.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.files {
		s.drop(name)
	}
}

// connection makes one of a file, which may be closed afterwards.
func connection(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("fdstore: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("fdstore: the file is no unix socket")
	}
	return u, nil
}
