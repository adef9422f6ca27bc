package operator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// validity of a certificate, and how long before its end it is renewed.
	validity, margin = 30 * 24 * time.Hour, 10 * 24 * time.Hour
	// retryKeys is how long to wait after a failure to renew.
	retryKeys = time.Minute
)

// keys are a certificate that is valid for one service, made by the operator
// itself and told to the API server in the webhook's configuration. The private
// key never leaves the process, so that no right to read secrets is needed; each
// start makes a new one.
type keys struct {
	client client.Client
	// configuration is the name of the ValidatingWebhookConfiguration.
	configuration string
	hosts         []string // names and addresses that the certificate is for
	now           func() time.Time

	mu          sync.Mutex // guards the rest
	certificate *tls.Certificate
	authority   []byte // PEM
	until       time.Time
}

func (k *keys) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.certificate, nil
	}}
}

// renew makes a certificate and tells the API server. The old one is trusted
// until the new one is in use.
func (k *keys) renew(ctx context.Context) error {
	certificate, authority, err := issue(k.hosts, k.now())
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	k.mu.Lock()
	trusted := append(append([]byte{}, authority...), k.authority...)
	k.mu.Unlock()
	if err := k.tell(ctx, trusted); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.certificate, k.authority, k.until = certificate, authority, k.now().Add(validity)
	return nil
}

// tell writes the authorities that the API server is to trust.
func (k *keys) tell(ctx context.Context, authorities []byte) error {
	var c admissionregistration.ValidatingWebhookConfiguration
	if err := k.client.Get(ctx, client.ObjectKey{Name: k.configuration}, &c); err != nil {
		return fmt.Errorf("the ValidatingWebhookConfiguration %q cannot be read; apply the operator's manifests again: %w", k.configuration, err)
	}
	before := c.DeepCopy()
	for i := range c.Webhooks {
		c.Webhooks[i].ClientConfig.CABundle = authorities
	}
	if err := k.client.Patch(ctx, &c, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("tell the certificate to the API server: %w", err)
	}
	return nil
}

// keep renews the certificate in time, until the context ends.
func (k *keys) keep(ctx context.Context, failed func(error)) {
	for {
		k.mu.Lock()
		wait := max(k.until.Add(-margin).Sub(k.now()), time.Second)
		k.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		for ctx.Err() == nil {
			err := k.renew(ctx)
			if err == nil {
				break
			}
			failed(err)
			select {
			case <-ctx.Done():
			case <-time.After(retryKeys):
			}
		}
	}
}

// issue makes an authority and a certificate of it, whose key signs no other.
func issue(hosts []string, now time.Time) (*tls.Certificate, []byte, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "orrery-operator " + serial.Text(36)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity), // clocks differ
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}
