package endtoend

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// awaySpeed is that of the sky while the API server is away.
const awaySpeed = 40

// withoutServer is how long it is away: 25 s, or what ORRERY_AWAY says.
func withoutServer(t *testing.T) time.Duration {
	t.Helper()
	text, ok := os.LookupEnv("ORRERY_AWAY")
	if !ok {
		return 25 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("ORRERY_AWAY: %v", err)
	}
	return d
}

// inPod runs a command in the container of the pod that has an identity, without the API
// server and the kubelet.
const inPod = `
uid=$1; shift
for p in /proc/[0-9]*; do
  grep -q "pod$uid" $p/cgroup 2>/dev/null && [ "$(cat $p/comm)" != pause ] && exec nsenter --target "${p#/proc/}" --mount --net "$@"
done
echo "no process of the pod $uid is found" >&2
exit 1`

// signalServer sends the API server a signal. The program's path comes first on its
// command line, so that this script itself is not meant.
const signalServer = `
for p in /proc/[0-9]*; do
  case "$(tr '\0' ' ' <$p/cmdline 2>/dev/null)" in
    "$1 kube-apiserver "*) kill -"$2" "${p#/proc/}" && found=yes ;;
  esac
done
[ -n "$found" ]`

// away stops the API server for a while. Links come and go all the time, and frames
// flow; when it is back, all is as desired, and no pod was made anew.
func (i *Installed) away(t *testing.T, from, to string) {
	ctx := patient(t)
	pod := "iridium--" + from
	out, err := i.Kubectl(ctx, nil, "get", "pod", pod, "--output=jsonpath={.spec.nodeName} {.metadata.uid}")
	if err != nil {
		t.Fatal(err)
	}
	worker, uid, _ := strings.Cut(string(out), " ")
	within := func(args ...string) (string, error) {
		out, err := i.Machine(worker).Command(ctx, append([]string{"sh", "-c", inPod, "sh", uid}, args...)...).CombinedOutput()
		return string(out), err
	}
	// Each link of the station that comes or goes counts at its port.
	changes := func() (sum int) {
		t.Helper()
		out, err := within("sh", "-c", "cat /sys/class/net/*/carrier_changes")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, f := range strings.Fields(out) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			sum += n
		}
		return sum
	}
	loopback, err := i.Exec(ctx, "default", "iridium--"+to, "sh", "-c", "ip -6 -o address show dev lo scope global | sed 's/.*inet6 //;s,/.*,,'")
	if err != nil {
		t.Fatal(err)
	}
	before := i.identities(ctx, t)
	i.setSpeed(ctx, t, awaySpeed)

	signal := func(ctx context.Context, name string) {
		t.Helper()
		if out, err := i.Machine("control").Command(ctx, "sh", "-c", signalServer, "sh", i.Kube(), name).CombinedOutput(); err != nil {
			t.Errorf("SIG%s for the API server: %v: %s", name, err, out)
		}
	}
	signal(ctx, "STOP")
	stopped := time.Now()
	back := func() { signal(patient(t), "CONT") }
	t.Cleanup(back) // also when the test fails
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	if _, err := i.Kubectl(short, nil, "get", "--raw=/readyz"); err == nil {
		t.Error("the API server answers, and was to be away")
	}
	cancel()
	was, steps, answers := changes(), 0, 0
	for time.Since(stopped) < withoutServer(t) {
		time.Sleep(2 * time.Second)
		if now := changes(); now != was {
			was = now
			steps++
		}
		if _, err := within("ping", "-c", "1", "-W", "1", strings.TrimSpace(loopback)); err == nil {
			answers++
		}
	}
	t.Logf("without the API server for %v at %d times the speed of life: links of %s came or went in %d looks, %s answered %d times", time.Since(stopped).Round(time.Second), awaySpeed, from, steps, to, answers)
	if steps == 0 {
		t.Errorf("no link of %s came or went within %v of orbit", from, withoutServer(t)*awaySpeed)
	}
	if answers == 0 {
		t.Errorf("%s did not answer %s once", to, from)
	}
	back()
	ctx = patient(t)
	returned := time.Now()
	eventually(t, "the API server answers", func() (bool, string) {
		_, err := i.Kubectl(ctx, nil, "get", "--raw=/readyz")
		return err == nil, fmt.Sprint(err)
	})
	i.setSpeed(ctx, t, 1)
	eventually(t, "the scenario is as desired", func() (bool, string) {
		out, err := i.Kubectl(ctx, nil, "get", "scenario", "iridium", `--output=jsonpath={.status.conditions[?(@.type=="Degraded")].reason}`)
		return err == nil && string(out) == "AsDesired", fmt.Sprint(string(out), err)
	})
	eventually(t, to+" answers again", func() (bool, string) {
		_, err := i.Orrery(ctx, "ping", from, to, "-c", "1")
		return err == nil, fmt.Sprint(err)
	})
	t.Logf("all was well %.1f s after the API server was back", time.Since(returned).Seconds())
	if now := i.identities(ctx, t); now != before {
		t.Errorf("pods were\n%s\nand are\n%s", before, now)
	}
}
