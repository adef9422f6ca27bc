// Command ctl runs a test cluster by hand, for a look at what tests do.
//
//	go run ./test/cluster/ctl build            # Kubernetes, into the cache
//	go run ./test/cluster/ctl up -workers 2    # until Ctrl-C; it says how to reach it
//	go run ./test/cluster/ctl down DIRECTORY   # what a killed test or "up" left
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"orrery.dev/orrery/test/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		stop()
		fmt.Fprintf(os.Stderr, "ctl: %v\n", err)
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say build, up or down")
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	o := &cluster.Options{}
	o.Log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	flags.TextVar(&o.Runtime, "runtime", cluster.Containerd, "what makes containers: containerd, containerd2 or cri-o; the last two are built from their modules")
	switch args[0] {
	case "build":
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return cluster.Build(ctx, o.Log, o.Runtime)
	case "up":
		return up(ctx, flags, o, args[1:])
	case "down":
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if flags.NArg() != 1 {
			return errors.New("down: name the directory of one cluster")
		}
		return cluster.Down(flags.Arg(0))
	}
	return fmt.Errorf("there is no command %q: say build, up or down", args[0])
}

func up(ctx context.Context, flags *flag.FlagSet, o *cluster.Options, args []string) error {
	flags.IntVar(&o.Workers, "workers", 1, "how many workers; 0 is etcd and apiserver alone")
	flags.IntVar(&o.MaxPods, "max-pods", 0, "how many pods a node takes; 0 is 110")
	flags.BoolVar(&o.IPv6, "ipv6", false, "use IPv6 before IPv4")
	flags.BoolVar(&o.Multus, "multus", true, "with the stand-in for Multus")
	flags.StringVar(&o.Dir, "dir", "", "directory for the state")
	images := flags.String("images", "", "archives to import, with commas between")
	plugins := flags.String("plugins", "", "programs to put beside the CNI plugins, with commas between")
	if err := flags.Parse(args); err != nil {
		return err
	}
	list := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
	}
	o.Images, o.Plugins = list(*images), list(*plugins)
	o.Multus = o.Multus && o.Workers > 0
	c, err := cluster.Up(ctx, *o)
	if err != nil {
		return err
	}
	fmt.Printf("# The cluster is ready; Ctrl-C ends it. In another shell:\nexport KUBECONFIG=%s\nalias kubectl='%s kubectl'\n", c.Kubeconfig, c.Kube())
	<-ctx.Done()
	return c.Down()
}
