package tune_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/thread"
	"orrery.dev/orrery/tune"
)

// The real kernel, in a network namespace that lives as long as the test.
func TestKernel(t *testing.T) {
	const rmem, wmem, budget = "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.core.netdev_budget"
	outside, err := tune.Proc.Read(rmem)
	if err != nil {
		t.Skip(err)
	}
	err = thread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if _, err := tune.Proc.Read(budget); err == nil {
			t.Errorf("%s belongs to each namespace; doctor/doc.go says that it is the host's", budget)
		}
		tu := tuner(t, tune.Proc)
		was, err := tune.Proc.Read(wmem)
		if err != nil {
			t.Error(err)
			return nil
		}
		changes, err := tu.Apply([]tune.Setting{{Sysctl: rmem, Value: "4096 131072 44000000"}, {Sysctl: wmem, Value: "4096 16384 45000000"}, {Sysctl: budget, Value: "299"}}, false)
		if err != nil || len(changes) != 3 || changes[2].Outcome != tune.Absent {
			t.Errorf("%v: %+v", err, changes)
		}
		if v, err := tune.Proc.Read(rmem); v != "4096 131072 44000000" || err != nil {
			t.Errorf("set to %q, %v", v, err)
		}
		// The kernel refuses a buffer of no bytes.
		if _, err := tu.Apply([]tune.Setting{{Sysctl: rmem, Value: "0 0 0"}}, false); err == nil || !strings.Contains(err.Error(), "invalid argument") {
			t.Errorf("error %v", err)
		}
		if _, err := tu.Undo(); err != nil {
			t.Error(err)
		}
		if v, _ := tune.Proc.Read(wmem); v != was {
			t.Errorf("restored to %q, was %q", v, was)
		}
		nothing(t, tu)
		return nil
	})
	if err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	if v, _ := tune.Proc.Read(rmem); v != outside {
		t.Errorf("the host's is %q now, was %q", v, outside)
	}
}
