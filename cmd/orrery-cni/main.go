// Command orrery-cni is a CNI plugin: it gives a pod all ports of the node that it is, by
// asking the node agent. See docs/kubernetes.md.
//
//	orrery-cni install DIR   copies the program to DIR, in one step
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/skel"

	"orrery.dev/orrery/kube/cni"
)

// name that network configurations call the plugin by.
const name = "orrery-cni"

func main() {
	if len(os.Args) == 3 && os.Args[1] == "install" {
		if err := install(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "orrery-cni: "+err.Error())
			os.Exit(1)
		}
		return
	}
	skel.PluginMainFuncs(cni.Plugin(), cni.Versions(), "CNI plugin orrery-cni: ports of emulated moving networks")
}

// install copies this program to a directory of plugins. A runtime that starts it at that
// moment gets the old one or the new one, and never a part.
func install(dir string) (err error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	f, err := os.CreateTemp(dir, "."+name+"-")
	if err != nil {
		return fmt.Errorf("install in %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = io.Copy(f, self)
	if err = errors.Join(err, f.Chmod(0o755), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("install in %s: %w", dir, err)
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}
