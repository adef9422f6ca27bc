package agent

import (
	"fmt"
	"net/http"
	"strings"

	"orrery.dev/orrery/api"
	"orrery.dev/orrery/api/access"
)

// answer puts a scenario's control API in the place of another one; nil for none.
func (a *Agent) answer(id ID, with, instead http.Handler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case with != nil:
		a.answers[id] = with
	case a.answers[id] == instead:
		delete(a.answers, id)
	}
}

// Look lets others look at the control APIs of all scenarios, below /NAMESPACE/NAME/. Nothing can be
// changed by it. Who may ask is for its server to see to.
func (a *Agent) Look() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
		if len(parts) < 3 || !api.Viewing("/"+parts[2]) {
			access.Refuse(w, http.StatusForbidden, "permission_denied", "agents let nobody do more than look")
			return
		}
		a.mu.Lock()
		answers := a.answers[ID{Namespace: parts[0], Name: parts[1]}]
		a.mu.Unlock()
		if answers == nil {
			access.Refuse(w, http.StatusServiceUnavailable, "unavailable", fmt.Sprintf("worker %s carries no node of %s/%s", a.config.Worker, parts[0], parts[1]))
			return
		}
		r = r.WithContext(access.With(r.Context(), access.Viewer))
		http.StripPrefix("/"+parts[0]+"/"+parts[1], answers).ServeHTTP(w, r)
	})
}
