package trust

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// meet joins two sides over a connection of loopback, and gives what went wrong for either.
func meet(t *testing.T, server, client *tls.Config) (atServer, atClient error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		_, err = tls.Server(conn, server).Write([]byte("x"))
		done <- err
	}()
	c, atClient := tls.Dial("tcp", l.Addr().String(), client)
	if atClient == nil {
		_, atClient = io.ReadFull(c, make([]byte, 1)) // a server that refuses a certificate says so after the handshake
		c.Close()
	}
	return <-done, atClient
}

func must(t *testing.T, make func([]byte) (*tls.Config, error), key []byte) *tls.Config {
	t.Helper()
	c, err := make(key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoHoldsTheKeyIsKnown(t *testing.T) {
	key, other := bytes.Repeat([]byte{1}, MinKey), bytes.Repeat([]byte{2}, MinKey)
	if s, c := meet(t, must(t, Agent, key), must(t, Operator, key)); s != nil || c != nil {
		t.Errorf("both hold the key: %v, %v", s, c)
	}
	anonymous := must(t, Operator, key)
	anonymous.Certificates = nil
	for name, c := range map[string][2]*tls.Config{
		"an operator with another key": {must(t, Agent, key), must(t, Operator, other)},
		"an agent as an operator":      {must(t, Agent, key), must(t, Agent, key)},
		"nobody":                       {must(t, Agent, key), anonymous},
		"an agent with another key":    {must(t, Agent, other), must(t, Operator, key)},
		"an operator as an agent":      {must(t, Operator, key), must(t, Operator, key)},
	} {
		c[1].InsecureSkipVerify = true
		if s, d := meet(t, c[0], c[1]); s == nil && d == nil {
			t.Errorf("%s is let in", name)
		}
	}
	if _, err := Agent(key[1:]); err == nil {
		t.Error("a short key is taken")
	}
}
