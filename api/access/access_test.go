package access

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func guard(t *testing.T) (*Guard, *Role) {
	t.Helper()
	var reached Role
	g := &Guard{
		Tokens: NewTokens(), Hosts: []string{"orrery.example"},
		Needs: func(path string) Role {
			switch path {
			case "/":
				return Nobody
			case "/look":
				return Viewer
			}
			return Owner
		},
		Next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached = Of(r.Context()) }),
	}
	return g, &reached
}

func TestGuard(t *testing.T) {
	g, reached := guard(t)
	for name, c := range map[string]struct {
		path, host, origin, authorization, protocol string
		want                                        int
		role                                        Role
	}{
		"the page":                  {path: "/", want: 200},
		"nobody looks":              {path: "/look", want: 401},
		"nobody does":               {path: "/do", want: 401},
		"a wrong token":             {path: "/look", authorization: "Bearer " + token(), want: 401},
		"a token's beginning":       {path: "/look", authorization: "Bearer " + g.Tokens.Owner[:20], want: 401},
		"another scheme":            {path: "/look", authorization: "Basic " + g.Tokens.Owner, want: 401},
		"the viewer looks":          {path: "/look", authorization: "Bearer " + g.Tokens.Viewer, want: 200, role: Viewer},
		"the viewer does":           {path: "/do", authorization: "Bearer " + g.Tokens.Viewer, want: 403},
		"the owner does":            {path: "/do", authorization: "bearer " + g.Tokens.Owner, want: 200, role: Owner},
		"by a subprotocol":          {path: "/do", protocol: "orrery.terminal.v1, token." + g.Tokens.Owner, want: 200, role: Owner},
		"a stranger's name":         {path: "/", host: "evil.example:8600", want: 421},
		"a stranger with the token": {path: "/do", host: "evil.example", authorization: "Bearer " + g.Tokens.Owner, want: 421},
		"no port":                   {path: "/", host: "127.0.0.1:x;y", want: 421},
		"no name":                   {path: "/", host: "-", want: 421},
		"an allowed name":           {path: "/", host: "Orrery.Example.:8600", want: 200},
		"localhost":                 {path: "/", host: "localhost:1", want: 200},
		"a number":                  {path: "/", host: "[::1]:8600", want: 200},
		"its own page":              {path: "/", host: "127.0.0.1:8600", origin: "http://127.0.0.1:8600", want: 200},
		"another port's page":       {path: "/do", host: "127.0.0.1:8600", origin: "http://127.0.0.1:8601", authorization: "Bearer " + g.Tokens.Owner, want: 403},
		"another origin":            {path: "/", host: "127.0.0.1:8600", origin: "https://evil.example", want: 403},
		"an origin without a name":  {path: "/", host: "127.0.0.1:8600", origin: "null", want: 403},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8600"+c.path, nil)
		switch c.host {
		case "":
		case "-":
			r.Host = ""
		default:
			r.Host = c.host
		}
		for key, value := range map[string]string{"Origin": c.origin, "Authorization": c.authorization, "Sec-WebSocket-Protocol": c.protocol} {
			if value != "" {
				r.Header.Set(key, value)
			}
		}
		*reached = Nobody
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != c.want || *reached != c.role {
			t.Errorf("%s: status %d, role %d; want %d and %d", name, w.Code, *reached, c.want, c.role)
		}
		if strings.Contains(w.Body.String(), g.Tokens.Owner) || strings.Contains(w.Body.String(), g.Tokens.Viewer) {
			t.Errorf("%s: the answer tells a token", name)
		}
	}
}

func TestNoTokensLetNobodyIn(t *testing.T) {
	if r := (Tokens{}).Role(""); r != Nobody {
		t.Errorf("no token shown: %d", r)
	}
	if r := (Tokens{}).Role("x"); r != Nobody {
		t.Errorf("a token where there is none: %d", r)
	}
}

func TestTokensAreKeptForTheirOwner(t *testing.T) {
	dir := t.TempDir()
	// An earlier file that others may read, or hold open, is replaced.
	if err := os.WriteFile(filepath.Join(dir, ownerFile), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	tokens := NewTokens()
	if err := tokens.Keep(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{ownerFile: tokens.Owner, viewerFile: tokens.Viewer} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if m := st.Mode().Perm(); m != 0o600 {
			t.Errorf("%s has mode %o", name, m)
		}
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	if tokens.Owner == tokens.Viewer || len(tokens.Owner) < 43 {
		t.Errorf("tokens %q and %q", tokens.Owner, tokens.Viewer)
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"localhost", "[::1]:80", "evil.example", "127.0.0.1.evil.example", "[", "::1%eth0", ""} {
		f.Add(s)
	}
	g := &Guard{}
	f.Fuzz(func(t *testing.T, s string) {
		if g.knows(s) && strings.HasSuffix(strings.ToLower(s), "example") {
			t.Fatalf("%q is known", s)
		}
	})
}
