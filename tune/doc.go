// Package tune sets sysctls of a host so that it can be undone, whatever
// happens in between.
//
// # Model
//
//	[]Setting ──Apply──▶ record (durable) ──▶ /proc/sys ──▶ []Change
//	                       └──────Undo──────▶ /proc/sys
//
// Before anything is set, a record of what every sysctl was and what it is to
// become is written to the disk and synchronised. So a tuning that was killed
// half way, in the record's writing, between two sysctls or while it was being
// undone, can be undone, and undoing twice does nothing twice.
//
// Undo gives back a value only where it finds one that Apply has set. What
// somebody else has changed since stays as it is: it is theirs now. If Apply
// finds such a value it becomes the one to go back to.
//
// The kernel forgets sysctls when it restarts. The record names the boot that
// it is about; one of an earlier boot is void, unless the settings were made
// persistent by a file that sysctl(8) and systemd-sysctl read at each boot
// (sysctl.d(5)).
//
// # Caveats
//
//   - Sysctls below net/ are those of the caller's network namespace; package
//     doctor says which of them reach other namespaces.
//   - A value that the kernel accepts and changes is reported, and its change
//     recorded right after; a kill between the two leaves it to be found.
package tune
