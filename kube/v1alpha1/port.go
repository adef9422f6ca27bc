package v1alpha1

import "hash/fnv"

// The UDP ports that the operator gives to scenarios. They lie below those that Linux
// and Kubernetes hand out.
const (
	FirstUnderlayPort = 20480
	UnderlayPorts     = 4096 // how many there are
)

// PreferredUnderlayPort is the one that a scenario gets if no other has it. It follows
// from the UID.
func (s *Scenario) PreferredUnderlayPort() int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.UID))
	return FirstUnderlayPort + int32(h.Sum32()%UnderlayPorts)
}

// HeldUnderlayPort is the port that agents use for a scenario now, or 0 if it is not
// accepted yet. One that an earlier operator has accepted has none in its status, and
// goes by the preferred one until the operator has written another.
func (s *Scenario) HeldUnderlayPort() int32 {
	switch {
	case s.Status.UnderlayPort != 0:
		return s.Status.UnderlayPort
	case s.Status.Bundle != "":
		return s.PreferredUnderlayPort()
	}
	return 0
}
