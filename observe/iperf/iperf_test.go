package iperf

import (
	"errors"
	"slices"
	"testing"
	"time"
)

const tcp = `{"start":{"connected":[{"socket":5}],"version":"iperf 3.12"},
"intervals":[
 {"streams":[{"socket":5,"start":0,"end":1.000251,"seconds":1.000251,"bytes":131072,"bits_per_second":1048312.5,"retransmits":2,"snd_cwnd":14280,"snd_wnd":64128,"rtt":23982,"rttvar":5,"pmtu":1500,"omitted":false,"sender":true}],"sum":{"start":0,"end":1.000251}},
 {"streams":[{"socket":5,"start":1.000251,"end":2,"bits_per_second":0,"retransmits":0,"snd_cwnd":2856,"rtt":24000,"sender":true}]}],
"end":{}}`

func TestParse(t *testing.T) {
	got, err := Parse([]byte(tcp), false)
	want := []Interval{
		{To: 1000251 * time.Microsecond, Rate: 1048312.5, Retransmits: 2, RTT: 23982 * time.Microsecond, Window: 14280},
		{From: 1000251 * time.Microsecond, To: 2 * time.Second, RTT: 24 * time.Millisecond, Window: 2856},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	udp := `{"intervals":[{"streams":[{"start":0,"end":1,"bits_per_second":9}]}],"server_output_json":{"intervals":[
	 {"streams":[{"start":0,"end":1,"bits_per_second":900000,"jitter_ms":0.25,"lost_packets":3,"packets":80}]}]}}`
	got, err = Parse([]byte(udp), true)
	want = []Interval{{To: time.Second, Rate: 900000, Lost: 3, Datagrams: 80, Jitter: 250 * time.Microsecond}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
}

func TestParseProblems(t *testing.T) {
	for text, want := range map[string]string{
		"iperf3: no such option": "iperf3 has printed no report: ",
		`{"intervals":[]}`:       "iperf3 has printed no report",
		`{"error":"unable to connect to server: Network is unreachable"}`: "iperf3: unable to connect to server: Network is unreachable",
	} {
		if _, err := Parse([]byte(text), false); err == nil || err.Error()[:min(len(want), len(err.Error()))] != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	part := `{"intervals":[{"streams":[{"start":0,"end":1,"bits_per_second":9}]}],"error":"control socket has closed unexpectedly"}`
	if list, err := Parse([]byte(part), false); err == nil || len(list) != 1 {
		t.Errorf("%v (%v), want what was measured before the error, and that", list, err)
	}
	// Of UDP the client knows only what it has sent.
	if list, err := Parse([]byte(part), true); err == nil || err.Error() != "iperf3: control socket has closed unexpectedly" || list != nil {
		t.Errorf("%v (%v), want the error alone", list, err)
	}
	sent := `{"intervals":[{"streams":[{"start":0,"end":1,"bits_per_second":9}]}]}`
	if list, err := Parse([]byte(sent), true); !errors.Is(err, errNoServer) || list != nil {
		t.Errorf("%v (%v), want %v", list, err, errNoServer)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(tcp), true)
	f.Fuzz(func(t *testing.T, b []byte, udp bool) {
		list, _ := Parse(b, udp)
		for _, i := range list {
			if i.From < 0 || i.To <= i.From {
				t.Errorf("%+v", i)
			}
		}
	})
}
