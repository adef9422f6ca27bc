// Package registry remembers machines: who they are, which address they have, and how
// far they have come. It is a journal, a file of JSON lines, each of which is the whole
// record of a machine at one moment and replaces the one before:
//
//	change ──▶ line ──▶ fsync ──▶ visible to readers
//
// What a reader has seen is on disk, so a server that was killed goes on with the same
// identities and the same tokens. A last line that was cut off by a crash is dropped; any
// other line that cannot be read is an error, since a machine might lose its
// address by it. Opening writes the journal anew, without what was replaced.
//
// Tokens are kept as SHA-256, so that the file does not give them away.
//
// # Caveats
//
// One process at a time: the journal is locked while it is open. Machines that are not in the site file
// are kept up to a bound (Limit), so that forged requests cannot fill the disk.
package registry
