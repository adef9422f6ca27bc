package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// selection is a network that a pod wants (De-facto Standard, section 4.1.2).
type selection struct {
	Name      string         `json:"name"`
	Namespace string         `json:"namespace,omitempty"`
	Interface string         `json:"interface,omitempty"`
	MAC       string         `json:"mac,omitempty"`
	IPs       []string       `json:"ips,omitempty"`
	CNIArgs   map[string]any `json:"cni-args,omitempty"`
}

var (
	// A DNS subdomain, as names of objects are (RFC 1123).
	objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	// What the kernel takes, less what would be confusing.
	interfaceName = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9_.]{0,14}$`)
)

// parseSelections reads the annotation: names with commas between, each
// "[namespace/]name[@interface]", or a list in JSON. Without a namespace the
// pod's is meant.
func parseSelections(annotation, podNamespace string) ([]selection, error) {
	annotation = strings.TrimSpace(annotation)
	var all []selection
	var err error
	switch {
	case annotation == "":
		return nil, nil
	case strings.HasPrefix(annotation, "["):
		all, err = parseJSON(annotation)
	default:
		all, err = parseNames(annotation)
	}
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", networksAnnotation, err)
	}
	for i := range all {
		s := &all[i]
		if s.Namespace == "" {
			s.Namespace = podNamespace
		}
		if !objectName.MatchString(s.Name) || !objectName.MatchString(s.Namespace) {
			return nil, fmt.Errorf("annotation %s: entry %d: %q is no name of a network; write [namespace/]name[@interface]", networksAnnotation, i+1, s.Namespace+"/"+s.Name)
		}
		if s.Interface != "" && !interfaceName.MatchString(s.Interface) {
			return nil, fmt.Errorf("annotation %s: entry %d: %q is no name of an interface; use at most 15 letters, digits, dots and dashes", networksAnnotation, i+1, s.Interface)
		}
	}
	return all, nil
}

func parseNames(annotation string) ([]selection, error) {
	var all []selection
	for i, item := range strings.Split(annotation, ",") {
		var s selection
		item, at, ok := strings.Cut(strings.TrimSpace(item), "@")
		if ok && at == "" {
			return nil, fmt.Errorf("entry %d: no interface follows the @; write [namespace/]name[@interface]", i+1)
		}
		s.Interface, s.Name = at, item
		if namespace, name, ok := strings.Cut(item, "/"); ok {
			if namespace == "" {
				return nil, fmt.Errorf("entry %d: no namespace stands before the /; write [namespace/]name[@interface]", i+1)
			}
			s.Namespace, s.Name = namespace, name
		}
		all = append(all, s)
	}
	return all, nil
}

// parseJSON refuses what this program does not know, rather than to leave out
// what the pod wants.
func parseJSON(annotation string) ([]selection, error) {
	var all []selection
	in := json.NewDecoder(bytes.NewReader([]byte(annotation)))
	in.DisallowUnknownFields()
	if err := in.Decode(&all); err != nil {
		return nil, fmt.Errorf("the stand-in for Multus cannot read it: %w", err)
	}
	if in.More() {
		return nil, fmt.Errorf("something follows the list")
	}
	return all, nil
}
