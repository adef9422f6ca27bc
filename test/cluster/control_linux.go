package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"orrery.dev/orrery/test/cluster/machine"
)

// apiPort is where the apiserver listens. It is the port of the service
// "kubernetes", whose address is the control machine's.
const apiPort = 443

// adminSubject may do everything.
var adminSubject = pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}

// controlAddresses are those of the control machine, the cluster's first
// family first.
func (c *Cluster) controlAddresses() []netip.Addr {
	return families(c.options, host(underlay4, 1), host(underlay6, 1))
}

// inside is the apiserver's URL for those in the cluster.
func (c *Cluster) inside() string {
	return "https://" + net.JoinHostPort(c.controlAddresses()[0].String(), fmt.Sprint(apiPort))
}

// startControl starts the control machine, etcd and the apiserver, and makes
// what clients need.
func (c *Cluster) startControl(ctx context.Context) error {
	var err error
	if c.ca, err = newAuthority(filepath.Join(c.Dir, "pki")); err != nil {
		return err
	}
	if c.control, err = c.startMachine("control", nil); err != nil {
		return err
	}
	if c.controlNet, err = openNetwork(c.control.ID); err != nil {
		return err
	}
	if err := setUpControl(c.controlNet); err != nil {
		return err
	}
	if c.forwarder, err = forward(c.controlNet.namespace, net.JoinHostPort(c.controlAddresses()[0].String(), fmt.Sprint(apiPort))); err != nil {
		return err
	}
	admin, err := c.ca.issue("admin", adminSubject, nil)
	if err != nil {
		return err
	}
	c.Server = "https://" + c.forwarder.address()
	c.CA, c.Certificate, c.Key = c.ca.pem, admin.cert, admin.key
	c.Kubeconfig = filepath.Join(c.Dir, "kubeconfig")
	if err := os.WriteFile(c.Kubeconfig, c.ca.kubeconfig(c.Server, admin), 0o600); err != nil {
		return err
	}
	if err := c.startStore(); err != nil {
		return err
	}
	if err := c.startAPI(); err != nil {
		return err
	}
	return c.wait(ctx, "the apiserver is ready", func(ctx context.Context) (bool, error) {
		return c.get(ctx, "/readyz") == nil, nil
	})
}

func (c *Cluster) startStore() error {
	etcd, err := find("etcd")
	if err != nil {
		return err
	}
	return c.control.Run(machine.Process{
		Name: "etcd", Log: c.log("etcd"),
		Args: []string{
			etcd, "--data-dir=/var/lib/etcd", "--unsafe-no-fsync=true",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380",
		},
	})
}

func (c *Cluster) startAPI() error {
	addresses := append(c.controlAddresses(), host(services4, 1), host(services6, 1), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"))
	server, err := c.ca.issue("apiserver", pkix.Name{CommonName: "kube-apiserver"}, addresses,
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if err != nil {
		return err
	}
	toKubelets, err := c.ca.issue("apiserver-kubelet", pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	if c.tokens, err = c.ca.signer("tokens"); err != nil {
		return err
	}
	services := families(c.options, services4, services6)
	return c.control.Run(machine.Process{
		Name: "kube-apiserver", Log: c.log("kube-apiserver"),
		Args: []string{
			c.kube, "kube-apiserver",
			"--etcd-servers=http://127.0.0.1:2379",
			"--bind-address=" + families(c.options, "0.0.0.0", "::")[0], fmt.Sprintf("--secure-port=%d", apiPort),
			"--advertise-address=" + c.controlAddresses()[0].String(),
			"--tls-cert-file=" + server.certFile, "--tls-private-key-file=" + server.keyFile,
			"--client-ca-file=" + c.ca.file(),
			"--kubelet-client-certificate=" + toKubelets.certFile, "--kubelet-client-key=" + toKubelets.keyFile,
			"--kubelet-certificate-authority=" + c.ca.file(), "--kubelet-preferred-address-types=InternalIP",
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
			fmt.Sprintf("--service-cluster-ip-range=%v,%v", services[0], services[1]),
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + c.tokens.certFile, "--service-account-signing-key-file=" + c.tokens.keyFile,
			// There is no kube-proxy, so webhooks are reached by endpoints.
			"--enable-aggregator-routing=true",
			"--enable-priority-and-fairness=false", "--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
			"--profiling=false",
		},
	})
}

// startControllers starts what makes pods out of objects, and gives them nodes.
func (c *Cluster) startControllers() error {
	for _, program := range []struct {
		name, user string
		args       []string
	}{
		{"kube-controller-manager", "system:kube-controller-manager", []string{
			"--use-service-account-credentials=true", "--service-account-private-key-file=" + c.tokens.keyFile,
			"--root-ca-file=" + c.ca.file(), "--allocate-node-cidrs=false",
		}},
		{"kube-scheduler", "system:kube-scheduler", nil},
	} {
		file, err := c.newUser(program.name, pkix.Name{CommonName: program.user})
		if err != nil {
			return err
		}
		args := append([]string{
			c.kube, program.name, "--kubeconfig=" + file, "--authentication-kubeconfig=" + file, "--authorization-kubeconfig=" + file,
			"--leader-elect=false", "--bind-address=127.0.0.1", "--kube-api-qps=200", "--kube-api-burst=400",
		}, program.args...)
		if err := c.control.Run(machine.Process{Name: program.name, Log: c.log(program.name), Args: args}); err != nil {
			return err
		}
	}
	return nil
}

// newUser makes a kubeconfig for use inside the cluster, and returns its name.
func (c *Cluster) newUser(name string, subject pkix.Name) (string, error) {
	i, err := c.ca.issue(name, subject, nil)
	if err != nil {
		return "", err
	}
	file := filepath.Join(c.ca.dir, name+".kubeconfig")
	return file, os.WriteFile(file, c.ca.kubeconfig(c.inside(), i), 0o600)
}

// get asks the apiserver for a path, as the administrator.
func (c *Cluster) get(ctx context.Context, path string) error {
	pair, err := tls.X509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Server+path, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
