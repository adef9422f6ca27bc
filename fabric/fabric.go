package fabric

import (
	"time"

	"orrery.dev/orrery/curve"
)

// PortID names a port within one fabric: 0 … n-1.
type PortID int32

// Wire is what leaves a port: one direction of a link, as an immutable value.
// To change anything, a new Wire is set.
type Wire struct {
	// Peer is the port that frames are delivered to.
	Peer PortID
	// Contact tells one period of connection from the next. Frames in flight
	// survive a change of wire only if the contact stays the same.
	Contact uint64
	// Start and End in scenario time: a frame is delivered only if its whole
	// flight lies within.
	Start, End time.Duration
	// Delay in seconds at the scenario time of departure.
	Delay curve.Curve
	// Rate in bit/s at the scenario time of departure; 0 means not limited.
	Rate curve.Curve
	// Queue is the drop-tail queue in front of the link, in bytes. It matters
	// only where Rate limits. 0 means no bound.
	Queue int
	// Loss model.
	Loss Loss
}

// Loss decides which frames are lost on the way.
type Loss struct {
	// Bernoulli probability at the scenario time of departure.
	Bernoulli curve.Curve
	// GilbertElliott, if set, replaces Bernoulli.
	GilbertElliott *GilbertElliott
}

// GilbertElliott holds probabilities per frame.
type GilbertElliott struct {
	GoodToBad, BadToGood float64
	LossGood, LossBad    float64
}

// Carrier says whether a port's link is up.
type Carrier struct {
	Port PortID
	Up   bool
}

// Counters of one port; all only grow. They count frames as they are on the link: a
// super-frame is as many, and as many bytes, as segmentation makes of it.
type Counters struct {
	// Sent frames and bytes were read from the node.
	SentFrames, SentBytes uint64
	// Received frames and bytes were delivered to the node.
	ReceivedFrames, ReceivedBytes uint64
	// Dropped frames, by cause, counted at the sending port.
	DropNoLink   uint64 // no wire, or outside of the contact
	DropQueue    uint64 // the queue was full
	DropLoss     uint64 // the loss model
	DropInFlight uint64 // the contact ended while the frame was on its way
	DropDevice   uint64 // the receiving device refused the frame (down, gone, or its buffer full): not asked for by the scenario
	DropOverload uint64 // the emulator ran out of buffers: not asked for by the scenario
	DropUnderlay uint64 // the underlay between hosts did not take the frame, or brought it too late to keep order: not asked for by the scenario
	DropForged   uint64 // the source address was not the node's, and Origin.Drop is set
	// Forged frames had a source address that is not the node's, dropped or not.
	Forged uint64
}

// Fabric carries frames between ports.
type Fabric interface {
	// Set makes wire what leaves port; nil disconnects it. It may be called at
	// any time from any goroutine, and again with the same value.
	Set(port PortID, wire *Wire)
	// SetCarriers tells nodes whether their ports' links are up, in the order
	// given. It does nothing where nothing changes.
	SetCarriers(carriers ...Carrier) error
	// Counters of a port.
	Counters(port PortID) Counters
	// Fidelity says how truthfully frames were carried so far.
	Fidelity() Fidelity
	// Close stops carrying and releases the devices without destroying them.
	Close() error
}

// Fidelity sums up what the emulator itself did to frames.
type Fidelity struct {
	// Lateness of deliveries: actual minus intended instant.
	Lateness Histogram
	// RealTime tells whether the workers run at real-time priority.
	RealTime bool
	// Workers carrying frames.
	Workers int
	// Interruptions is how often nothing was carried for a while, and what was
	// under way was lost, since the process that carries had to be started again.
	Interruptions uint64
	// Silence is how long the most silent of the workers has shown no sign of life.
	// They show one every second, whatever there is to carry.
	Silence time.Duration
}
