package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orrery.dev/orrery/api"
	"orrery.dev/orrery/api/access"
	"orrery.dev/orrery/emulation"
	"orrery.dev/orrery/metrics"
	"orrery.dev/orrery/plan"
	"orrery.dev/orrery/rundir"
)

// serveOptions say whether and how a run is served over TCP.
type serveOptions struct {
	listen      string
	names       []string
	certificate string
	key         string
	metricNodes []string
}

// defaultListen is where previews are served unless it is said otherwise.
const defaultListen = "127.0.0.1:8600"

func (o *serveOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", o.listen, "serve the page and the API on this address, such as "+defaultListen)
	f.StringSliceVar(&o.names, "allow-host", nil, "further host names by which the page may be called")
	f.StringVar(&o.certificate, "tls-cert", "", "certificate in PEM: serve by TLS")
	f.StringVar(&o.key, "tls-key", "", "its key in PEM")
}

// arguments are the flags that say the same again.
func (o *serveOptions) arguments() []string {
	args := []string{"--listen", o.listen, "--tls-cert", o.certificate, "--tls-key", o.key}
	for _, n := range o.names {
		args = append(args, "--allow-host", n)
	}
	for _, n := range o.metricNodes {
		args = append(args, "--metrics-nodes", n)
	}
	return args
}

// check says what is wrong with the options before anything is made.
func (o *serveOptions) check() error {
	if o.listen == "" && (o.certificate != "" || o.key != "" || len(o.names) > 0 || len(o.metricNodes) > 0) {
		return usageError(errors.New("--tls-cert, --tls-key, --allow-host and --metrics-nodes say how --listen serves; give --listen, too"))
	}
	return nil
}

// open a listener with new tokens; nil if none is asked for.
func (o *serveOptions) open(log *slog.Logger) (*api.Listener, error) {
	if o.listen == "" {
		return nil, nil
	}
	l := &api.Listener{
		Address: o.listen, Tokens: access.NewTokens(), Hosts: o.names,
		Certificate: o.certificate, Key: o.key, Page: page(), Logger: log,
	}
	if err := l.Open(); err != nil {
		return nil, &exitError{exitHost, err}
	}
	return l, nil
}

// openRun is open for a run, whose directory keeps tokens and URLs.
func (o *serveOptions) openRun(p *plan.Plan, log *slog.Logger) (*api.Listener, error) {
	if _, err := metrics.Ports(p, o.metricNodes); err != nil {
		return nil, usageError(fmt.Errorf("--metrics-nodes: %w", err))
	}
	l, err := o.open(log)
	if l == nil || err != nil {
		return nil, err
	}
	dir := filepath.Dir(rundir.Socket(p.Scenario.Metadata.Name))
	err = l.Tokens.Keep(dir)
	for file, token := range map[string]string{ownerURL: l.Tokens.Owner, viewerURL: l.Tokens.Viewer} {
		err = errors.Join(err, access.Keep(filepath.Join(dir, file), l.URL(token)))
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// The files in a run's directory that hold URLs with tokens.
const (
	ownerURL  = "url"
	viewerURL = "url.viewer"
)

// serveRun serves a run on its socket and, if l is not nil, over TCP. The first error
// of either ends both.
func (o *serveOptions) serveRun(ctx context.Context, run *emulation.Run, server *api.Server, l *api.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	socket := rundir.Socket(run.Plan().Scenario.Metadata.Name)
	if l == nil {
		return server.Serve(ctx, socket)
	}
	ports, err := metrics.Ports(run.Plan(), o.metricNodes)
	if err != nil {
		return err
	}
	l.Metrics = metrics.Handler(run, ports)
	errs := make(chan error, 2)
	go func() { errs <- server.Serve(ctx, socket) }()
	go func() { errs <- l.Serve(ctx, server.Handler()) }()
	err = <-errs
	cancel()
	return errors.Join(err, <-errs)
}

// preview serves a scenario that is being written, until ctx ends.
func (o *serveOptions) preview(ctx context.Context, file string) error {
	if _, err := os.Stat(file); err != nil {
		return usageError(fmt.Errorf("the scenario cannot be read: %w", err))
	}
	var handler http.Handler
	p, err := load(file)
	if err != nil {
		// It is being written: the page shows what is wrong.
		fmt.Fprintln(os.Stderr, strings.TrimSpace(err.Error()))
		handler = api.PlanHandler(nil, file)
	} else {
		handler = api.PlanHandler(p, file)
	}
	l, err := o.open(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Println(l.URL(l.Tokens.Owner))
	return l.Serve(ctx, handler)
}

func urlCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "url",
		Short: "Print where a run's page is, with the token that opens it",
		Args:  cobra.NoArgs,
	}
	run := runFlag(c)
	viewer := c.Flags().Bool("viewer", false, "with the token that may only look")
	c.RunE = func(*cobra.Command, []string) error {
		name, err := rundir.Choose(*run)
		if err != nil {
			return err
		}
		file := ownerURL
		if *viewer {
			file = viewerURL
		}
		text, err := os.ReadFile(filepath.Join(filepath.Dir(rundir.Socket(name)), file))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s serves no page; start it with 'orrery up --listen %s'", name, defaultListen)
		}
		if err != nil {
			return err
		}
		fmt.Print(string(text))
		return nil
	}
	return c
}
