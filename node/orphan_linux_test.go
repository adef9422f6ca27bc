package node

import (
	"context"
	"net"
	"testing"

	"github.com/vishvananda/netlink"
)

// A connection whose process is gone, and whose last segments nobody
// acknowledges, does not keep its node.
func TestOrphanedConnections(t *testing.T) {
	l := start(t, specs(3, 1))
	for node, address := range map[string]string{"n0": "127.0.0.1:0", "n1": "[::1]:0"} {
		if err := l.Do(node, func() error { return orphan(address) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
}

// orphan leaves a connection that has something to say to nobody.
func orphan(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	defer near.Close()
	far, err := listener.Accept()
	if err != nil {
		return err
	}
	defer far.Close()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetDown(lo); err != nil {
		return err
	}
	_, err = near.Write(make([]byte, 1000))
	return err
}
