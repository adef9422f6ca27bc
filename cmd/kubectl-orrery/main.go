// Kubectl-orrery is the command line for scenarios on Kubernetes, as a plugin of
// kubectl:
//
//	kubectl orrery [FLAG …] VERB …
//
// It shows each scenario of a namespace to the program orrery as a run of this
// host, and has that do what the verb says. Exec and shell are kubectl's own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"orrery.dev/orrery/kube/gateway"
	"orrery.dev/orrery/kube/kubectl"
	"orrery.dev/orrery/rundir"
	"orrery.dev/orrery/socket"
)

// version is set when the binary is linked.
var version = "development"

// forwarded are the verbs of orrery that look at a run or steer it by its control
// API, and so work on a cluster as they are.
var forwarded = []string{"status", "nodes", "links", "contacts", "events", "path", "ping", "capture", "pause", "resume", "speed", "inject", "undo", "failures"}

const usage = `Look at scenarios on Kubernetes and steer them.

Usage: kubectl orrery [FLAG …] VERB …

Verbs: status, nodes, links, contacts, events, path, ping, capture, exec,
shell, pause, resume, speed, inject, undo, failures. They are those of orrery:
'kubectl orrery VERB --help' tells more. 'page [SCENARIO]' serves its page
on this machine. 'workers [SCENARIO]' shows how workers carry it and how
they hear each other. Flags of kubectl go before the verb.

Flags:
`

// exitUsage is the code for a wrong command line, as of orrery.
const exitUsage = 2

// exitCode ends the program with the code of another one.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var code exitCode
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "kubectl orrery: "+err.Error())
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "kubectl orrery: "+err.Error())
		os.Exit(1)
	}
}

// errUsage is wrapped by errors about the command line.
var errUsage = errors.New("see 'kubectl orrery --help'")

type options struct {
	program           kubectl.Program
	namespace, system string
}

func run(ctx context.Context, args []string) error {
	flags := pflag.NewFlagSet("kubectl orrery", pflag.ContinueOnError)
	flags.SetInterspersed(false) // what follows the verb is its own
	flags.SetOutput(io.Discard)
	var o options
	flags.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the scenarios; that of kubectl's context if empty")
	flags.StringVar(&o.system, "system-namespace", "orrery-system", "namespace of the agents")
	through := map[string]*string{}
	for _, f := range []struct{ name, what string }{
		{"kubeconfig", "file with the ways to clusters"}, {"context", "which of them"}, {"as", "user to act as"},
	} {
		through[f.name] = flags.String(f.name, "", f.what)
	}
	showVersion := flags.Bool("version", false, "print the version and exit")
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp) || err == nil && flags.NArg() == 0 && !*showVersion:
		fmt.Print(usage + flags.FlagUsages())
		return nil
	case err != nil:
		return fmt.Errorf("%w; %w", err, errUsage)
	case *showVersion:
		fmt.Println("kubectl-orrery " + version)
		return nil
	}
	for _, name := range []string{"kubeconfig", "context", "as"} {
		if v := *through[name]; v != "" {
			o.program.Flags = append(o.program.Flags, "--"+name+"="+v)
		}
	}
	var err error
	if o.program.Path, err = exec.LookPath("kubectl"); err != nil {
		return fmt.Errorf("the program kubectl is needed: %w", err)
	}
	verb, rest := flags.Arg(0), flags.Args()[1:]
	switch {
	case verb == "exec" || verb == "shell":
		return o.exec(ctx, verb, rest)
	case verb == "page":
		return o.page(ctx, os.Stdout, rest)
	case verb == "workers":
		return o.workers(ctx, os.Stdout, rest)
	case slices.Contains(forwarded, verb):
		return o.forward(ctx, flags.Args())
	}
	return fmt.Errorf("there is no verb %q for scenarios on Kubernetes; %w", verb, errUsage)
}

// scenarios of the namespace, which is filled in.
func (o *options) scenarios(ctx context.Context) (names []string, err error) {
	if o.namespace == "" {
		if o.namespace, err = o.program.Namespace(ctx); err != nil {
			return nil, err
		}
	}
	return o.program.Scenarios(ctx, o.namespace)
}

// only is the name of the only scenario.
func (o *options) only(ctx context.Context) (string, error) {
	names, err := o.scenarios(ctx)
	switch {
	case err != nil:
		return "", err
	case len(names) != 1:
		return "", fmt.Errorf("namespace %s has %d scenarios; name one: %s", o.namespace, len(names), strings.Join(names, ", "))
	}
	return names[0], nil
}

// exec runs a command in a node's pod, in the words of orrery exec.
func (o *options) exec(ctx context.Context, verb string, args []string) error {
	flags := pflag.NewFlagSet("kubectl orrery "+verb, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.StringP("run", "r", "", "name of the scenario, if there are several")
	terminal := flags.BoolP("terminal", "t", verb == "shell", "give the command a terminal")
	err := flags.Parse(args)
	least, form := 2, "exec NODE -- COMMAND [ARG …]"
	if verb == "shell" {
		least, form = 1, "shell NODE"
	}
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Print("Usage: kubectl orrery " + form + "\n\n" + flags.FlagUsages())
		return nil
	case err != nil:
		return fmt.Errorf("%w; %w", err, errUsage)
	case flags.NArg() < least || verb == "shell" && flags.NArg() > 1:
		return fmt.Errorf("usage: kubectl orrery %s; %w", form, errUsage)
	}
	if *name == "" {
		if *name, err = o.only(ctx); err != nil {
			return err
		}
	}
	argv := flags.Args()[1:]
	if verb == "shell" {
		argv = []string{"/bin/sh"}
	}
	cmd, err := o.program.Exec(context.WithoutCancel(ctx), o.namespace, *name, flags.Arg(0), *terminal, argv...)
	if err != nil {
		return err
	}
	return attached(cmd)
}

// attached runs a program with this one's standard streams. Signals of the
// terminal reach it as they reach this one.
func attached(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if e := new(exec.ExitError); errors.As(err, &e) && e.ExitCode() > 0 {
		return exitCode(e.ExitCode())
	}
	return err
}

// forward shows the scenarios to orrery as runs, in a directory of their own.
func (o *options) forward(ctx context.Context, args []string) error {
	program, err := findOrrery()
	if err != nil {
		return err
	}
	names, err := o.scenarios(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "orrery-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(rundir.RootKey, dir); err != nil {
		return err
	}
	life, end := context.WithCancel(context.Background())
	defer end()
	for _, name := range names {
		if _, err := rundir.Make(name); err != nil {
			return err
		}
		l, err := socket.Listen(rundir.Socket(name))
		if err != nil {
			return err
		}
		server := serve(l, gateway.New(kubectl.Open(life, o.program, o.namespace, name, o.system)))
		defer server.Close()
	}
	// It is asked to end, as this program was, and not killed.
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return attached(cmd)
}

func serve(l net.Listener, g *gateway.Server) *http.Server {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	p.SetHTTP1(true)
	s := &http.Server{Handler: g.Handler(), Protocols: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }() // until it is closed
	return s
}

// findOrrery finds the program beside this one, or on the path.
func findOrrery() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "orrery")
		if st, err := os.Stat(beside); err == nil && !st.IsDir() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("orrery")
	if err != nil {
		return "", fmt.Errorf("the program orrery is needed, beside kubectl-orrery or on the path: %w", err)
	}
	return path, nil
}
