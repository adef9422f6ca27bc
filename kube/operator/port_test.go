package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"orrery.dev/orrery/kube/v1alpha1"
)

// colliding are so many UIDs that want the same port.
func colliding(n int) (uids []types.UID) {
	want := int32(0)
	for i := 0; len(uids) < n; i++ {
		s := &v1alpha1.Scenario{}
		s.UID = types.UID(fmt.Sprint("uid-", i))
		if want == 0 {
			want = s.PreferredUnderlayPort()
		}
		if s.PreferredUnderlayPort() == want {
			uids = append(uids, s.UID)
		}
	}
	return uids
}

func accepted(uid types.UID, age int, port int32) v1alpha1.Scenario {
	s := v1alpha1.Scenario{}
	s.UID, s.CreationTimestamp = uid, metav1.NewTime(time.Unix(1e9-int64(age), 0))
	s.Status.Bundle, s.Status.UnderlayPort = "b", port
	return s
}

// Scenarios that want the same port have different ones, and who has one keeps it.
func TestCollidingPorts(t *testing.T) {
	uids := colliding(4)
	first := v1alpha1.Scenario{}
	first.UID = uids[0]
	p := first.PreferredUnderlayPort()
	fresh := func(uid types.UID) v1alpha1.Scenario { s := accepted(uid, 0, 0); s.Status.Bundle = ""; return s }
	for _, c := range []struct {
		name string
		of   v1alpha1.Scenario
		rest []v1alpha1.Scenario
		want int32
	}{
		{"alone", fresh(uids[0]), nil, p},
		{"a later one", fresh(uids[1]), []v1alpha1.Scenario{accepted(uids[0], 9, p)}, p + 1},
		{"the third", fresh(uids[2]), []v1alpha1.Scenario{accepted(uids[0], 9, p), accepted(uids[1], 8, p+1)}, p + 2},
		{"the first is gone, and the second stays", accepted(uids[1], 8, p+1), []v1alpha1.Scenario{accepted(uids[2], 7, p+2)}, p + 1},
		{"one of an earlier operator keeps its port", accepted(uids[0], 9, 0), []v1alpha1.Scenario{fresh(uids[1])}, p},
		{"and others heed it", fresh(uids[1]), []v1alpha1.Scenario{accepted(uids[0], 9, 0)}, p + 1},
		{"of two of an earlier operator the older one keeps it", accepted(uids[0], 9, 0), []v1alpha1.Scenario{accepted(uids[1], 8, 0)}, p},
		{"and the younger one does not", accepted(uids[1], 8, 0), []v1alpha1.Scenario{accepted(uids[0], 9, 0)}, p + 1},
		{"what is written comes first", accepted(uids[0], 9, 0), []v1alpha1.Scenario{accepted(uids[1], 8, p)}, p + 1},
		{"of two that were written at once the older one keeps it", accepted(uids[0], 9, p), []v1alpha1.Scenario{accepted(uids[1], 8, p)}, p},
		{"and the younger one moves", accepted(uids[1], 8, p), []v1alpha1.Scenario{accepted(uids[0], 9, p)}, p + 1},
	} {
		got, err := choosePort(&c.of, append(c.rest, c.of))
		if err != nil || got != c.want {
			t.Errorf("%s: port %d, %v; want %d", c.name, got, err, c.want)
		}
	}
}

func TestNoPortIsFree(t *testing.T) {
	var all []v1alpha1.Scenario
	for i := range int32(v1alpha1.UnderlayPorts) {
		all = append(all, accepted(types.UID(fmt.Sprint("all-", i)), 1, v1alpha1.FirstUnderlayPort+i))
	}
	s := &v1alpha1.Scenario{}
	s.UID = "late"
	if port, err := choosePort(s, all); err == nil || !strings.Contains(err.Error(), "delete one") {
		t.Errorf("port %d, %v", port, err)
	}
	free := all[100].Status.UnderlayPort
	if port, err := choosePort(s, slices.Delete(all, 100, 101)); err != nil || port != free {
		t.Errorf("port %d, %v; want the last that is free, %d", port, err, free)
	}
}

// Whatever comes and goes in which order, and however many operators are at work at once:
// when all has been looked at, all ports differ, and none that was nobody else's has changed.
func TestPortsSettle(t *testing.T) {
	uids := colliding(6)
	rapid.Check(t, func(t *rapid.T) {
		var all []v1alpha1.Scenario
		for i, uid := range uids {
			s := accepted(uid, rapid.IntRange(0, 3).Draw(t, "age"), 0)
			switch rapid.SampledFrom([]string{"fresh", "earlier operator", "written"}).Draw(t, "state") {
			case "fresh":
				s.Status.Bundle = ""
			case "written":
				s.Status.UnderlayPort = s.PreferredUnderlayPort() + int32(rapid.IntRange(0, 2).Draw(t, "beside"))
			}
			if rapid.Bool().Draw(t, "there") || i == 0 {
				all = append(all, s)
			}
		}
		before := slices.Clone(all)
		for _, i := range rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for i := range all {
				if !yield(i) {
					return
				}
			}
		})).Draw(t, "order") {
			port, err := choosePort(&all[i], all)
			if err != nil {
				t.Fatal(err)
			}
			all[i].Status.Bundle, all[i].Status.UnderlayPort = "b", port
		}
		owner := map[int32]types.UID{}
		for i := range all {
			port := all[i].Status.UnderlayPort
			if other, taken := owner[port]; taken {
				t.Fatalf("%s and %s have port %d", other, all[i].UID, port)
			}
			owner[port] = all[i].UID
			if !keepsPort(&all[i], all) {
				t.Fatalf("%s is to move again", all[i].UID)
			}
			held := before[i].HeldUnderlayPort()
			alone := held != 0 && !slices.ContainsFunc(before, func(o v1alpha1.Scenario) bool { return o.UID != before[i].UID && o.HeldUnderlayPort() == held })
			if alone && port != held {
				t.Fatalf("%s had port %d for itself, and has %d", all[i].UID, held, port)
			}
		}
	})
}

// testPorts: a scenario whose port another one has gets another, which stays its own; pods
// wait for it, and a restarted operator changes nothing.
func testPorts(t *testing.T, b *bench) {
	ns := b.namespace(t, "ports")
	b.apply(t, ns, grid("late", 1, "oslo"))
	b.apply(t, ns, grid("early", 1, "oslo"))
	late, early := b.get(t, ns, "late"), b.get(t, ns, "early")
	want := late.PreferredUnderlayPort()
	early.Status.Bundle, early.Status.UnderlayPort = "early-0", want
	if err := b.client.Status().Update(context.Background(), early); err != nil {
		t.Fatal(err)
	}
	b.play(t, ns)
	for range 2 {
		_, stop := b.operate(t, Options{Namespace: ns})
		for _, name := range []string{"early", "late"} {
			b.untilCondition(t, ns, name, v1alpha1.Running, metav1.ConditionTrue, "")
		}
		stop()
		if got := b.get(t, ns, "early").Status.UnderlayPort; got != want {
			t.Errorf("the port that was given first, %d, is %d now", want, got)
		}
		// Scenarios of other tests may be in the way of the next ones.
		got := b.get(t, ns, "late").Status.UnderlayPort
		if beyond := (got - want + v1alpha1.UnderlayPorts) % v1alpha1.UnderlayPorts; beyond == 0 || beyond > 10 {
			t.Errorf("the port of the other is %d, want one soon after %d", got, want)
		}
	}
}
