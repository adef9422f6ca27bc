// Chart writes deploy/chart, a Helm chart, from the manifests in deploy, so that
// there is one source of them. It runs in its own directory: go generate
// ./scripts/chart.
//
// What may be chosen when the chart is installed stands in values.yaml, and each
// choice is a replacement of text that must be found in the manifests.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
)

//go:generate go run .

// choice replaces what the manifests say by what the values do. count is how
// often it is there, so that none is overlooked when a manifest changes.
type choice struct {
	file     string
	from, to string
	count    int
}

var choices = []choice{
	{"operator/deployment.yaml", "image: orrery.dev/orrery:latest", `image: {{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}`, 1},
	{"operator/deployment.yaml", "- --node-image=orrery.dev/orrery-router:latest", `- {{ printf "--node-image=%s:%s" .Values.nodeImage.repository (default .Chart.AppVersion .Values.nodeImage.tag) | quote }}`, 1},
	{"operator/deployment.yaml", "            - --webhook-service=orrery-operator\n", `            - --webhook-service=orrery-operator
            - {{ printf "--max-starting=%v" .Values.maxStarting | quote }}
{{- if .Values.multus.enabled }}
            - {{ printf "--networks=%s/orrery" .Release.Namespace | quote }}
{{- end }}
{{- range .Values.operatorArgs }}
            - {{ . | quote }}
{{- end }}
`, 1},
	{"operator/deployment.yaml", "requests: {cpu: 20m, memory: 64Mi}\n            limits: {memory: 1Gi}", "{{- toYaml .Values.operatorResources | nindent 12 }}", 1},
	{"operator/webhook.yaml", "failurePolicy: Ignore", "failurePolicy: {{ .Values.failurePolicy }}", 1},
	{"agent/daemonset.yaml", "image: orrery.dev/orrery:latest", `image: {{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}`, 2},
	{"agent/daemonset.yaml", "path: /opt/cni/bin,", "path: {{ .Values.cniBinDirectory }},", 1},
	{"agent/daemonset.yaml", "requests: {cpu: 250m, memory: 128Mi}", "{{- toYaml .Values.agentResources | nindent 12 }}", 1},
}

// parts are the manifests, and how they are called in the chart. A guard is the
// value that has to be set for one to be there.
var parts = []struct{ file, guard string }{
	{"operator/rbac.yaml", ""}, {"operator/deployment.yaml", ""}, {"operator/webhook.yaml", ""},
	{"agent/rbac.yaml", ""}, {"agent/daemonset.yaml", ""}, {"multus/network.yaml", ".Values.multus.enabled"},
}

const note = "# Written by go generate ./scripts/chart from deploy. Do not edit.\n"

const chart = note + `apiVersion: v2
name: orrery
description: Emulate moving networks of real routers
type: application
version: 0.1.0
appVersion: latest
`

const values = note + `# The image of operator, agent and plugin.
image: {repository: orrery.dev/orrery, tag: ""}
# The image of nodes whose scenario names none.
nodeImage: {repository: orrery.dev/orrery-router, tag: ""}
# Whether pods get their ports by Multus. Otherwise the plugin is chained in the
# cluster's own network configuration.
multus: {enabled: false}
# How many pods of a scenario may be starting at the same time.
maxStarting: 100
# Whether scenarios are stored unchecked (Ignore) or not at all (Fail) while the
# operator is away.
failurePolicy: Ignore
# Where the workers' CNI plugins are.
cniBinDirectory: /opt/cni/bin
# Further flags of the operator, such as --user-namespaces.
operatorArgs: []
operatorResources:
  requests: {cpu: 20m, memory: 64Mi}
  limits: {memory: 1Gi}
agentResources:
  requests: {cpu: 250m, memory: 128Mi}
`

func main() {
	log.SetFlags(0)
	if err := write("../../deploy", "../../deploy/chart"); err != nil {
		log.Fatal("the chart is not written: ", err)
	}
}

func write(from, to string) error {
	files := map[string][]byte{"Chart.yaml": []byte(chart), "values.yaml": []byte(values)}
	crd, err := os.ReadFile(filepath.Join(from, "crd", "scenarios.yaml"))
	if err != nil {
		return err
	}
	files["crds/scenarios.yaml"] = crd
	for _, p := range parts {
		b, err := os.ReadFile(filepath.Join(from, p.file))
		if err != nil {
			return err
		}
		if files["templates/"+strings.ReplaceAll(p.file, "/", "-")], err = templated(p.file, p.guard, b); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// templated is a manifest as a template of the chart. What looks like a template
// already would be taken for one.
func templated(file, guard string, b []byte) ([]byte, error) {
	if bytes.Contains(b, []byte("{{")) {
		return nil, fmt.Errorf("%s: there is \"{{\" in it, which Helm takes for a template; write it otherwise", file)
	}
	text := string(b)
	for _, c := range choices {
		if c.file != file {
			continue
		}
		if n := strings.Count(text, c.from); n != c.count {
			return nil, fmt.Errorf("%s: %q is there %d times, not %d; change the choices in scripts/chart with it", file, c.from, n, c.count)
		}
		text = strings.ReplaceAll(text, c.from, c.to)
	}
	text = strings.ReplaceAll(text, "namespace: orrery-system", "namespace: {{ .Release.Namespace }}")
	if strings.Contains(text, "orrery-system") {
		return nil, fmt.Errorf("%s: the namespace is named where the chart cannot choose it", file)
	}
	if guard != "" {
		text = "{{- if " + guard + " }}\n" + text + "{{- end }}\n"
	}
	return []byte(note + text), nil
}
