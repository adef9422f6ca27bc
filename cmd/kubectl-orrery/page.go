package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"

	"orrery.dev/orrery/api"
	"orrery.dev/orrery/api/access"
	"orrery.dev/orrery/kube/gateway"
	"orrery.dev/orrery/kube/kubectl"
	"orrery.dev/orrery/web"
)

// page serves the page and the API of a scenario on this machine until ctx ends. Whoever has a token
// does there what the user of kubectl may do.
func (o *options) page(ctx context.Context, out io.Writer, args []string) error {
	flags := pflag.NewFlagSet("kubectl orrery page", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	l := api.Listener{Tokens: access.NewTokens(), Page: web.Files(), Logger: slog.New(slog.DiscardHandler)}
	flags.StringVar(&l.Address, "listen", "127.0.0.1:8600", "where to serve, HOST:PORT")
	flags.StringSliceVar(&l.Hosts, "allow-host", nil, "further host names by which the page may be called")
	flags.StringVar(&l.Certificate, "tls-cert", "", "certificate in PEM: serve by TLS")
	flags.StringVar(&l.Key, "tls-key", "", "its key in PEM")
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		_, err = fmt.Fprint(out, "Usage: kubectl orrery page [SCENARIO]\n\nServe the page of a scenario on this machine until interrupted.\n\n"+flags.FlagUsages())
		return err
	case err != nil:
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	name, err := o.chosen(ctx, "page", flags.Args())
	if err != nil {
		return err
	}
	if err := l.Open(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\nto look only: %s\n", l.URL(l.Tokens.Owner), l.URL(l.Tokens.Viewer)); err != nil {
		return errors.Join(err, l.Close())
	}
	return l.Serve(ctx, gateway.New(kubectl.Open(ctx, o.program, o.namespace, name, o.system)).Handler())
}
