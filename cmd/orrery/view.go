package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/term"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// screen shows a run in the foreground: a picture that is drawn again and again
// on a terminal, lines elsewhere.
type screen struct {
	live bool
	out  io.Writer

	mu     sync.Mutex // guards the rest
	opened bool
	notes  []string // the last log lines
	recent []string // the last events
}

// Intervals between pictures, and between lines.
const (
	pictureInterval = 500 * time.Millisecond
	lineInterval    = 10 * time.Second
	notesShown      = 3
	eventsKept      = mapRowsMost
)

func newScreen(plain bool) *screen {
	return &screen{live: !plain && isTerminal(os.Stdout), out: os.Stdout}
}

func (s *screen) interval() time.Duration {
	if s.live {
		return pictureInterval
	}
	return lineInterval
}

// logHandler shows what the parts of the run have to say, as text or JSON.
func (s *screen) logHandler(format string) slog.Handler {
	switch {
	case s.live:
		return slog.NewTextHandler(noteWriter{s}, &slog.HandlerOptions{Level: slog.LevelWarn})
	case format == "json":
		return slog.NewJSONHandler(os.Stderr, nil)
	}
	return slog.NewTextHandler(os.Stderr, nil)
}

// note shows a line of one's own.
func (s *screen) note(text string) {
	if s.live {
		_, _ = noteWriter{s}.Write([]byte(text))
		return
	}
	fmt.Fprintln(os.Stderr, text)
}

type noteWriter struct{ s *screen }

func (w noteWriter) Write(b []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.notes = keepLast(append(w.s.notes, strings.TrimSpace(string(b))), notesShown)
	return len(b), nil
}

func keepLast(list []string, n int) []string {
	if len(list) > n {
		return list[len(list)-n:]
	}
	return list
}

// bringUp tells how far bring-up is.
func (s *screen) bringUp(what string, done, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live && !s.opened {
		fmt.Fprintf(s.out, "\r\x1b[K%s %d/%d", what, done, total)
		if done == total {
			fmt.Fprintln(s.out)
		}
		return
	}
	if !s.live && done == total {
		fmt.Fprintf(s.out, "%s: %d\n", what, total)
	}
}

// event notes an event for the next picture, or prints it.
func (s *screen) event(e *pb.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.GetKind() == "process-up", e.GetAt().AsDuration() == 0:
		// The sky at the start, and what is as it should be, are in the status.
	case s.live:
		s.recent = keepLast(append(s.recent, eventText(e)), eventsKept)
	default:
		fmt.Fprintln(s.out, eventText(e))
	}
}

// show draws the picture, or prints a line.
func (s *screen) show(st *pb.Status, server *api.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live {
		fmt.Fprintln(s.out, statusLine(st))
		return
	}
	columns, rows, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || columns == 0 || rows == 0 { // unknown, as on a serial line
		columns, rows = 80, 24
	}
	if !s.opened {
		s.opened = true
		fmt.Fprint(s.out, "\x1b[?1049h\x1b[?25l") // the alternate screen, without a cursor
	}
	var nodes []*pb.Node
	if res, err := server.ListNodes(context.Background(), connect.NewRequest(&pb.ListNodesRequest{})); err == nil {
		nodes = res.Msg.GetNodes()
	}
	fmt.Fprint(s.out, picture(st, nodes, s.recent, s.notes, columns, rows))
}

// close gives the terminal back as it was.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		s.opened, s.live = false, false
		fmt.Fprint(s.out, "\x1b[?25h\x1b[?1049l")
	}
}

// watchRun shows a run that another process emulates until it ends.
func watchRun(ctx context.Context, cl client) error {
	s := newScreen(false)
	defer s.close()
	stream, err := cl.WatchStatus(ctx, connect.NewRequest(&pb.WatchStatusRequest{}))
	if err != nil {
		return err
	}
	for stream.Receive() {
		st := stream.Msg().GetStatus()
		if !s.live {
			fmt.Println(statusLine(st))
			continue
		}
		nodes, err := listNodes(ctx, cl, "")
		if err != nil {
			break
		}
		columns, rows, err := term.GetSize(int(os.Stdout.Fd()))
		if err != nil {
			columns, rows = 80, 24
		}
		if !s.opened {
			s.opened = true
			fmt.Fprint(s.out, "\x1b[?1049h\x1b[?25l")
		}
		fmt.Fprint(s.out, picture(st, nodes, nil, nil, columns, rows))
	}
	if ctx.Err() != nil {
		return nil
	}
	return stream.Err()
}

// Sizes of the map in character cells, which are twice as high as wide: beyond
// the largest it would show less than the mask of land knows, below the
// smallest nothing that can be recognised.
const (
	mapRowsLeast = 8
	mapRowsMost  = 36
	eventColumns = 56 // room that events need beside the map
)

// picture is one frame of the live view: it starts at the upper left corner and
// clears what an earlier frame left. The figures come first; the map takes what
// room is left above them, and events what is left beside and below.
func picture(st *pb.Status, nodes []*pb.Node, recent, notes []string, columns, rows int) string {
	s := colourStyle()
	rows = max(rows-1, 0) // the last one is the cursor's
	columns = max(columns, 0)
	head := headLines(st, s, columns)
	tail := tailLines(st, s, columns)
	for _, n := range notes {
		tail = append(tail, s.bad.Render(n))
	}
	pairs := pairLines(st, s, rows-len(head)-len(tail)-1)
	figures := slices.Concat(head, pairs, tail)

	var frame []string
	if room := rows - len(figures); room >= mapRowsLeast {
		height := min(room, columns/4, mapRowsMost)
		frame = worldMap(nodes, height*4, height, s)
		if beside := columns - height*4 - 2; beside >= eventColumns {
			for i, e := range keepLast(recent, height) {
				frame[i] += "  " + s.dim.Render(clip(e, beside))
			}
			recent = nil
		}
	}
	frame = append(frame, figures...)
	for _, e := range keepLast(recent, max(0, rows-len(frame))) {
		frame = append(frame, s.dim.Render(e))
	}
	if len(frame) > rows {
		frame = frame[:rows]
	}
	var b bytes.Buffer
	b.WriteString("\x1b[H")
	for _, l := range frame {
		b.WriteString(clip(l, columns) + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}
