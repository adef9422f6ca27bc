// Package iperf reads what iperf3 says of its traffic (iperf3 -J). Only what is needed is
// looked at; the program's manual describes the rest.
package iperf

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Interval of a flow, by the client's clock.
type Interval struct {
	From, To    time.Duration // since the flow's begin
	Rate        float64       // bit/s: sent, for UDP received
	Retransmits int64         // TCP
	RTT         time.Duration // TCP, smoothed
	Window      int64         // TCP, bytes
	Lost        int64         // UDP datagrams
	Datagrams   int64         // UDP datagrams that were expected
	Jitter      time.Duration // UDP (RFC 3550)
}

// report is what both ends print.
type report struct {
	Intervals []struct {
		Streams []stream `json:"streams"`
	} `json:"intervals"`
	Server *report `json:"server_output_json"`
	Error  string  `json:"error"`
}

type stream struct {
	Start       float64 `json:"start"`
	End         float64 `json:"end"`
	Rate        float64 `json:"bits_per_second"`
	Retransmits int64   `json:"retransmits"`
	RTT         float64 `json:"rtt"` // µs
	Window      int64   `json:"snd_cwnd"`
	Lost        int64   `json:"lost_packets"`
	Datagrams   int64   `json:"packets"`
	Jitter      float64 `json:"jitter_ms"`
}

var (
	errNothing  = errors.New("iperf3 has printed no report")
	errNoServer = errors.New("iperf3 has printed no report of its server, so what came is not known")
)

// Parse reads the client's output. What was measured before an error is given with it.
// For UDP the client must have been told to get the server's output, which says what
// came: without it there are no intervals.
func Parse(b []byte, udp bool) ([]Interval, error) {
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", errNothing, err)
	}
	from := &r
	if udp {
		// What the client sent says nothing of what came, as when the server's report got lost.
		from = cmp.Or(r.Server, &report{})
	}
	var list []Interval
	for _, i := range from.Intervals {
		if len(i.Streams) == 0 {
			continue
		}
		s := i.Streams[0] // there is one
		if !(s.Start >= 0 && s.End > s.Start && s.End < 1e6) {
			continue
		}
		list = append(list, Interval{
			From: seconds(s.Start), To: seconds(s.End), Rate: s.Rate,
			Retransmits: s.Retransmits, RTT: time.Duration(s.RTT * 1e3), Window: s.Window,
			Lost: s.Lost, Datagrams: s.Datagrams, Jitter: time.Duration(s.Jitter * 1e6),
		})
	}
	if r.Error != "" {
		return list, errors.New("iperf3: " + r.Error)
	}
	switch {
	case len(list) > 0:
	case udp && r.Server == nil && len(r.Intervals) > 0:
		return nil, errNoServer
	default:
		return nil, errNothing
	}
	return list, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
