package tap

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tunGetDevNetNS opens the namespace of a device (linux/if_tun.h, TUNGETDEVNETNS).
const tunGetDevNetNS = 0x54e3

// Announce makes the kernel tell at once what changed about the carrier of the
// TAP behind fd, and act upon it. Left to itself it does so for lost carriers,
// those of all devices together, once a second (net/core/link_watch.c).
//
// For a lost carrier it waits for an RCU grace period, holding the lock that
// all changes of network devices need: 0.4 ms, one device after another.
// AnnounceLoss does not.
//
// It moves the calling thread into the device's network namespace and leaves
// it there: call it from a thread that is locked and does nothing else.
func Announce(fd int) error {
	name, err := enter(fd)
	if err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(s)
	// Asking for the link state works off what the device has to tell.
	value := struct{ cmd, data uint32 }{cmd: unix.ETHTOOL_GLINK}
	var req struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(req.name[:], name)
	req.data = unsafe.Pointer(&value)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return fmt.Errorf("ETHTOOL_GLINK on %s: %w", name, errno)
	}
	return nil
}

// AnnounceLoss makes the kernel tell at once that the TAP behind fd has lost its
// carrier, without waiting for a grace period: 20 µs. Listeners get the message
// that they would get anyway, with IFF_RUNNING and IFF_LOWER_UP gone, but for the
// operational state (RFC 2863), which is dormant. Until the kernel has acted upon
// the loss, in Announce or by itself within a second, the device's queue goes on
// to take frames; then a second message gives the state as down.
//
// Like Announce it leaves the calling thread in the device's network namespace.
func AnnounceLoss(fd int) error {
	name, err := enter(fd)
	if err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(s)
	if err := unix.Sendto(s, dormant(name), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("RTM_SETLINK on %s: %w", name, err)
	}
	var answer [512]byte
	n, _, err := unix.Recvfrom(s, answer[:], 0)
	if err != nil {
		return fmt.Errorf("RTM_SETLINK on %s: %w", name, err)
	}
	// An acknowledgement is an error message whose number is 0.
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("RTM_SETLINK on %s: an answer of %d bytes that is no acknowledgement", name, n)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return fmt.Errorf("RTM_SETLINK on %s: %w", name, syscall.Errno(-code))
	}
	return nil
}

// dormant is the netlink request that makes the operational state of a device
// dormant if it was up. The kernel computes the state anew when it acts upon the
// change of carrier that is pending, so it does not stay so.
func dormant(name string) []byte {
	le := binary.NativeEndian
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg, 64)
	le.PutUint16(b[4:], unix.RTM_SETLINK)
	le.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	attribute := func(kind uint16, value []byte) {
		b = le.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
		b = le.AppendUint16(b, kind)
		b = append(b, value...)
		for len(b)%unix.RTA_ALIGNTO != 0 {
			b = append(b, 0)
		}
	}
	attribute(unix.IFLA_IFNAME, append([]byte(name), 0))
	attribute(unix.IFLA_OPERSTATE, []byte{ifOperDormant})
	le.PutUint32(b, uint32(len(b)))
	return b
}

// ifOperDormant is IF_OPER_DORMANT of linux/if.h.
const ifOperDormant = 5

// enter moves the calling thread into the network namespace of the TAP behind
// fd, and gives the device's name there.
func enter(fd int) (name string, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); err != nil {
		return "", fmt.Errorf("TUNGETIFF: %w", err)
	}
	ns, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), tunGetDevNetNS, 0)
	if errno != 0 {
		return "", fmt.Errorf("TUNGETDEVNETNS (Linux 5.1 or later): %w", errno)
	}
	err = unix.Setns(int(ns), unix.CLONE_NEWNET)
	_ = unix.Close(int(ns))
	if err != nil {
		return "", fmt.Errorf("enter the namespace of %s: %w", ifr.Name(), err)
	}
	return ifr.Name(), nil
}
