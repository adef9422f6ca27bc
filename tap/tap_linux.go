package tap

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Path of the clone device that TAPs are made with.
const Path = "/dev/net/tun"

// ErrUnavailable is wrapped by every error that says that this host, or this
// user on it, cannot have TAP devices at all.
var ErrUnavailable = errors.New("TAP devices are not available")

// Offloads of the kernel side of a TAP: what the node's network stack may
// leave undone in the frames that it sends (linux/if_tun.h, TUN_F_*).
const (
	OffloadCSUM   = 0x01 // checksums
	OffloadTSO4   = 0x02 // TCP over IPv4 segmentation; needs OffloadCSUM
	OffloadTSO6   = 0x04 // TCP over IPv6 segmentation; needs OffloadCSUM
	OffloadTSOECN = 0x08 // segmentation of frames with ECN marks
	OffloadUSO4   = 0x20 // UDP over IPv4 segmentation (Linux 6.2); needs OffloadUSO6
	OffloadUSO6   = 0x40 // UDP over IPv6 segmentation (Linux 6.2)
)

// OffloadAll is every offload known here.
const OffloadAll = OffloadCSUM | OffloadTSO4 | OffloadTSO6 | OffloadTSOECN | OffloadUSO4 | OffloadUSO6

// iffNoCarrier makes a device start without carrier (Linux 6.3; ignored before).
const iffNoCarrier = 0x40

// Create makes the TAP device name in the network namespace of the calling
// thread, or attaches to it if it is there already and nobody holds it. The
// device is persistent, down, and without carrier.
func Create(name string) (*os.File, error) {
	if len(name) == 0 || len(name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("tap %q: an interface name has 1 to %d bytes", name, unix.IFNAMSIZ-1)
	}
	fd, err := unix.Open(Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("tap %s: %w", name, openError(err))
	}
	// While the file is blocking NewFile leaves it out of the runtime's poller.
	f := os.NewFile(uintptr(fd), "tap:"+name)
	if err := attach(fd, name); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("tap %s: %w", name, err)
	}
	if err := setup(fd); err != nil {
		_ = f.Close() // the device goes too if it was not made persistent yet
		return nil, fmt.Errorf("tap %s: %w", name, err)
	}
	return f, nil
}

// Adopt makes a file of a descriptor that Create, or Adopt, had made in a program that has
// ended: the device has been attached all the time, and keeps its carrier. On an error,
// which an other device or one that was deleted meanwhile is, the caller keeps the
// descriptor.
func Adopt(fd int, name string) (*os.File, error) {
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr)
	}
	if err != nil {
		return nil, fmt.Errorf("tap %s: its descriptor: %w", name, err)
	}
	if ifr.Name() != name {
		return nil, fmt.Errorf("tap %s: the descriptor is of %s", name, ifr.Name())
	}
	if err := unix.SetNonblock(fd, false); err != nil { // see Create
		return nil, fmt.Errorf("tap %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), "tap:"+name)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("tap %s: %w", name, err)
	}
	return f, nil
}

// Available says whether this process can have TAP devices: nil, or an error
// that wraps ErrUnavailable and says what to do. It creates nothing.
func Available() error {
	fd, err := unix.Open(Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return openError(err)
	}
	return unix.Close(fd)
}

func openError(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: %s does not exist; run `modprobe tun`, or in a container add the device (docker: --device %s)", ErrUnavailable, Path, Path)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: the kernel has no TUN/TAP driver; run `modprobe tun` or use a kernel with CONFIG_TUN", ErrUnavailable)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: %s may not be opened by this user; run as root, or `chmod 0666 %s` as most distributions have it", ErrUnavailable, Path, Path)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return fmt.Errorf("too many open files (%w): raise the limit with `ulimit -n`; a port needs one descriptor", err)
	default:
		return fmt.Errorf("open %s: %w", Path, err)
	}
}

func attach(fd int, name string) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | iffNoCarrier)
	switch err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("not permitted: CAP_NET_ADMIN is needed in the network namespace (run as root or in a user namespace): %w", err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("in use by another process; end that process or choose another name: %w", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the name belongs to a device that is not such a TAP; delete it or choose another name: %w", err)
	default:
		return fmt.Errorf("TUNSETIFF: %w", err)
	}
}

func setup(fd int) error {
	one := int32(1)
	size := int32(HeaderLen)
	if err := ioctlPointer(fd, unix.TUNSETVNETHDRSZ, &size); err != nil {
		return fmt.Errorf("TUNSETVNETHDRSZ: %w", err)
	}
	if err := ioctlPointer(fd, unix.TUNSETVNETLE, &one); err != nil {
		return fmt.Errorf("TUNSETVNETLE: %w", err)
	}
	if err := SetCarrier(fd, false); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return fmt.Errorf("TUNSETPERSIST: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("O_NONBLOCK: %w", err)
	}
	return nil
}

// SetCarrier raises or takes away the carrier of the TAP behind fd.
func SetCarrier(fd int, up bool) error {
	v := int32(0)
	if up {
		v = 1
	}
	if err := ioctlPointer(fd, unix.TUNSETCARRIER, &v); err != nil {
		return fmt.Errorf("TUNSETCARRIER (Linux 5.0 or later): %w", err)
	}
	return nil
}

// SetOffload allows the node's stack exactly these offloads (Offload* flags)
// on frames that it sends. It returns the flags in force: kernels before 6.2
// do not know USO, which is then left out.
func SetOffload(fd int, flags int) (int, error) {
	err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, flags)
	const uso = OffloadUSO4 | OffloadUSO6
	if errors.Is(err, unix.EINVAL) && flags&uso != 0 {
		flags &^= uso
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, flags)
	}
	if err != nil {
		return 0, fmt.Errorf("TUNSETOFFLOAD %#x: %w", flags, err)
	}
	return flags, nil
}

func ioctlPointer(fd int, req uint, arg *int32) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(unsafe.Pointer(arg)))
	if errno != 0 {
		return errno
	}
	return nil
}
