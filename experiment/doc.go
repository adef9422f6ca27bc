// Package experiment turns a question into runs: a file names a scenario and what
// is varied, and each variant is run as often as asked.
//
//	text ──Load──▶ Experiment, with a Scenario for each variant
//	     ──Runs──▶ [variant × repetition]
//	     ──Do────▶ a run directory each (package record), by a Launcher
//
// A variant is a list of fields with other values (scenario.Changes), judged by
// the scenario's own parser. The axes of a matrix multiply with variants.
//
// A run is kept if its record is complete and was made of the same scenario and
// span; whatever else stands in its directory is removed and the run is done
// again. So the same call continues after a crash of the machine, and does
// nothing if everything is there.
//
// # Caveats
//
// Repetitions have different seeds, and the seed decides about losses of frames
// alone: the sky is the same in all of them. What scatters between them is the
// timing of daemons and of the host.
package experiment
