// Package access says who may use the API over TCP.
//
// Two tokens are made for a run: one may do everything, the other only look. Who
// sends neither gets nothing but the page's own files. A token travels in the
// header Authorization (RFC 6750), never in a cookie and never in a URL that a
// browser sends: no page of another origin can act in a user's name, since it
// knows no token and a browser adds none by itself.
//
// Beside that, requests that come from a page of another origin are refused by
// their Origin (RFC 6454), and requests for a host name that nobody has allowed by
// their Host: a name of a stranger that suddenly leads to this machine (DNS
// rebinding) is none of its own names. Numbers are always allowed as Host, since
// nobody can rebind them.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Role is what a request may do.
type Role uint8

// The roles.
const (
	// Nobody has shown no token, or a wrong one.
	Nobody Role = iota
	// Viewer may look.
	Viewer
	// Owner may do everything.
	Owner
)

// tokenBytes of randomness in a token.
const tokenBytes = 32

// Tokens of one run.
type Tokens struct{ Owner, Viewer string }

// NewTokens makes tokens that nobody can guess.
func NewTokens() Tokens { return Tokens{token(), token()} }

func token() string {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// The files of tokens in a run's directory.
const (
	ownerFile  = "token"
	viewerFile = "token.viewer"
)

// Keep writes the tokens to files in dir that only their owner may read.
func (t Tokens) Keep(dir string) error {
	return errors.Join(Keep(filepath.Join(dir, ownerFile), t.Owner), Keep(filepath.Join(dir, viewerFile), t.Viewer))
}

// Keep writes a line to a file that only its owner may read, and that nobody has open.
func Keep(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("token: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	_, err = f.WriteString(text + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

// Role that a token gives. The time that it takes tells nothing of the tokens.
func (t Tokens) Role(shown string) Role {
	if shown == "" {
		return Nobody
	}
	is := func(token string) int {
		a, b := sha256.Sum256([]byte(shown)), sha256.Sum256([]byte(token))
		return subtle.ConstantTimeCompare(a[:], b[:])
	}
	owner, viewer := is(t.Owner), is(t.Viewer)
	switch {
	case owner == 1 && t.Owner != "":
		return Owner
	case viewer == 1 && t.Viewer != "":
		return Viewer
	}
	return Nobody
}

type roleKey struct{}

// With is a context in which requests have a role.
func With(ctx context.Context, r Role) context.Context { return context.WithValue(ctx, roleKey{}, r) }

// Of is the role of a request. Requests that no Guard has seen are the owner's: they
// came by a socket that only the owner may open.
func Of(ctx context.Context) Role {
	if r, ok := ctx.Value(roleKey{}).(Role); ok {
		return r
	}
	return Owner
}

// Guard lets requests through to a handler by what they want and who sends them.
type Guard struct {
	Tokens Tokens
	// Hosts are names by which this server may be called, beside numbers and localhost, as
	// Name writes them.
	Hosts []string
	// Needs is the least role for a path.
	Needs func(path string) Role
	// Next answers what is let through. It finds the role by Of.
	Next http.Handler
}

func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.knows(r.Host) {
		Refuse(w, http.StatusMisdirectedRequest, "invalid_argument", fmt.Sprintf("this server is not called %q; name it with --allow-host, or use its number", r.Host))
		return
	}
	if !sameOrigin(r) {
		Refuse(w, http.StatusForbidden, "permission_denied", "pages of other origins may not use this server")
		return
	}
	needs, role := g.Needs(r.URL.Path), g.Tokens.Role(shown(r))
	switch {
	case role >= needs:
		g.Next.ServeHTTP(w, r.WithContext(With(r.Context(), role)))
	case role == Nobody:
		w.Header().Set("WWW-Authenticate", `Bearer realm="orrery"`)
		Refuse(w, http.StatusUnauthorized, "unauthenticated", `a token is needed, as the header "Authorization: Bearer TOKEN"; 'orrery url' prints it`)
	default:
		Refuse(w, http.StatusForbidden, "permission_denied", "this token may only look")
	}
}

// Refuse in the words of the Connect protocol, so that its clients understand.
func Refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"code\":%q,\"message\":%q}\n", code, strings.ToValidUTF8(text, "?"))
}

// Name writes a host's name as it is compared: in small letters, and without the dot at the
// end that a full name may have.
func Name(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// knows says whether a Host header names this server.
func (g *Guard) knows(host string) bool {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		name = h
	}
	name = Name(strings.Trim(name, "[]"))
	if a, err := netip.ParseAddr(name); err == nil {
		return a.Zone() == ""
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(g.Hosts, name)
}

// sameOrigin says whether a request comes from a page of this server, or from no page.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// TokenProtocol begins the WebSocket subprotocol that carries a token: browsers send no
// header of one's own with a WebSocket.
const TokenProtocol = "token."

// shown is the token of a request, "" if there is none.
func shown(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	for _, list := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(list, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(p), TokenProtocol); ok {
				return token
			}
		}
	}
	return ""
}
