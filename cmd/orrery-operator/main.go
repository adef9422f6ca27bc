// Orrery-operator makes pods of Scenario objects on Kubernetes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"orrery.dev/orrery/kube/operator"
)

// version is set when the binary is linked.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, pflag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "orrery-operator: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o := operator.Options{}
	flags := pflag.NewFlagSet("orrery-operator", pflag.ContinueOnError)
	qps := flags.Float32("qps", 200, "requests to the API server per second")
	burst := flags.Int("burst", 400, "requests that may come at once")
	cpu := flags.String("node-cpu", "", "CPU that the pod of a node requests if its scenario says nothing; empty for what its daemon needs")
	memory := flags.String("node-memory", "", "memory that the pod of a node requests if its scenario says nothing; empty for what its daemon needs")
	policy := flags.String("node-pull-policy", "", "when images of nodes are pulled; empty for Kubernetes's default")
	flags.StringVar(&o.Pods.Image, "node-image", "orrery.dev/orrery-router:"+version, "image of nodes whose scenario names none")
	flags.StringVar(&o.Pods.Networks, "networks", "", "NetworkAttachmentDefinition that pods name for Multus, as NAMESPACE/NAME; empty where the plugin is chained")
	flags.BoolVar(&o.Pods.UserNamespaces, "user-namespaces", false, "give pods a user namespace of their own")
	flags.StringVar(&o.Pods.RuntimeClass, "runtime-class", "", "runtime class of pods")
	flags.IntVar(&o.MaxStarting, "max-starting", 100, "how many pods of a scenario may be starting at the same time")
	flags.StringVar(&o.Namespace, "namespace", "", "only look after scenarios in this namespace")
	flags.StringVar(&o.MetricsAddress, "metrics-address", ":9480", "address on which to serve metrics; empty for none")
	flags.StringVar(&o.HealthAddress, "health-address", ":9481", "address on which to serve /healthz and /readyz; empty for none")
	flags.BoolVar(&o.LeaderElection, "leader-election", false, "let several operators run of which one works")
	flags.StringVar(&o.OperatorNamespace, "operator-namespace", os.Getenv("ORRERY_OPERATOR_NAMESPACE"), "namespace that the operator is in")
	flags.StringVar(&o.WebhookAddress, "webhook-address", ":9443", "address on which to check scenarios before they are stored; empty for not at all")
	flags.StringVar(&o.WebhookService, "webhook-service", "orrery-operator", "service that leads to that address, in the operator's namespace")
	flags.StringVar(&o.UnderlaySecret, "underlay-secret", "orrery-underlay", "Secret with the key that agents share, made in the operator's namespace if it is not there; empty to make none")
	flags.StringVar(&o.PageAddress, "page-address", "", "address on which to serve the page of scenarios; empty for none")
	flags.StringSliceVar(&o.PageHosts, "page-host", nil, "further host names by which the page may be called")
	flags.StringVar(&o.PageSecret, "page-secret", "orrery-page", "Secret with the tokens for the page, made in the operator's namespace if it is not there")
	flags.IntVar(&o.AgentPort, "agent-port", 9491, "port of the agents' --control-address")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *showVersion {
		fmt.Println("orrery-operator " + version)
		return nil
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("the argument %q is not understood; there are only flags", flags.Arg(0))
	}
	if o.MaxStarting < 1 {
		return errors.New("--max-starting is less than 1; no pod would ever start")
	}
	o.Pods.PullPolicy = corev1.PullPolicy(*policy)
	o.Pods.Requests = corev1.ResourceList{}
	for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: *cpu, corev1.ResourceMemory: *memory} {
		if text == "" {
			continue
		}
		amount, err := resource.ParseQuantity(text)
		if err != nil {
			return fmt.Errorf("--node-%s: %q is not an amount: %w", name, text, err)
		}
		o.Pods.Requests[name] = amount
	}
	ctrl.SetLogger(klog.Background())
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("there is no way to a cluster: %w", err)
	}
	config.QPS, config.Burst, config.UserAgent = *qps, *burst, "orrery-operator/"+version
	m, err := operator.New(config, o)
	if err != nil {
		return err
	}
	return m.Start(ctx)
}
