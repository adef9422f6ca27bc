package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ManifestFormat is the number of the format of manifests.
const ManifestFormat = 1

// manifestFile and textFile stand in an experiment's directory.
const (
	manifestFile = "experiment.json"
	textFile     = "experiment.yaml"
)

// Manifest says what an experiment's directory holds, for whoever reads it later.
type Manifest struct {
	Format      int           `json:"format"`
	Name        string        `json:"name"`
	Title       string        `json:"title,omitempty"`
	Baseline    string        `json:"baseline"`
	Repetitions int           `json:"repetitions"`
	WarmUp      time.Duration `json:"warm_up_ns"` // orbital time
	Span        time.Duration `json:"span_ns"`    // orbital time
	// Common are the changes made in all variants, "path: value" each.
	Common   []string          `json:"common,omitempty"`
	Variants []ManifestVariant `json:"variants"`
	// Failures are runs that could not be done, by "variant repetition".
	Failures map[string]string `json:"failures,omitempty"`
}

// ManifestVariant is a variant in a manifest.
type ManifestVariant struct {
	Name    string            `json:"name"`
	Title   string            `json:"title"`
	Values  map[string]string `json:"values,omitempty"`
	Changes []string          `json:"changes,omitempty"`
}

// manifest of an experiment without failures yet.
func (e *Experiment) manifest() *Manifest {
	m := &Manifest{
		Format: ManifestFormat, Name: e.Metadata.Name, Title: e.Spec.Title, Baseline: e.Baseline(), Repetitions: e.Spec.Repetitions,
		WarmUp: e.Spec.WarmUp.Std(), Span: e.Spec.Span.Std(), Common: e.Spec.Set.Lines(), Failures: map[string]string{},
	}
	for _, v := range e.variants {
		m.Variants = append(m.Variants, ManifestVariant{Name: v.Name, Title: v.Title, Values: v.Values, Changes: v.Changes})
	}
	return m
}

// ReadManifest reads that of a directory; fs.ErrNotExist if there is none.
func ReadManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s is not the manifest of an experiment (%w); run the experiment again with the same --out: complete runs are kept", path, err)
	}
	if m.Format > ManifestFormat {
		return nil, fmt.Errorf("%s is of format %d, and this version reads up to %d; use a newer orrery", path, m.Format, ManifestFormat)
	}
	return &m, nil
}

// write replaces the manifest of a directory, whole or not at all.
func (m *Manifest) write(dir string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, manifestFile), append(b, '\n'))
}

// replace writes a file whole or not at all.
func replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part := path + ".part"
	err := os.WriteFile(part, data, 0o644)
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		_ = os.Remove(part)
	}
	return err
}
