package firstboot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/protocol"
)

// Programs are those of the root that a node calls.
type Programs interface {
	// Run runs a program to its end and gives what it wrote; the error says how it ended.
	Run(ctx context.Context, name string, args ...string) (output string, err error)
}

// System runs programs of this machine.
type System struct{}

// Run is exec.Command's CombinedOutput.
func (System) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// ExampleFile is the scenario of the check.
const ExampleFile = "/usr/share/orrery/three-nodes.yaml"

// Node brings a node from its root to ready. It is run once per boot.
func Node(ctx context.Context, programs Programs, log io.Writer) error {
	data, err := os.ReadFile(StateFile)
	if err != nil {
		return fmt.Errorf("this node was not booted by a provisioning server: %w", err)
	}
	c, err := protocol.DecodeConfig(data)
	if err != nil {
		return err
	}
	client, err := newClient()
	if err != nil {
		return err
	}
	n := &node{Config: c, client: client, programs: programs, log: log}
	return n.run(ctx)
}

type node struct {
	*protocol.Config
	client   *http.Client
	programs Programs
	log      io.Writer

	installed string // the SHA-256 of what was written to the disk in this boot
}

// steps in order, by the stage that each ends in.
func (n *node) run(ctx context.Context) error {
	steps := []struct {
		stage string
		do    func(context.Context) error
	}{
		{"network", func(context.Context) error { return nil }}, // what is reported is that the report arrives
		{"doctor", n.doctor},
		{"ready", n.work},
	}
	for _, s := range steps {
		err := s.do(ctx)
		fmt.Fprintf(n.log, "stage %s: %v\n", s.stage, err)
		var console []string
		var failure *failureError
		if errors.As(err, &failure) {
			console = failure.output
		}
		if e := n.tell(ctx, s.stage, err, console); e != nil {
			fmt.Fprintf(n.log, "the server was not told: %v\n", e)
		}
		if err != nil {
			return errors.Join(err, n.giveUp(ctx))
		}
	}
	if n.Slot != "" {
		return bless(n.Slot)
	}
	return nil
}

// tell reports. A node that has booted from its disk needs no server, and does not wait for one.
func (n *node) tell(ctx context.Context, stage string, failure error, console []string) error {
	if n.Server == "" {
		return nil
	}
	r := protocol.Report{Machine: n.Machine, Stage: stage, Console: console, Installed: n.installed}
	if n.Slot != "" {
		return report(ctx, n.client, n.Config, r, failure)
	}
	return insist(ctx, n.client, n.Config, r, failure)
}

// giveUp restarts a machine whose root has not come up yet, so that the boot loader goes back to the other after three times.
func (n *node) giveUp(ctx context.Context) error {
	if n.Slot == "" || !trial(n.Slot) {
		return nil
	}
	return n.program(ctx, "systemctl", "reboot")
}

// failureError is a program that failed, with the last lines that it wrote.
type failureError struct {
	what   string
	err    error
	output []string
}

func (e *failureError) Error() string {
	text := fmt.Sprintf("%s has failed: %v", e.what, e.err)
	if n := len(e.output); n > 0 {
		text += ": " + e.output[n-1]
	}
	return text
}

func (e *failureError) Unwrap() error { return e.err }

func (n *node) program(ctx context.Context, name string, args ...string) error {
	out, err := n.programs.Run(ctx, name, args...)
	fmt.Fprint(n.log, out)
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return &failureError{strings.Join(append([]string{name}, args...), " "), err, lines[max(0, len(lines)-protocol.MaxConsole):]}
}

// doctor raises the limits, and asks whether what the check needs is there then.
func (n *node) doctor(ctx context.Context) error {
	if err := n.program(ctx, "orrery", "tune"); err != nil {
		return err
	}
	return n.program(ctx, "orrery", "doctor", ExampleFile)
}

// work runs the check and begins the role.
func (n *node) work(ctx context.Context) error {
	if n.Role.Check == "three-nodes" {
		if err := n.check(ctx); err != nil {
			return err
		}
	}
	if n.Role.Install != "" && n.Slot == "" {
		if err := n.install(ctx); err != nil {
			return err
		}
	}
	if len(n.Role.Join) > 0 {
		return n.program(ctx, n.Role.Join[0], n.Role.Join[1:]...)
	}
	if n.Role.Scenario != "" {
		return n.native(ctx)
	}
	return nil
}

// check runs the example of three nodes until its stations reach each other.
func (n *node) check(ctx context.Context) error {
	err := n.program(ctx, "orrery", "up", ExampleFile, "--detach", "--wait", "converged", "--within", "5m")
	return errors.Join(err, n.program(ctx, "orrery", "down", "three-nodes"))
}

// native runs the scenario of the role.
func (n *node) native(ctx context.Context) error {
	path := "/run/orrery-scenario.yaml"
	if err := n.download(ctx, n.Role.Scenario, path); err != nil {
		return err
	}
	return n.program(ctx, "orrery", "up", path, "--detach", "--wait", "up")
}

// maxScenario bounds a scenario file.
const maxScenario = 4 << 20

func (n *node) download(ctx context.Context, url, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := n.client.Do(request)
	if err != nil {
		return fmt.Errorf("the scenario: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the scenario at %s: %w", url, &statusError{response.Status})
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxScenario+1))
	if err != nil {
		return err
	}
	if len(data) > maxScenario {
		return fmt.Errorf("the scenario at %s has more than %d bytes; give its orbits in files of the image", url, maxScenario)
	}
	return os.WriteFile(path, data, 0o600)
}

// install writes the image's disk to the role's.
func (n *node) install(ctx context.Context) error {
	m, err := manifest.Decode(n.Manifest)
	if err != nil {
		return err
	}
	if m.Disk == nil {
		return errors.New("the role installs a disk, and the image has none; build it with --disk")
	}
	if err := n.writeDisk(ctx, m); err != nil {
		return err
	}
	n.installed = m.Disk.SHA256
	return nil
}
