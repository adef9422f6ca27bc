package experiment

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"orrery.dev/orrery/scenario"
)

// maxVariants bounds what a matrix can make.
const maxVariants = 10_000

// Variant is one of the networks that are compared.
type Variant struct {
	Name  string
	Title string
	// Values are the names of the values on each axis of the matrix.
	Values map[string]string
	// Changes are "path: value" each, those of all variants left out.
	Changes []string
	// Scenario with the changes made, of the experiment's first seed.
	Scenario *scenario.Scenario

	changes []scenario.Changes
}

// Load reads an experiment file, makes its variants and checks all. What is not
// valid gives scenario.Errors; a file that cannot be read gives the operating
// system's error.
func Load(name string) (*Experiment, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("the experiment cannot be read: %w", err)
	}
	e := &Experiment{dir: filepath.Dir(name), text: text}
	if e.document, err = scenario.LoadDocument(name, Kind, e); err != nil {
		return nil, err
	}
	cases := e.cases()
	if err := e.document.Err(); err != nil {
		return nil, err
	}
	base, err := scenario.LoadBase(e.path(e.Spec.Scenario))
	if err != nil {
		if os.IsNotExist(unwrapAll(err)) {
			e.document.Add("spec.scenario", fmt.Sprintf("there is no scenario %s", e.path(e.Spec.Scenario)), "name a file, relative to the experiment's")
			return nil, e.document.Err()
		}
		return nil, err
	}
	for _, v := range cases {
		changed := append([]scenario.Changes{e.Spec.Set}, v.changes...)
		if v.Scenario, err = base.With(changed...); err != nil {
			return nil, fmt.Errorf("variant %s: %w", v.Name, err)
		}
	}
	e.variants = cases
	return e, nil
}

// unwrapAll is the innermost error.
func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil {
			return err
		}
		err = u.Unwrap()
	}
}

// path of a file that the experiment names.
func (e *Experiment) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(e.dir, name)
}

// Variants in order of the file.
func (e *Experiment) Variants() []*Variant { return e.variants }

// Baseline is the name of the variant that the others are compared with.
func (e *Experiment) Baseline() string {
	if e.Spec.Baseline != "" {
		return e.Spec.Baseline
	}
	return e.variants[0].Name
}

// Text is the file as it was read.
func (e *Experiment) Text() []byte { return bytes.Clone(e.text) }

// cases multiplies variants with the matrix, and checks names.
func (e *Experiment) cases() []*Variant {
	spec := &e.Spec
	e.distinct("spec.variants", spec.Variants)
	var list []*Variant
	for i := range spec.Variants {
		c := &spec.Variants[i]
		list = append(list, (&Variant{}).and("", c))
	}
	if list == nil {
		if spec.Matrix == nil {
			e.document.Add("spec", "the experiment has neither variants nor a matrix", "add variants: with a name and what is set")
			return nil
		}
		list = []*Variant{{}}
	}
	axes := map[string]bool{}
	for i := range spec.Matrix {
		a := &spec.Matrix[i]
		at := fmt.Sprintf("spec.matrix[%d]", i)
		if axes[a.Name] {
			e.document.Add(at+".name", fmt.Sprintf("a second axis is named %s", a.Name), "give each a name of its own")
		}
		axes[a.Name] = true
		e.distinct(at+".values", a.Values)
		if len(list)*len(a.Values) > maxVariants {
			e.document.Add(at, fmt.Sprintf("the matrix has more than %d variants", maxVariants), "leave out axes or values")
			return nil
		}
		var product []*Variant
		for _, v := range list {
			for j := range a.Values {
				product = append(product, v.and(a.Name, &a.Values[j]))
			}
		}
		list = product
	}
	return e.chosen(list)
}

// and is the variant with a value of an axis.
func (v *Variant) and(axis string, c *Case) *Variant {
	title := c.Title
	if title == "" {
		title = c.Name
	}
	out := &Variant{Name: c.Name, Title: title, Values: map[string]string{}}
	if v.Name != "" {
		out.Name, out.Title = v.Name+"-"+c.Name, v.Title+", "+title
	}
	for name, value := range v.Values {
		out.Values[name] = value
	}
	if axis != "" {
		out.Values[axis] = c.Name
	}
	out.changes = append(append(out.changes, v.changes...), c.Set)
	out.Changes = append(append(out.Changes, v.Changes...), c.Set.Lines()...)
	return out
}

// distinct tells cases of the same name.
func (e *Experiment) distinct(at string, cases []Case) {
	seen := map[string]bool{}
	for i := range cases {
		if name := cases[i].Name; seen[name] {
			e.document.Add(fmt.Sprintf("%s[%d].name", at, i), fmt.Sprintf("a second one is named %s", name), "give each a name of its own")
		} else {
			seen[name] = true
		}
	}
}

// chosen leaves out what Without names, and checks what remains.
func (e *Experiment) chosen(list []*Variant) []*Variant {
	var kept []*Variant
	used := make([]bool, len(e.Spec.Without))
	for _, v := range list {
		out := false
		for i, pattern := range e.Spec.Without {
			ok, err := path.Match(pattern, v.Name)
			if err != nil {
				e.document.Add(fmt.Sprintf("spec.without[%d]", i), fmt.Sprintf("%q is not a pattern", pattern), "write a name, with * for any letters")
				return nil
			}
			used[i] = used[i] || ok
			out = out || ok
		}
		if !out {
			kept = append(kept, v)
		}
	}
	names := make([]string, len(list))
	seen := map[string]bool{}
	for i, v := range list {
		names[i] = v.Name
		if seen[v.Name] {
			e.document.Add("spec.matrix", fmt.Sprintf("two variants come to be named %s", v.Name), "rename a variant or a value of the matrix")
			return nil
		}
		seen[v.Name] = true
	}
	right := func(word string) string {
		if n := scenario.Nearest(word, names); n != "" {
			return "did you mean " + n + "?"
		}
		return "the variants are " + strings.Join(names[:min(len(names), 12)], ", ")
	}
	for i, ok := range used {
		if !ok {
			e.document.Add(fmt.Sprintf("spec.without[%d]", i), fmt.Sprintf("no variant is named %s", e.Spec.Without[i]), right(e.Spec.Without[i]))
		}
	}
	if len(kept) == 0 {
		e.document.Add("spec.without", "all variants are left out", "keep at least one")
		return nil
	}
	if b := e.Spec.Baseline; b != "" {
		found := false
		for _, v := range kept {
			found = found || v.Name == b
		}
		if !found {
			e.document.Add("spec.baseline", fmt.Sprintf("no variant is named %s", b), right(b))
		}
	}
	return kept
}
