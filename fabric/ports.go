package fabric

import (
	"net/netip"
	"os"

	"orrery.dev/orrery/fabric/underlay"
)

// Attacher is a Fabric whose ports' devices come and go while it carries frames.
type Attacher interface {
	// Attach gives a port a device, in place of one that it may have. The port's wire and
	// the carrier that was asked for last hold for it. The fabric owns the file from a
	// successful Attach on. The device may be one that another process held before.
	Attach(port PortID, device *os.File) error
	// Detach takes a port's device away and closes its file, which does not destroy the
	// device. Frames to a port without one count as DropDevice. Detaching twice does
	// nothing twice.
	Detach(port PortID) error
}

// Placer is a Fabric whose ports may live on other hosts. A port that has a device here
// lives here, whatever was said of it before, and for as long.
type Placer interface {
	// SetHost says at which address the fabric of a host is heard; an invalid address
	// forgets it.
	SetHost(name string, at netip.AddrPort) error
	// Place says where ports live. Placing one twice on the same host does nothing twice.
	Place(placements ...Placement) error
}

// UnderlayStatuser is a Fabric that says how it stands with the other hosts.
type UnderlayStatuser interface {
	// Underlay says so.
	Underlay() underlay.Status
}

// Placement says that a port lives on a host; an empty name says that nobody knows.
type Placement struct {
	Port PortID
	Host string
}
