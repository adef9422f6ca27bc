package api

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"connectrpc.com/connect"

	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/plan/almanac"
)

// previewsKept is how many plans of scenarios that are being written are kept, and
// previewMemory what the marks of each may take.
const (
	previewsKept  = 8
	previewMemory = 8 << 20
)

// shelf holds the plans that clients may ask about: the server's own, and the latest
// that were compiled for a preview.
type shelf struct {
	own *almanac.Almanac

	mu       sync.Mutex // guards:
	previews map[string]*list.Element
	order    *list.List // of *preview, the last used first
}

type preview struct {
	name string
	plan *almanac.Almanac
}

func newShelf(p *plan.Plan) *shelf {
	s := &shelf{previews: make(map[string]*list.Element), order: list.New()}
	if p != nil {
		s.own = almanac.New(p, 0)
	}
	return s
}

// find a plan by its name.
func (s *shelf) find(name string) (*almanac.Almanac, error) {
	if name == "" {
		if s.own == nil {
			return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("the scenario that the server was started with has no plan; compile it, and name that plan"))
		}
		return s.own, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.previews[name]
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no plan %q any more; compile the scenario again", name))
	}
	s.order.MoveToFront(e)
	return e.Value.(*preview).plan, nil
}

// put a plan of a text on the shelf, and give its name. The same text has the same one.
func (s *shelf) put(text []byte, p *plan.Plan) string {
	sum := sha256.Sum256(text)
	name := hex.EncodeToString(sum[:8])
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.previews[name]; ok {
		// A file that the text names may have changed.
		e.Value.(*preview).plan = almanac.New(p, previewMemory)
		s.order.MoveToFront(e)
		return name
	}
	s.previews[name] = s.order.PushFront(&preview{name, almanac.New(p, previewMemory)})
	for s.order.Len() > previewsKept {
		last := s.order.Remove(s.order.Back()).(*preview)
		delete(s.previews, last.name)
	}
	return name
}
