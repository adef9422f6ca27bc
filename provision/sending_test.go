package provision

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A server waits for what it is sending, be it by TFTP or HTTP, and not for ever.
func TestSending(t *testing.T) {
	s := new(sending)
	within := func(most time.Duration) bool {
		began := time.Now()
		s.wait(t.Context(), most)
		return time.Since(began) < most
	}
	if !within(time.Hour) {
		t.Error("it waits for nothing")
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("boot"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	boot := &sent{f, s.begin()}
	if within(60 * time.Millisecond) {
		t.Error("it does not wait for a file")
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = boot.Close() })
	if !within(time.Hour) {
		t.Error("it waits for what has been sent")
	}
	if err := boot.Close(); err == nil || s.n.Load() != 0 {
		t.Errorf("a file that is closed twice: %v, %d are being sent", err, s.n.Load())
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	entered, leave, served := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		served <- serveHTTP(ctx, l, s.handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-leave
			_, _ = io.WriteString(w, "root")
		})))
	}()
	answer := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		answer <- string(text)
	}()
	<-entered
	if within(60 * time.Millisecond) {
		t.Error("it does not wait for an answer")
	}
	close(leave)
	if !within(time.Hour) {
		t.Error("it waits for an answer that has been given")
	}
	if text := <-answer; text != "root" {
		t.Errorf("the answer is %q", text)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
