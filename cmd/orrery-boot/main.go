// Orrery-boot is the first program of a node image, and the service that brings its node
// to ready. It is no command for users: as process 1 it is the initial file system's
// first process, else it takes the word "node".
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"orrery.dev/orrery/provision/firstboot"
)

func main() {
	if os.Getpid() == 1 {
		firstboot.Init()
	}
	if len(os.Args) != 2 || os.Args[1] != "node" {
		fmt.Fprintln(os.Stderr, "orrery-boot: this is a part of node images; \"orrery image build\" puts it there")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := firstboot.Node(ctx, firstboot.System{}, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "orrery-boot: "+err.Error())
		os.Exit(1)
	}
}
