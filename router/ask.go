package router

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// answerLimit bounds a daemon's answer.
const answerLimit = 64 << 20

// dial connects to a unix socket however long its path is.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	name := path
	if len(path) > 107 { // sun_path (unix(7))
		dir, err := os.Open(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		name = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	}
	c, err := d.DialContext(ctx, "unix", name)
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(10 * time.Second)
	}
	return c, c.SetDeadline(deadline)
}

// askBIRD sends one command to BIRD's control socket and returns the lines of
// its answer without their codes.
func askBIRD(ctx context.Context, socket, command string) ([]string, error) {
	c, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReader(io.LimitReader(c, answerLimit))
	if _, err := readBIRD(r); err != nil { // its greeting
		return nil, err
	}
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return nil, err
	}
	return readBIRD(r)
}

// readBIRD reads one reply of BIRD's control protocol: lines that begin with a
// four-digit code and '-', or with a space if the code is the last one's; the
// last line has a space after its code. Codes from 8000 are errors.
func readBIRD(r *bufio.Reader) ([]string, error) {
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("bird: answer cut short: %w", err)
		}
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "+") {
			lines = append(lines, line[1:])
			continue
		}
		if len(line) < 5 || (line[4] != ' ' && line[4] != '-') {
			return nil, fmt.Errorf("bird: answer %q is not understood", line)
		}
		code, err := strconv.Atoi(line[:4])
		if err != nil {
			return nil, fmt.Errorf("bird: answer %q is not understood", line)
		}
		if code >= 8000 {
			return nil, fmt.Errorf("bird: %s", line[5:])
		}
		if line[5:] != "" {
			lines = append(lines, line[5:])
		}
		if line[4] == ' ' {
			return lines, nil
		}
	}
}

// askFRR runs commands on a daemon's terminal socket, as vtysh does: each ends
// with a zero byte; the answer is text followed by three zero bytes and a
// status, 0 if all is well.
func askFRR(ctx context.Context, socket string, commands ...string) ([]byte, error) {
	c, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReader(io.LimitReader(c, answerLimit))
	var out []byte
	for _, command := range append([]string{"enable"}, commands...) {
		if _, err := io.WriteString(c, command+"\x00"); err != nil {
			return nil, err
		}
		text, status, err := readFRR(r)
		if err != nil {
			return nil, err
		}
		if status != 0 {
			return nil, fmt.Errorf("frr: %q: status %d: %s", command, status, bytes.TrimSpace(text))
		}
		out = append(out, text...)
	}
	return out, nil
}

// readFRR reads one reply.
func readFRR(r *bufio.Reader) (text []byte, status byte, err error) {
	zeros := 0
	for {
		b, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, 0, fmt.Errorf("frr: answer cut short: %w", err)
		}
		if zeros >= 3 {
			return text, b, nil
		}
		if b == 0 {
			zeros++
			continue
		}
		zeros = 0
		text = append(text, b)
	}
}
