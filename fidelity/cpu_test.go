package fidelity

import (
	"os"
	"runtime"
	"testing"
	"testing/fstest"
)

func TestReadCPU(t *testing.T) {
	proc := fstest.MapFS{"stat": {Data: []byte("cpu  10 20 30 400 5 1 2 7 99 99\ncpu0 1 2\nintr 5\n")}}
	c, err := ReadCPU(proc)
	if want := (CPU{Total: 475, Busy: 63, Steal: 7}); err != nil || c != want {
		t.Errorf("%+v, %v, want %+v", c, err, want)
	}
	for _, bad := range []string{"", "cpu", "cpu 1 2 3", "cpu0 1 2 3 4 5", "cpu 1 2 3 -4 5", "cpu 1 2 3 99999999999999999999 5"} {
		if c, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q gives %+v", bad, c)
		}
	}
	if _, err := ReadCPU(fstest.MapFS{}); err == nil {
		t.Error("no file, and no error")
	}
}

func TestReadCPUOfThisHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc/stat is Linux's")
	}
	c, err := ReadCPU(os.DirFS("/proc"))
	if err != nil || c.Total == 0 || c.Busy == 0 || c.Busy+c.Steal > c.Total {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("cpu  10 20 30 400 5 1 2 7 0 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseStat(data); err == nil && (c.Busy > c.Total || c.Steal > c.Total) && c.Total < 1<<62 {
			t.Errorf("%+v", c)
		}
	})
}
