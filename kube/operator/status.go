package operator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"orrery.dev/orrery/kube/v1alpha1"
)

// The reasons of conditions.
const (
	reasonValid     = "Valid"
	reasonInvalid   = "Invalid"
	reasonReady     = "AllReady"
	reasonPods      = "PodsNotReady"
	reasonRunning   = "TimeRuns"
	reasonPaused    = "Paused"
	reasonWaiting   = "WaitingForPods"
	reasonEnded     = "DurationOver"
	reasonLost      = "WorkerLost"
	reasonConflict  = "NameConflict"
	reasonTrouble   = "PodsFailing"
	reasonRefused   = "PodsRefused"
	reasonIllegible = "FailuresIllegible"
	reasonFine      = "AsDesired"
	maxConditionLen = 4096 // bytes of a message
)

func setCondition(status *v1alpha1.ScenarioStatus, generation int64, kind string, holds bool, reason, message string) {
	value := metav1.ConditionFalse
	if holds {
		value = metav1.ConditionTrue
	}
	if len(message) > maxConditionLen {
		message = message[:maxConditionLen-3] + "…"
	}
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: message, ObservedGeneration: generation,
	})
}

// refuse says that a scenario is not valid. What runs of an earlier generation
// goes on.
func refuse(status *v1alpha1.ScenarioStatus, generation int64, err error) {
	message := err.Error()
	if status.Pods > 0 {
		message += "\nthe pods of the last valid scenario go on"
	}
	status.ObservedGeneration = generation
	setCondition(status, generation, v1alpha1.Accepted, false, reasonInvalid, message)
	if meta.FindStatusCondition(status.Conditions, v1alpha1.Running) == nil {
		setCondition(status, generation, v1alpha1.Running, false, reasonInvalid, "the scenario is not accepted")
	}
}

// conclude fills in a status from what is asked for and what there is.
func conclude(status *v1alpha1.ScenarioStatus, s *v1alpha1.Scenario, d *desired, t *tally, now time.Time) {
	status.ObservedGeneration = s.Generation
	status.Nodes, status.Pods, status.Ready = int32(len(d.nodes)), int32(t.pods), int32(t.ready)
	status.Bundle = d.bundle
	status.Workers = nil
	for _, name := range slices.Sorted(maps.Keys(t.workers)) {
		status.Workers = append(status.Workers, *t.workers[name])
	}
	set := func(kind string, holds bool, reason, message string) {
		setCondition(status, s.Generation, kind, holds, reason, message)
	}
	set(v1alpha1.Accepted, true, reasonValid, "the scenario is valid")
	wanted, but := len(d.nodes)-t.down, ""
	if t.down > 0 {
		but = fmt.Sprintf("; %d nodes are down by failures that somebody has made", t.down)
	}
	all := t.ready == wanted
	if all {
		set(v1alpha1.PodsReady, true, reasonReady, fmt.Sprintf("all %d pods are ready", wanted)+but)
	} else {
		set(v1alpha1.PodsReady, false, reasonPods, fmt.Sprintf("%d of %d nodes have a pod, %d pods are ready", t.pods, wanted, t.ready)+but)
	}
	keepTime(status, d, annotated(s), all, now)
	switch over, ended := d.scenario.Spec.Duration.Std(), false; {
	case status.Started == nil:
		set(v1alpha1.Running, false, reasonWaiting, fmt.Sprintf("scenario time begins to run when all pods are ready, and %d of %d are", t.ready, len(d.nodes)))
	default:
		ended = over > 0 && status.Timeline.Now(now) >= over
		switch {
		case ended:
			set(v1alpha1.Running, false, reasonEnded, fmt.Sprintf("the scenario's duration of %v is over; its pods stay until it is deleted", over))
		case status.Timeline.Paused:
			set(v1alpha1.Running, false, reasonPaused, fmt.Sprintf("paused by the annotation %s", v1alpha1.AnnotationPaused))
		default:
			set(v1alpha1.Running, true, reasonRunning, fmt.Sprintf("scenario time runs at speed %g", status.Timeline.Speed))
		}
	}
	reason, problems := degraded(t)
	if problems == nil {
		set(v1alpha1.Degraded, false, reasonFine, "nothing is amiss")
		return
	}
	set(v1alpha1.Degraded, true, reason, strings.Join(problems, "\n"))
}

// degraded lists what is amiss, the gravest first.
func degraded(t *tally) (reason string, problems []string) {
	note := func(why, text string) {
		if reason == "" {
			reason = why
		}
		problems = append(problems, text)
	}
	for _, name := range t.lost {
		note(reasonLost, fmt.Sprintf("worker %s does not answer: the links of its %d pods are down until it returns", name, t.workers[name].Pods))
	}
	if t.illegible != nil {
		note(reasonIllegible, t.illegible.Error())
	}
	if t.refused != "" {
		note(reasonRefused, "the cluster takes no more pods: "+clipped(t.refused))
	}
	for _, name := range t.conflicts {
		note(reasonConflict, fmt.Sprintf("the pod %s is there and is not of this scenario; delete it, or rename the scenario", name))
	}
	for _, text := range t.troubles {
		note(reasonTrouble, text)
	}
	if more := t.troubled - len(t.troubles); more > 0 {
		note(reasonTrouble, fmt.Sprintf("%d more pods are not well", more))
	}
	return reason, problems
}

// annotated says whether the scenario's user wants time to stand.
func annotated(s *v1alpha1.Scenario) bool {
	return s.Annotations[v1alpha1.AnnotationPaused] == "true"
}

// keepTime makes the timeline what it is to be. Time stands at 0 until all pods
// have been ready once, then runs; it goes on where it is when speed or pause
// change, and ends with the scenario's duration.
func keepTime(status *v1alpha1.ScenarioStatus, d *desired, paused, all bool, now time.Time) {
	speed := d.scenario.Spec.Speed
	if status.Timeline == nil {
		status.Timeline = &v1alpha1.Timeline{At: metav1.NewMicroTime(now.Truncate(time.Microsecond)), Speed: speed, Paused: true}
	}
	if status.Started == nil {
		if !all {
			if status.Timeline.Speed != speed {
				*status.Timeline = status.Timeline.Continue(now, speed, true)
			}
			return
		}
		started := metav1.NewMicroTime(now.Truncate(time.Microsecond))
		status.Started = &started
	}
	over := d.scenario.Spec.Duration.Std()
	at := status.Timeline.Now(now)
	if over > 0 && at >= over {
		paused = true
	}
	if status.Timeline.Speed != speed || status.Timeline.Paused != paused {
		*status.Timeline = status.Timeline.Continue(now, speed, paused)
		if over > 0 && at >= over && status.Timeline.Scenario.Duration > over {
			status.Timeline.Scenario.Duration = over // it is noticed a little later
		}
	}
}
