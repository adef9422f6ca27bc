package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// style is how the parts of a picture look.
type style struct{ title, good, warn, bad, dim, satellite, station lipgloss.Style }

func styleFor(r *lipgloss.Renderer) style {
	colour := func(light, dark string) lipgloss.Style {
		return r.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: light, Dark: dark})
	}
	return style{
		title: r.NewStyle().Bold(true),
		good:  colour("28", "78"), warn: colour("130", "221"), bad: colour("160", "203"), dim: colour("245", "243"),
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
	t += fmt.Sprintf("  pairs %d/%d  lost %d of %d  events %d", reach, len(st.GetPairs()), lost, sent, st.GetEvents())
	if v := st.GetFidelity().GetVerdict(); v.GetLevel() > pb.Verdict_LEVEL_FAITHFUL {
		t += "  " + levelNames[v.GetLevel()]
	}
	return t
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

// summary is a run in some twenty lines: what it is, what the network does, what
// the pairs of stations measure, and how truthful it is.
func summary(st *pb.Status, s style, width int) string {
	lines := headLines(st, s, width)
	lines = append(lines, pairLines(st, s, pairsShown)...)
	lines = append(lines, tailLines(st, s, width)...)
	return strings.Join(lines, "\n") + "\n"
}

// pairsShown in a summary.
const pairsShown = 45

// labelWidth of what begins a line.
const labelWidth = 9

// flow puts parts after a label, and goes on in the next line where they do not
// fit the width.
func flow(width int, label string, parts ...string) []string {
	lines := []string{fmt.Sprintf("%-*s", labelWidth, label)}
	at := labelWidth
	for i, p := range parts {
		if p == "" {
			continue
		}
		w := ansi.StringWidth(p)
		switch {
		case i == 0:
		case at+3+w <= width:
			p, w = "   "+p, w+3
		default:
			lines = append(lines, strings.Repeat(" ", labelWidth))
			at = labelWidth
		}
		lines[len(lines)-1] += p
		at += w
	}
	return lines
}

// headLines say what the run is, and what the network does.
func headLines(st *pb.Status, s style, width int) []string {
	now := st.GetScenarioTime().AsDuration()
	length := ""
	if st.GetDuration() != nil {
		length = " of " + clockTime(st.GetDuration().AsDuration())
	}
	lines := []string{fmt.Sprintf("%s  %s  %s%s  ×%g  %s", s.title.Render(st.GetName()), phaseStyle(st, s).Render(phaseText(st)),
		clockTime(now), length, st.GetSpeed(),
		s.dim.Render(st.GetEpoch().AsTime().Add(now).Format("2006-01-02 15:04:05 UTC")))}
	for _, p := range st.GetProblems() {
		for l := range strings.Lines(ansi.Wordwrap("problem  "+p, width, " ")) {
			lines = append(lines, s.bad.Render(strings.TrimRight(l, "\n")))
		}
	}
	lines = append(lines, flow(width, "nodes", strings.Join([]string{
		plural(int(st.GetSatellites()), "satellite"), plural(int(st.GetStations()), "station"), plural(int(st.GetPorts()), "port"),
	}, ", "), strings.Join(st.GetRouting(), ", "))...)
	links := fmt.Sprintf("%d up", st.GetIslLinks()+st.GetGroundLinks())
	if st.GetIslLinks() > 0 {
		links += fmt.Sprintf(": %d between satellites, %d to the ground", st.GetIslLinks(), st.GetGroundLinks())
	}
	adjacencies, processes := "", ""
	if st.GetHasAdjacencies() {
		adjacencies = complete(s, "adjacencies", int(st.GetAdjacencies()), int(st.GetAdjacenciesPossible()))
	}
	if st.GetProcesses() > 0 {
		processes = complete(s, "processes", int(st.GetProcessesRunning()), int(st.GetProcesses()))
	}
	lines = append(lines, flow(width, "links", links, adjacencies, processes)...)
	if e := st.GetLastEvent(); e != nil {
		lines = append(lines, flow(width, "last", eventGist(e), s.dim.Render(clockTime(now-e.GetAt().AsDuration())+" ago"))...)
	}
	if e := st.GetNextEvent(); e != nil {
		lines = append(lines, flow(width, "next", eventGist(e), s.dim.Render("in "+clockTime(e.GetAt().AsDuration()-now)))...)
	}
	return lines
}

// complete is "what 5 of 6", in a warning colour while some are missing.
func complete(s style, what string, have, all int) string {
	t := fmt.Sprintf("%s %d of %d", what, have, all)
	if have < all {
		return s.warn.Render(t)
	}
	return t
}

func phaseStyle(st *pb.Status, s style) lipgloss.Style {
	switch {
	case len(st.GetProblems()) > 0 || st.GetPhase() == pb.Phase_PHASE_FAILED:
		return s.bad
	case st.GetPhase() == pb.Phase_PHASE_RUNNING:
		return s.good
	}
	return s.warn
}

// eventGist is an event without its time.
func eventGist(e *pb.Event) string {
	sign := "+"
	if e.GetKind() == "link-down" {
		sign = "-"
	}
	return fmt.Sprintf("%s %s - %s (%s)", sign, e.GetA(), e.GetB(), e.GetText())
}

// pairLines are a table of at most so many pairs of stations, those that do not
// reach each other before the others if there is no room for all.
func pairLines(st *pb.Status, s style, most int) []string {
	pairs := st.GetPairs()
	if len(pairs) == 0 || most <= 0 {
		return nil
	}
	width := len("pair of stations")
	for _, p := range pairs {
		width = max(width, ansi.StringWidth(p.GetA()+" - "+p.GetB()))
	}
	if len(pairs) > most {
		pairs = slices.Clone(pairs)
		slices.SortStableFunc(pairs, func(a, b *pb.Pair) int {
			switch {
			case a.GetReachable() == b.GetReachable():
				return 0
			case b.GetReachable():
				return -1
			}
			return 1
		})
		pairs = pairs[:most]
	}
	const columns = "%9s %9s %8s %9s %4s"
	pad := func(name string) string { return name + strings.Repeat(" ", width-ansi.StringWidth(name)) }
	lines := []string{s.dim.Render(pad("pair of stations") + fmt.Sprintf(" "+columns+"  lost/sent", "RTT in ms", "geometric", "off", "shortest", "hops"))}
	for _, p := range pairs {
		name := pad(p.GetA() + " - " + p.GetB())
		lost := fmt.Sprintf("%d/%d", p.GetLost(), p.GetSent())
		if !p.GetReachable() {
			gone := fmt.Sprintf("%-43s", "unreachable for "+short(p.GetSince().AsDuration()))
			lines = append(lines, name+" "+s.bad.Render(gone)+"  "+lost)
			continue
		}
		off := "-"
		if p.GetGeometricRtt() != nil && p.GetMeasuredRtt() != nil {
			off = fmt.Sprintf("%+.3f", float64(p.GetMeasuredRtt().AsDuration()-p.GetGeometricRtt().AsDuration())/1e6)
		}
		lines = append(lines, name+" "+fmt.Sprintf(columns, inMS(p.GetMeasuredRtt()), inMS(p.GetGeometricRtt()), off, inMS(p.GetOracleRtt()), fmt.Sprint(p.GetHops()))+"  "+lost)
	}
	return lines
}

// inMS is a duration in milliseconds without the unit.
func inMS(d *durationpb.Duration) string { return strings.TrimSuffix(milliseconds(d), " ms") }

// tailLines sum up the pairs, what happened to frames, and how truthful it is.
func tailLines(st *pb.Status, s style, width int) []string {
	var lines []string
	if n := len(st.GetPairs()); n > 0 {
		reach, lost, sent := pairSums(st)
		share := 0.0
		if sent > 0 {
			share = 100 * float64(lost) / float64(sent)
		}
		converged := ""
		if d := st.GetConvergedAfter(); d != nil {
			converged = "converged after " + short(d.AsDuration())
		}
		lines = append(lines, flow(width, "pairs", fmt.Sprintf("%d of %d reach each other", reach, n),
			fmt.Sprintf("%d of %d echo requests lost (%.2f %%)", lost, sent, share), converged)...)
	}
	c, f := st.GetCounters(), st.GetFidelity()
	dropped := ""
	for _, d := range []struct {
		n   int64
		why string
	}{
		{int64(c.GetDropNoLink()), "no link"}, {int64(c.GetDropQueue()), "queue full"},
		{int64(c.GetDropLoss()), "loss"}, {int64(c.GetDropInFlight()), "in flight when a link ended"},
		{int64(c.GetDropForged()), "forged"},
	} {
		if d.n > 0 {
			dropped += fmt.Sprintf(", %d %s", d.n, d.why)
		}
	}
	if dropped == "" {
		dropped = ", none"
	}
	lines = append(lines, flow(width, "frames", fmt.Sprintf("%d delivered, %s", c.GetReceivedFrames(), quantity(st.GetFramesPerSecond(), "frames/s")),
		"dropped: "+strings.TrimPrefix(dropped, ", "))...)
	if own := c.GetDropDevice() + c.GetDropOverload() + c.GetDropUnderlay() + f.GetUnreadFrames(); own > 0 {
		lines = append(lines, s.bad.Render(fmt.Sprintf("%*s%d frames lost by the emulator itself (%d not taken by devices, %d for want of buffers, %d between hosts, %d not read in time)", labelWidth, "",
			own, c.GetDropDevice(), c.GetDropOverload(), c.GetDropUnderlay(), f.GetUnreadFrames())))
	}
	if n := c.GetForged(); n > 0 {
		kept := "carried all the same"
		if c.GetDropForged() > 0 {
			kept = "dropped"
		}
		lines = append(lines, s.bad.Render(fmt.Sprintf("%*s%d frames with forged source addresses, %s", labelWidth, "", n, kept)))
	}
	priority := "real-time priority"
	if !f.GetRealTime() {
		priority = "ordinary priority"
	}
	events := ""
	if f.GetEventMax().AsDuration() > 0 {
		events = fmt.Sprintf("events by p50 %s, max %s", short(f.GetEventP50().AsDuration()), short(f.GetEventMax().AsDuration()))
	}
	lines = append(lines, flow(width, "exact",
		fmt.Sprintf("frames late by p50 %s, p99 %s, max %s", short(f.GetLatenessP50().AsDuration()), short(f.GetLatenessP99().AsDuration()), short(f.GetLatenessMax().AsDuration())),
		events,
		s.dim.Render(fmt.Sprintf("%s at %s", plural(int(f.GetWorkers()), "worker"), priority)),
		s.dim.Render(fmt.Sprintf("plan %v ahead", st.GetPlanAhead().AsDuration().Truncate(time.Second))))...)
	return append(lines, verdictLines(f, s, width)...)
}

var levelNames = map[pb.Verdict_Level]string{
	pb.Verdict_LEVEL_FAITHFUL: "faithful", pb.Verdict_LEVEL_DEGRADED: "degraded", pb.Verdict_LEVEL_OVERLOADED: "overloaded",
}

func (s style) level(l pb.Verdict_Level) lipgloss.Style {
	switch l {
	case pb.Verdict_LEVEL_DEGRADED:
		return s.warn
	case pb.Verdict_LEVEL_OVERLOADED:
		return s.bad
	case pb.Verdict_LEVEL_UNSPECIFIED, pb.Verdict_LEVEL_FAITHFUL:
	}
	return s.good
}

// verdictLines say whether the emulation can be trusted, now and on the whole.
func verdictLines(f *pb.Fidelity, s style, width int) []string {
	v := f.GetVerdict()
	if levelNames[v.GetLevel()] == "" {
		return nil // no reading yet
	}
	parts := []string{s.level(v.GetLevel()).Render(levelNames[v.GetLevel()])}
	if v.GetLevel() != pb.Verdict_LEVEL_FAITHFUL {
		parts[0] += " since " + v.GetSince().AsTime().Local().Format(time.TimeOnly)
		parts = append(parts, v.GetReasons()...)
		for _, c := range v.GetCauses() {
			parts = append(parts, s.dim.Render(c))
		}
	}
	times := map[pb.Verdict_Level]time.Duration{
		pb.Verdict_LEVEL_FAITHFUL:   f.GetTimeFaithful().AsDuration(),
		pb.Verdict_LEVEL_DEGRADED:   f.GetTimeDegraded().AsDuration(),
		pb.Verdict_LEVEL_OVERLOADED: f.GetTimeOverloaded().AsDuration(),
	}
	total := times[pb.Verdict_LEVEL_FAITHFUL] + times[pb.Verdict_LEVEL_DEGRADED] + times[pb.Verdict_LEVEL_OVERLOADED]
	if f.GetWorst().GetLevel() > pb.Verdict_LEVEL_FAITHFUL && total > 0 {
		shares := ""
		for _, l := range []pb.Verdict_Level{pb.Verdict_LEVEL_FAITHFUL, pb.Verdict_LEVEL_DEGRADED, pb.Verdict_LEVEL_OVERLOADED} {
			if times[l] > 0 {
				shares += fmt.Sprintf(", %s %.0f %%", levelNames[l], 100*times[l].Seconds()/total.Seconds())
			}
		}
		parts = append(parts, "of the run: "+strings.TrimPrefix(shares, ", "))
	}
	return flow(width, "verdict", parts...)
}
