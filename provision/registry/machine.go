package registry

import (
	"net/netip"
	"slices"
	"time"
)

// Stage is how far a machine has come.
type Stage string

// The stages in order. Failed and Ignored are ends beside that way.
const (
	Seen     Stage = "seen"     // it asked for an address
	Firmware Stage = "firmware" // its firmware was offered a boot file
	Kernel   Stage = "kernel"   // its kernel runs and has fetched its configuration
	Root     Stage = "root"     // its root was fetched, checked and mounted
	Network  Stage = "network"  // user space reaches the server
	Doctor   Stage = "doctor"   // its limits and abilities were looked at
	Ready    Stage = "ready"    // its check has succeeded and its role begun
	Ignored  Stage = "ignored"  // unknown, and unknown machines are ignored
)

// Stages that machines report themselves, in order.
var Stages = []Stage{Kernel, Root, Network, Doctor, Ready}

// Reported says whether a stage is one that machines report.
func (s Stage) Reported() bool { return slices.Contains(Stages, s) }

// Machine is what is known of one.
type Machine struct {
	// Key is what the machine is known by: its MAC, or "duid:" and its DUID where the MAC
	// is unknown.
	Key     string     `json:"key"`
	Name    string     `json:"name"`
	MAC     string     `json:"mac,omitempty"`
	DUID    string     `json:"duid,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
	// Standing is "known" with an entry of the site file, else the policy that it fell
	// under: "ignore", "quarantine" or "accept".
	Standing string `json:"standing"`
	// Firmware is the vendor class and Architecture what it asked for as.
	Firmware     string `json:"firmware,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	// Path by which it boots: "pxe", "http" or "ipxe"; Image is what it was offered.
	Path  string `json:"path,omitempty"`
	Image string `json:"image,omitempty"`

	Stage Stage `json:"stage"`
	// FirstSeen, Since (the stage began) and LastSeen.
	FirstSeen time.Time `json:"firstSeen"`
	Since     time.Time `json:"since"`
	LastSeen  time.Time `json:"lastSeen"`
	// Passed are the instants at which the stages of this boot began.
	Passed map[Stage]time.Time `json:"passed,omitempty"`
	// Error is the last one, Console the last lines of the console when it happened.
	Error   string    `json:"error,omitempty"`
	ErrorAt time.Time `json:"errorAt,omitzero"`
	Console []string  `json:"console,omitempty"`

	// Installed is the SHA-256 of the disk image that the machine has on its disk; empty for none.
	Installed string `json:"installed,omitempty"`

	// Token is the hash of the one-time token by which the configuration is fetched, Report the
	// one of the key by which stages are reported; empty for none.
	Token  string `json:"token,omitempty"`
	Report string `json:"report,omitempty"`
}

// Enter moves a machine to a stage. Firmware begins a new boot.
func (m *Machine) Enter(stage Stage, now time.Time) {
	m.LastSeen = now
	if stage == Firmware && m.Stage != Firmware {
		m.Passed = nil
		m.Error, m.ErrorAt, m.Console = "", time.Time{}, nil
	}
	if m.Stage == stage {
		return
	}
	passed := make(map[Stage]time.Time, len(m.Passed)+1)
	for s, t := range m.Passed {
		passed[s] = t
	}
	passed[stage] = now
	m.Stage, m.Since, m.Passed = stage, now, passed
}

// Fail notes an error, and the last lines of the console.
func (m *Machine) Fail(what string, console []string, now time.Time) {
	m.LastSeen = now
	m.Error, m.ErrorAt, m.Console = what, now, console
}
