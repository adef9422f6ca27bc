// Package record is the record of a run: a directory that holds all that was
// observed, complete enough to be judged and compared without the run.
//
//	scenario.yaml   the scenario as resolved
//	run.json        what ran where, the measured span, how it ended, the verdict (Run)
//	STREAM.jsonl    while the run goes on: one row a line
//	STREAM.parquet  once it has ended: the same rows
//
// There is one Go type for the rows of each stream (Event, RouteChange, …) and
// one Stream value that writes and reads them (Events, Routes, …). Instants are
// scenario time in whole microseconds since the scenario's epoch; so are
// durations, if nothing else is said: host time times the run's speed.
// docs/record.md describes every column.
//
// Nothing that was complete is lost. Rows are appended as lines; a line that a
// crash has cut is left out, and Dir.Notes says so. The lines of a stream go only
// after its Parquet file is written, synced and named. A directory of a newer
// format is refused.
package record
