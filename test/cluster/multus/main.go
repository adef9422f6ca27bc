package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

func main() {
	skel.PluginMainFuncs(
		skel.CNIFuncs{Add: whole(add), Del: whole(del), Check: whole(check)},
		version.PluginSupports("0.3.1", "0.4.0", "1.0.0"),
		"A stand-in for Multus in tests",
	)
}

// whole makes an error tell all that it says: of an error with a delegate's in
// it, package skel would print only that one.
func whole(f func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) error {
		if err := f(args); err != nil {
			return types.NewError(types.ErrInternal, err.Error(), "")
		}
		return nil
	}
}

// podArgs are what Kubernetes' runtimes say of a pod in CNI_ARGS. The names of
// the fields are those of the arguments.
type podArgs struct {
	types.CommonArgs
	K8S_POD_NAMESPACE          types.UnmarshallableString
	K8S_POD_NAME               types.UnmarshallableString
	K8S_POD_INFRA_CONTAINER_ID types.UnmarshallableString
	K8S_POD_UID                types.UnmarshallableString
}

func open(args *skel.CmdArgs) (*config, *attachment, error) {
	c, err := parseConfig(args.StdinData)
	if err != nil {
		return nil, nil, err
	}
	a := &attachment{args: args}
	if err := types.LoadArgs(args.Args, &a.pod); err != nil {
		return nil, nil, fmt.Errorf("CNI_ARGS: %w", err)
	}
	if a.record, err = c.record(args.ContainerID); err != nil {
		return nil, nil, err
	}
	path := filepath.SplitList(args.Path)
	if c.BinDir != "" {
		path = append(path, c.BinDir)
	}
	// Not libcni's usual place for results, in which CRI-O looks for those of its own networks.
	a.cni = libcni.NewCNIConfigWithCacheDir(path, c.CNIDir, nil)
	return c, a, nil
}

func add(args *skel.CmdArgs) error {
	ctx := context.Background()
	c, a, err := open(args)
	if err != nil {
		return err
	}
	namespace, name := string(a.pod.K8S_POD_NAMESPACE), string(a.pod.K8S_POD_NAME)
	server, err := connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	p, err := server.pod(ctx, namespace, name, string(a.pod.K8S_POD_UID))
	if err != nil {
		return err
	}
	delegates, err := c.resolve(ctx, server, args.IfName, namespace, p.Metadata.Annotations)
	if err != nil {
		return err
	}
	results, err := a.add(ctx, delegates)
	if err != nil {
		return err
	}
	statuses := make([]status, len(results))
	for i, result := range results {
		if statuses[i], err = newStatus(delegates[i], result); err != nil {
			return err
		}
	}
	if err := server.annotate(ctx, namespace, name, p.Metadata.UID, statuses); err != nil {
		return fmt.Errorf("tell the networks of pod %s/%s: %w", namespace, name, err)
	}
	return types.PrintResult(results[0], c.CNIVersion)
}

// resolve finds all networks of a pod.
func (c *config) resolve(ctx context.Context, server *apiserver, ifName, namespace string, annotations map[string]string) ([]delegate, error) {
	if annotations[defaultAnnotation] != "" {
		return nil, fmt.Errorf("the stand-in for Multus does not know the annotation %s; remove it from the pod", defaultAnnotation)
	}
	delegates, err := c.defaults(ifName)
	if err != nil {
		return nil, err
	}
	selections, err := parseSelections(annotations[networksAnnotation], namespace)
	if err != nil {
		return nil, err
	}
	for _, s := range selections {
		if !c.allows(namespace, s.Namespace) {
			return nil, fmt.Errorf("pods of namespace %s may not use network %s/%s: namespaces are isolated", namespace, s.Namespace, s.Name)
		}
		text, err := server.definition(ctx, s.Namespace, s.Name)
		if err != nil {
			return nil, fmt.Errorf("network %s/%s: %w", s.Namespace, s.Name, err)
		}
		raw := []byte(text)
		if text == "" {
			if raw, err = c.file(s.Name); err != nil {
				return nil, err
			}
		}
		if !json.Valid(raw) {
			return nil, fmt.Errorf("network %s/%s: its configuration is no JSON", s.Namespace, s.Name)
		}
		delegates = append(delegates, s.delegate(len(delegates), raw))
	}
	return delegates, nil
}

// file is the configuration of a network from ConfDir.
func (c *config) file(name string) ([]byte, error) {
	files, err := libcni.ConfFiles(c.ConfDir, []string{".conf", ".conflist", ".json"})
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var conf types.NetConf
		if json.Unmarshal(text, &conf) == nil && conf.Name == name {
			return text, nil
		}
	}
	return nil, fmt.Errorf("network %s has no configuration in its definition, and no file in %s has that name", name, c.ConfDir)
}

func del(args *skel.CmdArgs) error {
	c, a, err := open(args)
	if err != nil {
		return err
	}
	delegates, err := a.kept()
	if err != nil {
		return err
	}
	if delegates == nil {
		// Nothing was ever attached, or all is detached already. Plugins take
		// a DEL too many.
		if delegates, err = c.defaults(args.IfName); err != nil {
			return err
		}
	}
	return a.remove(context.Background(), delegates)
}

func check(args *skel.CmdArgs) error {
	_, a, err := open(args)
	if err != nil {
		return err
	}
	delegates, err := a.kept()
	if err != nil {
		return err
	}
	return a.check(context.Background(), delegates)
}
