package cluster

import (
	"context"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"

	"orrery.dev/orrery/test/cluster/machine"
)

// worker is a node that runs.
type worker struct {
	Worker
	machine *machine.Machine
	network *network
}

const (
	sbinPath     = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	pluginDir    = "/opt/cni/bin"
	stockPlugins = "/usr/lib/cni"
	networkDir   = "/etc/cni/net.d"
)

// kubeletSysctls are the settings that the kubelet makes, unless they have these
// values (setupKernelTunables in pkg/kubelet/cm). They are the whole host's, so
// workers only see them so; the kubelet ends if it can neither find nor make
// them.
var kubeletSysctls = map[string]string{
	"/proc/sys/vm/overcommit_memory":      "1\n",
	"/proc/sys/vm/panic_on_oom":           "0\n",
	"/proc/sys/kernel/panic":              "10\n",
	"/proc/sys/kernel/panic_on_oops":      "1\n",
	"/proc/sys/kernel/keys/root_maxkeys":  "1000000\n",
	"/proc/sys/kernel/keys/root_maxbytes": "25000000\n",
}

// startWorkerMachine makes a worker's machine and its network.
func (c *Cluster) startWorkerMachine(w Worker) (*worker, error) {
	m, err := c.startMachine(w.Name, kubeletSysctls)
	if err != nil {
		return nil, err
	}
	n, err := openNetwork(m.ID)
	if err != nil {
		return nil, err
	}
	started := &worker{w, m, n}
	c.workers = append(c.workers, started)
	return started, setUpWorker(c.controlNet, n, w)
}

// path says where on the host a file of the worker is.
func (w *worker) path(path string) string {
	return machine.Path(w.machine.Spec.Dir, path)
}

// write makes a file on the worker.
func (w *worker) write(path string, content []byte, mode os.FileMode) error {
	to := w.path(path)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, mode)
}

// installNetwork puts plugins and network configurations in their places.
func (c *Cluster) installNetwork(w *worker) error {
	bin := w.path(pluginDir)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	stock, err := os.ReadDir(stockPlugins)
	if err != nil {
		return err
	}
	for _, plugin := range stock {
		if err := os.Symlink(filepath.Join(stockPlugins, plugin.Name()), filepath.Join(bin, plugin.Name())); err != nil {
			return err
		}
	}
	for _, plugin := range c.options.Plugins {
		if err := copyProgram(plugin, filepath.Join(bin, filepath.Base(plugin))); err != nil {
			return err
		}
	}
	network := DefaultNetwork(w.Worker)
	if c.options.Network != nil {
		network = c.options.Network(w.Worker)
	}
	if !json.Valid(network) {
		return fmt.Errorf("the network of %s is no JSON: %s", w.Name, network)
	}
	if !c.options.Multus {
		return w.write(networkDir+"/10-default.conflist", network, 0o600)
	}
	if err := copyProgram(filepath.Join(c.Dir, "bin", "multus"), filepath.Join(bin, "multus")); err != nil {
		return err
	}
	user, err := c.newUser("multus-"+w.Name, pkix.Name{CommonName: "multus"})
	if err != nil {
		return err
	}
	kubeconfig, err := os.ReadFile(user)
	if err != nil {
		return err
	}
	const at = networkDir + "/multus.d/multus.kubeconfig"
	if err := w.write(at, kubeconfig, 0o600); err != nil {
		return err
	}
	config, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0", "name": "multus-cni-network", "type": "multus",
		"kubeconfig": at, "delegates": []json.RawMessage{network},
	}, "", "  ")
	if err != nil {
		return err
	}
	return w.write(networkDir+"/00-multus.conf", config, 0o600)
}

// DefaultNetwork gives each pod a pair of veth devices and an address of each
// family, by the ptp and host-local plugins.
func DefaultNetwork(w Worker) []byte {
	var ranges [][]map[string]string
	var routes []map[string]string
	for _, p := range w.PodCIDRs {
		ranges = append(ranges, []map[string]string{{"subnet": p.String()}})
		everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if p.Addr().Is6() {
			everything = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		routes = append(routes, map[string]string{"dst": everything.String()})
	}
	text, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": "default", "plugins": []any{map[string]any{
			"type": "ptp",
			"ipam": map[string]any{"type": "host-local", "ranges": ranges, "routes": routes},
		}},
	})
	if err != nil {
		panic(err) // there is nothing in it that cannot be marshalled
	}
	return text
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// startKubelet makes the node's object, and starts the kubelet.
func (c *Cluster) startKubelet(ctx context.Context, w *worker) error {
	cidrs := make([]string, len(w.PodCIDRs))
	for i, p := range w.PodCIDRs {
		cidrs[i] = p.String()
	}
	// The kubelet takes over a node that is there. Made in advance, the node
	// has its pods' prefixes from the beginning.
	node := map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"name": w.Name},
		"spec":     map[string]any{"podCIDR": cidrs[0], "podCIDRs": cidrs},
	}
	text, err := json.Marshal(node)
	if err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, text, "create", "--filename=-"); err != nil {
		return err
	}
	user, err := c.newUser(w.Name, pkix.Name{CommonName: "system:node:" + w.Name, Organization: []string{"system:nodes"}})
	if err != nil {
		return err
	}
	addresses := families(c.options, w.IPv4, w.IPv6)
	server, err := c.ca.issue(w.Name+"-server", pkix.Name{CommonName: "system:node:" + w.Name, Organization: []string{"system:nodes"}}, addresses, w.Name)
	if err != nil {
		return err
	}
	config, err := json.MarshalIndent(c.kubeletConfig(w, server), "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(c.Dir, "conf", w.Name+"-kubelet.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	return w.machine.Run(machine.Process{
		Name: "kubelet", Log: c.log(w.Name + "-kubelet"),
		Args: []string{
			c.kube, "kubelet", "--config=" + file, "--kubeconfig=" + user, "--hostname-override=" + w.Name,
			fmt.Sprintf("--node-ip=%v,%v", addresses[0], addresses[1]), "--v=2",
		},
	})
}

func (c *Cluster) kubeletConfig(w *worker, server identity) map[string]any {
	maxPods := c.options.MaxPods
	if c.options.FirstPods != 0 && w.Name == c.workers[0].Name {
		maxPods = c.options.FirstPods
	}
	if maxPods == 0 {
		maxPods = 110
	}
	config := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address":                  families(c.options, "0.0.0.0", "::")[0],
		"containerRuntimeEndpoint": "unix://" + c.containers.socket(),
		"tlsCertFile":              server.certFile,
		"tlsPrivateKeyFile":        server.keyFile,
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": c.ca.file()},
		},
		"authorization":               map[string]any{"mode": "Webhook"},
		"cgroupDriver":                "cgroupfs",
		"cgroupRoot":                  "/" + c.state.Cgroup + "/" + w.Name,
		"failCgroupV1":                false,
		"failSwapOn":                  false,
		"makeIPTablesUtilChains":      false,
		"resolvConf":                  "",
		"maxPods":                     maxPods,
		"volumePluginDir":             "/var/lib/kubelet/volume-plugins",
		"imageGCHighThresholdPercent": 100,
		"imageGCLowThresholdPercent":  99,
		"serializeImagePulls":         false,
		"registryPullQPS":             0,
		"kubeAPIQPS":                  200,
		"kubeAPIBurst":                400,
		"eventRecordQPS":              0,
		"containerLogMaxSize":         "1Mi",
	}
	maps.Copy(config, quiet)
	return config
}

// quiet keeps a kubelet from asking for figures of all pods again and again, whose cost grows with the pods, and that of volumes with their
// square: with 700 pods on two cores a tenth of its time went to the eviction manager, for which every shim answers as well, and a seventh to volumes.
// Nothing is evicted then; machines of tests have the host's memory and disk, and nobody to give them back to.
var quiet = map[string]any{
	"evictionHard":                  map[string]string{"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
	"localStorageCapacityIsolation": false,
	"syncFrequency":                 "10m",
	"volumeStatsAggPeriod":          "-1s",
}
