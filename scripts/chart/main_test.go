package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/goccy/go-yaml"
)

// render executes a template of the chart as Helm does, with the functions that
// the chart uses.
func render(t *testing.T, text string, values map[string]any) []any {
	t.Helper()
	functions := template.FuncMap{
		"default": func(d, v any) any {
			if v == nil || v == "" {
				return d
			}
			return v
		},
		"quote": func(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) },
		"toYaml": func(v any) (string, error) {
			b, err := yaml.Marshal(v)
			return strings.TrimSuffix(string(b), "\n"), err
		},
		"nindent": func(n int, s string) string {
			return "\n" + strings.Repeat(" ", n) + strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
		},
	}
	set, err := template.New("").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	data := map[string]any{"Values": values, "Chart": map[string]any{"AppVersion": "latest"}, "Release": map[string]any{"Namespace": "orrery-system"}}
	if err := set.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return documents(t, b.Bytes())
}

func documents(t *testing.T, b []byte) (out []any) {
	t.Helper()
	for text := range strings.SplitSeq(string(b), "\n---\n") {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if v != nil {
			out = append(out, v)
		}
	}
	return out
}

func defaults(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(values), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// With its own values the chart is what kustomize makes, but for the arguments
// that it adds.
func TestChartIsTheManifests(t *testing.T) {
	for _, p := range parts {
		source, err := os.ReadFile(filepath.Join("../../deploy", p.file))
		if err != nil {
			t.Fatal(err)
		}
		text, err := templated(p.file, p.guard, source)
		if err != nil {
			t.Fatal(err)
		}
		v := defaults(t)
		got := render(t, string(text), v)
		if p.guard != "" {
			if got != nil {
				t.Errorf("%s is there although nobody asked for it", p.file)
			}
			v["multus"] = map[string]any{"enabled": true}
			got = render(t, string(text), v)
		}
		want := documents(t, bytes.ReplaceAll(source, []byte("            - --webhook-service=orrery-operator\n"), []byte("            - --webhook-service=orrery-operator\n            - --max-starting=100\n")))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is\n%v\nwant\n%v", p.file, got, want)
		}
	}
}

// Each value is used: another one makes another chart.
func TestValuesAreUsed(t *testing.T) {
	all := func(v map[string]any) (out []any) {
		for _, p := range parts {
			source, err := os.ReadFile(filepath.Join("../../deploy", p.file))
			if err != nil {
				t.Fatal(err)
			}
			text, err := templated(p.file, p.guard, source)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, render(t, string(text), v)...)
		}
		return out
	}
	before := all(defaults(t))
	for name, other := range map[string]any{
		"image": map[string]any{"repository": "a", "tag": "1"}, "nodeImage": map[string]any{"repository": "b", "tag": ""},
		"multus": map[string]any{"enabled": true}, "maxStarting": 7, "failurePolicy": "Fail", "cniBinDirectory": "/x",
		"operatorArgs": []any{"--user-namespaces"}, "operatorResources": map[string]any{}, "agentResources": map[string]any{},
	} {
		v := defaults(t)
		if _, ok := v[name]; !ok {
			t.Errorf("there is no value %s", name)
		}
		v[name] = other
		if reflect.DeepEqual(all(v), before) {
			t.Errorf("the value %s changes nothing", name)
		}
	}
	if n := len(defaults(t)); n != 9 {
		t.Errorf("there are %d values, and 9 are tried", n)
	}
}

// A manifest that no longer has what a choice replaces is told of.
func TestChoicesAreNotStale(t *testing.T) {
	if _, err := templated("operator/webhook.yaml", "", []byte("failurePolicy: Fail\n")); err == nil || !strings.Contains(err.Error(), "is there 0 times, not 1") {
		t.Errorf("a choice without a place: %v", err)
	}
}
