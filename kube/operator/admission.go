package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orrery.dev/orrery/kube/v1alpha1"
)

// maxReview bounds what the API server may send: an object and its older form.
const maxReview = 16 << 20

// reviewer answers the API server's questions whether a scenario may be stored.
// It is a validating admission webhook (admission.k8s.io/v1).
type reviewer struct {
	api client.Reader // for the files that a scenario names; nil to judge without
}

func (v *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "want POST with an AdmissionReview", http.StatusMethodNotAllowed)
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(b, &review); err != nil || review.Request == nil {
		http.Error(w, "this is not an AdmissionReview with a request", http.StatusBadRequest)
		return
	}
	review.Response = v.answer(r.Context(), review.Request)
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // to an API server that is gone
}

// answer judges one request. What is deleted and what goes to the status is let
// through.
func (v *reviewer) answer(ctx context.Context, q *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	response := &admissionv1.AdmissionResponse{UID: q.UID, Allowed: true}
	if q.Operation == admissionv1.Delete || q.SubResource != "" {
		return response
	}
	s := &v1alpha1.Scenario{}
	err := json.Unmarshal(q.Object.Raw, s)
	if err == nil {
		s.Namespace = q.Namespace
		response.Warnings, err = v.judge(ctx, s)
	}
	if err == nil {
		return response
	}
	response.Allowed = false
	response.Result = &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: err.Error()}
	return response
}

// judge says what is wrong with a scenario, and what its user ought to know. A
// ConfigMap that is not there yet is no reason to refuse: it may be applied after
// the scenario.
func (v *reviewer) judge(ctx context.Context, s *v1alpha1.Scenario) (warnings []string, err error) {
	parsed, err := s.Parse("")
	if err != nil {
		return nil, err
	}
	for i := range parsed.Spec.Routing {
		if parsed.Spec.Routing[i].Metric == "delay" {
			warnings = append(warnings, fmt.Sprintf("spec.routing[%d].metric: on Kubernetes costs do not follow delays; metric delay is as hops", i))
		}
	}
	for i := range parsed.Spec.Commands {
		if parsed.Spec.Commands[i].Start > 0 {
			warnings = append(warnings, fmt.Sprintf("spec.commands[%d].start: on Kubernetes it counts from the start of the pod", i))
		}
	}
	files := map[string][]byte{}
	if names := fileNames(parsed); len(names) > 0 && parsed.Spec.Kubernetes.Files != "" {
		if v.api == nil {
			return warnings, nil
		}
		if files, err = readFiles(ctx, v.api, s); invalid(err) {
			return append(warnings, err.Error()), nil
		} else if err != nil {
			return nil, err
		}
	}
	_, err = design(s, files)
	return warnings, err
}

// webhook serves a reviewer with certificates that it makes itself.
type webhook struct {
	listen  func() (net.Listener, error)
	handler http.Handler
	keys    *keys
	log     func(string, error)
}

// Start serves until the context ends. It is a manager.Runnable.
func (h *webhook) Start(ctx context.Context) error {
	l, err := h.listen()
	if err != nil {
		return fmt.Errorf("the address for checks of scenarios: %w", err)
	}
	if err := h.keys.renew(ctx); err != nil {
		_ = l.Close()
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/validate", h.handler)
	server := &http.Server{Handler: mux, TLSConfig: h.keys.config(), ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, ErrorLog: nil}
	go h.keys.keep(ctx, func(err error) { h.log("the certificate for checks of scenarios cannot be renewed", err) })
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// NeedLeaderElection: all operators answer.
func (h *webhook) NeedLeaderElection() bool { return false }
