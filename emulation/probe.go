package emulation

import (
	"cmp"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Pairs of stations are probed all the time: an echo request every
// probeInterval for each pair, all pairs together at most probesPerSecond. An
// answer later than probeTimeout counts as lost, and so does none.
const (
	probeInterval   = 200 * time.Millisecond
	probesPerSecond = 500
	probeTimeout    = 2 * time.Second
	probePayload    = 56
	// A pair counts as unreachable from the first of so many requests in a row
	// that were lost, to the next that was answered; by when they were sent.
	probeLostInRow = 2
)

// Pair is what probing has shown of two stations.
type Pair struct {
	A, B      int // nodes
	Reachable bool
	Since     time.Time // host time of the last change of Reachable
	Measured  time.Duration
	Geometric time.Duration // twice the delay along the kernels' path there and back
	Oracle    time.Duration // twice the delay along the plan's shortest path
	Hops      int
	// Sent and Lost count from the first answer on: before it there was no
	// network to lose anything.
	Sent, Lost int64
	EverBoth   bool // has been reachable
}

type pairState struct {
	Pair
	requests []*request // in order of sending, from the first that is not judged yet
	inRow    int        // judged as lost since the last answer
	lostFrom time.Time  // when the first of these was sent
	lostAt   time.Duration
	history  history
}

// request is one echo request on its way to be judged.
type request struct {
	sent   time.Time
	at     time.Duration // scenario time of sending
	done   bool
	rtt    RTT
	oracle time.Duration
}

// judge goes on with the requests in the order in which they were sent, as far
// as it is known what became of them: answers overtake the time-outs of
// requests that were lost before. It returns the events that follow.
func (p *pairState) judge() (events []Event) {
	for len(p.requests) > 0 && p.requests[0].done {
		q := p.requests[0]
		p.requests = p.requests[1:]
		if !p.EverBoth && q.rtt.Lost {
			continue // there is no network yet
		}
		p.Sent++
		p.history.note(q)
		if q.rtt.Lost {
			p.Lost++
			if p.inRow++; p.inRow == 1 {
				p.lostFrom, p.lostAt = q.sent, q.at
			}
			if p.inRow == probeLostInRow {
				p.Reachable, p.Since = false, p.lostFrom
				p.history.begin(Outage{From: p.lostAt, Lasts: true, Problem: q.rtt.Problem})
				events = append(events, Event{Kind: Unreachable, Text: q.rtt.Problem})
			}
			continue
		}
		if !p.Reachable && p.inRow >= probeLostInRow {
			p.Reachable, p.Since = true, q.sent
			p.history.end(q.at)
			events = append(events, Event{Kind: Reachable, Text: "again after " + q.sent.Sub(p.lostFrom).Round(time.Millisecond).String()})
		}
		p.inRow = 0
	}
	return events
}

// prober sends echo requests between stations.
type prober struct {
	run      *Run
	echoes   map[int]Echo
	interval time.Duration

	mu    sync.Mutex // guards the rest
	pairs []*pairState
	left  int // pairs that have never been reachable
}

// newProber prepares all pairs of the given nodes.
func newProber(r *Run, stations []int) (*prober, error) {
	p := &prober{run: r, echoes: make(map[int]Echo)}
	now := time.Now()
	for i, a := range stations {
		e, err := r.newEcho(r.name(a))
		if err != nil {
			p.close()
			return nil, err
		}
		p.echoes[a] = e
		for _, b := range stations[i+1:] {
			p.pairs = append(p.pairs, &pairState{Pair: Pair{A: a, B: b, Since: now}})
		}
	}
	p.left = len(p.pairs)
	for _, pair := range p.pairs {
		pair.history.keep = min(samplesOfPair, samplesOfAll/len(p.pairs))
	}
	p.interval = max(probeInterval, time.Duration(len(p.pairs))*time.Second/probesPerSecond)
	return p, nil
}

// probe runs until ctx ends.
func (p *prober) probe(ctx context.Context) error {
	if len(p.pairs) == 0 {
		return nil
	}
	// Spread over the interval, so that probes do not delay each other.
	step := time.NewTicker(max(p.interval/time.Duration(len(p.pairs)), 100*time.Microsecond))
	defer step.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := 0; ; i = (i + 1) % len(p.pairs) {
		select {
		case <-ctx.Done():
			return nil
		case <-step.C:
		}
		pair := p.pairs[i]
		wg.Go(func() { p.once(ctx, pair) })
	}
}

// once sends one request and notes what came of it.
func (p *prober) once(ctx context.Context, pair *pairState) {
	r := p.run
	q := &request{sent: time.Now(), at: p.run.timeline.Now()}
	p.mu.Lock()
	pair.requests = append(pair.requests, q)
	p.mu.Unlock()
	rtt, err := r.ping(ctx, p.echoes[pair.A], pair.A, pair.B, probePayload, probeTimeout)
	if ctx.Err() != nil {
		return
	}
	var oracle time.Duration
	if path, ok := r.OraclePath(pair.A, pair.B); ok {
		oracle = 2 * path.Delay
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	rtt.Lost = rtt.Lost || err != nil
	q.done, q.rtt, q.oracle, pair.Oracle = true, rtt, oracle, oracle
	if !rtt.Lost {
		pair.Measured, pair.Hops = rtt.Measured, rtt.Hops
		if rtt.Geometric > 0 {
			pair.Geometric = rtt.Geometric
		}
		if !pair.EverBoth {
			pair.EverBoth, pair.Reachable, pair.Since = true, true, q.sent
			r.events.add(Event{Kind: Reachable, A: r.name(pair.A), B: r.name(pair.B), Text: "for the first time"})
			if p.left--; p.left == 0 {
				r.converge()
			}
		}
	}
	for _, e := range pair.judge() {
		e.A, e.B = r.name(pair.A), r.name(pair.B)
		r.events.add(e)
	}
}

// snapshot copies the pairs.
func (p *prober) snapshot() []Pair {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Pair, len(p.pairs))
	for i, s := range p.pairs {
		out[i] = s.Pair
	}
	return out
}

func (p *prober) close() {
	for _, e := range p.echoes {
		_ = e.Close()
	}
}

// RTT is what one echo request met.
type RTT struct {
	Lost     bool
	Measured time.Duration
	// Geometric is the delay along the kernels' path there and back, at the
	// moment of sending; 0 if a direction was not whole.
	Geometric time.Duration
	Hops      int
	Problem   string // why a lost one may have been lost
}

// ping sends one request from a to b and waits for the answer.
func (r *Run) ping(ctx context.Context, e Echo, a, b, size int, timeout time.Duration) (RTT, error) {
	return r.request(e, b, size)(ctx, a, timeout)
}

// request sends one request to b. The function that it returns finds out what
// becomes of it.
func (r *Run) request(e Echo, b, size int) func(ctx context.Context, a int, timeout time.Duration) (RTT, error) {
	answer, forget, err := e.Send(r.loopback(b), size)
	return func(ctx context.Context, a int, timeout time.Duration) (RTT, error) {
		if err != nil {
			return RTT{Lost: true, Problem: err.Error()}, nil // no route: a loss, as for any packet
		}
		defer forget()
		there, back := r.KernelPath(ctx, a, b), r.KernelPath(ctx, b, a)
		out := RTT{Hops: len(there.Hops) - 1, Problem: cmp.Or(there.Problem, back.Problem)}
		if there.Complete() && back.Complete() {
			out.Geometric = there.Delay + back.Delay
		}
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		select {
		case out.Measured = <-answer:
		case <-timer.C:
			out.Lost = true
		case <-ctx.Done():
			return out, ctx.Err()
		}
		return out, nil
	}
}

// Ping sends count requests (0: until ctx ends) from one node to another, one
// every interval whether answers come or not, and passes each result on, in
// order of sending.
func (r *Run) Ping(ctx context.Context, a, b, count, size int, interval time.Duration, report func(RTT) error) error {
	e, err := r.newEcho(r.name(a))
	if err != nil {
		return err
	}
	defer func() { _ = e.Close() }()
	g, ctx := errgroup.WithContext(ctx)
	sent := make(chan chan RTT, pingsUnderWay)
	g.Go(func() error {
		defer close(sent)
		tick := time.NewTicker(max(interval, time.Millisecond))
		defer tick.Stop()
		for i := 0; count == 0 || i < count; i++ {
			if i > 0 {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			result := make(chan RTT, 1)
			wait := r.request(e, b, size)
			g.Go(func() error {
				rtt, err := wait(ctx, a, probeTimeout)
				result <- rtt
				return err
			})
			select {
			case sent <- result:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for result := range sent {
			rtt := <-result
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := report(rtt); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// pingsUnderWay bounds the requests of one Ping whose answers are awaited.
const pingsUnderWay = 1024
