package report

import (
	"math"
	"sort"

	"orrery.dev/orrery/record"
	"orrery.dev/orrery/report/estimate"
)

// bins is into how many parts the measured span is divided for what is shown over time.
const bins = 600

// Figures are what the record of a run comes to over its measured span. Shares
// and rates are NaN where nothing was observed.
type Figures struct {
	Dir   string
	Run   *record.Run
	Notes []string // what reading has left out

	Span float64 // s of scenario time
	Host float64 // s of host time that the span took

	Pairs     int     // that were followed
	Reachable float64 // share of pair time
	// CutOff is the share of the time in which a way existed, and the tables did not
	// lead there; Loop and Hole are its parts.
	CutOff, Loop, Hole float64
	NoPath             float64 // share of pair time in which no way existed
	Reach              Reach

	Events     []float64 // instants of topology events, s from the span's begin
	EventCount int       // instants at which topology changed
	Hit        int       // of these, with pairs that lost their way
	Unrepaired int       // of these, never or not before the run's end repaired; how long they took at least is known

	Outages     estimate.Distribution // s, by the tables, where a way existed
	Repair      estimate.Distribution // s from event to all affected pairs forwarding again
	Settle      estimate.Distribution // s from event to the last change of a table
	Stretch     estimate.Distribution // by time
	RoundTrips  map[[2]string]*RoundTrips
	EchoLoss    float64            // of echo requests for which the sky had a way
	Control     map[string]float64 // bytes/s of host time in all the network, by protocol
	ControlSum  float64
	Frames      float64            // control frames/s of host time
	CPU         map[string]float64 // CPUs in use, by process name; the emulator's as ""
	Memory      map[string]float64 // bytes at the end, likewise
	DaemonCPU   float64
	DaemonBytes float64
	Probes      []ProbeFigures
	Flows       []FlowFigures
}

// Reach is how many pairs forward, over time.
type Reach struct {
	At        []float64 // middle of each bin, s from the span's begin
	Mean, Low []float64 // share of pairs that are reachable
	Exists    []float64 // share of pairs with a way in the sky
}

// RoundTrips of one pair of stations, in s.
type RoundTrips struct {
	At, Measured, Oracle []float64 // Measured is NaN where the answer was lost
	Sent, Lost           int
}

// ProbeFigures sum up a stream of one-way packets; delays in s.
type ProbeFigures struct {
	Source, Destination         string
	Sent, Lost, Reordered       int64
	DelayP50, DelayP99, Jitter  float64
	delays50, delays99, jitters estimate.Distribution
}

// FlowFigures sum up a workload.
type FlowFigures struct {
	Name, Source, Destination, Protocol string
	Rate                                float64 // bit/s
	Retransmits, Lost, Datagrams        int64
	Problem                             string

	rate estimate.Distribution
}

// leastOutage is the shortest outage that counts, in µs, by how long of it a way existed:
// a route that is replaced is gone for some microseconds between two messages of the
// kernel.
const leastOutage = 1000

// micro is the unit of a record's times, in s.
const micro = 1e-6

// measure reads a record.
func measure(d *record.Dir) (*Figures, error) {
	f := &Figures{
		Dir: d.Path, Run: &d.Run, RoundTrips: map[[2]string]*RoundTrips{},
		Control: map[string]float64{}, CPU: map[string]float64{}, Memory: map[string]float64{},
	}
	f.Span = float64(d.Run.Span.To-d.Run.Span.From) * micro
	speed := d.Run.Scenario.Speed
	if speed <= 0 {
		speed = 1
	}
	f.Host = f.Span / speed
	for _, read := range []func(*record.Dir) error{f.pairs, f.events, f.outages, f.convergence, f.roundTrips, f.control, f.resources, f.probes, f.flows} {
		if err := read(d); err != nil {
			return nil, err
		}
	}
	f.Notes = d.Notes()
	return f, nil
}

// within says whether an instant lies in the measured span.
func (f *Figures) within(at int64) bool {
	return at >= f.Run.Span.From && at < f.Run.Span.To
}

// since is an instant in s from the span's begin.
func (f *Figures) since(at int64) float64 { return float64(at-f.Run.Span.From) * micro }

func ratio(a, b float64) float64 {
	if b <= 0 {
		return math.NaN()
	}
	return a / b
}

func (f *Figures) events(d *record.Dir) error {
	return record.Events.Each(d, func(e *record.Event) error {
		if (e.Kind == "link-up" || e.Kind == "link-down") && f.within(e.At) {
			f.Events = append(f.Events, f.since(e.At))
		}
		return nil
	})
}

func (f *Figures) outages(d *record.Dir) error {
	return record.Outages.Each(d, func(o *record.Outage) error {
		length := o.To - o.From
		switch {
		case o.Lost != nil:
			length = *o.Lost
		case o.Cause == record.PairNoPath: // older records say only what held longest
			length = 0
		}
		if o.By != "tables" || !f.within(o.From) || length < leastOutage {
			return nil
		}
		if o.Open {
			f.Outages.AddMore(float64(length)*micro, 1)
		} else {
			f.Outages.Add(float64(length)*micro, 1)
		}
		return nil
	})
}

func (f *Figures) convergence(d *record.Dir) error {
	return record.Convergences.Each(d, func(c *record.Convergence) error {
		if !f.within(c.At) {
			return nil
		}
		f.EventCount++
		if c.LastChange != nil {
			f.Settle.Add(float64(*c.LastChange-c.At)*micro, 1)
		}
		if c.Pairs == 0 {
			return nil
		}
		f.Hit++
		if c.Restored == nil {
			f.Unrepaired++
			until := f.Run.Span.To // at least: older records do not say
			if c.Until != nil {
				until = *c.Until
			}
			f.Repair.AddMore(float64(until-c.At)*micro, 1)
			return nil
		}
		f.Repair.Add(float64(*c.Restored-c.At)*micro, 1)
		return nil
	})
}

func (f *Figures) roundTrips(d *record.Dir) error {
	sent, lost := 0, 0
	err := record.RoundTrips.Each(d, func(r *record.RoundTrip) error {
		if !f.within(r.At) {
			return nil
		}
		key := [2]string{r.A, r.B}
		p := f.RoundTrips[key]
		if p == nil {
			p = &RoundTrips{}
			f.RoundTrips[key] = p
		}
		p.Sent++
		if r.Oracle != nil {
			sent++
		}
		measured, oracle := math.NaN(), math.NaN()
		if r.Measured != nil {
			measured = *r.Measured * micro
		}
		if r.Oracle != nil {
			oracle = *r.Oracle * micro
		}
		if r.Lost {
			p.Lost++
			if r.Oracle != nil {
				lost++
			}
		}
		p.At, p.Measured, p.Oracle = append(p.At, f.since(r.At)), append(p.Measured, measured), append(p.Oracle, oracle)
		return nil
	})
	f.EchoLoss = ratio(float64(lost), float64(sent))
	return err
}

func (f *Figures) control(d *record.Dir) error {
	seen := false
	err := record.Controls.Each(d, func(c *record.Control) error {
		if c.Port != "" || !f.within(c.At) {
			return nil
		}
		seen = true
		f.Control[c.Protocol] += float64(c.Bytes)
		if c.Protocol != userTraffic {
			f.Frames += float64(c.Frames)
		}
		return nil
	})
	if !seen {
		f.ControlSum, f.Frames = math.NaN(), math.NaN()
		return err
	}
	f.Frames = ratio(f.Frames, f.Host)
	for protocol, bytes := range f.Control {
		f.Control[protocol] = ratio(bytes, f.Host)
		if protocol != userTraffic {
			f.ControlSum += f.Control[protocol]
		}
	}
	return err
}

// userTraffic is what the fabric counts as none of the control protocols.
const userTraffic = "other"

func (f *Figures) resources(d *record.Dir) error {
	type process struct {
		node string
		pid  int32
	}
	memory := map[process]float64{} // of the last sample: others may have died before it
	last := f.Run.Span.From
	names := map[process]string{}
	seen := false
	err := record.Resources.Each(d, func(r *record.Resource) error {
		if !f.within(r.At) {
			return nil
		}
		name := r.Process
		if r.Node == "" {
			name = ""
		} else {
			seen = true
		}
		f.CPU[name] += float64(r.CPU) * micro
		if r.At > last {
			last = r.At
			clear(memory)
		}
		p := process{r.Node, r.PID}
		names[p] = name
		memory[p] = float64(r.Resident)
		if r.Proportional != nil {
			memory[p] = float64(*r.Proportional)
		}
		return nil
	})
	for name, cpu := range f.CPU {
		f.CPU[name] = ratio(cpu, f.Host)
		if name != "" {
			f.DaemonCPU += f.CPU[name]
		}
	}
	for p, bytes := range memory {
		f.Memory[names[p]] += bytes
		if names[p] != "" {
			f.DaemonBytes += bytes
		}
	}
	if !seen {
		f.DaemonCPU, f.DaemonBytes = math.NaN(), math.NaN()
	}
	return err
}

func (f *Figures) probes(d *record.Dir) error {
	by := map[[2]string]*ProbeFigures{}
	err := record.Probes.Each(d, func(r *record.Probe) error {
		if !f.within(r.At) {
			return nil
		}
		key := [2]string{r.Source, r.Destination}
		p := by[key]
		if p == nil {
			p = &ProbeFigures{Source: r.Source, Destination: r.Destination}
			by[key] = p
		}
		p.Sent += r.Sent
		p.Lost += r.Lost
		p.Reordered += r.Reordered
		weight := float64(r.Received)
		for _, v := range []struct {
			to *estimate.Distribution
			us *float64
		}{{&p.delays50, r.DelayP50}, {&p.delays99, r.DelayP99}, {&p.jitters, r.Jitter}} {
			if v.us != nil {
				v.to.Add(*v.us*micro, weight)
			}
		}
		return nil
	})
	for _, p := range by {
		p.DelayP50, p.DelayP99, p.Jitter = p.delays50.Quantile(0.5), p.delays99.Quantile(0.99), p.jitters.Mean()
		f.Probes = append(f.Probes, *p)
	}
	sort.Slice(f.Probes, func(i, j int) bool {
		a, b := &f.Probes[i], &f.Probes[j]
		return a.Source+" "+a.Destination < b.Source+" "+b.Destination
	})
	return err
}

func (f *Figures) flows(d *record.Dir) error {
	by := map[string]*FlowFigures{}
	err := record.Flows.Each(d, func(r *record.Flow) error {
		if !f.within(r.At) {
			return nil
		}
		p := by[r.Name]
		if p == nil {
			p = &FlowFigures{Name: r.Name, Source: r.Source, Destination: r.Destination, Protocol: r.Protocol}
			if r.Congestion != "" {
				p.Protocol += " " + r.Congestion
			}
			by[r.Name] = p
		}
		p.rate.Add(r.Rate, float64(r.Interval))
		p.Retransmits += r.Retransmits
		p.Lost += r.Lost
		p.Datagrams += r.Datagrams
		if r.Problem != "" {
			p.Problem = r.Problem
		}
		return nil
	})
	for _, p := range by {
		// Intervals without a row brought nothing.
		p.Rate = ratio(p.rate.Sum()*micro, f.Span)
		f.Flows = append(f.Flows, *p)
	}
	sort.Slice(f.Flows, func(i, j int) bool { return f.Flows[i].Name < f.Flows[j].Name })
	return err
}
