package site

import (
	"slices"
	"strings"
)

// Quirk is a workaround for firmware. Each can be switched per rule or per machine.
type Quirk string

// The quirks that there are.
const (
	NoOption16    Quirk = "no-option-16"    // HTTP clients get no vendor class
	NoOption60    Quirk = "no-option-60"    // no boot file parameters
	NoRapidCommit Quirk = "no-rapid-commit" // four messages, even if two are asked for
	SlowOffer     Quirk = "slow-offer"      // advertisements wait two seconds
	NoHead        Quirk = "no-head"         // HEAD is refused
	SmallBlocks   Quirk = "small-blocks"    // TFTP in blocks of 512 bytes
	NoWindow      Quirk = "no-window"       // TFTP block by block
	RAUnmanaged   Quirk = "ra-unmanaged"    // solicited advertisements have neither M nor O
	RAManagedOnly Quirk = "ra-managed-only" // solicited advertisements announce no SLAAC
)

// quirks in the order of documentation, each with what it is for.
var quirks = []struct {
	Quirk
	purpose string
}{
	{NoOption16, "the reply to an HTTP client has no option 16; for firmware that refuses vendor classes it does not know"},
	{NoOption60, "the reply has no boot file parameters (option 60)"},
	{NoRapidCommit, "solicitations with rapid commit are answered by an advertisement; for firmware that asks for it and then waits for one"},
	{SlowOffer, "advertisements are sent two seconds late; for firmware that solicits before it can receive"},
	{NoHead, "HEAD is answered by 405, so that the firmware goes on to GET; for firmware that mistakes the answer's length"},
	{SmallBlocks, "TFTP keeps to blocks of 512 bytes; for firmware or paths that lose fragments"},
	{NoWindow, "TFTP acknowledges every block; for firmware that asks for windows it cannot take"},
	{RAUnmanaged, "router advertisements that the machine solicits have neither the managed nor the other flag"},
	{RAManagedOnly, "router advertisements that the machine solicits announce no SLAAC; for firmware that gets confused by two addresses"},
}

// Purposes are the names of all quirks, and what each is for.
func Purposes() (names, purposes []string) {
	for _, q := range quirks {
		names, purposes = append(names, string(q.Quirk)), append(purposes, q.purpose)
	}
	return names, purposes
}

// known says whether a word names a quirk.
func known(word string) bool {
	return slices.ContainsFunc(quirks, func(q struct {
		Quirk
		purpose string
	}) bool {
		return string(q.Quirk) == word
	})
}

// Quirks are those of one machine.
type Quirks []string

// Has says whether a quirk is switched on.
func (q Quirks) Has(quirk Quirk) bool { return slices.Contains(q, string(quirk)) }

// String lists them.
func (q Quirks) String() string { return strings.Join(q, ",") }
