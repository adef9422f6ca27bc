// Orrery-agent runs on every worker of a cluster: it gives pods the ports of the nodes that
// they are, and carries frames between them.
//
//	orrery-agent --node-name W …            the agent
//	orrery-agent keep --node-name W …       the same, started again at once if it crashes
//	orrery-agent connect NAMESPACE/NAME     its control API of a scenario, on stdin and stdout
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/fabric"
	"orrery.dev/orrery/fabric/underlay"
	"orrery.dev/orrery/kube/agent"
	"orrery.dev/orrery/kube/cni"
	"orrery.dev/orrery/kube/fdstore"
	"orrery.dev/orrery/kube/trust"
	"orrery.dev/orrery/kube/watch"
	"orrery.dev/orrery/node"
	"orrery.dev/orrery/socket"
	"orrery.dev/orrery/thread"
)

// version is set when the binary is linked.
var version = "development"

type options struct {
	worker, socket, state, metrics, control, keyFile, group string
	showVersion                                             bool
}

func main() {
	fabric.Main() // the process that carries frames is this program, too
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if args := os.Args[1:]; len(args) > 0 && args[0] == "keep" {
		err = keep(ctx, args[1:])
	} else {
		err = run(ctx, args)
	}
	stop()
	switch {
	case errors.Is(err, pflag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "orrery-agent: "+err.Error())
		os.Exit(exitTold)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := pflag.NewFlagSet("orrery-agent", pflag.ContinueOnError)
	flags.StringVar(&o.worker, "node-name", os.Getenv("NODE_NAME"), "name of this worker in the cluster")
	flags.StringVar(&o.socket, "socket", cni.DefaultSocket, "where the CNI plugin finds the agent")
	flags.StringVar(&o.state, "state-dir", "/run/orrery/agent", "the agent's own directory, which a restart of the host empties")
	flags.StringVar(&o.metrics, "metrics-address", "", "address on which to serve /metrics and /healthz; empty for none")
	flags.StringVar(&o.control, "control-address", "", "address on which the operator, who holds the underlay's key as well, may look at scenarios; empty for none")
	flags.StringVar(&o.keyFile, "underlay-key", "", "file with the key that all agents share; without one no frames go to other workers")
	flags.StringVar(&o.group, "realtime-group", "orrery", "control group below the root that is made for threads at real-time priority where control groups of version 1 keep the agent from it; empty to make none")
	flags.BoolVar(&o.showVersion, "version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case o.showVersion:
		fmt.Println("orrery-agent " + version)
		return nil
	case flags.Arg(0) == "connect" && flags.NArg() == 2:
		return connect(ctx, o.state, flags.Arg(1))
	case flags.NArg() > 0:
		return fmt.Errorf("the argument %q is not understood; there are keep, before all flags, and connect NAMESPACE/NAME", flags.Arg(0))
	case o.worker == "":
		return errors.New("--node-name is missing; give the name of this worker")
	}
	return serve(ctx, &o)
}

// serve runs the agent until ctx ends.
func serve(ctx context.Context, o *options) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctrl.SetLogger(klog.Background())
	var key []byte
	if o.keyFile != "" {
		var err error
		if key, err = os.ReadFile(o.keyFile); err != nil {
			return fmt.Errorf("the key of the underlay: %w", err)
		}
		if len(key) < underlay.MinKey {
			return fmt.Errorf("the key of the underlay in %s has %d bytes; give all agents the same %d random bytes or more", o.keyFile, len(key), underlay.MinKey)
		}
	}
	defer realTime(o.group, log)()
	devices, err := fdstore.Inherit()
	if err != nil {
		return err
	}
	var keeper node.Keeper // none if the agent was not started by keep
	settled := func() {}
	if devices != nil {
		defer devices.Close()
		keeper = devices
		settled = func() {
			if err := devices.DropRest(); err != nil {
				log.Warn("devices of pods that are gone stay open", "error", err)
			}
		}
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 50, 100
	cluster, err := watch.New(config)
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Config{
		Worker: o.worker, StateDir: o.state, Cluster: cluster, Clock: clock.Host{}, Logger: log, Underlay: key != nil,
		Guests: func() agent.Guests { return node.NewGuests(keeper) }, Settled: settled,
		Fabric: func(s agent.Scenario, tl *clock.Timeline, ports []fabric.Port, seed uint64) (fabric.Fabric, error) {
			c := fabric.Config{Timeline: tl, Ports: ports, Seed: seed}
			if key == nil {
				return fabric.NewProcess(c)
			}
			at := netip.AddrPortFrom(netip.IPv6Unspecified(), s.Port)
			conn, err := underlay.Listen(at)
			if err != nil {
				return nil, fmt.Errorf("UDP port %d, which the operator has given to scenario %s, cannot be had on this worker: %w; end the program that uses it, or delete the scenario and apply it again, which gives it another", at.Port(), s, err)
			}
			c.Underlay = &underlay.Config{
				Host: o.worker, Run: underlay.NewRun([]byte(s.UID), []byte(s.Revision)), Release: version, Key: key, Conn: conn, Now: tl.Monotonic,
			}
			f, err := fabric.NewProcess(c)
			if err != nil {
				_ = conn.Close()
				return nil, err
			}
			return f, nil
		},
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.socket), 0o755); err != nil {
		return err
	}
	_ = os.Remove(o.socket) // of an agent that was killed: only one holds the state directory
	l, err := socket.Listen(o.socket)
	if err != nil {
		return fmt.Errorf("the agent's socket: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	if o.control != "" && key != nil {
		group.Go(func() error { return look(ctx, o.control, key, a) })
	}
	group.Go(func() error { return cluster.Run(ctx) })
	group.Go(func() error { return cni.Serve(ctx, l, a) })
	group.Go(func() error { return a.Run(ctx) })
	if o.metrics != "" {
		group.Go(func() error { return health(ctx, o.metrics, a) })
	}
	return group.Wait()
}

// realTime sees to it that threads may have real-time priority, and says whether they do.
// What it has changed on the host is undone by the function that it returns.
func realTime(name string, log *slog.Logger) (undo func()) {
	if fabric.RealTime() {
		log.Info("frames are carried at real-time priority")
		return func() {}
	}
	const ordinary = "frames are carried at an ordinary priority, and are late when the CPUs are busy"
	if name == "" {
		log.Warn(ordinary, "reason", "--realtime-group is empty")
		return func() {}
	}
	g, err := thread.HostGroup(name)
	if err != nil {
		log.Warn(ordinary, "reason", err)
		return func() {}
	}
	g.Use()
	if fabric.RealTime() {
		log.Info("frames are carried at real-time priority in a control group of their own", "group", "/"+name, "runtime", g.Runtime, "period", g.Period)
	} else {
		log.Warn(ordinary, "reason", "not even the control group /"+name+" allows it")
	}
	return func() {
		if err := g.Close(); err != nil {
			log.Warn("a control group is left", "group", "/"+name, "error", err)
		}
	}
}

// health answers whether the agent can serve pods, and what its figures are.
func health(ctx context.Context, address string, a *agent.Agent) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := a.Status(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	figures := prometheus.NewRegistry()
	figures.MustRegister(a.Metrics())
	// The other registry has the requests to the API server.
	mux.Handle("/metrics", promhttp.HandlerFor(prometheus.Gatherers{figures, metrics.Registry}, promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	s := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("health: %w", err)
	}
	return nil
}

// look lets the operator look at the worker's parts of scenarios.
func look(ctx context.Context, address string, key []byte, a *agent.Agent) error {
	known, err := trust.Agent(key)
	if err != nil {
		return err
	}
	p := new(http.Protocols)
	p.SetHTTP2(true)
	s := &http.Server{
		Addr: address, Handler: a.Look(), TLSConfig: known, Protocols: p, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // what strangers send is no error of ours
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the operator cannot look at scenarios here: %w", err)
	}
	return nil
}

// connect joins stdin and stdout to the control socket of a scenario, for kubectl exec.
func connect(ctx context.Context, state, which string) error {
	namespace, name, ok := strings.Cut(which, "/")
	if !ok || namespace == "" || name == "" || strings.ContainsAny(name, "/\x00") || strings.ContainsAny(namespace, "\x00_.") {
		return fmt.Errorf("%q is no scenario; write NAMESPACE/NAME", which)
	}
	path := agent.ControlSocket(state, agent.ID{Namespace: namespace, Name: name})
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("this worker carries no node of %s: %w", which, err)
	}
	defer c.Close()
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.UnixConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, c)
	return err
}
