package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"orrery.dev/orrery/assignment"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/router"
)

// terminalProtocol is the WebSocket subprotocol of terminals.
const terminalProtocol = "orrery.terminal.v1"

// shellProgram is the terminal that every node has.
const shellProgram = "shell"

// Bounds of a terminal: what a client may send at once, and how long it may take to read.
const (
	maxTyped     = 64 << 10
	readsWithin  = 30 * time.Second
	pingTerminal = 20 * time.Second
)

// terminals are the programs of a node that GetNode names.
func (s *Server) terminals(n *plan.Node) []string {
	out := []string{shellProgram}
	if entry := assignment.Routing(s.run.Plan(), n.Index); entry != nil {
		if name, _, ok := router.Console(*entry, s.run.Nodes().Dir(n.Name)); ok {
			out = append(out, name)
		}
	}
	return out
}

// program by its name, nil if the node has none such.
func (s *Server) program(n *plan.Node, name string) []string {
	if name == shellProgram || name == "" {
		if shell := os.Getenv("SHELL"); shell != "" {
			return []string{shell}
		}
		return []string{"/bin/sh"}
	}
	if entry := assignment.Routing(s.run.Plan(), n.Index); entry != nil {
		if console, argv, ok := router.Console(*entry, s.run.Nodes().Dir(n.Name)); ok && console == name {
			return argv
		}
	}
	return nil
}

// terminalSays is a text message, in either direction.
type terminalSays struct {
	Columns  uint16 `json:"columns,omitempty"`
	Rows     uint16 `json:"rows,omitempty"`
	ExitCode *int   `json:"exitCode,omitempty"`
	Problem  string `json:"problem,omitempty"`
}

// Executor runs commands in nodes.
type Executor interface {
	// Exec runs a command until it ends, or ctx does, and gives its exit code. The error says
	// why it could not be run.
	Exec(ctx context.Context, node string, argv []string, io node.Stdio) (int, error)
}

// terminal opens one in a node.
func (s *Server) terminal(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, ok := s.run.Plan().Node(q.Get("node"))
	if !ok {
		http.Error(w, "there is no node "+strconv.Quote(q.Get("node")), http.StatusNotFound)
		return
	}
	argv := s.program(n, q.Get("program"))
	if argv == nil {
		http.Error(w, "node "+n.Name+" has no program "+strconv.Quote(q.Get("program")), http.StatusNotFound)
		return
	}
	// A terminal lives as long as the client and the server, whichever is shorter.
	ctx, cancel := s.untilStopped(r.Context())
	defer cancel()
	Terminal(ctx, w, r, s.run.Nodes(), n.Name, argv)
}

// Terminal joins a WebSocket with a program in a node that has a terminal, until either ends or
// ctx does. The query of the request has the terminal's columns and rows.
func Terminal(ctx context.Context, w http.ResponseWriter, r *http.Request, in Executor, name string, argv []string) {
	q := r.URL.Query()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{terminalProtocol},
		// The guard has looked at the origin already, by the names that it knows.
		InsecureSkipVerify: true,
	})
	if err != nil {
		return // it has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxTyped)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	stdin, typed := io.Pipe()
	defer func() { _ = stdin.Close() }()
	sizes := make(chan node.WindowSize, 1)
	shape := func(columns, rows uint16) {
		if columns > 0 && rows > 0 {
			resize(sizes, node.WindowSize{Columns: min(columns, 10_000), Rows: min(rows, 10_000)})
		}
	}
	columns, _ := strconv.ParseUint(q.Get("columns"), 10, 16)
	rows, _ := strconv.ParseUint(q.Get("rows"), 10, 16)
	shape(uint16(columns), uint16(rows))
	go func() {
		defer cancel() // the client has gone: so shall the program
		defer func() { _ = typed.Close() }()
		for {
			kind, b, err := conn.Read(ctx)
			if err != nil {
				return
			}
			var m terminalSays
			switch {
			case kind == websocket.MessageBinary:
				if _, err := typed.Write(b); err != nil {
					return
				}
			case json.Unmarshal(b, &m) == nil:
				shape(m.Columns, m.Rows)
			}
		}
	}()
	go keepAlive(ctx, cancel, conn)

	out := sender(func(b []byte) error { return write(ctx, conn, websocket.MessageBinary, b) })
	code, err := in.Exec(ctx, name, argv, node.Stdio{In: stdin, Out: out, Err: out, Terminal: true, Resize: sizes})
	end := terminalSays{ExitCode: &code}
	if err != nil && !errors.Is(err, context.Canceled) {
		end = terminalSays{Problem: err.Error()}
	}
	if b, err := json.Marshal(end); err == nil && write(ctx, conn, websocket.MessageText, b) == nil {
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}
}

// write a message, if the client reads it in time.
func write(ctx context.Context, conn *websocket.Conn, kind websocket.MessageType, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, readsWithin)
	defer cancel()
	return conn.Write(ctx, kind, b)
}

// keepAlive ends a terminal whose client no longer answers.
func keepAlive(ctx context.Context, cancel context.CancelFunc, conn *websocket.Conn) {
	tick := time.NewTicker(pingTerminal)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ping, done := context.WithTimeout(ctx, readsWithin)
		err := conn.Ping(ping)
		done()
		if err != nil {
			cancel()
			return
		}
	}
}
