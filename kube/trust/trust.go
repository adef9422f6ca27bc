// Package trust lets the operator and the agents know each other by the secret key that they
// share (the underlay's): both sides of a connection by TLS 1.3 prove that they hold it.
//
//	shared key ──HKDF, one label a role──▶ Ed25519 key pairs of the operator and of agents
//
// A certificate here is but the envelope of a public key, which the other side has derived as
// well: names, issuers and dates in it say nothing, and nothing else is trusted. Whoever holds
// the shared key can be either side, as with frames between workers.
package trust

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// MinKey is how long the shared key is at least, in bytes.
const MinKey = 32

// role is the label by which a side's key pair is derived (RFC 5869, info).
type role string

const (
	operator role = "orrery.dev/trust/v1/operator"
	agent    role = "orrery.dev/trust/v1/agent"
)

// Agent is how an agent answers the operator, and nobody else.
func Agent(shared []byte) (*tls.Config, error) {
	c, err := config(shared, agent, operator)
	if err != nil {
		return nil, err
	}
	c.ClientAuth = tls.RequireAnyClientCert // VerifyConnection looks at it
	return c, nil
}

// Operator is how the operator asks agents, and nobody else.
func Operator(shared []byte) (*tls.Config, error) {
	c, err := config(shared, operator, agent)
	if err != nil {
		return nil, err
	}
	c.InsecureSkipVerify = true // of names and issuers; VerifyConnection looks at the key
	return c, nil
}

// errStranger is the error of a side that does not hold the shared key.
var errStranger = errors.New("the other side does not hold the key that operator and agents share, or not in its role")

func config(shared []byte, own, other role) (*tls.Config, error) {
	if len(shared) < MinKey {
		return nil, fmt.Errorf("the key that operator and agents share has %d bytes; want %d or more", len(shared), MinKey)
	}
	key, err := derive(shared, own)
	if err != nil {
		return nil, err
	}
	theirs, err := derive(shared, other)
	if err != nil {
		return nil, err
	}
	certificate, err := envelope(key)
	if err != nil {
		return nil, err
	}
	expected := theirs.Public()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"},
		// Called for resumed connections, too.
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errStranger
			}
			if key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); !ok || !key.Equal(expected) {
				return errStranger
			}
			return nil
		},
	}, nil
}

func derive(shared []byte, r role) (ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, shared, nil, string(r), ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// envelope is a certificate of a key, signed by itself.
func envelope(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "orrery"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // without an end (RFC 5280, section 4.1.2.5)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
