// Package scenario is the file format: what moves, who may talk to whom, and
// what runs on the nodes.
//
// Load and Parse go from text to a Scenario in four steps, each of which tells
// all its problems with line, column and what would be right:
//
//	text ──parseTree──▶ tree ──decode──▶ Scenario ──Default──▶ resolved ──check──▶ valid
//
// The tree keeps the place of every value. Names, types, words, bounds and
// simple defaults stand in the tags of the types (package shape), from which
// the JSON Schema and docs/scenario.md are made as well. What depends on more
// than one field is in Default and in the validate files.
//
// The same text gives the same Scenario on every system. Orbit files are not
// read here: Load only looks whether they are there.
//
// # Caveats
//
// A scenario without an epoch but with orbit files keeps a nil Epoch: the plan
// takes it from the files. Patterns of nodes that may match satellites of an
// orbit file are accepted, since their names are not known yet.
package scenario
