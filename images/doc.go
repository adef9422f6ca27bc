// Package images makes container images without a container engine.
//
// An Image is a configuration and some layers; a layer is a list of files.
// The same files give the same image, bit for bit, whoever builds it and when:
// entries are sorted, owned by root, and all have one time, that of
// SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/)
// or else 1970-01-01.
//
// Write makes an archive as "docker save" does, which "ctr images import",
// "docker load" and "podman load" take. Nothing is sent anywhere.
//
// # Caveats
//
// Layers are compressed with gzip as the Go standard library does it, which may
// change with Go's version. An image's identity (the digest of its
// configuration) is made of uncompressed layers, and does not change with it.
package images
