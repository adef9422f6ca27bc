package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"pgregory.net/rapid"

	"orrery.dev/orrery/socket"
)

// actAsPlugin makes the test's own binary the plugin.
const actAsPlugin = "ORRERY_TEST_ACT_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(actAsPlugin) != "" {
		skel.PluginMainFuncs(Plugin(), Versions(), "a test")
		return
	}
	os.Exit(m.Run())
}

// recorder is a Handler that answers what it is told to.
type recorder struct {
	mu      sync.Mutex
	seen    []Request
	result  Result
	failure error
}

func (r *recorder) note(q *Request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, *q)
	return r.failure
}

func (r *recorder) Add(_ context.Context, q *Request) (Result, error) { return r.result, r.note(q) }
func (r *recorder) Delete(_ context.Context, q *Request) error        { return r.note(q) }
func (r *recorder) Check(_ context.Context, q *Request) error         { return r.note(q) }
func (r *recorder) Collect(_ context.Context, q *Request) error       { return r.note(q) }
func (r *recorder) Status(context.Context) error                      { return r.note(&Request{Command: Status}) }

// last request.
func (r *recorder) last() Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) == 0 {
		return Request{}
	}
	return r.seen[len(r.seen)-1]
}

// serve has h answer on a socket until the test ends.
func serve(t *testing.T, h Handler) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "agent.sock")
	l, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

// call runs the plugin as a runtime does.
func call(t *testing.T, command, config string, env ...string) (out map[string]any, failed bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append([]string{actAsPlugin + "=1", "CNI_COMMAND=" + command, "CNI_PATH=/none"}, env...)
	c.Stdin = strings.NewReader(config)
	b, err := c.Output()
	if len(b) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatalf("%s printed %q: %v", command, b, err)
		}
	}
	return out, err != nil
}

var attachment = []string{
	"CNI_CONTAINERID=abc", "CNI_IFNAME=net1", "CNI_NETNS=/run/netns/x", "CNI_NETNS_OVERRIDE=1",
	"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=lab;K8S_POD_NAME=demo--a;K8S_POD_UID=7",
}

var twoPorts = Result{Interfaces: []Interface{
	{Name: "lo", Addresses: []netip.Prefix{netip.MustParsePrefix("fd00::1/128")}},
	{Name: "fore", MAC: "02:00:00:00:00:01", MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}},
	{Name: "aft", MAC: "02:00:00:00:00:02", MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::2/64"), netip.MustParsePrefix("10.0.0.1/32")}},
}}

func names(result map[string]any) (list []string) {
	all, _ := result["interfaces"].([]any)
	for _, i := range all {
		list = append(list, i.(map[string]any)["name"].(string))
	}
	return list
}

func TestPluginAdds(t *testing.T) {
	agent := &recorder{result: twoPorts}
	path := serve(t, agent)
	alone := `{"cniVersion":"1.1.0","name":"orrery","type":"orrery-cni","socket":"` + path + `"}`
	for range 2 {
		out, failed := call(t, "ADD", alone, attachment...)
		if got := names(out); failed || !reflect.DeepEqual(got, []string{"lo", "fore", "aft"}) {
			t.Fatalf("ADD gives %v, failed %v", out, failed)
		}
		if ips := out["ips"].([]any); len(ips) != 4 || ips[3].(map[string]any)["address"] != "10.0.0.1/32" || ips[3].(map[string]any)["interface"] != 2.0 {
			t.Errorf("addresses %v", ips)
		}
	}
	want := Request{
		Version: Version, Command: Add, Network: "orrery", Namespace: "/run/netns/x",
		Attachment: Attachment{"abc", "net1"}, Pod: Pod{"lab", "demo--a", "7"},
	}
	if got := agent.last(); !reflect.DeepEqual(got, want) {
		t.Errorf("the agent was asked %+v, want %+v", got, want)
	}

	// Behind another plugin, in an older version of the specification.
	chained := `{"cniVersion":"0.4.0","name":"pods","type":"orrery-cni","socket":"` + path + `","prevResult":{"cniVersion":"0.4.0",
		"interfaces":[{"name":"eth0","sandbox":"/run/netns/x"},{"name":"fore"}],"ips":[{"version":"4","address":"10.1.0.2/24","gateway":"10.1.0.1","interface":0}],
		"routes":[{"dst":"0.0.0.0/0"}],"dns":{"nameservers":["10.96.0.10"]}}}`
	out, failed := call(t, "ADD", chained, attachment...)
	if got := names(out); failed || !reflect.DeepEqual(got, []string{"eth0", "fore", "lo", "fore", "aft"}) {
		t.Fatalf("chained ADD gives %v, failed %v", out, failed)
	}
	if ips := out["ips"].([]any); len(ips) != 5 || ips[0].(map[string]any)["gateway"] != "10.1.0.1" || len(out["routes"].([]any)) != 1 {
		t.Errorf("what the plugin before has made is changed: %v", out)
	}

	// A pod that is no node: what was there is passed on.
	agent.mu.Lock()
	agent.result = Result{}
	agent.mu.Unlock()
	if out, failed := call(t, "ADD", chained, attachment...); failed || len(names(out)) != 2 {
		t.Errorf("a pod that is no node gets %v", out)
	}
}

func TestPluginAsks(t *testing.T) {
	agent := &recorder{}
	path := serve(t, agent)
	conf := func(more string) string {
		return `{"cniVersion":"1.1.0","name":"orrery","type":"orrery-cni","socket":"` + path + `"` + more + `}`
	}
	if out, failed := call(t, "DEL", conf(""), "CNI_CONTAINERID=abc", "CNI_IFNAME=net1", "CNI_NETNS_OVERRIDE=1"); failed {
		t.Errorf("DEL without a namespace: %v", out)
	}
	if got := agent.last(); got.Command != Delete || got.Namespace != "" {
		t.Errorf("asked %+v", got)
	}
	if out, failed := call(t, "GC", conf(`,"cni.dev/valid-attachments":[{"containerID":"abc","ifname":"net1"}]`)); failed {
		t.Errorf("GC: %v", out)
	}
	if got := agent.last(); got.Command != GC || !reflect.DeepEqual(got.Valid, []Attachment{{"abc", "net1"}}) {
		t.Errorf("asked %+v", got)
	}
	if out, failed := call(t, "STATUS", conf("")); failed || agent.last().Command != Status {
		t.Errorf("STATUS: %v", out)
	}
	before := `,"prevResult":{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/x"},{"name":"veth1"},{"name":"fore","mac":"02:00:00:00:00:01","sandbox":"/run/netns/x"}]}`
	if out, failed := call(t, "CHECK", conf(before), attachment...); failed {
		t.Errorf("CHECK: %v", out)
	}
	if got := agent.last().Expected; got == nil || len(got.Interfaces) != 2 || got.Interfaces[1].MAC != "02:00:00:00:00:01" {
		t.Errorf("CHECK compares with %+v", got)
	}
	if out, failed := call(t, "CHECK", conf(""), attachment...); !failed || out["code"] != 7.0 {
		t.Errorf("CHECK without a result: %v", out)
	}
	agent.mu.Lock()
	agent.failure = &Error{Code: CodeMismatch, Message: "device fore is switched off"}
	agent.mu.Unlock()
	if out, failed := call(t, "CHECK", conf(before), attachment...); !failed || out["code"] != 100.0 || out["msg"] != "device fore is switched off" {
		t.Errorf("CHECK that finds something: %v", out)
	}
	if out, failed := call(t, "VERSION", conf("")); failed || len(out["supportedVersions"].([]any)) != 5 {
		t.Errorf("VERSION: %v", out)
	}
}

func TestAgentAway(t *testing.T) {
	conf := `{"cniVersion":"1.1.0","name":"orrery","type":"orrery-cni","socket":"` + filepath.Join(t.TempDir(), "none.sock") + `"}`
	for command, code := range map[string]float64{"ADD": 11, "GC": 11, "STATUS": 51} {
		out, failed := call(t, command, conf, attachment...)
		if !failed || out["code"] != code || !strings.Contains(out["msg"].(string), "the node agent does not run on this worker") {
			t.Errorf("%s: %v, want code %v", command, out, code)
		}
	}
	if out, failed := call(t, "DEL", conf, attachment...); failed {
		t.Errorf("DEL: %v", out)
	}
	relative := `{"cniVersion":"1.1.0","name":"orrery","type":"orrery-cni","socket":"agent.sock"}`
	if out, failed := call(t, "ADD", relative, attachment...); !failed || out["code"] != 7.0 {
		t.Errorf("a socket without a directory: %v", out)
	}
}

func TestTakenName(t *testing.T) {
	path := serve(t, &recorder{result: twoPorts})
	conf := `{"cniVersion":"1.1.0","name":"orrery","type":"orrery-cni","socket":"` + path + `","prevResult":{"cniVersion":"1.1.0","interfaces":[{"name":"fore","sandbox":"/run/netns/x"}]}}`
	if out, failed := call(t, "ADD", conf, attachment...); !failed || out["code"] != 7.0 {
		t.Errorf("a port's name is another plugin's: %v", out)
	}
}

func TestAskIsCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it listens, and nobody answers
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := Ask(ctx, path, Request{Command: Status})
		done <- err
	}()
	cancel()
	if err := <-done; err == nil {
		t.Error("nobody has answered, and there is no error")
	}
}

func TestVersions(t *testing.T) {
	var b bytes.Buffer
	if err := encode(&b, &Request{Version: Version + 1, Command: Status}); err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeRequest(&b); !errors.Is(err, errVersion) {
		t.Errorf("a request of another version: %v", err)
	}
	if _, err := DecodeAnswer(strings.NewReader(`{"version":99,"unheardOf":true}`)); !errors.Is(err, errVersion) {
		t.Errorf("an answer of another version: %v", err)
	}
}

func TestRequestsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~]{1,20}`)
		r := &Request{
			Version: Version, Command: rapid.SampledFrom([]Command{Add, Delete, Check, GC, Status}).Draw(t, "command"),
			Attachment: Attachment{text.Draw(t, "container"), text.Draw(t, "interface")},
			Namespace:  "/" + text.Draw(t, "namespace"), Network: text.Draw(t, "network"), Pod: Pod{text.Draw(t, "pod namespace"), text.Draw(t, "pod"), ""},
		}
		for range rapid.IntRange(0, 3).Draw(t, "valid") {
			r.Valid = append(r.Valid, Attachment{text.Draw(t, "container"), text.Draw(t, "interface")})
		}
		var b bytes.Buffer
		if err := encode(&b, r); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRequest(&b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("sent %+v, came as %+v: %v", r, got, err)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"version":1,"command":"ADD","container":"a","interface":"eth0","namespace":"/n"}`))
	f.Add([]byte(`{"version":1,"command":"GC","valid":[{"container":"a"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := encode(&again, r); err != nil {
			t.Fatal(err)
		}
		second, err := DecodeRequest(&again)
		if err != nil || second.Command != r.Command || second.Attachment != r.Attachment {
			t.Fatalf("%+v became %+v: %v", r, second, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(`{"version":1,"interfaces":[{"name":"lo","addresses":["::1/128"]}]}`))
	f.Add([]byte(`{"version":1,"error":{"code":11,"message":"m"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := DecodeAnswer(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, i := range a.Interfaces {
			for _, p := range i.Addresses {
				_ = p.Addr().AsSlice()
			}
		}
	})
}
