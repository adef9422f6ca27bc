// Init is the first process of a test's root: it tells by exit code whether it finds what the first program has left for it.
package main

import (
	"os"
	"strings"
)

func main() {
	name, err := os.ReadFile("/etc/hostname")
	if err != nil || strings.TrimSpace(string(name)) != "pxe-1" {
		os.Exit(10)
	}
	network, err := os.ReadFile("/etc/systemd/network/10-orrery.network")
	if err != nil || !strings.Contains(string(network), "MACAddress=52:54:00:77:00:01") {
		os.Exit(11)
	}
	if info, err := os.Stat("/run/orrery-node.json"); err != nil || info.Mode().Perm() != 0o600 {
		os.Exit(12)
	}
	if _, err := os.Stat("/lower"); err == nil {
		os.Exit(13) // still the old root
	}
	os.Exit(42)
}
