// Generate writes scenario/schema.json, docs/scenario.md,
// deploy/crd/scenarios.yaml, experiment/schema.json and docs/experiments.md. It
// runs in the directory of package scenario: go generate ./scenario.
package main

import (
	"log"
	"os"

	"orrery.dev/orrery/scenario/internal/reference"
)

func main() {
	log.SetFlags(0)
	write("schema.json", reference.Schema)
	write("../docs/scenario.md", reference.Page)
	write("../experiment/schema.json", reference.ExperimentSchema)
	write("../docs/experiments.md", reference.ExperimentPage)
	write("../deploy/crd/scenarios.yaml", reference.Resource)
}

func write(path string, make func(dir string) ([]byte, error)) {
	b, err := make(".")
	if err == nil {
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		log.Fatalf("%s is not written: %v", path, err)
	}
}
