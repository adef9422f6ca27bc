package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// config is the plugin's own configuration.
type config struct {
	types.NetConf
	// Kubeconfig says where the apiserver is.
	Kubeconfig string `json:"kubeconfig"`
	// Delegates are the default networks; the first gives the pod's address.
	Delegates []json.RawMessage `json:"delegates"`
	// CNIDir is where the delegates of running containers are kept.
	CNIDir string `json:"cniDir"`
	// BinDir is searched for plugins beside CNI_PATH.
	BinDir string `json:"binDir"`
	// ConfDir has the networks of definitions that have no configuration.
	ConfDir string `json:"confDir"`
	// NamespaceIsolation lets pods use networks only of their own namespace
	// and of GlobalNamespaces ("default" if that is empty).
	NamespaceIsolation bool   `json:"namespaceIsolation"`
	GlobalNamespaces   string `json:"globalNamespaces"`

	RuntimeConfig map[string]any `json:"runtimeConfig"`
}

// unsupported are options of Multus that change what a pod gets.
var unsupported = []string{"clusterNetwork", "defaultNetworks", "readinessindicatorfile"}

func parseConfig(text []byte) (*config, error) {
	c := &config{CNIDir: "/var/lib/cni/multus", ConfDir: "/etc/cni/multus/net.d"}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("configuration of the stand-in for Multus: %w", err)
	}
	var options map[string]json.RawMessage
	if err := json.Unmarshal(text, &options); err != nil {
		return nil, fmt.Errorf("configuration of the stand-in for Multus: %w", err)
	}
	for _, name := range unsupported {
		if _, ok := options[name]; ok {
			return nil, fmt.Errorf(`the stand-in for Multus has no %q; put default networks into "delegates"`, name)
		}
	}
	if len(c.Delegates) == 0 {
		return nil, errors.New(`the configuration of the stand-in for Multus has no "delegates"; put the default network there`)
	}
	return c, nil
}

// allows says whether pods of a namespace may use networks of another.
func (c *config) allows(pod, network string) bool {
	if !c.NamespaceIsolation || pod == network {
		return true
	}
	global := []string{"default"}
	if c.GlobalNamespaces != "" {
		global = strings.Split(c.GlobalNamespaces, ",")
	}
	return slices.Contains(global, network)
}

// record is the file that keeps a container's delegates.
func (c *config) record(container string) (string, error) {
	// CNI has letters, digits, dots, dashes and underscores in it.
	if container == "" || strings.ContainsAny(container, "/\x00") || container[0] == '.' {
		return "", fmt.Errorf("%q is no id of a container", container)
	}
	return filepath.Join(c.CNIDir, container), nil
}
