// Package tap opens the TAP devices that stand for the ports of nodes.
//
// A TAP is a network interface whose wire is a file: a frame that the kernel
// sends on the interface is read from the file, a frame written to the file is
// received by the interface. Each frame has a virtio_net_hdr of [HeaderLen]
// bytes, little-endian, before it (VIRTIO 1.2, section 5.1.6), so that
// checksums and segmentation can be left to whoever needs them at last.
//
// Devices are persistent: closing the file does not destroy them, deleting
// their namespace does. That is on purpose. Destroying thousands of TAPs one
// by one waits for as many RCU grace periods; destroying their namespaces in
// one batch shares them.
//
// The files are in non-blocking mode and unknown to the Go runtime's poller:
// whoever carries frames polls them himself.
package tap

// HeaderLen is the length in bytes of the virtio_net_hdr before each frame.
const HeaderLen = 10
