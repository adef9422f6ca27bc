package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseSelections(t *testing.T) {
	for _, c := range []struct {
		annotation string
		want       []selection
		problem    string
	}{
		{"", nil, ""},
		{"a", []selection{{Name: "a", Namespace: "p"}}, ""},
		{" a, o/b@eth7 ,c.d-e", []selection{{Name: "a", Namespace: "p"}, {Name: "b", Namespace: "o", Interface: "eth7"}, {Name: "c.d-e", Namespace: "p"}}, ""},
		{`[{"name": "a", "interface": "x1", "mac": "02:00:00:00:00:01", "ips": ["fd00::1/64"]}, {"name": "b", "namespace": "o", "cni-args": {"k": 1}}]`,
			[]selection{
				{Name: "a", Namespace: "p", Interface: "x1", MAC: "02:00:00:00:00:01", IPs: []string{"fd00::1/64"}},
				{Name: "b", Namespace: "o", CNIArgs: map[string]any{"k": 1.0}},
			}, ""},
		{"a,,b", nil, `entry 2: "p/" is no name of a network`},
		{"A", nil, `"p/A" is no name of a network`},
		{"a/b/c", nil, `"a/b/c" is no name of a network`},
		{"/b", nil, "no namespace stands before the /"},
		{"a@", nil, "no interface follows the @"},
		{"a@" + strings.Repeat("x", 16), nil, "is no name of an interface"},
		{"a@../x", nil, "is no name of an interface"},
		{`[{"name": "a", "default-route": ["10.0.0.1"]}]`, nil, `unknown field "default-route"`},
		{`[{"name": "a"}] x`, nil, "something follows the list"},
		{`[`, nil, "cannot read it"},
	} {
		got, err := parseSelections(c.annotation, "p")
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%q: got %v, want a problem with %q", c.annotation, err, c.problem)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v, want %+v", c.annotation, got, err, c.want)
		}
	}
}

// Both forms of the annotation say the same.
func TestFormsAgree(t *testing.T) {
	name := rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		var text []string
		all := []selection{}
		for range rapid.IntRange(1, 6).Draw(t, "networks") {
			s := selection{Name: name.Draw(t, "name")}
			item := s.Name
			if rapid.Bool().Draw(t, "with namespace") {
				s.Namespace = name.Draw(t, "namespace")
				item = s.Namespace + "/" + item
			}
			if rapid.Bool().Draw(t, "with interface") {
				s.Interface = rapid.StringMatching(`[A-Za-z0-9][-A-Za-z0-9_.]{0,14}`).Draw(t, "interface")
				item += "@" + s.Interface
			}
			all, text = append(all, s), append(text, item)
		}
		list, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		a, err := parseSelections(strings.Join(text, ","), "pod")
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseSelections(string(list), "pod")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%s gives %+v, %s gives %+v", text, a, list, b)
		}
	})
}

// Whatever is written on a pod, what comes of it are names that can be put into
// a path of the apiserver and given to the kernel.
func FuzzParseSelections(f *testing.F) {
	for _, seed := range []string{"a", "o/b@eth7,c", `[{"name":"a","ips":["::1"]}]`, "[", "@", "/", `[{"name":"../.."}]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, annotation string) {
		all, err := parseSelections(annotation, "pod")
		if err != nil {
			return
		}
		for _, s := range all {
			if strings.ContainsAny(s.Name+s.Namespace+s.Interface, "/ \x00%?#") || s.Name == "" || s.Namespace == "" || len(s.Interface) > 15 {
				t.Errorf("%q gives %+v", annotation, s)
			}
		}
	})
}

func FuzzParseKubeconfig(f *testing.F) {
	f.Add([]byte(`{"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}], "clusters": [{"name": "k", "cluster": {"server": "https://[::1]:443", "certificate-authority-data": "AAAA"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if a, err := parseKubeconfig(text); err == nil && (a.url == "" || a.client == nil) {
			t.Errorf("%q gives a server without an address", text)
		}
	})
}
