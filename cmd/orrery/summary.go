package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// style is how the parts of a picture look.
type style struct{ title, good, bad, dim, satellite, station lipgloss.Style }

func styleFor(r *lipgloss.Renderer) style {
	colour := func(light, dark string) lipgloss.Style {
		return r.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: light, Dark: dark})
	}
	return style{
		title: r.NewStyle().Bold(true),
		good:  colour("28", "78"), bad: colour("160", "203"), dim: colour("245", "243"),
		satellite: colour("25", "117"), station: colour("130", "221").Bold(true),
	}
}

func colourStyle() style { return styleFor(lipgloss.NewRenderer(os.Stdout)) }
func plainStyle() style  { return styleFor(lipgloss.NewRenderer(io.Discard)) }

// clip cuts a line with colours to a width in cells.
func clip(s string, columns int) string { return ansi.Truncate(s, columns, "…") }

var phaseNames = map[pb.Phase]string{
	pb.Phase_PHASE_STARTING: "starting", pb.Phase_PHASE_CONVERGING: "converging", pb.Phase_PHASE_RUNNING: "running",
	pb.Phase_PHASE_STOPPING: "stopping", pb.Phase_PHASE_FAILED: "failed",
}

func phaseText(st *pb.Status) string {
	t := phaseNames[st.GetPhase()]
	if st.GetPaused() {
		t += ", paused"
	}
	return t
}

// statusLine is a run in one line, for logs.
func statusLine(st *pb.Status) string {
	reach, lost, sent := pairSums(st)
	t := fmt.Sprintf("%s  %s  links %d+%d", scenarioTime(st.GetScenarioTime().AsDuration()), phaseText(st), st.GetIslLinks(), st.GetGroundLinks())
	if st.GetHasAdjacencies() {
		t += fmt.Sprintf("  adjacencies %d/%d", st.GetAdjacencies(), st.GetAdjacenciesPossible())
	}
	if st.GetProcesses() > 0 {
		t += fmt.Sprintf("  processes %d/%d", st.GetProcessesRunning(), st.GetProcesses())
	}
	return t + fmt.Sprintf("  pairs %d/%d  lost %d of %d  events %d", reach, len(st.GetPairs()), lost, sent, st.GetEvents())
}

func pairSums(st *pb.Status) (reachable int, lost, sent int64) {
	for _, p := range st.GetPairs() {
		if p.GetReachable() {
			reachable++
		}
		lost += p.GetLost()
		sent += p.GetSent()
	}
	return reachable, lost, sent
}

// pairsShown in the picture; the others are summed up.
const pairsShown = 15

// summary is a run in some twenty lines: what it is, what the network does, what
// the pairs of stations measure, and how truthful it is.
func summary(st *pb.Status, recent []string, s style) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	length := ""
	if st.GetDuration() != nil {
		length = " of " + clockTime(st.GetDuration().AsDuration())
	}
	line("%s  %s  %s%s  ×%g  %s", s.title.Render(st.GetName()), phaseStyle(st, s).Render(phaseText(st)),
		clockTime(st.GetScenarioTime().AsDuration()), length, st.GetSpeed(),
		s.dim.Render(st.GetEpoch().AsTime().Add(st.GetScenarioTime().AsDuration()).Format("2006-01-02 15:04:05 UTC")))
	line("nodes    %s, %s, %s   %s", plural(int(st.GetSatellites()), "satellite"), plural(int(st.GetStations()), "station"),
		plural(int(st.GetPorts()), "port"), strings.Join(st.GetRouting(), ", "))
	links := fmt.Sprintf("links    %d up: %d between satellites, %d to the ground", st.GetIslLinks()+st.GetGroundLinks(), st.GetIslLinks(), st.GetGroundLinks())
	if st.GetHasAdjacencies() {
		links += fmt.Sprintf("   adjacencies %d of %d", st.GetAdjacencies(), st.GetAdjacenciesPossible())
	}
	if st.GetProcesses() > 0 {
		links += fmt.Sprintf("   processes %d of %d", st.GetProcessesRunning(), st.GetProcesses())
	}
	line("%s", links)
	if e := st.GetLastEvent(); e != nil {
		line("last     %s   %s", eventGist(e), s.dim.Render(clockTime(st.GetScenarioTime().AsDuration()-e.GetAt().AsDuration())+" ago"))
	}
	if e := st.GetNextEvent(); e != nil {
		line("next     %s   %s", eventGist(e), s.dim.Render("in "+clockTime(e.GetAt().AsDuration()-st.GetScenarioTime().AsDuration())))
	}
	writePairs(&b, st, s)
	writeFabric(&b, st, s)
	if d := st.GetConvergedAfter(); d != nil {
		line("converged %s after the start: every pair of stations had reached each other", short(d.AsDuration()))
	}
	for _, e := range recent {
		line("%s", s.dim.Render(e))
	}
	for _, p := range st.GetProblems() {
		line("%s", s.bad.Render("problem  "+p))
	}
	return b.String()
}

func phaseStyle(st *pb.Status, s style) lipgloss.Style {
	if len(st.GetProblems()) > 0 || st.GetPhase() == pb.Phase_PHASE_FAILED {
		return s.bad
	}
	return s.good
}

// eventGist is an event without its time.
func eventGist(e *pb.Event) string {
	sign := "+"
	if e.GetKind() == "link-down" {
		sign = "-"
	}
	return fmt.Sprintf("%s %s - %s (%s)", sign, e.GetA(), e.GetB(), e.GetText())
}

func writePairs(b *strings.Builder, st *pb.Status, s style) {
	if len(st.GetPairs()) == 0 {
		return
	}
	width := 5
	for _, p := range st.GetPairs() {
		width = max(width, len(p.GetA())+len(p.GetB())+3)
	}
	head := fmt.Sprintf("%-*s  %12s  %12s  %9s  %12s  %4s  %s", width, "pair", "measured", "geometric", "off", "shortest", "hops", "lost/sent")
	fmt.Fprintln(b, s.dim.Render(head))
	for i, p := range st.GetPairs() {
		if i == pairsShown {
			break
		}
		name := fmt.Sprintf("%-*s", width, p.GetA()+" - "+p.GetB())
		lost := fmt.Sprintf("%d/%d", p.GetLost(), p.GetSent())
		if !p.GetReachable() {
			fmt.Fprintf(b, "%s  %s  %s\n", name, s.bad.Render(fmt.Sprintf("unreachable for %-38s", short(p.GetSince().AsDuration()))), lost)
			continue
		}
		off := "-"
		if p.GetGeometricRtt() != nil {
			off = fmt.Sprintf("%+.2f ms", float64(p.GetMeasuredRtt().AsDuration()-p.GetGeometricRtt().AsDuration())/1e6)
		}
		fmt.Fprintf(b, "%s  %12s  %12s  %9s  %12s  %4d  %s\n", name, milliseconds(p.GetMeasuredRtt()), milliseconds(p.GetGeometricRtt()), off, milliseconds(p.GetOracleRtt()), p.GetHops(), lost)
	}
	reach, lost, sent := pairSums(st)
	share := 0.0
	if sent > 0 {
		share = 100 * float64(lost) / float64(sent)
	}
	fmt.Fprintf(b, "pairs    %d of %d reach each other; %d of %d echo requests lost (%.2f %%)\n", reach, len(st.GetPairs()), lost, sent, share)
}

func writeFabric(b *strings.Builder, st *pb.Status, s style) {
	c, f := st.GetCounters(), st.GetFidelity()
	fmt.Fprintf(b, "frames   %d delivered, %s   dropped: %d no link, %d queue, %d loss, %d in flight\n",
		c.GetReceivedFrames(), quantity(st.GetFramesPerSecond(), "frames/s"), c.GetDropNoLink(), c.GetDropQueue(), c.GetDropLoss(), c.GetDropInFlight())
	if own := c.GetDropDevice() + c.GetDropOverload(); own > 0 {
		fmt.Fprintln(b, s.bad.Render(fmt.Sprintf("         %d frames lost by the emulator itself (%d by devices, %d for want of buffers)", own, c.GetDropDevice(), c.GetDropOverload())))
	}
	priority := "real-time priority"
	if !f.GetRealTime() {
		priority = "ordinary priority"
	}
	ahead := st.GetPlanAhead().AsDuration().Truncate(time.Second)
	fmt.Fprintf(b, "exact    frames late by p50 %s, p99 %s, max %s; events by p50 %s, max %s   %s\n",
		short(f.GetLatenessP50().AsDuration()), short(f.GetLatenessP99().AsDuration()), short(f.GetLatenessMax().AsDuration()),
		short(f.GetEventP50().AsDuration()), short(f.GetEventMax().AsDuration()),
		s.dim.Render(fmt.Sprintf("%s at %s, plan %v ahead", plural(int(f.GetWorkers()), "worker"), priority, ahead)))
}
