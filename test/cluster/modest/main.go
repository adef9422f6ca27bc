// Modest runs runc without what a host may not have. It is what CRI-O runs in a
// test cluster.
//
// No container gets an oom_score_adj below 0, as when containerd is told so: that
// needs CAP_SYS_RESOURCE. And none gets limits of huge pages: CRI-O gives them
// wherever the kernel knows of huge pages, and runc fails where the hierarchy for
// them is not mounted.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "modest:", err)
		os.Exit(1)
	}
}

func run() error {
	if bundle := created(os.Args[1:]); bundle != "" {
		if err := edit(filepath.Join(bundle, "config.json")); err != nil {
			return err
		}
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	return syscall.Exec(runc, append([]string{"runc"}, os.Args[1:]...), os.Environ())
}

// created is the bundle that runc is to make a container of; "" if it is to do something else.
func created(args []string) string {
	create := slices.Index(args, "create")
	if create < 0 {
		return ""
	}
	for i, a := range args[create:] {
		if value, ok := strings.CutPrefix(a, "--bundle="); ok {
			return value
		}
		if (a == "--bundle" || a == "-b") && create+i+1 < len(args) {
			return args[create+i+1]
		}
	}
	return "."
}

func edit(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if text, err = modest(text); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, text, 0o600)
}

// modest is a container's configuration (config.json of the OCI runtime
// specification) without what is asked too much.
func modest(text []byte) ([]byte, error) {
	var config, process, linux, resources map[string]json.RawMessage
	err := errors.Join(json.Unmarshal(text, &config), part(config, "process", &process), part(config, "linux", &linux), part(linux, "resources", &resources))
	if err != nil {
		return nil, err
	}
	var adjustment int
	if part(process, "oomScoreAdj", &adjustment) == nil && adjustment < 0 {
		delete(process, "oomScoreAdj")
		if config["process"], err = json.Marshal(process); err != nil {
			return nil, err
		}
	}
	if _, ok := resources["hugepageLimits"]; ok {
		delete(resources, "hugepageLimits")
		if linux["resources"], err = json.Marshal(resources); err != nil {
			return nil, err
		}
		if config["linux"], err = json.Marshal(linux); err != nil {
			return nil, err
		}
	}
	return json.Marshal(config)
}

// part takes what an object has under a key, if it has it.
func part(object map[string]json.RawMessage, key string, into any) error {
	if object[key] == nil {
		return nil
	}
	return json.Unmarshal(object[key], into)
}
