package operator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"orrery.dev/orrery/kube/bundle"
	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/scenario"
)

// readFiles gets the files that a scenario names from its ConfigMap. It asks the
// API server itself and not a cache: a cache of all ConfigMaps would need the
// right to read them all the time.
func readFiles(ctx context.Context, api client.Reader, s *v1alpha1.Scenario) (map[string][]byte, error) {
	parsed, err := s.Parse("")
	if err != nil {
		return nil, err
	}
	names, from := fileNames(parsed), parsed.Spec.Kubernetes.Files
	if len(names) == 0 || from == "" {
		return nil, nil
	}
	var m corev1.ConfigMap
	if err := api.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: from}, &m); apierrors.IsNotFound(err) {
		return nil, parsed.Problem("spec.kubernetes.files", fmt.Sprintf("there is no ConfigMap %q in the namespace %s", from, s.Namespace),
			"make it with kubectl create configmap "+from+" --from-file="+names[0])
	} else if err != nil {
		return nil, fmt.Errorf("read the scenario's files: %w", err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if text, ok := m.Data[name]; ok {
			files[name] = []byte(text)
		} else if b, ok := m.BinaryData[name]; ok {
			files[name] = b
		} else if b, ok := m.BinaryData[name+".gz"]; ok {
			if files[name], err = bundle.Inflate(b); err != nil {
				return nil, parsed.Problem("spec.kubernetes.files", fmt.Sprintf("%s.gz in the ConfigMap %q cannot be read: %v", name, from, err), "compress it with gzip")
			}
		}
	}
	return files, nil
}

// hideDir takes the name of a directory of the operator out of a message, which
// the scenario's user sees.
func hideDir(err error, dir string) error {
	problem := new(scenario.Problem)
	if !errors.As(err, &problem) {
		return err
	}
	out := *problem
	out.What = strings.ReplaceAll(out.What, dir+"/", "")
	return &out
}

// invalid says whether an error is about the scenario itself, which only its
// user can mend.
func invalid(err error) bool {
	return errors.As(err, new(scenario.Errors)) || errors.As(err, new(*scenario.Problem))
}
