package provision

import (
	"context"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// sending counts what is being sent.
type sending struct{ n atomic.Int64 }

// begin counts one thing more, until the function is called.
func (s *sending) begin() (end func()) {
	s.n.Add(1)
	return sync.OnceFunc(func() { s.n.Add(-1) })
}

// wait until nothing is being sent, so long at most.
func (s *sending) wait(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for s.n.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// handler counts answers.
func (s *sending) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.begin()()
		next.ServeHTTP(w, r)
	})
}

// sent is a file that is being sent until it is closed.
type sent struct {
	*os.File
	end func()
}

// Close implements tftp.File.
func (f *sent) Close() error {
	f.end()
	return f.File.Close()
}
