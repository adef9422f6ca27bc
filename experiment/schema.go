package experiment

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of experiment files, for editors. What
// the changes of variants mean is checked by Load. It is written by go generate
// ./scenario.
func Schema() []byte { return schema }
