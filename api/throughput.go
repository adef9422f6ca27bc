package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"connectrpc.com/connect"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/node"
)

// Bounds of a measurement, and how long its two ends may take to meet.
const (
	defaultThroughput = 10 * time.Second
	maxThroughput     = time.Minute
	meetWithin        = 10 * time.Second
	maxReport         = 4 << 20
)

// MeasureThroughput implements the method of the schema.
func (s *Server) MeasureThroughput(ctx context.Context, req *connect.Request[pb.MeasureThroughputRequest]) (*connect.Response[pb.MeasureThroughputResponse], error) {
	from, err := s.findNode(req.Msg.GetFrom())
	if err != nil {
		return nil, err
	}
	to, err := s.findNode(req.Msg.GetTo())
	if err != nil {
		return nil, err
	}
	out, err := Throughput(ctx, s.run.Nodes(), Endpoint{from.Name, s.run.Loopback(from.Index)}, Endpoint{to.Name, s.run.Loopback(to.Index)}, req.Msg)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

// Endpoint of a measurement.
type Endpoint struct {
	Name     string
	Loopback netip.Addr
}

// Throughput measures between two nodes, in which an executor runs iperf3.
func Throughput(ctx context.Context, in Executor, from, to Endpoint, req *pb.MeasureThroughputRequest) (*pb.MeasureThroughputResponse, error) {
	length := defaultThroughput
	if d := req.GetDuration(); d != nil {
		length = d.AsDuration()
	}
	rate := req.GetUdpRate()
	if from == to || length < time.Second || length > maxThroughput || !(rate >= 0 && rate <= 1e12) {
		return nil, invalid("from %s to %s, %v, UDP at %g bit/s: want two nodes, 1 s to %v, and a rate of 0 or more", from.Name, to.Name, length, rate, maxThroughput)
	}
	// Without a way iperf3 would try for minutes, and its server wait for ever.
	within := length + 2*meetWithin
	work, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	report, err := iperf(work, in, from, to, iperfOptions(length, rate, req.GetCongestionControl()))
	switch {
	case err == nil:
	case work.Err() != nil && ctx.Err() == nil:
		return nil, connect.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("%s and %s have not measured within %v, perhaps for want of a way between them; 'orrery path %s %s' says if there is one", from.Name, to.Name, within, from.Name, to.Name))
	default:
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	out, err := throughput(report)
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return out, nil
}

func iperfOptions(length time.Duration, rate float64, congestion string) []string {
	opts := []string{"-J", "-t", fmt.Sprint(int(math.Ceil(length.Seconds())))}
	switch {
	case rate > 0:
		opts = append(opts, "-u", "-b", fmt.Sprintf("%.0f", rate))
	case congestion != "":
		opts = append(opts, "-C", congestion)
	}
	return opts
}

// iperf runs iperf3 from one node to another, and gives the client's report. The server
// serves this one client.
func iperf(ctx context.Context, nodes Executor, from, to Endpoint, options []string) ([]byte, error) {
	there, here := to.Loopback.String(), from.Loopback.String()
	serving, end := context.WithCancel(ctx)
	served, gone := make(chan error, 1), make(chan struct{})
	defer func() {
		end()
		<-gone
	}()
	go func() {
		defer close(gone)
		var said limited
		code, err := nodes.Exec(serving, to.Name, []string{"iperf3", "-s", "-1", "-B", there}, node.Stdio{In: strings.NewReader(""), Out: &said, Err: &said})
		if err == nil && code != 0 {
			err = fmt.Errorf("iperf3 -s on %s ended with exit code %d: %s", to.Name, code, lastLine(said.String()))
		}
		served <- err
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		var out, problem limited
		argv := append([]string{"iperf3", "-c", there, "-B", here}, options...)
		code, err := nodes.Exec(ctx, from.Name, argv, node.Stdio{In: strings.NewReader(""), Out: &out, Err: &problem})
		switch {
		case err != nil:
			return nil, err
		case code == 0:
			return out.Bytes(), nil
		case !strings.Contains(out.String()+problem.String(), "refused") || time.Since(began) > meetWithin:
			if _, err := throughput(out.Bytes()); err != nil { // it says why in its report
				return nil, err
			}
			return nil, fmt.Errorf("iperf3 -c on %s ended with exit code %d: %s", from.Name, code, lastLine(problem.String()))
		}
		select { // the server is not listening yet
		case <-tick.C:
		case err := <-served:
			if err == nil { // somebody else was its one client
				err = fmt.Errorf("iperf3 -s on %s ended before iperf3 -c on %s reached it; measure again", to.Name, from.Name)
			}
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// limited keeps the beginning of what is written.
type limited struct{ bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	if room := maxReport - l.Len(); room > 0 {
		l.Buffer.Write(b[:min(len(b), room)])
	}
	return len(b), nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// throughput reads a report of iperf3 -J.
func throughput(report []byte) (*pb.MeasureThroughputResponse, error) {
	type sum struct {
		Start       float64 `json:"start"`
		End         float64 `json:"end"`
		Bits        float64 `json:"bits_per_second"`
		Retransmits int32   `json:"retransmits"`
		Lost        int32   `json:"lost_packets"`
		Packets     int32   `json:"packets"`
		Jitter      float64 `json:"jitter_ms"`
	}
	var r struct {
		Error     string `json:"error"`
		Intervals []struct {
			Sum sum `json:"sum"`
		} `json:"intervals"`
		End struct {
			Sum      sum `json:"sum"`
			Sent     sum `json:"sum_sent"`
			Received sum `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return nil, fmt.Errorf("the report of iperf3 cannot be read: %w", err)
	}
	if r.Error != "" {
		return nil, errors.New("iperf3: " + r.Error)
	}
	out := &pb.MeasureThroughputResponse{
		BitsPerSecond: r.End.Received.Bits, Retransmits: r.End.Sent.Retransmits,
		LostPackets: r.End.Sum.Lost, Packets: r.End.Sum.Packets,
	}
	if r.End.Sum.Packets > 0 {
		out.Jitter = seconds(r.End.Sum.Jitter / 1e3)
		if out.BitsPerSecond == 0 { // before iperf3 3.10 a report of UDP has no sum of what was received
			out.BitsPerSecond = r.End.Sum.Bits * (1 - float64(r.End.Sum.Lost)/float64(r.End.Sum.Packets))
		}
	}
	for _, i := range r.Intervals {
		out.Intervals = append(out.Intervals, &pb.MeasureThroughputResponse_Interval{
			From: seconds(i.Sum.Start), To: seconds(i.Sum.End), BitsPerSecond: i.Sum.Bits, Retransmits: i.Sum.Retransmits,
		})
	}
	return out, nil
}
