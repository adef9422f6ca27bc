// Package scenario is the file format: what moves, who may talk to whom, and
// what runs on the nodes.
//
// Reading a file gives the same Scenario on every system. It is strict: what
// is not understood is refused, with line and column.
package scenario
