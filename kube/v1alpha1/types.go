// Package v1alpha1 is the custom resource Scenario: the scenario file as an
// object of Kubernetes, and what the operator tells of it.
//
// There is one format and one reader of it. The spec of an object stays the text
// that its user wrote; Parse gives it to package scenario, whose messages are
// those of the command line with the path of a field in place of a line. The
// CustomResourceDefinition in deploy/crd is generated from the same types.
package v1alpha1

import (
	"bytes"
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"orrery.dev/orrery/scenario"
)

// GroupVersion is the resource's.
var GroupVersion = func() schema.GroupVersion {
	group, version, _ := strings.Cut(scenario.APIVersion, "/")
	return schema.GroupVersion{Group: group, Version: version}
}()

// AddToScheme makes a scheme know the resource.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Scenario{}, &ScenarioList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// Scenario is the custom resource.
type Scenario struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// Spec is a scenario.Spec in JSON, as the API server keeps it.
	Spec Document `json:"spec"`
	// Status is the operator's.
	Status ScenarioStatus `json:"status,omitzero"`
}

// Document is JSON that is kept as it is.
type Document []byte

// MarshalJSON gives the document, or null.
func (d Document) MarshalJSON() ([]byte, error) { return json.RawMessage(d).MarshalJSON() }

// UnmarshalJSON keeps a copy of the document.
func (d *Document) UnmarshalJSON(b []byte) error {
	*d = bytes.Clone(b)
	return nil
}

// ScenarioList is a list of scenarios.
type ScenarioList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []Scenario `json:"items"`
}

// ScenarioStatus is what the operator tells.
type ScenarioStatus struct {
	// ObservedGeneration is that of the spec which the status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Nodes of the scenario, how many of them have a pod, and how many of the
	// pods are ready.
	Nodes int32 `json:"nodes,omitempty"`
	// Pods that exist.
	Pods int32 `json:"pods,omitempty"`
	// Ready pods.
	Ready int32 `json:"ready,omitempty"`
	// Bundle is the name of the ConfigMap with the packed scenario.
	Bundle string `json:"bundle,omitempty"`
	// UnderlayPort is the UDP port by which agents carry the scenario's frames to each
	// other, on every worker the same, and no other scenario's. 0: see HeldUnderlayPort.
	UnderlayPort int32 `json:"underlayPort,omitempty"`
	// Workers that have pods of the scenario, by name.
	Workers []Worker `json:"workers,omitempty"`
	// Started is when scenario time began to run.
	Started *metav1.MicroTime `json:"started,omitempty"`
	// Timeline is what everyone computes scenario time from.
	Timeline *Timeline `json:"timeline,omitempty"`
	// Conditions: Accepted, PodsReady, Running, Degraded.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Worker is a node of the cluster, called so since a scenario has nodes, too.
type Worker struct {
	Name  string `json:"name"`
	Pods  int32  `json:"pods"`
	Ready int32  `json:"ready"`
	// Lost says that the worker does not answer to the cluster.
	Lost bool `json:"lost,omitempty"`
}

// The types of conditions.
const (
	// Accepted: the scenario is valid, and its files are there.
	Accepted = "Accepted"
	// PodsReady: each node has its pod, and each pod is ready.
	PodsReady = "PodsReady"
	// Running: scenario time runs.
	Running = "Running"
	// Degraded: something is amiss that nobody asked for.
	Degraded = "Degraded"
)

// Labels and annotations of pods.
const (
	// LabelScenario and LabelNode are on each pod, and name what it is.
	LabelScenario = "orrery.dev/scenario"
	// LabelNode is the name of the scenario's node.
	LabelNode = "orrery.dev/node"
	// AnnotationDefinition is the hash of what a pod was made from. A pod with
	// another one than the scenario now asks for is replaced.
	AnnotationDefinition = "orrery.dev/definition"
	// AnnotationPaused on a scenario, with the value "true", stops scenario time.
	AnnotationPaused = "orrery.dev/paused"
)

// Parse reads the scenario of an object: that of its spec under its name. The
// error is scenario.Errors if it is not valid. Paths of files start from dir.
func (s *Scenario) Parse(dir string) (*scenario.Scenario, error) {
	doc, err := s.File()
	if err != nil {
		return nil, err
	}
	return scenario.ParseObject(dir, doc)
}

// File is the object as a scenario file in JSON: its name and its spec, and
// nothing of Kubernetes's own.
func (s *Scenario) File() ([]byte, error) {
	spec := s.Spec
	if len(spec) == 0 {
		spec = Document("null")
	}
	return json.Marshal(struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   map[string]string `json:"metadata"`
		Spec       Document          `json:"spec"`
	}{scenario.APIVersion, scenario.Kind, map[string]string{"name": s.Name}, spec})
}
