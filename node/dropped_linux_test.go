package node

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/tap"
)

// A port whose other end is not read keeps some frames and drops the others;
// which is seen.
func TestDroppedFrames(t *testing.T) {
	l := start(t, specs(2, 2))
	ctx := context.Background()
	device, err := l.Device("n1", "isl1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tap.SetCarrier(int(device.Fd()), true); err != nil {
		t.Fatal(err)
	}
	before, err := l.DroppedFrames(ctx, "n1")
	if err != nil {
		t.Fatal(err)
	}
	const sent = 20_000 // a TAP's queue takes a thousand or less
	err = l.Do("n1", func() error {
		dev, err := net.InterfaceByName("isl1")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		frame := make([]byte, 60)
		frame[12], frame[13] = 0x88, 0xb5 // for experiments, IEEE 802
		for range sent {
			// What the queue refuses may or may not come back as ENOBUFS.
			_ = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: dev.Index})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after, err := l.DroppedFrames(ctx, "n1")
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != 2 {
		t.Errorf("%v for two ports", after)
	}
	if n := after["isl1"] - before["isl1"]; n == 0 || n > sent {
		t.Errorf("%d of %d frames that nobody read were dropped", n, sent)
	}
	if _, err := l.DroppedFrames(ctx, "n9"); err == nil {
		t.Error("a node that there is not has drops")
	}
}
