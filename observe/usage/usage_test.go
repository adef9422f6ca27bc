package usage

import (
	"os"
	"testing"
	"testing/fstest"
	"time"
)

func TestRead(t *testing.T) {
	proc := fstest.MapFS{
		"7/stat":         {Data: []byte("7 (a (b) c) S 3 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 100 10000 25 18446744073709551615 1")},
		"7/smaps_rollup": {Data: []byte("00400000-7fff ---p 00000000 00:00 0 [rollup]\nRss:            2000 kB\nPss:            1234 kB\nPss_Dirty:       10 kB\n")},
		"8/stat":         {Data: []byte("8 (a) S 3")},
		"8/smaps_rollup": {Data: []byte("Pss: many kB\n")},
	}
	want := Usage{Parent: 3, CPU: 2 * time.Second, Resident: 25 * int64(os.Getpagesize())}
	if u, err := Read(proc, 7); err != nil || u != want {
		t.Errorf("%+v (%v), want %+v", u, err, want)
	}
	if n, err := Proportional(proc, 7); err != nil || n != 1234<<10 {
		t.Errorf("%d (%v)", n, err)
	}
	for _, pid := range []int{8, 9} {
		if _, err := Read(proc, pid); err == nil {
			t.Errorf("process %d has a usage", pid)
		}
		if _, err := Proportional(proc, pid); err == nil {
			t.Errorf("process %d has a share", pid)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("7 (a) S 3 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 100 10000 25"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parse(b) })
}
