package scenario_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/scenario/internal/reference"
)

// examples are the scenarios that ship with the project, by their paths.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../examples/*.yaml")
	designs, _ := filepath.Glob("../examples/designs/*.yaml")
	files = append(files, designs...)
	if err != nil || len(files) < 20 {
		t.Fatalf("%d examples found in ../examples (%v), want at least 20", len(files), err)
	}
	list := map[string][]byte{}
	for _, f := range files {
		if list[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func TestExamples(t *testing.T) {
	for file, data := range examples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if !bytes.HasPrefix(data, []byte("# ")) {
				t.Error("the example does not begin with a comment that says what it shows")
			}
			s, err := scenario.Parse(file, data)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimSuffix(filepath.Base(file), ".yaml"); s.Metadata.Name != want {
				t.Errorf("metadata.name is %q, the file %q", s.Metadata.Name, want)
			}
			for _, c := range s.Spec.Constellations {
				if c.File != nil {
					return // Load needs the file, which users bring
				}
			}
			if _, err := scenario.Load(file); err != nil {
				t.Error(err)
			}
		})
	}
}

// data is a file of the folder of real data beside the repository, which is
// not part of it.
func data(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("ORRERY_DATA")
	for up := "."; dir == "" && len(up) < 40; up = filepath.Join(up, "..") {
		if _, err := os.Stat(filepath.Join(up, "..", "shared", "data")); err == nil {
			dir = filepath.Join(up, "..", "shared", "data")
		}
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not there: set ORRERY_DATA to a folder that has it", name)
	}
	return path
}

// TestOneWebExample loads the example with the orbit file that users bring.
func TestOneWebExample(t *testing.T) {
	tle, err := os.ReadFile(data(t, "tle/oneweb.tle"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "oneweb-tle.yaml")
	if err := os.WriteFile(file, examples(t)["../examples/oneweb-tle.yaml"], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := scenario.Load(file); err == nil || !strings.Contains(err.Error(), "oneweb.tle does not exist") {
		t.Errorf("without the orbit file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "oneweb.tle"), tle, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Path(s.Spec.Constellations[0].File.Path), filepath.Join(dir, "oneweb.tle"); got != want {
		t.Errorf("the orbit file is %s, want %s", got, want)
	}
	if s.Spec.Epoch != nil {
		t.Errorf("the epoch is %v; the orbit file should give it", s.Spec.Epoch)
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(scenario.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("scenario.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("scenario.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// document reads YAML as another program would: by the library's own decoder.
func document(t *testing.T, text []byte) any {
	t.Helper()
	b, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestSchemaAcceptsExamples validates the examples, and the resolved form of
// each, in which every default is written out.
func TestSchemaAcceptsExamples(t *testing.T) {
	schema := compileSchema(t)
	for file, text := range examples(t) {
		if err := schema.Validate(document(t, text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		s, err := scenario.Parse(file, text)
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := s.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document(t, resolved)); err != nil {
			t.Errorf("%s, resolved: %v", file, err)
		}
	}
}

// TestSchemaRefuses checks that the schema finds what it can find in the cases
// of bad input: names, types, words and units.
func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	for _, name := range []string{
		"unknown-field", "unknown-field-no-idea", "wrong-type", "no-value", "unit-missing", "unit-wrong", "quantity-malformed",
		"range", "range-zero", "missing", "missing-head", "wrong-kind", "names", "exclusive-orbits", "exclusive-altitude",
		"exclusive-station", "exclusive-loss", "too-many", "several", "not-a-mapping",
	} {
		archive, err := txtar.ParseFile(filepath.Join("testdata/bad", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document(t, archive.Files[0].Data)); err == nil {
			t.Errorf("the schema accepts the case %s", name)
		}
	}
}

// TestGenerated tells when the generated files are older than the types.
func TestGenerated(t *testing.T) {
	for path, generate := range map[string]func(string) ([]byte, error){
		"schema.json": reference.Schema, "../docs/scenario.md": reference.Page,
	} {
		want, err := generate(".")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the types say: run go generate ./scenario", path)
		}
	}
	if !json.Valid(scenario.Schema()) {
		t.Error("the schema is not JSON")
	}
}

// TestDocumented demands a comment for each field of the file.
func TestDocumented(t *testing.T) {
	var s struct {
		Defs map[string]struct {
			Description string
			Properties  map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(scenario.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	for name, d := range s.Defs {
		if d.Description == "" {
			t.Errorf("%s has no comment", name)
		}
		for field, p := range d.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no comment", name, field)
			}
		}
	}
}

// TestPageExample parses the example of the reference page.
func TestPageExample(t *testing.T) {
	page, err := os.ReadFile("../docs/scenario.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(apiVersion.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatal("docs/scenario.md has no example")
	}
	if _, err := scenario.Parse("docs/scenario.md", m[1]); err != nil {
		t.Error(err)
	}
}
