package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"orrery.dev/orrery/api"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/rundir"
)

func statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status [RUN]",
		Short: "Say how a run is",
		Long:  "Say how a run is. Without a name and with several runs, list them.",
		Args:  cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "text", "json")
	watch := c.Flags().BoolP("watch", "w", false, "keep showing it until interrupted")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name := ""
		if len(args) == 1 {
			name = args[0]
		}
		if names, err := rundir.List(); err == nil && name == "" && len(names) != 1 {
			return listRuns(cmd.Context(), names, *output)
		}
		cl, err := dial(name)
		if err != nil {
			return err
		}
		if *watch {
			return watchRun(cmd.Context(), cl)
		}
		st, err := getStatus(cmd.Context(), cl)
		if err != nil {
			return err
		}
		if *output == "json" {
			return printMessage(os.Stdout, st)
		}
		fmt.Print(summary(st, plainStyle(), textWidth()))
		return nil
	}
	return c
}

func getStatus(ctx context.Context, cl client) (*pb.Status, error) {
	res, err := cl.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetStatus(), nil
}

// listRuns says of each run in one line how it is.
func listRuns(ctx context.Context, names []string, format string) error {
	type row struct {
		Name         string `json:"name"`
		Phase        string `json:"phase"`
		ScenarioTime string `json:"scenarioTime,omitempty"`
		Nodes        int32  `json:"nodes"`
		Links        int32  `json:"links"`
		Problems     int    `json:"problems"`
	}
	rows := []row{}
	for _, n := range names {
		r := row{Name: n, Phase: "dead"}
		if alive(n) == nil {
			if st, err := getStatus(ctx, api.Dial(rundir.Socket(n))); err == nil {
				r = row{n, phaseText(st), scenarioTime(st.GetScenarioTime().AsDuration()), st.GetSatellites() + st.GetStations(), st.GetIslLinks() + st.GetGroundLinks(), len(st.GetProblems())}
			}
		}
		rows = append(rows, r)
	}
	if format == "json" {
		return printJSON(os.Stdout, rows)
	}
	if len(rows) == 0 {
		fmt.Println("Nothing is running. Start something with 'orrery up FILE'.")
		return nil
	}
	t := table{head: []string{"run", "phase", "scenario time", "nodes", "links", "problems"}}
	for _, r := range rows {
		t.add(r.Name, r.Phase, r.ScenarioTime, strconv.Itoa(int(r.Nodes)), strconv.Itoa(int(r.Links)), strconv.Itoa(r.Problems))
	}
	return t.print(os.Stdout, "table")
}

func listNodes(ctx context.Context, cl client, pattern string) ([]*pb.Node, error) {
	res, err := cl.ListNodes(ctx, connect.NewRequest(&pb.ListNodesRequest{Pattern: pattern}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetNodes(), nil
}

func nodesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "nodes [PATTERN]",
		Short: "List the nodes: where they are, what runs on them",
		Args:  cobra.MaximumNArgs(1),
	}
	run, output := runFlag(c), outputFlag(c, "table", "json", "csv")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		pattern := strings.Join(args, "")
		nodes, err := listNodes(cmd.Context(), cl, pattern)
		if err != nil {
			return err
		}
		if *output == "json" {
			return printMessage(os.Stdout, &pb.ListNodesResponse{Nodes: nodes})
		}
		t := table{head: []string{"node", "kind", "lat", "lon", "height km", "loopback", "ports up", "adjacencies", "routing", "processes"}}
		for _, n := range nodes {
			up, procs := 0, []string{}
			for _, p := range n.GetPorts() {
				if p.GetUp() {
					up++
				}
			}
			for _, p := range n.GetProcesses() {
				procs = append(procs, p.GetName()+":"+p.GetState())
			}
			t.add(n.GetName(), n.GetKind(), fmt.Sprintf("%.2f", n.GetLatitude()), fmt.Sprintf("%.2f", n.GetLongitude()),
				fmt.Sprintf("%.1f", n.GetHeight()), n.GetLoopback(), fmt.Sprintf("%d/%d", up, len(n.GetPorts())),
				strconv.Itoa(int(n.GetAdjacencies())), n.GetRouting(), strings.Join(procs, " "))
		}
		return t.print(os.Stdout, *output)
	}
	return c
}

func linksCommand() *cobra.Command {
	c := &cobra.Command{Use: "links [NODE]", Short: "List the links that are up now", Args: cobra.MaximumNArgs(1)}
	run, output := runFlag(c), outputFlag(c, "table", "json", "csv")
	c.ValidArgsFunction = completeNodes(run)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		res, err := cl.ListLinks(cmd.Context(), connect.NewRequest(&pb.ListLinksRequest{Node: strings.Join(args, "")}))
		if err != nil {
			return err
		}
		if *output == "json" {
			return printMessage(os.Stdout, res.Msg)
		}
		return linkTable(res.Msg.GetLinks()).print(os.Stdout, *output)
	}
	return c
}

func linkTable(links []*pb.Link) *table {
	t := &table{head: []string{"a", "b", "class", "start", "end", "delay", "rate", "loss"}}
	for _, l := range links {
		end, rate := "-", "-"
		if l.GetEnd() != nil {
			end = scenarioTime(l.GetEnd().AsDuration())
		}
		if l.GetRate() > 0 {
			rate = quantity(l.GetRate(), "bit/s")
		}
		t.add(l.GetA(), l.GetB(), l.GetClass(), scenarioTime(l.GetStart().AsDuration()), end, milliseconds(l.GetDelay()), rate, fmt.Sprintf("%.3g", l.GetLoss()))
	}
	return t
}

func contactsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "contacts [NODE]",
		Short: "List contacts of the plan: past, present and future",
		Args:  cobra.MaximumNArgs(1),
	}
	run, output := runFlag(c), outputFlag(c, "table", "json", "csv")
	from := c.Flags().Duration("from", 0, "scenario time; default now")
	length := c.Flags().Duration("length", 10*time.Minute, "how much of the plan")
	c.ValidArgsFunction = completeNodes(run)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("from") {
			st, err := getStatus(cmd.Context(), cl)
			if err != nil {
				return err
			}
			*from = st.GetScenarioTime().AsDuration()
		}
		res, err := cl.ListContacts(cmd.Context(), connect.NewRequest(&pb.ListContactsRequest{
			From: durationpb.New(*from), To: durationpb.New(*from + *length), Node: strings.Join(args, ""),
		}))
		if err != nil {
			return err
		}
		if *output == "json" {
			return printMessage(os.Stdout, res.Msg)
		}
		return linkTable(res.Msg.GetContacts()).print(os.Stdout, *output)
	}
	return c
}

func eventsCommand() *cobra.Command {
	c := &cobra.Command{Use: "events", Short: "Show what happened, and what happens as it does", Args: cobra.NoArgs}
	run, output := runFlag(c), outputFlag(c, "text", "json")
	follow := c.Flags().BoolP("follow", "f", false, "go on with new events until interrupted")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		st, err := getStatus(cmd.Context(), cl)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		stream, err := cl.WatchEvents(ctx, connect.NewRequest(&pb.WatchEventsRequest{History: true}))
		if err != nil {
			return err
		}
		// Without --follow: up to the newest event of this moment.
		last := st.GetTotalEvents()
		if !*follow && last == 0 {
			return nil
		}
		for stream.Receive() {
			e := stream.Msg().GetEvent()
			if *output == "json" {
				if err := printEventLine(os.Stdout, e); err != nil {
					return err
				}
			} else {
				fmt.Println(eventText(e))
			}
			if !*follow && int64(e.GetSequence())+1 >= last {
				return nil
			}
		}
		if cmd.Context().Err() != nil {
			return nil
		}
		return stream.Err()
	}
	return c
}

func eventText(e *pb.Event) string {
	who := e.GetA()
	if e.GetB() != "" {
		who += " - " + e.GetB()
	}
	return strings.TrimRight(fmt.Sprintf("%s  %-14s %s  %s", scenarioTime(e.GetAt().AsDuration()), e.GetKind(), who, e.GetText()), " ")
}

func pathCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "path A B",
		Short: "Follow the kernels' tables from one node to another, the oracle's path beside it",
		Args:  cobra.ExactArgs(2),
	}
	run, output := runFlag(c), outputFlag(c, "text", "json")
	c.ValidArgsFunction = completeNodes(run)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		res, err := cl.GetPath(cmd.Context(), connect.NewRequest(&pb.GetPathRequest{From: args[0], To: args[1]}))
		if err != nil {
			return err
		}
		if *output == "json" {
			if err := printMessage(os.Stdout, res.Msg); err != nil {
				return err
			}
		} else {
			fmt.Printf("at %s\n", scenarioTime(res.Msg.GetScenarioTime().AsDuration()))
			printPath(os.Stdout, "kernel", res.Msg.GetKernel())
			printPath(os.Stdout, "oracle", res.Msg.GetOracle())
		}
		if !res.Msg.GetKernel().GetComplete() {
			return &exitError{code: exitNoAnswer}
		}
		return nil
	}
	return c
}

func printPath(w io.Writer, title string, p *pb.Path) {
	hops := max(len(p.GetHops())-1, 0)
	if p.GetComplete() {
		fmt.Fprintf(w, "%s: %s, %s one way\n", title, plural(hops, "hop"), milliseconds(p.GetDelay()))
	} else {
		fmt.Fprintf(w, "%s: does not arrive: %s\n", title, p.GetProblem())
	}
	for _, h := range p.GetHops() {
		if h.GetPort() == "" {
			fmt.Fprintf(w, "  %s\n", h.GetNode())
		} else {
			fmt.Fprintf(w, "  %-20s %-6s %s\n", h.GetNode(), h.GetPort(), milliseconds(h.GetDelay()))
		}
	}
}

func captureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "capture NODE:PORT",
		Short: "Write a port's frames as pcapng",
		Example: `  orrery capture sat-p01s03:fore -w - | tshark -r -
  orrery capture paris:ant0 -w paris.pcapng --for 10s`,
		Args: cobra.ExactArgs(1),
	}
	run := runFlag(c)
	file := c.Flags().StringP("write", "w", "-", "file to write, - for standard output")
	length := c.Flags().Duration("for", 0, "stop after this long; default when interrupted")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		node, port, err := api.NodePort(args[0])
		if err != nil {
			return usageError(err)
		}
		if *file == "-" && isTerminal(os.Stdout) {
			return usageError(errors.New("a capture is not for a terminal: name a file with -w, or pipe it into tshark or Wireshark"))
		}
		cl, err := dial(*run)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(cmd.Context())
		if *length > 0 {
			ctx, cancel = context.WithTimeout(cmd.Context(), *length)
		}
		defer cancel()
		signal.Ignore(syscall.SIGPIPE) // the reader's end is seen as an error of Write
		stream, err := cl.Capture(ctx, connect.NewRequest(&pb.CaptureRequest{Node: node, Port: port}))
		if err != nil {
			return err
		}
		var out *os.File
		for stream.Receive() {
			if out == nil { // the port is there, and nobody else captures it
				out = os.Stdout
				if *file != "-" {
					if out, err = os.Create(*file); err != nil {
						return err
					}
					defer func() { err = errors.Join(err, out.Close()) }()
				}
			}
			if _, err := out.Write(stream.Msg().GetData()); err != nil {
				if errors.Is(err, syscall.EPIPE) {
					return nil
				}
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		return stream.Err()
	}
	return c
}
