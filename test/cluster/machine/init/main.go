// Command init is the first process of a machine of a test cluster. Package
// machine builds and starts it.
package main

import (
	"os"

	"orrery.dev/orrery/test/cluster/machine"
)

func main() {
	os.Exit(machine.Main())
}
