package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/provision/site"
)

// ControlPath is where a site's server answers its own user about its machines.
func ControlPath(s *site.Site) string { return filepath.Join(s.Path(s.Spec.State), "control.sock") }

// ErrNotServing is wrapped by the error of Status where no server runs.
var ErrNotServing = errors.New("no provisioning server is running")

const machinesPath = "/v1/machines"

func controlHandler(r *registry.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+machinesPath, func(w http.ResponseWriter, _ *http.Request) {
		list := r.List()
		for i := range list {
			list[i].Token, list[i].Report = "", ""
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	})
	return mux
}

// Status asks the server of a site for its machines.
func Status(ctx context.Context, s *site.Site) ([]registry.Machine, error) {
	path := ControlPath(s)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://orrery"+machinesPath, nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w for the site %s: begin with \"orrery provision serve\"", ErrNotServing, s.Metadata.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("the provisioning server at %s: %w", path, err)
	}
	defer response.Body.Close()
	var list []registry.Machine
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("the answer of the provisioning server: %w", err)
	}
	return list, nil
}
