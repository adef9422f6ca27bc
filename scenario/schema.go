package scenario

import _ "embed"

//go:generate go run ./internal/reference/generate

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of the scenario file. It checks
// names, types, words and units; what fields mean together is checked by Load.
func Schema() []byte { return schema }
