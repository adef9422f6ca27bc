// Package report makes of the records of runs one page that can be put before
// colleagues, and tables for further work.
//
//	directory ──Collect──▶ Report: variants with the Figures of their runs
//	          ──WriteHTML──▶ one file without references to others
//	          ──WriteCSV──▶ variants, runs, outages, convergence, reachability
//
// Figures are of the measured span only. A run that is not complete, or whose
// verdict is not faithful, is listed and left out of all comparisons, unless the
// caller includes unfaithful ones; then they are marked wherever they count.
//
// Each variant's figures are means over its runs with Student's 95 % interval.
// The summary in words is made by rules (summary.go): it says that variants
// differ only where Welch's interval of the difference leaves zero out, all
// differences of a figure taken together (Bonferroni).
//
// # Caveats
//
// Runs of one experiment share sky, host and scenario. Their intervals tell what
// another repetition there would give, and nothing of other skies or hosts.
package report
