package fdstore

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Variable of the environment that tells a program which of its files is the end that Lend
// has returned: its number.
const Variable = "ORRERY_FILE_STORE"

// Client is a program's view of the store that its keeper has. It is safe for concurrent use.
type Client struct {
	mu   sync.Mutex // guards what follows
	conn *net.UnixConn
	kept map[string]int // that nobody has taken yet
}

// Inherit makes a client of what Variable says, which is taken out of the environment: it is
// for this program alone. Without it there is no client, and no error.
func Inherit() (*Client, error) {
	text, ok := os.LookupEnv(Variable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(Variable); err != nil {
		return nil, err
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd <= 2 {
		return nil, fmt.Errorf("fdstore: %s is %q, which is the number of no inherited file; unset it", Variable, text)
	}
	unix.CloseOnExec(fd)
	return New(os.NewFile(uintptr(fd), "fdstore"))
}

// New makes a client of the end that Lend has returned, which it closes. It returns when all
// that is kept is there.
func New(end *os.File) (*Client, error) {
	conn, err := connection(end)
	if err = errors.Join(err, end.Close()); err != nil {
		return nil, err
	}
	c := &Client{conn: conn, kept: make(map[string]int)}
	for {
		m, err := receive(conn)
		if err == nil && m.kind == drop {
			err = errMessage
		}
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("fdstore: what is kept: %w", err)
		}
		if m.kind == ready {
			return c, nil
		}
		c.kept[m.name] = m.fd
	}
}

// Take returns the descriptor of the file that was kept under a name before this program
// began, once. It stays kept.
func (c *Client) Take(name string) (fd int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd, ok = c.kept[name]
	delete(c.kept, name)
	return fd, ok
}

// Keep has a file kept under a name, in place of what was.
func (c *Client) Keep(name string, fd int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(name)
	return send(c.conn, message{keep, name, fd})
}

// Drop has a file not kept any more. It may be called for names that are not known.
func (c *Client) Drop(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drop(name)
}

func (c *Client) drop(name string) error {
	c.forget(name)
	return send(c.conn, message{kind: drop, name: name})
}

// forget what nobody has taken.
func (c *Client) forget(name string) {
	if fd, ok := c.kept[name]; ok {
		_ = unix.Close(fd)
		delete(c.kept, name)
	}
}

// DropRest has all files not kept any more that were kept before this program began, and
// that it has not taken.
func (c *Client) DropRest() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.kept {
		if err := c.drop(name); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the connection. All that is kept stays so.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.kept {
		c.forget(name)
	}
	_ = c.conn.Close()
}
