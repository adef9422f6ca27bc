// Package nodeimage builds images of whole nodes out of Debian's packages: what machines boot by
// network, and what is written to disks. (Container images are package images.)
//
//	mmdebstrap ─▶ directory ─┬─ + Orrery, units, settings ─▶ mksquashfs ─▶ root.squashfs ──┐
//	                         └─ kernel ─┬─ modules ─▶ cpio, zstd ─▶ initial file system ─┐ ├─▶ manifest.json (.sig)
//	          systemd's stub ───────────┴─────────────────────────────── objcopy ────────┴─▶ boot.efi
//
// The same inputs give the same bytes: times come from SOURCE_DATE_EPOCH, entries are sorted, and what the
// packages' scripts draw at random (machine ids, host keys, logs, caches) is removed. Inputs are the packages, so
// the manifest lists all of them with their versions.
//
// # Caveats
//
// It takes root, for files of a root have owners, and Debian's programs mmdebstrap, mksquashfs, objcopy
// and dpkg-deb. An image has the architecture of the machine that builds it.
package nodeimage
