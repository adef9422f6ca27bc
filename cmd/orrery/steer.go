package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

func pauseCommand() *cobra.Command {
	c := &cobra.Command{Use: "pause", Short: "Stop the sky; frames go on over the links as they stand", Args: cobra.NoArgs}
	run := runFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		_, err = cl.Pause(cmd.Context(), connect.NewRequest(&pb.PauseRequest{}))
		return err
	}
	return c
}

func resumeCommand() *cobra.Command {
	c := &cobra.Command{Use: "resume", Short: "Let the sky move again", Args: cobra.NoArgs}
	run := runFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		_, err = cl.Resume(cmd.Context(), connect.NewRequest(&pb.ResumeRequest{}))
		return err
	}
	return c
}

func speedCommand() *cobra.Command {
	c := &cobra.Command{Use: "speed SPEED", Short: "Set how many seconds of orbit pass per second", Args: cobra.ExactArgs(1)}
	run := runFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		v, err := strconv.ParseFloat(args[0], 64)
		if err != nil {
			return usageError(fmt.Errorf("speed %q: want a number such as 1 or 0.5", args[0]))
		}
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		_, err = cl.SetSpeed(cmd.Context(), connect.NewRequest(&pb.SetSpeedRequest{Speed: v}))
		return err
	}
	return c
}

func pingCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ping A B",
		Short: "Measure round-trip times between two nodes beside the geometric ones",
		Args:  cobra.ExactArgs(2),
	}
	run, output := runFlag(c), outputFlag(c, "text", "json")
	count := c.Flags().Int32P("count", "c", 0, "number of requests; 0: until interrupted")
	interval := c.Flags().DurationP("interval", "i", time.Second, "between two requests")
	size := c.Flags().Int32P("size", "s", 56, "bytes of payload")
	quiet := c.Flags().BoolP("quiet", "q", false, "only the summary")
	c.ValidArgsFunction = completeNodes(run)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		stream, err := cl.Ping(cmd.Context(), connect.NewRequest(&pb.PingRequest{
			From: args[0], To: args[1], Count: *count, Interval: durationpb.New(*interval), Size: *size,
		}))
		if err != nil {
			return err
		}
		var sum pingSummary
		for stream.Receive() {
			m := stream.Msg()
			sum.add(m)
			if *output == "text" && !*quiet {
				fmt.Println(pingLine(m))
			}
		}
		if err := stream.Err(); err != nil && cmd.Context().Err() == nil {
			return err
		}
		if *output == "json" {
			err = printJSON(os.Stdout, sum.figures())
		} else {
			sum.print(os.Stdout, args[0], args[1])
		}
		if err == nil && len(sum.measured) == 0 {
			return &exitError{code: exitNoAnswer}
		}
		return err
	}
	return c
}

func pingLine(m *pb.PingResponse) string {
	switch {
	case m.GetLost() && m.GetProblem() != "":
		return fmt.Sprintf("%d: lost: %s", m.GetSequence(), m.GetProblem())
	case m.GetLost():
		return fmt.Sprintf("%d: lost", m.GetSequence())
	case m.GetGeometricRtt() == nil:
		return fmt.Sprintf("%d: measured %s", m.GetSequence(), milliseconds(m.GetMeasuredRtt()))
	}
	return fmt.Sprintf("%d: measured %s  geometric %s  %+.3f ms  %s", m.GetSequence(), milliseconds(m.GetMeasuredRtt()), milliseconds(m.GetGeometricRtt()),
		float64(m.GetMeasuredRtt().AsDuration()-m.GetGeometricRtt().AsDuration())/1e6, plural(int(m.GetHops()), "hop"))
}

// pingSummary gathers what many requests met.
type pingSummary struct {
	sent, lost int
	measured   []time.Duration
	errors     []time.Duration // |measured - geometric|
}

func (s *pingSummary) add(m *pb.PingResponse) {
	s.sent++
	if m.GetLost() {
		s.lost++
		return
	}
	s.measured = append(s.measured, m.GetMeasuredRtt().AsDuration())
	if g := m.GetGeometricRtt(); g != nil {
		s.errors = append(s.errors, (m.GetMeasuredRtt().AsDuration() - g.AsDuration()).Abs())
	}
}

type pingFigures struct {
	Sent      int     `json:"sent"`
	Lost      int     `json:"lost"`
	MinMS     float64 `json:"minMs"`
	MedianMS  float64 `json:"medianMs"`
	MaxMS     float64 `json:"maxMs"`
	ErrorP50  float64 `json:"errorMedianMs"`
	ErrorP99  float64 `json:"errorP99Ms"`
	ErrorOver int     `json:"errorSamples"`
}

func (s *pingSummary) figures() pingFigures {
	slices.Sort(s.measured)
	slices.Sort(s.errors)
	return pingFigures{
		Sent: s.sent, Lost: s.lost,
		MinMS: quantileMS(s.measured, 0), MedianMS: quantileMS(s.measured, 0.5), MaxMS: quantileMS(s.measured, 1),
		ErrorP50: quantileMS(s.errors, 0.5), ErrorP99: quantileMS(s.errors, 0.99), ErrorOver: len(s.errors),
	}
}

// quantileMS is a quantile of sorted durations in milliseconds, 0 of none.
func quantileMS(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))]) / 1e6
}

func (s *pingSummary) print(w io.Writer, a, b string) {
	f := s.figures()
	fmt.Fprintf(w, "%s to %s: %d sent, %d lost", a, b, f.Sent, f.Lost)
	if len(s.measured) > 0 {
		fmt.Fprintf(w, "; round trip min %.3f, median %.3f, max %.3f ms", f.MinMS, f.MedianMS, f.MaxMS)
	}
	if len(s.errors) > 0 {
		fmt.Fprintf(w, "; off the geometric one by median %.3f, p99 %.3f ms", f.ErrorP50, f.ErrorP99)
	}
	fmt.Fprintln(w)
}

func execCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "exec NODE -- COMMAND [ARG …]",
		Short:   "Run a command in a node",
		Example: "  orrery exec paris -- ip -6 route\n  orrery exec -t paris -- htop",
		Args:    cobra.MinimumNArgs(2),
	}
	run := runFlag(c)
	terminal := c.Flags().BoolP("terminal", "t", false, "give the command a terminal")
	c.ValidArgsFunction = completeNodes(run)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return execute(cmd.Context(), *run, args[0], args[1:], *terminal)
	}
	return c
}

func shellCommand() *cobra.Command {
	c := &cobra.Command{Use: "shell NODE", Short: "Open a shell in a node", Args: cobra.ExactArgs(1)}
	run := runFlag(c)
	c.ValidArgsFunction = completeNodes(run)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		return execute(cmd.Context(), *run, args[0], []string{shell}, isTerminal(os.Stdin))
	}
	return c
}

// execute joins this process's standard streams with a command in a node, and
// ends with the command's exit code.
func execute(ctx context.Context, run, node string, argv []string, terminal bool) error {
	cl, err := dial(run)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := cl.Exec(ctx)
	first := &pb.ExecRequest{Node: node, Argv: argv, Terminal: terminal}
	restore := func() {}
	if terminal && isTerminal(os.Stdin) {
		if columns, rows, err := term.GetSize(int(os.Stdin.Fd())); err == nil {
			first.Columns, first.Rows = uint32(columns), uint32(rows)
		}
		if old, err := term.MakeRaw(int(os.Stdin.Fd())); err == nil {
			restore = sync.OnceFunc(func() { _ = term.Restore(int(os.Stdin.Fd()), old) })
		}
	}
	defer restore()

	var mu sync.Mutex // one sender at a time
	send := func(m *pb.ExecRequest) error {
		mu.Lock()
		defer mu.Unlock()
		return stream.Send(m)
	}
	if err := send(first); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	go feed(os.Stdin, send)
	if terminal {
		go followSize(ctx, send)
	}
	out := bufio.NewWriter(os.Stdout)
	for {
		m, err := stream.Receive()
		if err != nil {
			restore()
			return err
		}
		_, _ = out.Write(m.GetStdout())
		if err := out.Flush(); err != nil {
			return err
		}
		_, _ = os.Stderr.Write(m.GetStderr())
		if m.GetExited() {
			if m.GetExitCode() != 0 {
				return &exitError{code: int(m.GetExitCode())}
			}
			return nil
		}
	}
}

func feed(in io.Reader, send func(*pb.ExecRequest) error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 && send(&pb.ExecRequest{Stdin: slices.Clone(buf[:n])}) != nil {
			return
		}
		if err != nil {
			_ = send(&pb.ExecRequest{StdinClosed: true}) // the command may have ended
			return
		}
	}
}

// followSize passes on changes of the terminal's size.
func followSize(ctx context.Context, send func(*pb.ExecRequest) error) {
	winch := make(chan os.Signal, 1)
	signal.Notify(winch, syscall.SIGWINCH)
	defer signal.Stop(winch)
	for {
		select {
		case <-ctx.Done():
			return
		case <-winch:
			if columns, rows, err := term.GetSize(int(os.Stdin.Fd())); err == nil {
				_ = send(&pb.ExecRequest{Columns: uint32(columns), Rows: uint32(rows)})
			}
		}
	}
}

func printEventLine(w io.Writer, e *pb.Event) error {
	var b strings.Builder
	if err := printMessage(&b, e); err != nil {
		return err
	}
	return compactLine(w, b.String())
}
