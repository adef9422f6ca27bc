package node

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// txDropped is where struct rtnl_link_stats64 of linux/if_link.h has tx_dropped.
const txDropped = 7 * 8

// DroppedFrames implements DropCounter. Both the TAP whose queue is full and the
// noop qdisc of a device without carrier count as tx_dropped.
func (r *roster) DroppedFrames(ctx context.Context, node string) (map[string]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n, err := r.node(node)
	if err != nil {
		return nil, err
	}
	dropped := make(map[string]uint64)
	err = n.sock.ask(unix.RTM_GETLINK, true, bytesOf(&unix.IfInfomsg{}), nil, func(m message) error {
		if m.typ != unix.RTM_NEWLINK || len(m.data) < unix.SizeofIfInfomsg {
			return nil
		}
		var name string
		var count uint64
		err := parseAttrs(m.data[unix.SizeofIfInfomsg:], func(typ uint16, data []byte) error {
			switch {
			case typ == unix.IFLA_IFNAME:
				name = unix.ByteSliceToString(data)
			case typ == unix.IFLA_STATS64 && len(data) >= txDropped+8:
				count = binary.NativeEndian.Uint64(data[txDropped:])
			}
			return nil
		})
		if name != "lo" {
			dropped[name] = count
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: read drops of its ports: %w", node, err)
	}
	return dropped, nil
}
