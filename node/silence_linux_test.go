package node

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// groupsIn is the sum of what /proc/net/netlink says of rtnetlink groups in the
// namespace of a process: one bit mask for each socket that is in any.
func groupsIn(t *testing.T, pid int) (masks []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/netlink")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == "0" && strings.Trim(f[3], "0") != "" {
			masks = append(masks, f[3])
		}
	}
	return masks
}

func TestSilence(t *testing.T) {
	list := specs(1, 1)
	l, name := start(t, list), list[0].Name
	ctx := context.Background()
	// A program of iproute2 that listens for changes of links and addresses.
	if err := l.Start(ctx, name, Process{Name: "monitor", Argv: []string{"ip", "monitor", "link", "address"}}); err != nil {
		t.Skip(err)
	}
	pid := l.Processes()[0].PID
	var before []string
	for deadline := time.Now().Add(time.Minute); len(before) == 0; time.Sleep(10 * time.Millisecond) {
		if before = groupsIn(t, pid); time.Now().After(deadline) {
			t.Fatal("ip monitor never listens")
		}
	}
	restore, err := l.Silence(name, "monitor")
	if err != nil {
		t.Fatal(err)
	}
	if got := groupsIn(t, pid); len(got) > 0 {
		t.Errorf("still in groups %v", got)
	}
	for range 2 { // twice does nothing twice
		if err := restore(); err != nil {
			t.Error(err)
		}
		if got := groupsIn(t, pid); len(got) != 1 || got[0] != before[0] {
			t.Errorf("groups %v, and were %v", got, before)
		}
	}
	if err := l.Stop(ctx, name, "monitor"); err != nil {
		t.Fatal(err)
	}
	if err := restore(); err != nil {
		t.Errorf("of a process that has ended: %v", err)
	}
	if _, err := l.Silence(name, "nobody"); err == nil {
		t.Error("a process that is not there was silenced")
	}
}
