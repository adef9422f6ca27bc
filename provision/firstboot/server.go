package firstboot

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/protocol"
)

// The files that "orrery image build" puts into the initial file system, and into the root.
const (
	// KeyFile has the public key that manifests must be signed with; AuthorityFile the certificates
	// that the server's must be signed with, for HTTPS.
	KeyFile       = "/etc/orrery/image.pub"
	AuthorityFile = "/etc/orrery/ca.pem"
	// ModulesDir has kernel modules, whose names sort in the order of loading.
	ModulesDir = "/modules"
	// StateFile has the node's configuration, from the first life to the second.
	StateFile = "/run/orrery-node.json"
)

// newClient is an HTTP client that trusts the image's authority alone, if it has one.
func newClient() (*http.Client, error) {
	transport := &http.Transport{ResponseHeaderTimeout: 60 * time.Second, TLSHandshakeTimeout: 60 * time.Second}
	pem, err := os.ReadFile(AuthorityFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", AuthorityFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// configure fetches the configuration, for which the URL has a token that works once.
func configure(ctx context.Context, client *http.Client, url string) (*protocol.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, withoutToken(err, url)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, protocol.MaxConfig+1))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server gives no configuration: %s: %s", response.Status, protocol.Printable(strings.TrimSpace(string(data))))
	}
	return protocol.DecodeConfig(data)
}

// withoutToken keeps the token out of logs.
func withoutToken(err error, url string) error {
	short, _, _ := strings.Cut(url, "?")
	return errors.New(strings.ReplaceAll(err.Error(), url, short))
}

// trusted reads the manifest of a configuration. Key is nil where images may be unsigned.
func trusted(c *protocol.Config, key ed25519.PublicKey) (*manifest.Manifest, error) {
	if key != nil {
		if err := manifest.Verify(c.Manifest, c.Signature, key); err != nil {
			return nil, err
		}
	}
	return manifest.Decode(c.Manifest)
}

// report tells the server of a stage, or of a failure on the way to it.
func report(ctx context.Context, client *http.Client, c *protocol.Config, r protocol.Report, failure error) error {
	if failure != nil {
		r.Error = failure.Error()
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Server+protocol.ReportPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.Key)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4096))
	if response.StatusCode != http.StatusNoContent {
		return &statusError{response.Status}
	}
	return nil
}

// insist reports until the server answers, so that a server that is being started again hears of
// every stage. It gives up after two minutes.
func insist(ctx context.Context, client *http.Client, c *protocol.Config, r protocol.Report, failure error) error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := report(ctx, client, c, r, failure)
		var status *statusError
		if err == nil || errors.As(err, &status) || time.Now().After(deadline) {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}
