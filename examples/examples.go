// Package examples holds scenarios of this directory for programs that carry them along.
package examples

import _ "embed"

// ThreeNodes is three-nodes.yaml: the smallest network that moves.
//
//go:embed three-nodes.yaml
var ThreeNodes []byte
