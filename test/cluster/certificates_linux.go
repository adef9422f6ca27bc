package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// authority issues the certificates by which the cluster's parts know each
// other (Kubernetes: PKI certificates and requirements). Keys are fresh for
// every cluster and readable by root alone.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// identity is a certificate with its key, in PEM, and the files that hold them.
type identity struct {
	cert, key         []byte
	certFile, keyFile string
}

func newAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(pkix.Name{CommonName: "orrery test cluster"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{dir: dir, cert: cert, key: key, pem: block("CERTIFICATE", der)}
	return a, os.WriteFile(a.file(), a.pem, 0o600)
}

// file is where the authority's own certificate is.
func (a *authority) file() string {
	return filepath.Join(a.dir, "ca.crt")
}

// issue makes a certificate for a user and its groups, and for a server at the
// given addresses and names.
func (a *authority) issue(name string, subject pkix.Name, addresses []netip.Addr, names ...string) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	template := certificate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.DNSNames = names
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	if len(addresses) > 0 || len(names) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return identity{}, err
	}
	return a.save(name, block("CERTIFICATE", der), key)
}

// signer makes a bare key pair, with which tokens are signed; its "cert" is the
// public key.
func (a *authority) signer(name string) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return identity{}, err
	}
	return a.save(name, block("PUBLIC KEY", der), key)
}

func (a *authority) save(name string, public []byte, key *ecdsa.PrivateKey) (identity, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	i := identity{
		cert: public, certFile: filepath.Join(a.dir, name+".crt"),
		key: block("EC PRIVATE KEY", der), keyFile: filepath.Join(a.dir, name+".key"),
	}
	if err := os.WriteFile(i.certFile, i.cert, 0o600); err != nil {
		return identity{}, err
	}
	return i, os.WriteFile(i.keyFile, i.key, 0o600)
}

func certificate(subject pkix.Name) *x509.Certificate {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails, since Go 1.24
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour), // clocks may be set back
		NotAfter:     now.AddDate(1, 0, 0),
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// kubeconfig tells a client where the apiserver is and who the client is. JSON
// is YAML as well.
func (a *authority) kubeconfig(server string, i identity) []byte {
	text, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "cluster",
		"clusters": []any{map[string]any{"name": "cluster", "cluster": map[string]any{
			"server": server, "certificate-authority-data": a.pem,
		}}},
		"users": []any{map[string]any{"name": "user", "user": map[string]any{
			"client-certificate-data": i.cert, "client-key-data": i.key,
		}}},
		"contexts": []any{map[string]any{"name": "cluster", "context": map[string]any{"cluster": "cluster", "user": "user"}}},
	}, "", "  ")
	if err != nil {
		panic(err) // there is nothing in it that cannot be marshalled
	}
	return text
}
