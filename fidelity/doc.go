// Package fidelity judges whether an emulation can be trusted, and since when
// not.
//
// A Judge is given a Reading every second or so: how late frames and topology
// events were up to now, what was lost that the scenario did not ask to lose,
// how far ahead the plan is known, and what the CPUs did. It looks at the
// readings of the last Window and gives a Verdict:
//
//	faithful    at most 1 frame in 100 was later than the budget, no topology
//	            event was, and nothing was lost unasked
//	degraded    some of that does not hold: delays and instants are less exact
//	            than promised, while what arrived and what was lost are right
//	overloaded  frames were lost unasked, or 1 in 10 was later than the budget,
//	            or the plan was not known in time, or the emulator itself stood
//	            still or died in part: what the network did is not what the scenario says
//
// Lateness is the time from the instant at which something ought to have
// happened to the instant at which it did, on the host's clock. What the
// emulator knows of causes (a busy or withheld CPU, no real-time priority) is
// said beside the reasons, and is none by itself.
//
// A verdict becomes worse at once, and better only when the whole Window shows
// nothing worse. Report sums up the run: a result that was measured while the
// verdict was not faithful must be marked so.
package fidelity
