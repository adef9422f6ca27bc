package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"math"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// WatchTraffic implements the method of the schema. An agent counts what its own nodes send, so that the
// sum over all agents is each port's; it is sent as often as the first of them tells its part.
func (s *Server) WatchTraffic(ctx context.Context, req *connect.Request[pb.WatchTrafficRequest], out *connect.ServerStream[pb.WatchTrafficResponse]) error {
	workers, err := s.workers(ctx)
	if err != nil {
		return err
	}
	type part struct {
		worker  int
		traffic *pb.WatchTrafficResponse
	}
	parts := make(chan part)
	g, ctx := errgroup.WithContext(ctx)
	for i, w := range workers {
		g.Go(func() error {
			a, err := s.cluster.Agent(ctx, w)
			if err != nil {
				return unavailable(silent(w, err))
			}
			stream, err := a.WatchTraffic(ctx, connect.NewRequest(req.Msg))
			if err != nil {
				return err
			}
			defer func() { _ = stream.Close() }()
			for stream.Receive() {
				select {
				case parts <- part{i, stream.Msg()}:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return errors.Join(stream.Err(), errEnded) // one that ends ends all
		})
	}
	g.Go(func() error {
		latest := make([]*pb.WatchTrafficResponse, len(workers))
		for {
			select {
			case p := <-parts:
				latest[p.worker] = p.traffic
				if p.worker > 0 {
					continue
				}
			case <-ctx.Done():
				return ctx.Err()
			}
			all := &pb.WatchTrafficResponse{ScenarioTime: latest[0].GetScenarioTime()}
			for _, t := range latest {
				all.BitsPerSecond = sum(all.GetBitsPerSecond(), t.GetBitsPerSecond())
				all.DropsPerSecond = sum(all.GetDropsPerSecond(), t.GetDropsPerSecond())
			}
			if err := out.Send(all); err != nil {
				return err
			}
		}
	})
	if err := g.Wait(); !errors.Is(err, errEnded) && !errors.Is(err, context.Canceled) && connect.CodeOf(err) != connect.CodeCanceled {
		return err
	}
	return nil
}

// errEnded ends a stream that is put together, when one of its parts has ended.
var errEnded = errors.New("an agent has ended its stream")

// GetTraffic implements the method of the schema.
func (s *Server) GetTraffic(ctx context.Context, req *connect.Request[pb.GetTrafficRequest]) (*connect.Response[pb.GetTrafficResponse], error) {
	said, _, err := all(ctx, s, req, Agent.GetTraffic)
	if err != nil {
		return nil, err
	}
	out := new(pb.GetTrafficResponse)
	for _, a := range said {
		if out.GetTo() == nil { // agents look at their ports at different moments of the same seconds
			out.From, out.To, out.Failures = a.value.GetFrom(), a.value.GetTo(), a.value.GetFailures()
		}
		out.BitsPerSecond = sum(out.GetBitsPerSecond(), a.value.GetBitsPerSecond())
		out.DropsPerSecond = sum(out.GetDropsPerSecond(), a.value.GetDropsPerSecond())
	}
	return connect.NewResponse(out), nil
}

// sum adds arrays of float32 in little-endian, of which one may be absent.
func sum(into, b []byte) []byte {
	if len(into) < len(b) {
		into = append(into, make([]byte, len(b)-len(into))...)
	}
	for i := 0; i+4 <= len(b); i += 4 {
		x := math.Float32frombits(binary.LittleEndian.Uint32(into[i:])) + math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))
		binary.LittleEndian.PutUint32(into[i:], math.Float32bits(x))
	}
	return into
}
