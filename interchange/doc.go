// Package interchange writes plans in the formats of other systems, and reads
// scenarios of other systems.
//
// # Model of the export
//
// A plan is walked through window by window (package plan), so that however long
// a span is asked for, what is held of it are the contacts that are open, each as
// a summary and not as curves. Every format is one function that takes a plan and
// a span and writes as it walks:
//
//	ContactPlan   one row of CSV for each contact
//	NetSatBench   sat-config.json and one epoch file for each step in which something changes
//	Schedules     the network with schedules of its ports, after draft-ietf-tvr-schedule-yang
//	CZML          positions and links for Cesium
//
// The same plan and span give the same bytes on every machine.
//
// # Model of the import
//
// Hypatia, StarryNet and ReadNetSatBench read from a file system, which is untrusted, and
// give an Import: the scenario file, the orbit files that it names, and a sentence for
// each thing that has no counterpart here.
//
// # Caveats
//
// Contacts that are open at the end of a span have no known end; formats without a
// word for that have them end there. Schedules holds 80 bytes for each contact until it
// has walked through the span, since its format lists them by port. docs/interchange.md
// says what each format cannot express.
package interchange
