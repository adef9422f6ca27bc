package reference

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"orrery.dev/orrery/scenario/internal/shape"
)

// comments are the doc comments of the scenario's types: "Walker" for a type,
// "Walker.Planes" for a field.
type comments map[string]string

// readComments reads the files that declare the types of the files; dir is that of
// package scenario.
func readComments(dir string) (comments, error) {
	c := comments{}
	for _, name := range []string{"../experiment/types.go", "types.go", "kubernetes.go", "quantity.go", "change.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.TYPE {
				continue
			}
			for _, s := range group.Specs {
				spec := s.(*ast.TypeSpec)
				doc := spec.Doc
				if doc == nil {
					doc = group.Doc
				}
				c[spec.Name.Name] = strings.TrimSpace(doc.Text())
				c.fields(spec)
			}
		}
	}
	return c, nil
}

func (c comments) fields(spec *ast.TypeSpec) {
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range fields.Fields.List {
		text := strings.TrimSpace(f.Doc.Text())
		if text == "" {
			text = strings.TrimSpace(f.Comment.Text())
		}
		for _, name := range f.Names {
			c[spec.Name.Name+"."+name.Name] = text
		}
	}
}

var word = regexp.MustCompile(`\b[A-Z][A-Za-z]*\b`)

// field is the comment of a field with the fields of its type under the names
// that they have in the file, each passed through name.
func (c comments) field(t reflect.Type, f shape.Field, name func(string) string) string {
	names := map[string]string{}
	for _, o := range shape.Fields(t) {
		names[o.Go] = o.Name
	}
	return word.ReplaceAllStringFunc(c[f.Owner.Name()+"."+f.Go], func(w string) string {
		if n, ok := names[w]; ok {
			return name(n)
		}
		return w
	})
}
