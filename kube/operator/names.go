package operator

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"orrery.dev/orrery/scenario"
)

// separator stands between the names of a scenario and of a node. A DNS label
// neither begins nor ends with '-', so where it is in neither name it can be read
// back in one way only.
const separator = "--"

// PodName is the name of a node's pod, a DNS label that no other node of any
// scenario has: "iridium--tempe". Where the names are too long for that, or have
// the separator in them, it is as much of both as there is room for and a hash.
func PodName(scenarioName, node string) string {
	name := scenarioName + separator + node
	if len(name) <= scenario.MaxNodeName && !strings.Contains(scenarioName, separator) && !strings.Contains(node, separator) {
		return name
	}
	sum := sha256.Sum256([]byte(scenarioName + "\x00" + node))
	hash := strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))[:12]
	name = strings.ReplaceAll(name, separator, "-")
	for strings.Contains(name, separator) { // more than two in a row
		name = strings.ReplaceAll(name, separator, "-")
	}
	name = strings.TrimRight(name[:min(len(name), scenario.MaxNodeName-len(hash)-1)], "-")
	return name + "-" + hash
}
