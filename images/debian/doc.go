// Package debian takes programs out of the packages of Debian or Ubuntu, with
// the shared libraries that they need and nothing else, so that they can be put
// into a container image.
//
// Fetch has apt find packages and all that they depend on, as if nothing were
// installed, and download them; apt checks their signatures. Open reads them
// without unpacking to disk and without running their scripts. Closure takes
// chosen files and adds what these need to run, found in the ELF headers.
//
//	names ──Fetch──▶ .deb files ──Open──▶ Tree ──Closure──▶ files of a layer
//
// # Caveats
//
// What programs load by name at run time (plug-ins, data) is in no header and
// must be chosen. All paths are those of a merged /usr: what a package has in
// /lib is in /usr/lib.
package debian
