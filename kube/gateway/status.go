package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// GetStatus implements the method of the schema.
func (s *Server) GetStatus(ctx context.Context, _ *connect.Request[pb.GetStatusRequest]) (*connect.Response[pb.GetStatusResponse], error) {
	st, err := s.status(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.GetStatusResponse{Status: st}), nil
}

// WatchStatus implements the method of the schema.
func (s *Server) WatchStatus(ctx context.Context, req *connect.Request[pb.WatchStatusRequest], out *connect.ServerStream[pb.WatchStatusResponse]) error {
	interval := time.Second
	if d := req.Msg.GetInterval(); d != nil {
		interval = max(d.AsDuration(), time.Second) // a look costs questions to the API server
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		st, err := s.status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := out.Send(&pb.WatchStatusResponse{Status: st}); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) status(ctx context.Context) (*pb.Status, error) {
	pods, err := s.cluster.Pods(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	workers := workersOf(pods)
	if len(workers) == 0 {
		return nil, errNobody
	}
	answers := ask(ctx, s, workers, func(ctx context.Context, a Agent) (*pb.Status, error) {
		r, err := a.GetStatus(ctx, connect.NewRequest(&pb.GetStatusRequest{}))
		if err != nil {
			return nil, err
		}
		return r.Msg.GetStatus(), nil
	})
	var all *pb.Status
	var problems []string
	for _, a := range answers {
		if a.err != nil {
			problems = append(problems, silent(a.worker, a.err).Error())
			continue
		}
		for _, p := range a.value.GetProblems() {
			problems = append(problems, a.worker+": "+p)
		}
		if f := a.value.GetFidelity(); f != nil {
			name(f.GetVerdict(), a.worker)
			name(f.GetWorst(), a.worker)
		}
		if all == nil {
			all = proto.CloneOf(a.value)
			continue
		}
		merge(all, a.value)
	}
	if all == nil {
		return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("no agent answers: %s", problems[0]))
	}
	all.Emulator = nil // there are several
	all.Problems = problems
	all.Processes, all.ProcessesRunning, all.FailedProcesses = int32(len(pods)), 0, nil
	for _, p := range pods {
		if p.Ready {
			all.ProcessesRunning++
		}
	}
	return all, nil
}

// name says of a verdict's reasons and causes on which worker they are.
func name(v *pb.Verdict, worker string) {
	for _, list := range [][]string{v.GetReasons(), v.GetCauses()} {
		for i := range list {
			list[i] = worker + ": " + list[i]
		}
	}
}

// merge adds what another worker says. Both have the same plan and the same time.
func merge(into, s *pb.Status) {
	if into.GetPhase() == pb.Phase_PHASE_RUNNING {
		into.Phase = s.GetPhase()
	}
	into.FramesPerSecond += s.GetFramesPerSecond()
	into.PlanAhead = shorter(into.GetPlanAhead(), s.GetPlanAhead())
	into.Uptime = longer(into.GetUptime(), s.GetUptime())
	add(into.GetCounters(), s.GetCounters())
	for _, r := range s.GetRouting() {
		if !slices.Contains(into.GetRouting(), r) {
			into.Routing = append(into.Routing, r)
		}
	}
	f, g := into.GetFidelity(), s.GetFidelity()
	if f == nil || g == nil {
		return
	}
	f.LatenessP50, f.LatenessP99, f.LatenessMax = longer(f.GetLatenessP50(), g.GetLatenessP50()), longer(f.GetLatenessP99(), g.GetLatenessP99()), longer(f.GetLatenessMax(), g.GetLatenessMax())
	f.EventP50, f.EventP99, f.EventMax = longer(f.GetEventP50(), g.GetEventP50()), longer(f.GetEventP99(), g.GetEventP99()), longer(f.GetEventMax(), g.GetEventMax())
	f.Deliveries += g.GetDeliveries()
	f.Workers += g.GetWorkers()
	f.UnreadFrames += g.GetUnreadFrames()
	f.RealTime = f.GetRealTime() && g.GetRealTime()
	f.Verdict, f.Worst = graver(f.GetVerdict(), g.GetVerdict()), graver(f.GetWorst(), g.GetWorst())
	f.TimeFaithful = shorter(f.GetTimeFaithful(), g.GetTimeFaithful())
	f.TimeDegraded, f.TimeOverloaded = longer(f.GetTimeDegraded(), g.GetTimeDegraded()), longer(f.GetTimeOverloaded(), g.GetTimeOverloaded())
}

// graver is the worse of two verdicts, with the reasons of both if they are alike.
func graver(a, b *pb.Verdict) *pb.Verdict {
	switch {
	case a.GetLevel() > b.GetLevel():
		return a
	case a.GetLevel() < b.GetLevel():
		return b
	}
	out := proto.CloneOf(a)
	out.Reasons = append(out.GetReasons(), b.GetReasons()...)
	out.Causes = append(out.GetCauses(), b.GetCauses()...)
	return out
}

func longer(a, b *durationpb.Duration) *durationpb.Duration {
	if b.AsDuration() > a.AsDuration() {
		return b
	}
	return a
}

func shorter(a, b *durationpb.Duration) *durationpb.Duration {
	if b.AsDuration() < a.AsDuration() {
		return b
	}
	return a
}

// add sums counters: each frame is counted where it was sent, where it was
// dropped, and where it came to.
func add(into, c *pb.Counters) {
	if into == nil || c == nil {
		return
	}
	from, to := c.ProtoReflect(), into.ProtoReflect()
	fields := to.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.IsList() || f.IsMap() || f.Kind() != protoreflect.Uint64Kind {
			continue
		}
		if sum := to.Get(f).Uint() + from.Get(f).Uint(); sum > 0 {
			to.Set(f, protoreflect.ValueOfUint64(sum))
		}
	}
}
