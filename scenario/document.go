package scenario

import "reflect"

// Document is a file of another kind that is read as strictly as a scenario: a
// struct with the tags of package shape is filled from it, and every problem has
// its place.
type Document struct{ report *report }

// LoadDocument reads a file of a kind into a struct, fills in the defaults of
// its tags and checks their bounds. What the fields mean together is for the
// caller, who tells it by Document.Add and ends with Document.Err. The error
// is Errors, or the operating system's.
func LoadDocument(path, kind string, into any) (*Document, error) {
	data, err := readFile(path, "file")
	if err != nil {
		return nil, err
	}
	return ParseDocument(path, data, kind, into)
}

// ParseDocument is LoadDocument for a text; name stands in messages.
func ParseDocument(name string, data []byte, kind string, into any) (*Document, error) {
	src := newSource(name)
	root, values, err := read(src, data, kind)
	if err != nil {
		return nil, err
	}
	d := &Document{report: &report{source: src}}
	func() {
		defer d.report.catch()
		if otherKind(d.report, root, kind) {
			return
		}
		decode(root, values+maxAliased, into, d.report)
		v := &validator{report: d.report, matched: map[string]bool{}}
		v.bounds(reflect.ValueOf(into).Elem(), "")
		fill(reflect.ValueOf(into).Elem())
	}()
	return d, d.Err()
}

// Add records a problem with a field; what and right are as in Problem.
func (d *Document) Add(path, what, right string) {
	defer d.report.catch()
	d.report.add(d.report.source.at(path), path, what, right)
}

// Err is all problems so far as Errors, or nil.
func (d *Document) Err() error { return d.report.errors() }

// Nearest is the word of a list that another one was probably meant to be, or "".
func Nearest(word string, candidates []string) string { return nearest(word, candidates) }
