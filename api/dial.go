package api

import (
	"context"
	"net"
	"net/http"

	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
)

// DialBy is a client whose connections are made by a function, such as one that
// leads to another host. Connections are made when they are needed, and have to
// carry HTTP/2 without TLS.
func DialBy(dial func(ctx context.Context) (net.Conn, error)) orreryv1alpha1connect.ControlServiceClient {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	hc := &http.Client{Transport: &http.Transport{
		Protocols:   p,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
	return orreryv1alpha1connect.NewControlServiceClient(hc, "http://orrery")
}
