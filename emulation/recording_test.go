package emulation

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/record"
)

// recorded runs smallSky under the oracle for some events and gives its record.
func recorded(t *testing.T, change func(*Config), drive func(*Run, *clock.Manual)) *record.Dir {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "record")
	r, _, source := startRun(t, smallSky, func(c *Config) {
		c.Record = &Recording{Dir: dir, Orrery: "test", WarmUp: time.Minute, Labels: map[string]string{"variant": "x"}}
		if change != nil {
			change(c)
		}
	})
	drive(r, source)
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	d, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func rows[T any](t *testing.T, d *record.Dir, s record.Stream[T]) []T {
	t.Helper()
	list, err := s.Read(d)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What is recorded of pairs is what the kernels' tables, asked one after the other,
// show at the end; and a link's end that cuts pairs off is told of.
func TestRecordedPairsAreThoseOfTheKernels(t *testing.T) {
	type pair struct{ from, to string }
	want := map[pair]bool{}
	topology := 0
	d := recorded(t, nil, func(r *Run, source *clock.Manual) {
		eventually(t, "routes of the first sky", func() bool { return follows(r, time.Second) })
		for range 15 {
			var next applied
			eventually(t, "a next event is planned", func() (ok bool) {
				if next, ok = r.director.next(); !ok {
					source.Advance(time.Second)
				}
				return ok
			})
			if now := r.timeline.Now(); next.at > now {
				source.Advance(next.at - now)
			}
			eventually(t, "the change at "+next.at.String(), func() bool {
				n, ok := r.director.next()
				return !ok || n.at > next.at
			})
			eventually(t, "routes at "+next.at.String(), func() bool { return follows(r, time.Second) })
		}
		for _, a := range r.stations() {
			for _, b := range r.stations() {
				if a != b {
					path := r.KernelPath(context.Background(), a, b)
					want[pair{r.name(a), r.name(b)}] = path.Complete()
				}
			}
		}
		_, all, _ := r.events.totals()
		topology = int(all)
	})
	last := map[pair]record.PairState{}
	at := int64(0)
	for _, row := range rows(t, d, record.Pairs) {
		if row.At < at {
			t.Errorf("the row at %d µs comes after one at %d µs", row.At, at)
		}
		at = row.At
		last[pair{row.Source, row.Destination}] = row
		if row.State == record.PairReachable && (row.Delay == nil || row.Path[len(row.Path)-1] != row.Destination || row.Path[0] != row.Source) {
			t.Errorf("reachable without a delay, or not by its path: %+v", row)
		}
		if row.Stretch != nil && *row.Stretch < 0.999 {
			t.Errorf("shorter than the shortest path: %+v", row)
		}
	}
	for p, reachable := range want {
		if got := last[p].State == record.PairReachable; got != reachable {
			t.Errorf("%v is recorded as %+v, by the kernels its being reachable is %v", p, last[p], reachable)
		}
	}
	events := 0
	for _, e := range rows(t, d, record.Events) {
		if strings.HasPrefix(e.Kind, "link-") {
			events++
		}
	}
	if events != topology {
		t.Errorf("%d topology events are recorded, want %d", events, topology)
	}
	links := 0
	for _, c := range rows(t, d, record.Convergences) {
		links += int(c.Links)
	}
	if links == 0 || links > topology {
		t.Errorf("convergence tells of %d links that came or went, events of %d", links, topology)
	}
	if len(rows(t, d, record.Routes)) == 0 {
		t.Error("no change of a table is recorded")
	}
	if d.Run.Outcome.State != record.Interrupted || d.Run.Labels["variant"] != "x" || d.Run.Span.WarmUp != time.Minute.Microseconds() {
		t.Errorf("run.json: %+v", d.Run)
	}
}

// A run ends when its span was measured, and its record is complete then.
func TestRecordedSpan(t *testing.T) {
	d := recorded(t, func(c *Config) { c.Record.WarmUp, c.Record.Span = time.Second, 2*time.Second }, func(r *Run, source *clock.Manual) {
		select {
		case <-r.Ended():
			t.Error("it ended at once")
		default:
		}
		source.Advance(3500 * time.Millisecond)
		<-r.Ended()
	})
	if d.Run.Outcome.State != record.Complete || d.Run.Span.To != 3_000_000 || d.Run.Span.From != 1_000_000 {
		t.Errorf("%+v, %+v", d.Run.Outcome, d.Run.Span)
	}
}

func TestRecordingIsRefused(t *testing.T) {
	p := compile(t, smallSky)
	dir := t.TempDir()
	station := p.Nodes[len(p.Nodes)-1].Name
	for want, c := range map[string]Recording{
		`there is no node "nowhere"`:    {Streams: []Stream{{Source: station, Destination: "nowhere"}}},
		"give two different nodes":      {Streams: []Stream{{Source: station, Destination: station}}},
		"give each workload a name":     {Workloads: []Workload{{Source: station, Destination: p.Nodes[0].Name}}},
		"workload w from nowhere to x:": {Workloads: []Workload{{Name: "w", Source: "nowhere", Destination: "x"}}},
	} {
		c.Dir = dir
		_, err := New(Config{Plan: p, Record: &c, Timeline: clock.New(new(clock.Manual), 0, 1)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What the oracle does ahead of a link's end is that end's, and not the last change's.
func TestRecordTellsWhatWasDoneAhead(t *testing.T) {
	lead := time.Duration(0)
	d := recorded(t, nil, func(r *Run, source *clock.Manual) {
		lead = time.Duration(float64(r.oracle.lead) * r.timeline.Speed())
		eventually(t, "routes of the first sky", func() bool { return follows(r, lead) })
		for range 15 {
			var next applied
			eventually(t, "a next event is planned", func() (ok bool) {
				if next, ok = r.director.next(); !ok {
					source.Advance(time.Second)
				}
				return ok
			})
			// First to where the oracle acts, and then to the event.
			for _, at := range []time.Duration{next.at - lead, next.at} {
				if now := r.timeline.Now(); at > now {
					source.Advance(at - now)
				}
				eventually(t, "routes at "+at.String(), func() bool { return follows(r, lead) })
			}
			eventually(t, "the change at "+next.at.String(), func() bool {
				n, ok := r.director.next()
				return !ok || n.at > next.at
			})
		}
	})
	if lead <= 0 {
		t.Fatal("the oracle has no lead")
	}
	ahead := 0
	for _, c := range rows(t, d, record.Convergences) {
		ahead += int(c.Ahead)
		if c.Until != nil && *c.Until < c.At {
			t.Errorf("over before it began: %+v", c)
		}
	}
	if ahead == 0 {
		t.Error("nothing was done ahead of 15 changes")
	}
}

// wireDouble carries datagrams between nodes at once, but for every third.
type wireDouble struct {
	mu    sync.Mutex
	boxes map[netip.Addr]chan []byte
	sent  int
}

type datagramsDouble struct {
	wire *wireDouble
	box  chan []byte
	end  sync.Once
}

func (w *wireDouble) open(r *Run, name string) *datagramsDouble {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &datagramsDouble{wire: w, box: make(chan []byte, 100)}
	w.boxes[r.loopback(int(r.observer.nodes[name]))] = d.box
	return d
}

func (d *datagramsDouble) Send(b []byte, to netip.AddrPort) error {
	d.wire.mu.Lock()
	defer d.wire.mu.Unlock()
	if d.wire.sent++; d.wire.sent%3 != 0 {
		d.wire.boxes[to.Addr()] <- slices.Clone(b)
	}
	return nil
}

func (d *datagramsDouble) Receive(b []byte) (int, int64, error) {
	data, ok := <-d.box
	if !ok {
		return 0, 0, net.ErrClosed
	}
	return copy(b, data), realtime(), nil
}

func (d *datagramsDouble) Close() error {
	d.end.Do(func() { close(d.box) })
	return nil
}

func TestStreamsAreRecorded(t *testing.T) {
	w := &wireDouble{boxes: map[netip.Addr]chan []byte{}}
	var run *Run
	ready := make(chan struct{})
	sent := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.sent
	}
	d := recorded(t, func(c *Config) {
		a, b := c.Plan.Nodes[len(c.Plan.Nodes)-1].Name, c.Plan.Nodes[len(c.Plan.Nodes)-2].Name
		c.Record.Streams = []Stream{{a, b, time.Millisecond}}
		c.Datagrams = func(name string) (Datagrams, error) {
			<-ready
			return w.open(run, name), nil
		}
	}, func(r *Run, source *clock.Manual) {
		run = r
		close(ready)
		eventually(t, "packets are sent", func() bool { return sent() >= 30 })
		source.Advance(5 * time.Second)
		eventually(t, "packets are sent later", func() bool { return sent() >= 60 })
	})
	var total record.Probe
	for _, p := range rows(t, d, record.Probes) {
		total.Sent += p.Sent
		total.Received += p.Received
		total.Lost += p.Lost
		if p.Received > 0 && (p.DelayP50 == nil || *p.DelayMin > *p.DelayMax) {
			t.Errorf("%+v", p)
		}
	}
	if total.Received == 0 || total.Lost == 0 || total.Received+total.Lost != total.Sent || total.Lost > total.Received {
		t.Errorf("%+v", total)
	}
}

func TestDescribeMachine(t *testing.T) {
	m := describeMachine(fstest.MapFS{
		"etc/os-release":            {Data: []byte("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")},
		"proc/sys/kernel/osrelease": {Data: []byte("6.1.0\n")},
		"proc/cpuinfo":              {Data: []byte("processor\t: 0\nmodel name\t: A CPU\n\nprocessor\t: 1\nmodel name\t: A CPU\n")},
		"proc/meminfo":              {Data: []byte("MemTotal:       1000 kB\n")},
	})
	if m.System != "Debian GNU/Linux 12 (bookworm)" || m.Kernel != "6.1.0" || m.CPU != "A CPU" || m.Memory != 1000<<10 || m.Cores == 0 {
		t.Errorf("%+v", m)
	}
}
