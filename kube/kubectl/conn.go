package kubectl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
)

// dialer makes connections, each of which is a process's standard input and
// output. The process lives as long as the connection, or as the command says.
func dialer(command func() *exec.Cmd) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		cmd := command()
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		said := &complaint{}
		cmd.Stderr = said
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		near, far := net.Pipe()
		c := &conn{Conn: near}
		go func() {
			_, _ = io.Copy(in, far)
			_ = in.Close()
		}()
		go func() {
			_, _ = io.Copy(far, out)
			if err := cmd.Wait(); err != nil {
				c.end(fmt.Errorf("%w: %s", err, said))
			}
			_ = far.Close()
		}()
		return c, nil
	}
}

// conn tells, when it ends, why the process did.
type conn struct {
	net.Conn
	mu  sync.Mutex // guards err
	err error
}

func (c *conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err != nil {
			err = c.err
		}
	}
	return n, err
}

// complaint keeps the first words of what a process complains of.
type complaint struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

const maxComplaint = 2000 // bytes

func (c *complaint) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b.Write(b[:min(len(b), maxComplaint-c.b.Len())])
	return len(b), nil
}

func (c *complaint) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.TrimSpace(c.b.String())
}
