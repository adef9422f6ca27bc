package kubectl

import (
	"reflect"
	"testing"
	"time"

	"orrery.dev/orrery/fidelity"
)

const figures = `# TYPE orrery_nodes gauge
orrery_nodes{namespace="space",scenario="sky"} 12
orrery_nodes{namespace="space",scenario="other"} 99
orrery_fidelity{namespace="space",scenario="sky"} 1
orrery_realtime{namespace="space",scenario="sky"} 1
orrery_frame_lateness_seconds{namespace="space",scenario="sky",quantile="0.5"} 1e-06
orrery_frame_lateness_seconds{namespace="space",scenario="sky",quantile="0.99"} 0.0025
# TYPE orrery_peer_datagrams_lost_total counter
orrery_peer_datagrams_lost_total{namespace="space",peer="w2",scenario="sky"} 3
orrery_peer_up{namespace="space",peer="w2",scenario="sky"} 1
orrery_peer_clock_offset_seconds{namespace="space",peer="w2",scenario="sky"} -8.007e-06
orrery_peer_latency_seconds{namespace="space",peer="w2",scenario="sky",quantile="0.99"} 0.02
orrery_peer_up{namespace="space",peer="w3",scenario="sky"} 0
orrery_peer_refused{namespace="space",peer="w3",reason="run",scenario="sky"} 0
orrery_peer_refused{namespace="space",peer="w3",reason="release",scenario="sky"} 1
`

// Workers are what their agents say of this scenario and of no other.
func TestWorkers(t *testing.T) {
	p, _ := script(t, `case "$*" in
*--raw=/api/v1/namespaces/system/pods/agent-x:9490/proxy/metrics*) cat <<'END'
`+figures+`END
;;
*orrery-agent*) printf 'w1\tagent-x\tRunning\n' ;;
*) printf 'oslo\tw1\tTrue\t\nrome\tw2\tTrue\t\n' ;;
esac
`)
	got, err := Open(t.Context(), p, "space", "sky", "system").Workers(t.Context())
	if err != nil || len(got) != 2 || got[1].Err == nil {
		t.Fatalf("the workers are %+v, %v", got, err)
	}
	want := Worker{
		Name: "w1", Nodes: 12, Verdict: fidelity.Degraded, RealTime: true, Lateness: 2500 * time.Microsecond,
		Peers: []Peer{{Name: "w2", Up: true, Offset: -8007, LatencyP99: 20 * time.Millisecond, Lost: 3}, {Name: "w3", Differs: "release"}},
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("w1 is\n%+v, want\n%+v", got[0], want)
	}
}

// Metrics that are none are an error and no crash.
func FuzzFigures(f *testing.F) {
	f.Add(figures)
	f.Add("orrery_nodes{namespace=\"space\",scenario=\"sky\"} NaN\norrery_fidelity{namespace=\"space\",scenario=\"sky\"} -1e300\n")
	f.Fuzz(func(t *testing.T, text string) {
		var w Worker
		if err := w.read(text, "space", "sky"); err == nil && (w.Verdict < fidelity.Faithful || w.Verdict > fidelity.Overloaded) {
			t.Errorf("the verdict is %d", w.Verdict)
		}
	})
}
