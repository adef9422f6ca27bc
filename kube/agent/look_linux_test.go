package agent_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/cni"
)

// Whoever is let in may look at the scenarios that the worker carries, as long as it carries them, and do nothing else.
func TestLook(t *testing.T) {
	file, err := os.ReadFile("../../examples/iridium.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, t.TempDir(), string(file))
	ask := func(path string) (int, string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		b.Look().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const status = "/orrery.v1alpha1.ControlService/GetStatus"
	if code, text := ask("/lab/demo" + status); code != http.StatusServiceUnavailable || !strings.Contains(text, "worker w1 carries no node of lab/demo") {
		t.Errorf("before there is a node: %d %s", code, text)
	}
	b.cluster.SetMember("lab", "tempe", agent.Member{Scenario: demo, Node: "tempe"})
	if _, err := b.Add(context.Background(), request(cni.Add, "tempe")); err != nil {
		t.Fatal(err)
	}
	if code, text := ask("/lab/demo" + status); code != http.StatusOK || !strings.Contains(text, `"satellites":66`) {
		t.Errorf("the status: %d %s", code, text)
	}
	if code, text := ask("/lab/demo/orrery.v1alpha1.SkyService/GetInventory"); code != http.StatusOK || !strings.Contains(text, `"readOnly":true`) {
		t.Errorf("the inventory: %d %.300s", code, text)
	}
	for _, path := range []string{"/lab/demo/orrery.v1alpha1.ControlService/Pause", "/lab/demo/terminal", "/lab/demo/", "/lab", "/", "/lab/other/../demo" + status} {
		if code, text := ask(path); code != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if err := b.Delete(context.Background(), request(cni.Delete, "tempe")); err != nil {
		t.Fatal(err)
	}
	wait(t, "the scenario is gone", func() bool { code, _ := ask("/lab/demo" + status); return code == http.StatusServiceUnavailable })
}
