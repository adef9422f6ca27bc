// Package sgp4 computes where satellites are from general perturbations
// element sets (TLE, OMM), by the SGP4 theory for periods below 225 minutes
// and SDP4 for longer ones.
//
// It follows D. Vallado, P. Crawford, R. Hujsak, T. Kelso, "Revisiting
// Spacetrack Report #3", AIAA 2006-6753, with the WGS-72 constants that
// element sets are made with, and agrees with every row of that paper's
// verification set within 1e-7 km and 1e-9 km/s. Of the two readings of the
// theory that the paper knows it is the improved one, which the set was made
// with.
//
// A Propagator is immutable. The reference code remembers where its resonance
// integrator stood at the call before; here the integrator's steps are
// computed once when the propagator is made, so that calls in any order, from
// any goroutine, give the same result.
//
// # Caveats
//
// The theory is good to about a kilometre at the elements' epoch and loses one
// to three a day in low orbits. Osculating elements, and mean elements of any
// other theory (orbit.Elements too), must not be given to it.
//
// Its velocity is not quite the derivative of its position: small terms are
// left out. The difference is some cm/s for nearly circular orbits, some m/s
// for eccentric ones and in the last days before decay.
//
// In deep space the position as a function of time is not everywhere
// continuous: with an inclination below 11.5°, where the theory changes to
// Lyddane's formulas, it jumps by up to some kilometres at the instants when
// the node passes 0° and when the inclination passes that limit. Whoever looks
// for roots along it must end at a jump too. At an inclination of 180° the
// theory is singular.
package sgp4
