package emulation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/node"
	"orrery.dev/orrery/observe/oneway"
	"orrery.dev/orrery/record"
)

// Stream is UDP packets from one node to another, to see what becomes of them.
type Stream struct {
	Source, Destination string
	// Interval between packets in host time; 0 for DefaultStreamInterval.
	Interval time.Duration
}

// DefaultStreamInterval between the packets of a stream.
const DefaultStreamInterval = 20 * time.Millisecond

// streamPort is the UDP port of all streams, and streamSummary the interval that
// they are summed up over, in host time.
const (
	streamPort    = 20306
	streamSummary = time.Second
)

// Datagrams is a UDP socket of a node.
type Datagrams interface {
	Send(b []byte, to netip.AddrPort) error
	// Receive waits for a datagram, and gives the instant of its arrival on the wall
	// clock, in ns.
	Receive(b []byte) (n int, stamp int64, err error)
	Close() error
}

// checkRecording says what of a recording is impossible.
func (r *Run) checkRecording(c *Recording) error {
	known := make(map[string]bool)
	for i := range r.plan.Nodes {
		known[r.name(i)] = true
	}
	check := func(what, a, b string) error {
		for _, n := range []string{a, b} {
			if !known[n] {
				return fmt.Errorf("%s from %s to %s: there is no node %q; 'orrery plan FILE --show nodes' lists them", what, a, b, n)
			}
		}
		if a == b {
			return fmt.Errorf("%s from %s to %s: give two different nodes", what, a, b)
		}
		return nil
	}
	for _, s := range c.Streams {
		if err := check("probe", s.Source, s.Destination); err != nil {
			return err
		}
	}
	names := make(map[string]bool)
	for _, w := range c.Workloads {
		if err := check("workload "+w.Name, w.Source, w.Destination); err != nil {
			return err
		}
		if names[w.Name] || w.Name == "" {
			return fmt.Errorf("workload %q: give each workload a name of its own", w.Name)
		}
		names[w.Name] = true
	}
	return nil
}

// stream is one stream under way.
type stream struct {
	Stream
	to netip.AddrPort

	mu      sync.Mutex // guards:
	account *oneway.Account
}

// stream sends and receives the packets of all streams until ctx ends.
func (c *recorder) stream(ctx context.Context) error {
	if c == nil || len(c.config.Streams) == 0 {
		return nil
	}
	s := streams{recorder: c, sockets: make(map[string]Datagrams)}
	for _, cfg := range c.config.Streams {
		if cfg.Interval == 0 {
			cfg.Interval = DefaultStreamInterval
		}
		to := c.run.loopback(int(c.run.observer.nodes[cfg.Destination]))
		s.list = append(s.list, &stream{
			Stream: cfg, to: netip.AddrPortFrom(to, streamPort),
			account: oneway.NewAccount(time.Duration(float64(streamSummary) * c.run.timeline.Speed())),
		})
		for _, n := range []string{cfg.Source, cfg.Destination} {
			if s.sockets[n] != nil {
				continue
			}
			d, err := c.run.newDatagrams(n)
			if err != nil {
				c.unobserved("probes: " + err.Error())
				return errors.Join(err, s.close())
			}
			s.sockets[n] = d
		}
	}
	var senders, receivers sync.WaitGroup
	for n, d := range s.sockets {
		receivers.Go(func() { s.receive(n, d) })
	}
	for i := range s.list {
		senders.Go(func() { s.send(ctx, uint64(i)) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.judge(false)
		case <-ctx.Done():
			senders.Wait() // no packet counts as sent, and lost, since its socket was closed
			err := s.close()
			receivers.Wait()
			s.judge(true)
			return err
		}
	}
}

// streams are all streams and their sockets, by node.
type streams struct {
	*recorder
	list    []*stream
	sockets map[string]Datagrams
}

func (s *streams) close() error {
	var errs []error
	for _, d := range s.sockets {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

func (s *streams) send(ctx context.Context, id uint64) {
	st := s.list[id]
	out := s.sockets[st.Source]
	tick := time.NewTicker(st.Interval)
	defer tick.Stop()
	buf := make([]byte, 0, oneway.Size)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tl := s.run.timeline
		if tl.Paused() {
			continue
		}
		p := oneway.Packet{Stream: id, Wall: realtime(), Monotonic: tl.Monotonic()}
		st.mu.Lock()
		p.Sequence = st.account.Sent(tl.Now(), p.Monotonic)
		st.mu.Unlock()
		_ = out.Send(p.Append(buf), st.to) // no route: lost, as any packet
	}
}

// receive takes what comes to a node until its socket is closed.
func (s *streams) receive(name string, in Datagrams) {
	buf := make([]byte, 2048)
	for {
		n, stamp, err := in.Receive(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error about an earlier packet
		}
		p, err := oneway.Parse(buf[:n])
		if err != nil || p.Stream >= uint64(len(s.list)) || s.list[p.Stream].Destination != name {
			continue
		}
		delay := roundTrip(time.Duration(stamp-p.Wall), time.Duration(s.run.timeline.Monotonic()-p.Monotonic))
		st := s.list[p.Stream]
		st.mu.Lock()
		st.account.Came(p.Sequence, delay)
		st.mu.Unlock()
	}
}

// judge records what is known by now.
func (s *streams) judge(end bool) {
	for _, st := range s.list {
		st.mu.Lock()
		if st.account.Judge(s.run.timeline.Monotonic()); end {
			st.account.End()
		}
		summaries, outages := st.account.Take()
		st.mu.Unlock()
		for _, x := range summaries {
			row := record.Probe{
				At: x.From.Microseconds(), Interval: time.Duration(float64(streamSummary) * s.run.timeline.Speed()).Microseconds(),
				Source: st.Source, Destination: st.Destination,
				Sent: x.Sent, Received: x.Received, Lost: x.Lost, Reordered: x.Reordered, Duplicated: x.Duplicated,
			}
			if x.Received > 0 {
				row.DelayMin, row.DelayP50, row.DelayP90 = exactly(x.Min), exactly(x.P50), exactly(x.P90)
				row.DelayP99, row.DelayMax = exactly(x.P99), exactly(x.Longest)
			}
			if x.Pairs > 0 {
				row.Jitter = exactly(x.Jitter)
			}
			record.Probes.Write(s.out, row)
		}
		for _, g := range outages {
			record.Outages.Write(s.out, record.Outage{
				From: g.From.Microseconds(), To: g.To.Microseconds(), Source: st.Source, Destination: st.Destination,
				By: "probe", Open: g.Open,
			})
		}
	}
}

// datagrams is a socket in a node's namespace.
type datagrams struct {
	conn *net.UDPConn
	oob  []byte
}

// newDatagrams opens a socket at streamPort of a node.
func newDatagrams(engine node.Engine, name string) (Datagrams, error) {
	fd := -1
	err := engine.Do(name, func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP); err != nil {
			return err
		}
		if err = unix.Bind(fd, &unix.SockaddrInet6{Port: streamPort}); err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		}
		if err != nil {
			_ = unix.Close(fd)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("probe socket of node %s: %w", name, err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, EchoBuffer)
	f := os.NewFile(uintptr(fd), "probe "+name)
	pc, err := net.FilePacketConn(f) // a copy
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("probe socket of node %s: %w", name, err)
	}
	return &datagrams{conn: pc.(*net.UDPConn), oob: make([]byte, 128)}, nil
}

// Send implements Datagrams.
func (d *datagrams) Send(b []byte, to netip.AddrPort) error {
	_, err := d.conn.WriteToUDPAddrPort(b, to)
	return err
}

// Receive implements Datagrams. It is for one goroutine.
func (d *datagrams) Receive(b []byte) (n int, at int64, err error) {
	n, oobn, _, _, err := d.conn.ReadMsgUDPAddrPort(b, d.oob)
	if err != nil {
		return 0, 0, err
	}
	return n, stamp(d.oob[:oobn]), nil
}

// Close implements Datagrams.
func (d *datagrams) Close() error { return d.conn.Close() }
