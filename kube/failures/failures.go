// Package failures is how a scenario on Kubernetes keeps the failures that somebody has made: as an annotation, whose text
// is the message ListFailuresResponse of the control API in JSON.
//
//	orrery.dev/failures: {"failures": [{"kind": "KIND_CUT", "a": "tempe:ant0"}]}
//
// All that carries the scenario reads it there: agents, which make their links be like that, and the operator,
// which makes no pods of nodes that are down.
package failures

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

// Annotation of a scenario that holds its failures.
const Annotation = "orrery.dev/failures"

// maxText keeps failures well within what annotations of an object may hold, 256 KiB in all.
const maxText = 128 << 10

// Decode reads the text of the annotation. Of no text there are none.
func Decode(text string) ([]*pb.Failure, error) {
	if text == "" {
		return nil, nil
	}
	m := new(pb.ListFailuresResponse)
	err := fmt.Errorf("it has %d bytes, and may have %d", len(text), maxText)
	if len(text) <= maxText {
		err = protojson.Unmarshal([]byte(text), m)
	}
	if err != nil {
		return nil, fmt.Errorf("the annotation %s cannot be read: %w; correct it, or remove it to undo all failures", Annotation, err)
	}
	return m.GetFailures(), nil
}

// Encode is the text of the annotation: "" for none, and always the same for the same failures, in the order
// of their ids.
func Encode(list []*pb.Failure) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	list = slices.SortedFunc(slices.Values(list), func(a, b *pb.Failure) int { return strings.Compare(a.GetId(), b.GetId()) })
	text, err := protojson.Marshal(&pb.ListFailuresResponse{Failures: list})
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil { // its spaces differ from one build to the next
		return "", err
	}
	if b.Len() > maxText {
		return "", fmt.Errorf("%d failures are more than a scenario can keep (%d bytes of %d); undo some of them", len(list), b.Len(), maxText)
	}
	return b.String(), nil
}

// Down are the nodes that are down by failures.
func Down(list []*pb.Failure) map[string]bool {
	down := make(map[string]bool)
	for _, f := range list {
		if f.GetKind() == pb.Failure_KIND_KILL_NODE {
			down[f.GetA()] = true
		}
	}
	return down
}

// Patch has a scenario of a version keep a list, as a merge patch (RFC 7386). The API server refuses it for another version.
func Patch(list, version string) (string, error) {
	var text any // null removes the annotation
	if list != "" {
		text = list
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": version, "annotations": map[string]any{Annotation: text}}})
	return string(patch), err
}
