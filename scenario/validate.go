package scenario

import (
	"fmt"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"orrery.dev/orrery/scenario/internal/shape"
)

// Limits of a scenario. They are far above what one machine carries, and keep
// a slip of the pen from filling the memory.
const (
	MaxNodes     = 100_000 // satellites and stations
	MaxPorts     = 64      // of one node
	maxWildcards = 256     // patterns with wildcards in one scenario
)

// Validate fills in the defaults of a scenario that was made in memory and
// checks it. Load and Parse have done so already. It returns Errors, or nil.
func (s *Scenario) Validate() error {
	r := &report{}
	func() {
		defer r.catch()
		s.check(r)
	}()
	return r.errors()
}

// check runs all checks that need no file.
func (s *Scenario) check(r *report) {
	v := &validator{report: r, spec: &s.Spec, matched: map[string]bool{}}
	v.bounds(reflect.ValueOf(s).Elem(), "")
	s.Default()
	v.metadata(s)
	v.constellations()
	v.stations()
	v.nodeNames()
	v.interLinks()
	v.groundLinks()
	v.ports()
	v.network()
	v.routing()
	v.commands()
	v.kubernetes()
}

// validator checks a scenario whose defaults are filled in.
type validator struct {
	*report
	spec *Spec
	// names are the names of all nodes that are known without reading orbit files,
	// list the same in order; files are the constellations with a file.
	names map[string]string // to the path of what defines it
	list  []string
	files []*Constellation
	// matched remembers the patterns that were tried.
	matched   map[string]bool
	wildcards int
}

// problem records a problem at a field, unless that field is broken already.
func (v *validator) problem(path, what, right string) {
	if !v.sound(path) {
		return
	}
	var at position
	if v.source != nil {
		at = v.source.at(path)
	}
	v.add(at, path, what, right)
}

// problemAtKey records that a field should not be there.
func (v *validator) problemAtKey(path, what, right string) {
	if !v.sound(path) {
		return
	}
	var at position
	if v.source != nil {
		var ok bool
		if at, ok = v.source.keys[path]; !ok {
			at = v.source.at(path)
		}
	}
	v.add(at, path, what, right)
}

// line names the line of a field in a message about another one.
func (v *validator) line(path string) string {
	if v.source == nil || v.source.object {
		return path
	}
	at := v.source.at(path)
	if at.in != nil && at.in != v.source {
		return fmt.Sprintf("line %d of %s", at.line, at.in.name)
	}
	return fmt.Sprintf("line %d", at.line)
}

// given says whether the user wrote a field.
func (v *validator) given(path string, value reflect.Value) bool {
	if v.source != nil {
		return v.source.has(path)
	}
	return !value.IsZero()
}

var (
	labelForm     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	subdomainForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// maxObjectName is the longest name of an object of Kubernetes, in bytes (RFC 1123).
const maxObjectName = 253

// bounds checks what the tags of the types say: enum, min, max, above, below,
// count, format.
func (v *validator) bounds(value reflect.Value, at string) {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			v.bounds(value.Elem(), at)
		}
		return
	case reflect.Slice, reflect.Array:
		if k := value.Type().Elem().Kind(); k == reflect.Struct {
			for i := range value.Len() {
				v.bounds(value.Index(i), fmt.Sprintf("%s[%d]", at, i))
			}
		}
		return
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[time.Time]() {
			return
		}
	default:
		return
	}
	for _, f := range shape.Fields(value.Type()) {
		p := join(at, f.Name)
		field := value.FieldByIndex(f.Index)
		if field.Kind() == reflect.Pointer && field.Type().Elem().Kind() != reflect.Struct {
			if field.IsNil() {
				continue
			}
			field = field.Elem()
		} else if !f.Required && !v.given(p, field) {
			continue
		}
		v.field(f, field, p)
		v.bounds(field, p)
	}
}

// field checks one field by its tags.
func (v *validator) field(f shape.Field, field reflect.Value, at string) {
	switch field.Kind() {
	case reflect.String:
		text := field.String()
		switch {
		case text == "" && f.Required:
			v.problem(at, f.Name+" is empty", "write "+hint(f))
		case f.Enum != nil && !slices.Contains(f.Enum, text):
			right := "write " + listed(f.Enum, "or")
			if n := nearest(text, f.Enum); n != "" {
				right = fmt.Sprintf("did you mean %s? (%s)", n, listed(f.Enum, "or"))
			}
			v.problem(at, fmt.Sprintf("%s is %q", f.Name, clipped(text)), right)
			v.setBroken(at)
		case f.Format == "label" && (len(text) > MaxNodeName || !labelForm.MatchString(text)):
			v.problem(at, fmt.Sprintf("%s %q is not a DNS label", f.Name, clipped(text)),
				fmt.Sprintf("use lower-case letters, digits and '-' (not first or last), %d at most", MaxNodeName))
			v.setBroken(at)
		case f.Format == "subdomain" && (len(text) > maxObjectName || !subdomainForm.MatchString(text)):
			v.problem(at, fmt.Sprintf("%s %q is not the name of an object", f.Name, clipped(text)),
				fmt.Sprintf("use lower-case letters, digits, '-' and '.' (not first or last), %d at most", maxObjectName))
			v.setBroken(at)
		}
	case reflect.Slice:
		if n := field.Len(); n < f.MinCount || f.MaxCount > 0 && n > f.MaxCount {
			want := fmt.Sprintf("at least %d", f.MinCount)
			if f.MaxCount > 0 {
				want = fmt.Sprintf("exactly %d", f.MaxCount)
			}
			v.problem(at, fmt.Sprintf("%s has %s", f.Name, count(n, "item")), "write "+want)
			v.setBroken(at)
			return
		}
		if field.Type().Elem().Kind() == reflect.Int {
			for i := range field.Len() {
				v.interval(f, field.Index(i), fmt.Sprintf("%s[%d]", at, i))
			}
		}
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64:
		v.interval(f, field, at)
	}
}

// interval checks a number against min, max, above and below.
func (v *validator) interval(f shape.Field, field reflect.Value, at string) {
	n := field.Convert(reflect.TypeFor[float64]()).Float()
	over := func(bound string) bool { return bound != "" && n > number64(field.Type(), bound) }
	under := func(bound string) bool { return bound != "" && n < number64(field.Type(), bound) }
	same := func(bound string) bool { return bound != "" && n == number64(field.Type(), bound) }
	if !over(f.Max) && !under(f.Min) && !over(f.Below) && !same(f.Below) && !under(f.Above) && !same(f.Above) {
		return
	}
	var want []string
	for _, b := range []struct{ words, bound string }{{"at least", f.Min}, {"more than", f.Above}, {"at most", f.Max}, {"less than", f.Below}} {
		if b.bound != "" {
			want = append(want, b.words+" "+b.bound)
		}
	}
	right := "write " + strings.Join(want, " and ")
	if n == 0 && !f.Required {
		right += ", or leave it out"
		if f.Default != "" {
			right += " for " + f.Default
		}
	}
	v.problem(at, fmt.Sprintf("%s %v is out of range", f.Name, field.Interface()), right)
	v.setBroken(at)
}

// count is "no item", "1 item", "2 items".
func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// The years that an epoch may lie in: from the first satellite to where the
// two-digit years of TLE end, and as far as precession may be neglected.
var firstEpoch, lastEpoch = time.Date(1957, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

func (v *validator) metadata(s *Scenario) {
	if e := s.Spec.Epoch; e != nil && (e.Before(firstEpoch) || !e.Before(lastEpoch)) {
		v.problem("spec.epoch", fmt.Sprintf("epoch %s is out of range", e.Format(time.RFC3339)), "write an instant from 1957 to 2099, such as 2026-01-01T00:00:00Z")
	}
	if v.sound("spec.constellations", "spec.stations") && len(v.spec.Constellations)+len(v.spec.Stations) == 0 {
		v.problem("spec", "nothing moves here: there are neither constellations nor stations", "add constellations and stations")
	}
}

// unique records names that occur twice.
type unique struct {
	v     *validator
	what  string
	first map[string]string
}

func (v *validator) unique(what string) *unique {
	return &unique{v, what, map[string]string{}}
}

// see takes the next name and says whether it is new.
func (u *unique) see(name, path string) bool {
	if name == "" {
		return true
	}
	if first, ok := u.first[name]; ok {
		u.v.problem(path, fmt.Sprintf("the %s %q exists already in %s", u.what, clipped(name), u.v.line(first)), "choose another name")
		return false
	}
	u.first[name] = path
	return true
}

// nodeNames gathers the names of all nodes and finds those that clash or are
// too long.
func (v *validator) nodeNames() {
	v.names = map[string]string{}
	total := 0
	add := func(name, at, by string) bool {
		if first, ok := v.names[name]; ok {
			if first == at {
				return true // two elements of the same name, told already
			}
			v.problem(at, fmt.Sprintf("the node name %q of %s is also given by %s", clipped(name), by, v.line(first)), "choose another name")
			return false
		}
		v.names[name] = at
		v.list = append(v.list, name)
		return true
	}
	for i := range v.spec.Constellations {
		c := &v.spec.Constellations[i]
		at := fmt.Sprintf("spec.constellations[%d].name", i)
		if slices.ContainsFunc(v.spec.Constellations[:i], func(o Constellation) bool { return o.Name == c.Name }) {
			continue // told as a duplicate name already
		}
		long := c.longestName()
		if len(long) > MaxNodeName {
			v.problem(at, fmt.Sprintf("the constellation's name makes node names of %d characters (%s)", len(long), clipped(long)),
				fmt.Sprintf("shorten it so that they have %d at most", MaxNodeName))
			continue
		}
		if c.File != nil {
			v.files = append(v.files, c)
		}
		if total += c.known(); total > MaxNodes {
			v.problem(at, fmt.Sprintf("the scenario has more than %d nodes from here on", MaxNodes), "make the constellations smaller")
			return
		}
		c.eachName(func(name string) bool { return add(name, at, "the constellation "+c.Name) })
	}
	for i, s := range v.spec.Stations {
		if total++; total > MaxNodes {
			v.problem(fmt.Sprintf("spec.stations[%d]", i), fmt.Sprintf("the scenario has more than %d nodes from here on", MaxNodes), "leave stations out")
			return
		}
		at := fmt.Sprintf("spec.stations[%d].name", i)
		if _, ok := v.names[s.Name]; ok && v.isStation(s.Name, i) {
			continue // told as a duplicate name already
		}
		if add(s.Name, at, "this station") {
			for _, c := range v.files {
				if c.catalogued(s.Name) {
					v.problem(at, fmt.Sprintf("the node name %q may be that of a satellite of constellation %q", s.Name, c.Name), "choose another name")
				}
			}
		}
	}
}

// isStation says whether one of the first n stations has a name.
func (v *validator) isStation(name string, n int) bool {
	return slices.ContainsFunc(v.spec.Stations[:n], func(s Station) bool { return s.Name == name })
}

// catalogued says whether a name has the form of a satellite of a file.
func (c *Constellation) catalogued(name string) bool {
	number, ok := strings.CutPrefix(name, c.Name+"-")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// patterns checks the shell patterns of nodes in a list: each must be well
// formed and match something.
func (v *validator) patterns(list []string, at string) {
	for i, p := range list {
		v.pattern(p, fmt.Sprintf("%s[%d]", at, i), "a node", v.list, v.files, v.nodesSound())
	}
}

// pattern checks one shell pattern against names, and the satellites of files,
// if the names are known.
func (v *validator) pattern(p, at, what string, names []string, files []*Constellation, known bool) {
	key := what + "\x00" + p
	if v.matched[key] || !v.goodPattern(p, at) || !known {
		return
	}
	ok := slices.ContainsFunc(files, func(c *Constellation) bool { return c.mayMatch(p) })
	if !strings.ContainsAny(p, `*?[\`) {
		ok = ok || slices.Contains(names, p)
	} else if !ok {
		if v.wildcards++; v.wildcards > maxWildcards {
			v.problem(at, fmt.Sprintf("the scenario has more than %d patterns with wildcards", maxWildcards), "use names, or fewer and wider patterns")
			panic(errTooMany)
		}
		ok = slices.ContainsFunc(names, func(name string) bool { return Match([]string{p}, name) })
	}
	if ok {
		v.matched[key] = true
		return
	}
	v.problem(at, fmt.Sprintf("%q matches no %s", clipped(p), strings.TrimPrefix(what, "a ")), v.suggest(p, names, files))
}

// goodPattern checks the form of a shell pattern.
func (v *validator) goodPattern(p, at string) bool {
	if len(p) > 4*MaxNodeName {
		v.problem(at, fmt.Sprintf("the pattern %q is longer than %d bytes", clipped(p), 4*MaxNodeName), "shorten it")
		return false
	}
	if _, err := path.Match(p, ""); err != nil || p == "" {
		v.problem(at, fmt.Sprintf("%q is not a shell pattern", clipped(p)), "write a name, perhaps with *, ? or [a-z]")
		return false
	}
	return true
}

// suggest names a node that may have been meant.
func (v *validator) suggest(p string, names []string, files []*Constellation) string {
	if n := nearest(p, names[:min(len(names), 10_000)]); n != "" {
		return fmt.Sprintf("did you mean %s?", n)
	}
	var some []string
	for _, c := range files {
		some = append(some, c.Name+"-NUMBER")
	}
	for _, n := range names {
		if len(some) >= 3 {
			break
		}
		some = append(some, n)
	}
	if len(some) == 0 {
		return "there are none"
	}
	return "names are such as " + strings.Join(some, ", ")
}

// mayMatch says whether a pattern can match a satellite of a constellation's
// file, without reading the file.
func (c *Constellation) mayMatch(p string) bool {
	meta := strings.IndexAny(p, `*?[\`)
	if meta < 0 {
		return c.catalogued(p)
	}
	prefix := c.Name + "-"
	return strings.HasPrefix(prefix, p[:meta]) ||
		strings.HasPrefix(p[:meta], prefix) && strings.Trim(p[len(prefix):meta], "0123456789") == ""
}

// checkFiles checks that the files named by the scenario can be read.
func (s *Scenario) checkFiles(r *report) {
	v := &validator{report: r, spec: &s.Spec}
	check := func(name, at string) {
		if name == "" {
			return
		}
		file := s.Path(name)
		f, err := os.Open(file)
		if err == nil {
			info, statErr := f.Stat()
			f.Close()
			if statErr == nil && info.Mode().IsRegular() {
				return
			}
			v.problem(at, fmt.Sprintf("%s is not a regular file", file), "name a file; paths are relative to the scenario file")
			return
		}
		reason := "cannot be read"
		if os.IsNotExist(err) {
			reason = "does not exist"
		}
		v.problem(at, fmt.Sprintf("the file %s %s", file, reason), "put it there or correct the path; paths are relative to the scenario file")
	}
	for i, c := range s.Spec.Constellations {
		if c.File != nil {
			check(c.File.Path, fmt.Sprintf("spec.constellations[%d].file.path", i))
		}
	}
	for i, routing := range s.Spec.Routing {
		check(routing.Template, fmt.Sprintf("spec.routing[%d].template", i))
	}
}
