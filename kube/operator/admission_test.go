package operator

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// ask gives a webhook without a cluster one request.
func ask(t testing.TB, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	b, err := json.Marshal(admissionv1.AdmissionReview{Request: request})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	(&reviewer{}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/validate", strings.NewReader(string(b))))
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || review.Response == nil {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return review.Response
}

func requestOf(t testing.TB, text string) *admissionv1.AdmissionRequest {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &admissionv1.AdmissionRequest{UID: "u", Operation: admissionv1.Create, Namespace: "default", Object: runtime.RawExtension{Raw: b}}
}

func TestReviewer(t *testing.T) {
	good := grid("sky", 1, "oslo")
	if r := ask(t, requestOf(t, good)); !r.Allowed || r.UID != "u" || len(r.Warnings) != 0 {
		t.Errorf("a good scenario: %+v", r)
	}
	bad := strings.Replace(good, "inclination: 53deg", "inclination: 190deg", 1)
	r := ask(t, requestOf(t, bad))
	want := "spec.constellations[0].walker.inclination: inclination 190deg is out of range; write at least 0deg and at most 180deg"
	if r.Allowed || r.Result.Message != want {
		t.Errorf("a bad scenario: %+v", r.Result)
	}
	status := requestOf(t, bad)
	status.SubResource = "status"
	gone := &admissionv1.AdmissionRequest{UID: "u", Operation: admissionv1.Delete}
	if !ask(t, status).Allowed || !ask(t, gone).Allowed {
		t.Error("a status or a deletion is refused")
	}
	for _, c := range []struct {
		method, body string
		code         int
	}{{"GET", "", http.StatusMethodNotAllowed}, {"POST", "{", http.StatusBadRequest}, {"POST", "{}", http.StatusBadRequest}} {
		w := httptest.NewRecorder()
		(&reviewer{}).ServeHTTP(w, httptest.NewRequest(c.method, "/validate", strings.NewReader(c.body)))
		if w.Code != c.code {
			t.Errorf("%s %q gives %d, want %d", c.method, c.body, w.Code, c.code)
		}
	}
}

// Whatever object comes, there is an answer, and a refusal has a message.
func FuzzReviewer(f *testing.F) {
	for _, text := range []string{grid("sky", 1, "oslo"), "spec: {}", "spec: {constellations: [{name: a, file: {path: /etc/passwd}}]}", "spec: []"} {
		f.Add(requestOf(f, text).Object.Raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		r := ask(t, &admissionv1.AdmissionRequest{UID: "u", Operation: admissionv1.Update, Object: runtime.RawExtension{Raw: raw}})
		if !r.Allowed && r.Result.Message == "" {
			t.Error("refused without a word")
		}
	})
}

// The certificate is for the service alone, of an authority that signs no other.
func TestIssue(t *testing.T) {
	now := time.Now()
	certificate, authority, err := issue([]string{"orrery-operator.orrery-system.svc", "127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("the authority is no certificate")
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for host, good := range map[string]bool{"orrery-operator.orrery-system.svc": true, "127.0.0.1": true, "other.orrery-system.svc": false} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now})
		if (err == nil) != good {
			t.Errorf("for %s: %v", host, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1", CurrentTime: now.Add(validity + time.Minute)}); err == nil {
		t.Error("it is valid without end")
	}
	k := &keys{certificate: certificate}
	if got, err := k.config().GetCertificate(&tls.ClientHelloInfo{}); err != nil || got != certificate {
		t.Errorf("the server shows %v, %v", got, err)
	}
}
