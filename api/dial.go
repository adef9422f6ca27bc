package api

import (
	"context"
	"net"
	"net/http"

	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
)

// Client asks a run how it is, and what its plan says.
type Client struct {
	orreryv1alpha1connect.ControlServiceClient
	orreryv1alpha1connect.SkyServiceClient
}

// DialBy is a client whose connections are made by a function, such as one that
// leads to another host. Connections are made when they are needed, and have to
// carry HTTP/2 without TLS.
func DialBy(dial func(ctx context.Context) (net.Conn, error)) Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	hc := &http.Client{Transport: &http.Transport{
		Protocols:   p,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
	return NewClient(hc, "http://orrery") // dial knows where it is
}

// NewClient is a client that asks below a URL.
func NewClient(hc *http.Client, base string) Client {
	return Client{orreryv1alpha1connect.NewControlServiceClient(hc, base), orreryv1alpha1connect.NewSkyServiceClient(hc, base)}
}
