package thread

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// However many goroutines ask, also from the first thread: f never runs on that,
// no two at a time share a thread, and threads are gone afterwards.
func TestGo(t *testing.T) {
	const many = 200
	var all, here sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[int]bool)
	here.Add(many)
	for range many {
		all.Go(func() {
			done := make(chan struct{})
			Go(func() {
				defer close(done)
				id := unix.Gettid()
				mu.Lock()
				if id == unix.Getpid() || seen[id] {
					t.Errorf("on thread %d of process %d, which was had before: %v", id, unix.Getpid(), seen[id])
				}
				seen[id] = true
				mu.Unlock()
				here.Done()
				here.Wait() // all of them live at once
			})
			<-done
		})
	}
	all.Wait()
	for id := range seen {
		for unix.Tgkill(unix.Getpid(), id, 0) == nil {
			runtime.Gosched() // or the test ends by its time limit
		}
	}
}

func TestDo(t *testing.T) {
	want := errors.New("what f returns")
	if err := Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
	before, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	err = Do(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		return unix.Chdir("/proc")
	})
	if err != nil {
		t.Fatal(err)
	}
	if cwd, err := os.Readlink("/proc/" + strconv.Itoa(os.Getpid()) + "/cwd"); err != nil || cwd == "/proc" {
		t.Errorf("the process is in %s, %v: what f did to its thread reaches others", cwd, err)
	}
	if after, err := os.Readlink("/proc/self/ns/uts"); err != nil || after != before {
		t.Errorf("%s, %v, and was %s", after, err, before)
	}
}
