package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
	"pgregory.net/rapid"
)

// plugins stand in for the programs that delegates call: they note each call,
// and one ADD fails.
type plugins struct {
	fail  string // the interface whose ADD fails
	calls []string
	stdin map[string][]byte // of each ADD, by interface
}

func (p *plugins) ExecPlugin(_ context.Context, _ string, stdin []byte, environ []string) ([]byte, error) {
	env := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	command, device := env["CNI_COMMAND"], env["CNI_IFNAME"]
	p.calls = append(p.calls, command+" "+device)
	if command != "ADD" {
		return nil, nil
	}
	if p.stdin == nil {
		p.stdin = map[string][]byte{}
	}
	p.stdin[device] = stdin
	if device == p.fail {
		return nil, errors.New("out of order")
	}
	return fmt.Appendf(nil, `{"cniVersion": "1.0.0", "interfaces": [{"name": "veth1"}, {"name": %q, "mac": "02:00:00:00:00:01", "sandbox": "/x"}],
		"ips": [{"address": "fd00::2/64", "interface": 1}], "dns": {}}`, device), nil
}

func (p *plugins) FindInPath(plugin string, _ []string) (string, error) { return plugin, nil }

func (p *plugins) Decode(raw []byte) (version.PluginInfo, error) {
	return (&version.PluginDecoder{}).Decode(raw)
}

func newAttachment(t *rapid.T, dir string, p *plugins) *attachment {
	c := &config{CNIDir: filepath.Join(dir, "multus")}
	record, err := c.record("container1")
	if err != nil {
		t.Fatal(err)
	}
	return &attachment{
		args:   &skel.CmdArgs{ContainerID: "container1", Netns: "/x"},
		record: record, cni: libcni.NewCNIConfigWithCacheDir([]string{"/plugins"}, dir, p),
	}
}

// Networks are attached in order and detached in the reverse order; if one
// cannot be attached, those before are detached, and itself.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		c := &config{Delegates: []json.RawMessage{json.RawMessage(`{"cniVersion": "1.0.0", "name": "first", "type": "x"}`)}}
		delegates, err := c.defaults("eth0")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for i := range rapid.IntRange(0, 6).Draw(t, "networks") {
			s := selection{Name: fmt.Sprint("n", i), Namespace: "p"}
			if rapid.Bool().Draw(t, "named") {
				s.Interface = fmt.Sprint("own", i)
			}
			delegates = append(delegates, s.delegate(len(delegates), []byte(`{"cniVersion": "1.0.0", "type": "x"}`)))
		}
		for i, d := range delegates {
			names = append(names, d.Interface)
			if want := fmt.Sprint("net", i); i > 0 && d.Interface != want && d.Interface != fmt.Sprint("own", i-1) {
				t.Fatalf("network %d is %s, want %s", i, d.Interface, want)
			}
		}
		p := &plugins{}
		failing := rapid.IntRange(-1, len(delegates)-1).Draw(t, "fails")
		if failing >= 0 {
			p.fail = names[failing]
		}
		a := newAttachment(t, dir, p)
		results, err := a.add(context.Background(), delegates)
		if (err != nil) != (failing >= 0) {
			t.Fatalf("attaching: %v", err)
		}
		last := len(names) - 1
		if failing >= 0 {
			last = failing
		} else {
			if len(results) != len(delegates) {
				t.Fatalf("%d results for %d networks", len(results), len(delegates))
			}
			kept, err := a.kept()
			if err != nil || !reflect.DeepEqual(kept, normal(t, delegates)) {
				t.Fatalf("kept %+v, %v, want %+v", kept, err, delegates)
			}
			if err := a.remove(context.Background(), kept); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for _, n := range names[:last+1] {
			want = append(want, "ADD "+n)
		}
		for _, n := range slices.Backward(names[:last+1]) {
			want = append(want, "DEL "+n)
		}
		if !slices.Equal(p.calls, want) {
			t.Fatalf("calls %q, want %q", p.calls, want)
		}
		if _, err := os.Stat(a.record); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("the record is still there: %v", err)
		}
	})
}

// normal is how delegates come back from their record.
func normal(t *rapid.T, delegates []delegate) []delegate {
	text, err := json.Marshal(delegates)
	if err != nil {
		t.Fatal(err)
	}
	var all []delegate
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// What a pod selects reaches the plugins that are able to it.
func TestPluginsAreTold(t *testing.T) {
	for _, c := range []struct{ name, config string }{
		{"one plugin", `{"cniVersion": "1.0.0", "type": "x", "capabilities": {"mac": true, "ips": true}, "args": {"cni": {"old": 1}}}`},
		{"a list", `{"cniVersion": "1.0.0", "plugins": [{"type": "x", "capabilities": {"mac": true, "ips": true}}]}`},
	} {
		p := &plugins{}
		s := selection{Name: "n", Namespace: "p", MAC: "02:00:00:00:00:09", IPs: []string{"fd00::9/64"}, CNIArgs: map[string]any{"k": "v"}}
		a := &attachment{
			args: &skel.CmdArgs{ContainerID: "container1", Netns: "/x"}, record: filepath.Join(t.TempDir(), "r"),
			cni: libcni.NewCNIConfigWithCacheDir(nil, t.TempDir(), p),
		}
		results, err := a.add(context.Background(), []delegate{s.delegate(4, []byte(c.config))})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var told struct {
			Name          string
			RuntimeConfig struct {
				MAC string
				IPs []string
			}
			Args struct{ CNI map[string]string }
		}
		if err := json.Unmarshal(p.stdin["net4"], &told); err != nil {
			t.Fatalf("%s: %v in %s", c.name, err, p.stdin["net4"])
		}
		if told.Name != "n" || told.RuntimeConfig.MAC != s.MAC || !slices.Equal(told.RuntimeConfig.IPs, s.IPs) || told.Args.CNI["k"] != "v" {
			t.Errorf("%s: told %s", c.name, p.stdin["net4"])
		}
		got, err := newStatus(s.delegate(4, nil), results[0])
		want := status{Name: "p/n", Interface: "net4", IPs: []string{"fd00::2"}, MAC: "02:00:00:00:00:01"}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: status %+v, %v, want %+v", c.name, got, err, want)
		}
	}
}

// A server that has one pod and some networks.
func testServer(t *testing.T) (*apiserver, *[]byte) {
	t.Helper()
	var patch []byte
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/p/pods/a", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"metadata": {"uid": "u1", "annotations": {"k8s.v1.cni.cncf.io/networks": "n, o/n"}}}`)
	})
	mux.HandleFunc("PATCH /api/v1/namespaces/p/pods/a/status", func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		patch = b.Bytes()
		if got := r.Header.Get("Content-Type"); got != "application/merge-patch+json" {
			t.Errorf("content type %q", got)
		}
		fmt.Fprint(w, `{}`)
	})
	mux.HandleFunc("GET /apis/k8s.cni.cncf.io/v1/namespaces/{namespace}/network-attachment-definitions/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") != "n" {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		config := ""
		if r.PathValue("namespace") == "p" {
			config = `{\"type\": \"x\"}`
		}
		fmt.Fprintf(w, `{"spec": {"config": "%s"}}`, config)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &apiserver{url: server.URL, client: server.Client()}, &patch
}

func TestServer(t *testing.T) {
	ctx := context.Background()
	server, patch := testServer(t)
	if _, err := server.pod(ctx, "p", "a", "u0"); err == nil || !strings.Contains(err.Error(), "is another now") {
		t.Errorf("another UID: %v", err)
	}
	p, err := server.pod(ctx, "p", "a", "u1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := &config{ConfDir: dir, Delegates: []json.RawMessage{json.RawMessage(`{"cniVersion": "1.0.0", "name": "first", "type": "x"}`)}}
	annotation := p.Metadata.Annotations
	if _, err := c.resolve(ctx, server, "eth0", "p", annotation); err == nil || !strings.Contains(err.Error(), "no file in "+dir) {
		t.Errorf("a definition without a configuration: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "n.conf"), []byte(`{"name": "n", "type": "y"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	delegates, err := c.resolve(ctx, server, "eth0", "p", annotation)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range delegates {
		got = append(got, d.Name+" "+d.Interface)
	}
	if want := []string{"first eth0", "p/n net1", "o/n net2"}; !slices.Equal(got, want) {
		t.Errorf("delegates %q, want %q", got, want)
	}
	if _, err := c.resolve(ctx, server, "eth0", "p", map[string]string{networksAnnotation: "unknown"}); err == nil || !strings.Contains(err.Error(), "network p/unknown") || !strings.Contains(err.Error(), "404") {
		t.Errorf("an unknown network: %v", err)
	}
	if _, err := c.resolve(ctx, server, "eth0", "p", map[string]string{defaultAnnotation: "n"}); err == nil || !strings.Contains(err.Error(), defaultAnnotation) {
		t.Errorf("another default network: %v", err)
	}
	c.NamespaceIsolation = true
	if _, err := c.resolve(ctx, server, "eth0", "p", annotation); err == nil || !strings.Contains(err.Error(), "may not use network o/n") {
		t.Errorf("with isolated namespaces: %v", err)
	}
	c.GlobalNamespaces = "q,o"
	if _, err := c.resolve(ctx, server, "eth0", "p", annotation); err != nil {
		t.Errorf("a namespace for all: %v", err)
	}
	if err := server.annotate(ctx, "p", "a", "u1", []status{{Name: "first", Interface: "eth0", Default: true}}); err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Metadata struct {
			UID         string
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(*patch, &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Metadata.UID != "u1" || !strings.Contains(sent.Metadata.Annotations[statusAnnotation], `"default": true`) {
		t.Errorf("patched with %s", *patch)
	}
}

func TestConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                 "unexpected end",
		`{"delegates": []}`: `no "delegates"`,
		`{"clusterNetwork": "a", "delegates": [{}]}`: `no "clusterNetwork"`,
		`{"defaultNetworks": [], "delegates": [{}]}`: `no "defaultNetworks"`,
	} {
		if _, err := parseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	c := &config{CNIDir: "/x"}
	for _, id := range []string{"", "..", "a/b", "."} {
		if _, err := c.record(id); err == nil {
			t.Errorf("%q is taken for the id of a container", id)
		}
	}
}
