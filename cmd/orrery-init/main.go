// Orrery-init is the first process of pods with several daemons: orrery-init
// FILE keeps the processes running that FILE tells of. `orrery node run` becomes
// it; there is no need to call it otherwise.
package main

import (
	"fmt"
	"os"

	"orrery.dev/orrery/kube/supervise"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "orrery-init: want the file with the processes as the only argument")
		os.Exit(2)
	}
	list, err := supervise.Read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "orrery-init: "+err.Error())
		os.Exit(2)
	}
	os.Exit(supervise.Main(list))
}
