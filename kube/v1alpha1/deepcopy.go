package v1alpha1

import (
	"bytes"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopy is a scenario that shares nothing with this one.
func (s *Scenario) DeepCopy() *Scenario {
	out := &Scenario{TypeMeta: s.TypeMeta, Spec: bytes.Clone(s.Spec), Status: *s.Status.DeepCopy()}
	s.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return out
}

// DeepCopyObject is DeepCopy.
func (s *Scenario) DeepCopyObject() runtime.Object { return s.DeepCopy() }

// DeepCopyObject is a list that shares nothing with this one.
func (l *ScenarioList) DeepCopyObject() runtime.Object {
	out := &ScenarioList{TypeMeta: l.TypeMeta}
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopy())
	}
	return out
}

// DeepCopy is a status that shares nothing with this one.
func (s *ScenarioStatus) DeepCopy() *ScenarioStatus {
	out := *s
	out.Workers = slices.Clone(s.Workers)
	if s.Started != nil {
		out.Started = s.Started.DeepCopy()
	}
	if s.Timeline != nil {
		t := *s.Timeline
		t.At = *t.At.DeepCopy()
		out.Timeline = &t
	}
	out.Conditions = slices.Clone(s.Conditions)
	for i := range out.Conditions {
		out.Conditions[i] = *out.Conditions[i].DeepCopy()
	}
	return &out
}
