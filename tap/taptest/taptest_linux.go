// Package taptest has what tests ask of devices.
package taptest

import (
	"encoding/binary"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// CarrierChanges is how often a device in the calling thread's network namespace has got or
// lost its carrier since it was made.
func CarrierChanges(device string) (uint32, error) {
	d, err := net.InterfaceByName(device)
	if err != nil {
		return 0, err
	}
	all, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return 0, err
	}
	messages, err := syscall.ParseNetlinkMessage(all)
	if err != nil {
		return 0, err
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWLINK || int(int32(binary.NativeEndian.Uint32(m.Data[4:]))) != d.Index {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return 0, err
		}
		for _, a := range attributes {
			if a.Attr.Type&^unix.NLA_F_NESTED == unix.IFLA_CARRIER_CHANGES {
				return binary.NativeEndian.Uint32(a.Value), nil
			}
		}
	}
	return 0, fmt.Errorf("the kernel does not tell how often the carrier of %s has changed", device)
}
