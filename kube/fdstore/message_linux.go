package fdstore

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// A message is one packet: what it is, and a name. Those that keep carry one file.
type kind byte

const (
	keep  kind = 'k'
	drop  kind = 'd'
	ready kind = 'r' // all that is kept has been told
)

// maxName is the longest name, in bytes.
const maxName = 255

type message struct {
	kind kind
	name string
	fd   int // of keep, else -1
}

func send(c *net.UnixConn, m message) error {
	if len(m.name) > maxName {
		return fmt.Errorf("fdstore: the name %.20q… has %d bytes; at most %d are allowed", m.name, len(m.name), maxName)
	}
	var rights []byte
	if m.kind == keep {
		rights = unix.UnixRights(m.fd)
	}
	_, _, err := c.WriteMsgUnix(append([]byte{byte(m.kind)}, m.name...), rights, nil)
	return err
}

var errMessage = errors.New("fdstore: a message that is none")

// receive returns the next message. The file in it is the caller's, and closed by exec(2).
func receive(c *net.UnixConn) (message, error) {
	text, rights := make([]byte, maxName+2), make([]byte, unix.CmsgSpace(4*2))
	n, k, _, _, err := c.ReadMsgUnix(text, rights)
	if err != nil {
		return message{}, err
	}
	fds, err := filesOf(rights[:k])
	if err != nil {
		return message{}, err
	}
	m := message{fd: -1}
	if n > 0 {
		m.kind, m.name = kind(text[0]), string(text[1:n])
	}
	want := 0
	if m.kind == keep {
		want = 1
	}
	if len(fds) != want || len(m.name) > maxName || m.kind != keep && m.kind != drop && m.kind != ready {
		closeAll(fds)
		return message{}, errMessage
	}
	if want == 1 {
		m.fd = fds[0]
	}
	return m, nil
}

func filesOf(rights []byte) (fds []int, err error) {
	list, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	for i := range list {
		some, err := unix.ParseUnixRights(&list[i])
		if err != nil {
			closeAll(fds)
			return nil, fmt.Errorf("%w: %w", errMessage, err)
		}
		fds = append(fds, some...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
