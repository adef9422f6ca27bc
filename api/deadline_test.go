package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"orrery.dev/orrery/api/access"
	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/api/orrery/v1alpha1/orreryv1alpha1connect"
)

// lateReader notes the deadlines that it is given.
type lateReader struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (l *lateReader) SetWriteDeadline(t time.Time) error {
	l.deadlines = append(l.deadlines, t)
	return nil
}

// Each part of an answer has a deadline of its own, which ends with it, and so has what the
// server sends when the handler has returned.
func TestAnswersHaveDeadlines(t *testing.T) {
	w := &lateReader{ResponseRecorder: httptest.NewRecorder()}
	began := time.Now()
	timely(http.HandlerFunc(func(a http.ResponseWriter, _ *http.Request) {
		a.WriteHeader(http.StatusOK)
		for range 2 {
			if _, err := a.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			if f, ok := a.(http.Flusher); ok {
				f.Flush()
			} else {
				t.Error("streams cannot be flushed")
			}
		}
	}), bodyWithin, writeWithin).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if len(w.deadlines) != 9 || w.Body.String() != "xx" || !w.Flushed {
		t.Fatalf("%d deadlines for %q, flushed %v", len(w.deadlines), w.Body.String(), w.Flushed)
	}
	for i, d := range w.deadlines {
		if i%2 == 0 && d.Before(began.Add(writeWithin)) || i%2 == 1 && !d.IsZero() {
			t.Errorf("deadline %d: %v", i, d.Sub(began))
		}
	}
}

// An answer may have nothing to say for longer than a client may take to read.
func TestQuietAnswersOverHTTP2(t *testing.T) {
	const within = 500 * time.Millisecond
	speak := make(chan bool)
	srv := httptest.NewUnstartedServer(timely(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for <-speak {
			_, _ = w.Write([]byte("x")) // the client sees if that fails
			_ = http.NewResponseController(w).Flush()
		}
	}), time.Minute, within))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	go func() {
		defer close(speak)
		for range 2 {
			time.Sleep(2 * within)
			speak <- true
		}
		time.Sleep(2 * within)
	}()
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || string(b) != "xx" || res.ProtoMajor != 2 {
		t.Errorf("%q, %v over %s", b, err, res.Proto)
	}
}

// A stranger cannot keep a connection by a body that does not come.
func TestStrangersBodiesHaveToCome(t *testing.T) {
	guard := &access.Guard{Tokens: access.NewTokens(), Needs: needs, Next: http.NotFoundHandler()}
	srv := httptest.NewServer(timely(guard, 50*time.Millisecond, time.Minute))
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n", statusPath); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 401 ") {
		t.Errorf("answered %q, %v", b, err)
	}
}

// Exec's body may take longer than others.
func TestWhatIsTypedMayTakeItsTime(t *testing.T) {
	const within = 50 * time.Millisecond
	srv := httptest.NewServer(timely(bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(w, r.Body)
		if err != nil {
			t.Error(err)
		}
	})), within, time.Minute))
	defer srv.Close()
	stdin, typed := io.Pipe()
	go func() {
		time.Sleep(6 * within)
		_, _ = typed.Write([]byte("x"))
		_ = typed.Close()
	}()
	res, err := srv.Client().Post(srv.URL+orreryv1alpha1connect.ControlServiceExecProcedure, "application/connect+json", stdin)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}

// Many who do not read cost little, hold nobody up, and the latest reaches those who
// do read.
func TestSlowClientsHoldNobodyUp(t *testing.T) {
	l, server, _ := listen(t, nil)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	const slow = 200
	for i := range slow {
		c, err := net.Dial("tcp", l.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10) // so that it is full soon
		}
		method, body := "WatchEvents", envelope(`{"history":true}`)
		if i%2 == 1 {
			method, body = "WatchStatus", envelope(`{"interval":"0.1s"}`)
		}
		_, err = fmt.Fprintf(c, "POST /orrery.v1alpha1.ControlService/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
			method, l.Tokens.Viewer, len(body), body)
		if err != nil {
			t.Fatal(err)
		}
	}
	events := 2000
	if testing.Short() { // each is sent a hundred times
		events = 200
	}
	for range events {
		if err := server.run.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(heap()) - int64(before); grown > 64<<20 {
		t.Errorf("%d slow clients and %d events take %d MiB", slow, events, grown>>20)
	}
	// Somebody who reads sees the last one.
	client := orreryv1alpha1connect.NewControlServiceClient(http.DefaultClient, l.base())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // also under the race detector on a busy machine
	defer cancel()
	req := connect.NewRequest(&pb.WatchEventsRequest{History: true})
	req.Header().Set("Authorization", "Bearer "+l.Tokens.Viewer)
	stream, err := client.WatchEvents(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	last := server.run.EventCount() - 1
	for stream.Receive() {
		if stream.Msg().GetEvent().GetSequence() == last {
			cancel()
			return
		}
	}
	t.Fatalf("the last event did not come: %v", stream.Err())
}
