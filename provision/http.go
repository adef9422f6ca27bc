package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"orrery.dev/orrery/provision/protocol"
	"orrery.dev/orrery/provision/site"
)

// Handler answers machines over HTTP: files with ranges, iPXE's script, configurations and
// reports. Nothing of it leads out of the root, whatever the path says and whatever symbolic links
// stand there.
func Handler(d *Desk, root *os.Root, log *slog.Logger) http.Handler {
	h := &handler{d, root, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.FilesPath, h.file) // and HEAD
	mux.HandleFunc("GET "+protocol.IPXEPath, h.script)
	mux.HandleFunc("GET "+protocol.ConfigPath, h.private(h.config))
	mux.HandleFunc("POST "+protocol.ReportPath, h.private(h.report))
	// The mux would redirect a path with '..' to where that leads. Refusing it is plainer.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for part := range strings.SplitSeq(r.URL.Path, "/") {
			if part == ".." {
				http.Error(w, "a path does not lead upwards", http.StatusBadRequest)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

type handler struct {
	desk *Desk
	root *os.Root
	log  *slog.Logger
}

// private refuses what comes in the clear where there is HTTPS.
func (h *handler) private(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil && h.desk.site.Spec.HTTP.TLS != nil {
			http.Error(w, "configurations and reports go by HTTPS at this site", http.StatusForbidden)
			return
		}
		serve(w, r)
	}
}

// remote is the address that a request comes from.
func remote(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}

func (h *handler) file(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead && h.desk.quirks(remote(r)).Has(site.NoHead) {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "HEAD is refused by a quirk", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, protocol.FilesPath)
	refuse := func(status int, why string) {
		h.log.Warn("not served", "service", "http", "from", remote(r).String(), "file", protocol.Printable(name), "why", why)
		h.desk.failed(remote(r), fmt.Sprintf("HTTP of %s: %s", protocol.Printable(name), why))
		http.Error(w, why, status)
	}
	if !filepath.IsLocal(name) {
		refuse(http.StatusBadRequest, "this is not a path of a file")
		return
	}
	f, err := h.root.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		refuse(http.StatusNotFound, "there is no such file")
		return
	case err != nil:
		refuse(http.StatusForbidden, "this may not be read")
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		refuse(http.StatusForbidden, "this is not a file")
		return
	}
	// Firmware takes any type; without one the content would be sniffed.
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", info.ModTime(), f)
}

func (h *handler) script(w http.ResponseWriter, r *http.Request) {
	text, err := h.desk.Script(r.URL.Query().Get("machine"))
	if err != nil {
		h.deny(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(text))
}

func (h *handler) deny(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusConflict
	if errors.Is(err, errDenied) {
		status = http.StatusForbidden
	}
	h.log.Warn("refused", "service", "http", "from", remote(r).String(), "path", r.URL.Path, "why", err.Error())
	http.Error(w, err.Error(), status)
}

func (h *handler) config(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	c, err := h.desk.Configure(q.Get("machine"), q.Get("token"))
	if err != nil {
		h.deny(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(c)
}

func (h *handler) report(w http.ResponseWriter, r *http.Request) {
	report, err := protocol.DecodeReport(http.MaxBytesReader(w, r.Body, protocol.MaxReport+1))
	if err != nil {
		h.log.Warn("refused", "service", "http", "from", remote(r).String(), "why", err.Error())
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err := h.desk.Report(report, key); err != nil {
		h.deny(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
