package operator

import (
	"cmp"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"orrery.dev/orrery/kube/pod"
	"orrery.dev/orrery/kube/v1alpha1"
	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// PodOptions are the operator's own settings of pods.
type PodOptions struct {
	// Image of nodes whose scenario names none.
	Image string
	// PullPolicy of such an image; empty for Kubernetes's own.
	PullPolicy corev1.PullPolicy
	// Networks is what the pods' annotation for Multus says: the name of the one
	// NetworkAttachmentDefinition by which a pod gets all of its ports. Empty: no
	// annotation, for a plugin that is chained behind the cluster's network.
	Networks string
	// Requests of nodes whose scenario has none, in place of scenario.DefaultRequests.
	Requests corev1.ResourceList
	// UserNamespaces gives pods a user namespace of their own, where the workers
	// have them.
	UserNamespaces bool
	// RuntimeClass of pods; empty for the cluster's default.
	RuntimeClass string
}

// networksAnnotation is Multus's.
const networksAnnotation = "k8s.v1.cni.cncf.io/networks"

// managedBy is on everything that the operator makes.
var managedBy = map[string]string{"app.kubernetes.io/managed-by": "orrery-operator"}

// labels of what belongs to a scenario.
func labels(scenarioName string) map[string]string {
	l := maps.Clone(managedBy)
	l[v1alpha1.LabelScenario] = scenarioName
	return l
}

// capabilities of a node's container in its own namespaces. All daemons make
// routes and open raw sockets. FRR changes its user and the owner of its files, and
// refuses to start without CAP_SYS_ADMIN, which it wants for VRFs that are not
// used here.
func capabilities(daemon string) []corev1.Capability {
	own := []corev1.Capability{"NET_ADMIN", "NET_RAW"}
	if daemon == router.FRR {
		own = append(own, "NET_BIND_SERVICE", "CHOWN", "DAC_OVERRIDE", "SETUID", "SETGID", "KILL", "SYS_ADMIN")
	}
	return own
}

// renderPod makes a node's pod.
func renderPod(s *v1alpha1.Scenario, d *desired, m *member, o PodOptions) *corev1.Pod {
	var group scenario.PodGroup
	if m.group >= 0 {
		group = d.scenario.Spec.Kubernetes.Pods[m.group]
	}
	meta := metav1.ObjectMeta{
		Name: m.pod, Namespace: s.Namespace, Labels: labels(s.Name),
		Annotations:     map[string]string{v1alpha1.AnnotationDefinition: m.definition},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s, v1alpha1.GroupVersion.WithKind(scenario.Kind))},
	}
	meta.Labels[v1alpha1.LabelNode] = m.node
	if o.Networks != "" {
		meta.Annotations[networksAnnotation] = o.Networks
	}
	spec := corev1.PodSpec{
		Hostname:                      m.node,
		RestartPolicy:                 corev1.RestartPolicyAlways,
		AutomountServiceAccountToken:  new(bool),
		EnableServiceLinks:            new(bool),
		TerminationGracePeriodSeconds: pointer[int64](2),
		DNSPolicy:                     corev1.DNSDefault,
		SecurityContext:               &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		NodeSelector:                  group.NodeSelector,
		Tolerations:                   tolerations(group.Tolerations),
		Containers:                    []corev1.Container{container(m, group, o)},
		Volumes: []corev1.Volume{
			{Name: "scenario", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: d.bundle}}}},
			{Name: "run", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
		},
	}
	if group.Spread != "none" {
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelScenario: s.Name}},
		}}
	}
	if o.RuntimeClass != "" {
		spec.RuntimeClassName = &o.RuntimeClass
	}
	if o.UserNamespaces {
		spec.HostUsers = new(bool)
	}
	return &corev1.Pod{ObjectMeta: meta, Spec: spec}
}

// requests of a node's container: what its group says, else the operator's settings, else
// what its daemon needs.
func requests(daemon string, group scenario.PodGroup, o PodOptions) corev1.ResourceList {
	if group.Requests != nil {
		return amounts(group.Requests)
	}
	r := amounts(scenario.DefaultRequests(daemon))
	maps.Copy(r, o.Requests)
	return r
}

func container(m *member, group scenario.PodGroup, o PodOptions) corev1.Container {
	c := corev1.Container{
		Name:            "node",
		Image:           cmp.Or(group.Image, o.Image),
		ImagePullPolicy: corev1.PullPolicy(group.ImagePullPolicy),
		Command:         []string{"orrery", "node", "run"},
		Env: []corev1.EnvVar{{Name: pod.NodeKey, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['" + v1alpha1.LabelNode + "']"},
		}}},
		Resources: corev1.ResourceRequirements{Requests: requests(m.daemon, group, o), Limits: amounts(group.Limits)},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "scenario", MountPath: "/etc/orrery", ReadOnly: true},
			{Name: "run", MountPath: "/run"},
		},
		SecurityContext: &corev1.SecurityContext{
			RunAsUser:              new(int64),
			ReadOnlyRootFilesystem: pointer(true),
			Capabilities:           &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: capabilities(m.daemon)},
		},
	}
	if group.Image == "" && group.ImagePullPolicy == "" {
		c.ImagePullPolicy = o.PullPolicy
	}
	if m.daemon != router.FRR { // the API server allows no CAP_SYS_ADMIN with it
		c.SecurityContext.AllowPrivilegeEscalation = new(bool)
	}
	if m.daemon != "" {
		// Once, and not for as long as the pod lives: thousands of pods on a worker
		// leave no time for that. A daemon that ends takes its container with it.
		c.StartupProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"orrery", "node", "ready"}}},
			PeriodSeconds: 2, TimeoutSeconds: 10, FailureThreshold: 150,
		}
	}
	return c
}

// tolerations of a group, and of workers that do not answer: a pod that was
// moved would be another node. It stays, and goes on when its worker returns.
func tolerations(group []scenario.Toleration) []corev1.Toleration {
	var out []corev1.Toleration
	for _, t := range group {
		out = append(out, corev1.Toleration{
			Key: t.Key, Operator: corev1.TolerationOperator(t.Operator), Value: t.Value, Effect: corev1.TaintEffect(t.Effect),
		})
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		out = append(out, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute})
	}
	return out
}

// amounts of resources, whose form the scenario's validation has checked.
func amounts(texts map[string]string) corev1.ResourceList {
	if texts == nil {
		return nil
	}
	out := corev1.ResourceList{}
	for name, text := range texts {
		if q, err := resource.ParseQuantity(text); err == nil {
			out[corev1.ResourceName(name)] = q
		}
	}
	return out
}

func pointer[T any](v T) *T { return &v }
