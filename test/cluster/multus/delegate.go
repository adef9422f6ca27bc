package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// delegate is a network that a container is attached to.
type delegate struct {
	// Name is how its status calls it.
	Name string `json:"name"`
	// Interface is the device's name in the pod.
	Interface string `json:"interface"`
	// Config is a CNI network configuration, or a list.
	Config json.RawMessage `json:"config"`
	// Default marks the network of the pod's address.
	Default bool `json:"default,omitempty"`
	// Capabilities are what the runtime has to say to plugins.
	Capabilities map[string]any `json:"capabilities,omitempty"`
	// Args go to plugins as args.cni.
	Args map[string]any `json:"args,omitempty"`
}

// defaults are the delegates of the plugin's own configuration.
func (c *config) defaults(ifName string) ([]delegate, error) {
	all := make([]delegate, len(c.Delegates))
	for i, text := range c.Delegates {
		d := delegate{Config: text, Interface: ifName, Default: i == 0}
		if i == 0 {
			d.Capabilities = c.RuntimeConfig
		} else {
			d.Interface = fmt.Sprintf("net%d", i)
		}
		list, err := d.list()
		if err != nil {
			return nil, err
		}
		d.Name = list.Name
		all[i] = d
	}
	return all, nil
}

// selected is the delegate for a pod's selection, which is the index-th of all
// delegates.
func (s selection) delegate(index int, text []byte) delegate {
	d := delegate{Name: s.Namespace + "/" + s.Name, Interface: s.Interface, Config: text, Args: s.CNIArgs, Capabilities: map[string]any{}}
	if d.Interface == "" {
		d.Interface = fmt.Sprintf("net%d", index)
	}
	if s.MAC != "" {
		d.Capabilities["mac"] = s.MAC
	}
	if len(s.IPs) > 0 {
		d.Capabilities["ips"] = s.IPs
	}
	return d
}

// list is the configuration as libcni wants it.
func (d delegate) list() (*libcni.NetworkConfigList, error) {
	var text map[string]any
	if err := json.Unmarshal(d.Config, &text); err != nil {
		return nil, fmt.Errorf("configuration of network %s: %w", d.Name, err)
	}
	if name, _ := text["name"].(string); name == "" && d.Name != "" {
		// A definition's configuration need have no name; the network has one.
		text["name"] = filepath.Base(d.Name)
	}
	if len(d.Args) > 0 {
		plugins, ok := text["plugins"].([]any)
		if !ok {
			plugins = []any{text}
		}
		for _, p := range plugins {
			plugin, ok := p.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("configuration of network %s: a plugin is no object", d.Name)
			}
			args, _ := plugin["args"].(map[string]any)
			if args == nil {
				args = map[string]any{}
			}
			args["cni"] = d.Args
			plugin["args"] = args
		}
	}
	raw, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	if _, ok := text["plugins"]; ok {
		return libcni.ConfListFromBytes(raw)
	}
	// libcni wants lists; one plugin is a list of one.
	whole, err := json.Marshal(map[string]any{
		"cniVersion": text["cniVersion"], "name": text["name"], "plugins": []any{json.RawMessage(raw)},
	})
	if err != nil {
		return nil, err
	}
	return libcni.ConfListFromBytes(whole)
}

// attachment is one container with its delegates.
type attachment struct {
	args   *skel.CmdArgs
	pod    podArgs
	record string
	cni    libcni.CNI
}

// runtime is what a delegate's plugins are told of the container.
func (a *attachment) runtime(d delegate) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: a.args.ContainerID, NetNS: a.args.Netns, IfName: d.Interface,
		CapabilityArgs: d.Capabilities,
		Args: [][2]string{
			{"IgnoreUnknown", "true"},
			{"K8S_POD_NAMESPACE", string(a.pod.K8S_POD_NAMESPACE)},
			{"K8S_POD_NAME", string(a.pod.K8S_POD_NAME)},
			{"K8S_POD_INFRA_CONTAINER_ID", string(a.pod.K8S_POD_INFRA_CONTAINER_ID)},
			{"K8S_POD_UID", string(a.pod.K8S_POD_UID)},
		},
	}
}

// add attaches the container to all networks in turn, or to none.
func (a *attachment) add(ctx context.Context, delegates []delegate) ([]types.Result, error) {
	// Kept before the first is made, since DEL comes also after a crash.
	if err := a.keep(delegates); err != nil {
		return nil, err
	}
	results := make([]types.Result, 0, len(delegates))
	for i, d := range delegates {
		list, err := d.list()
		if err == nil {
			var result types.Result
			result, err = a.cni.AddNetworkList(ctx, list, a.runtime(d))
			results = append(results, result)
		}
		if err != nil {
			// The one that failed may have made something, too.
			err = fmt.Errorf("attach %s to network %s: %w", d.Interface, d.Name, err)
			return nil, errors.Join(err, a.remove(ctx, delegates[:i+1]))
		}
	}
	return results, nil
}

// remove detaches the container from all networks, from the last to the first,
// and forgets them if nothing failed.
func (a *attachment) remove(ctx context.Context, delegates []delegate) error {
	var problems []error
	for _, d := range slices.Backward(delegates) {
		list, err := d.list()
		if err == nil {
			err = a.cni.DelNetworkList(ctx, list, a.runtime(d))
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("detach %s from network %s: %w", d.Interface, d.Name, err))
		}
	}
	if len(problems) == 0 {
		if err := os.Remove(a.record); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// check asks the plugins of all networks whether all is as it was.
func (a *attachment) check(ctx context.Context, delegates []delegate) error {
	for _, d := range delegates {
		list, err := d.list()
		if err == nil {
			err = a.cni.CheckNetworkList(ctx, list, a.runtime(d))
		}
		if err != nil {
			return fmt.Errorf("check %s at network %s: %w", d.Interface, d.Name, err)
		}
	}
	return nil
}

func (a *attachment) keep(delegates []delegate) error {
	text, err := json.Marshal(delegates)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(a.record), 0o700); err != nil {
		return err
	}
	return os.WriteFile(a.record, text, 0o600)
}

// kept are the delegates that add kept; none if there are none.
func (a *attachment) kept() ([]delegate, error) {
	text, err := os.ReadFile(a.record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []delegate
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", a.record, err)
	}
	return all, nil
}
