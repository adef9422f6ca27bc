package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"orrery.dev/orrery/clock"
	"orrery.dev/orrery/thread"
)

var (
	_ RouteWatcher = (*Linux)(nil)
	_ RouteWatcher = (*Guests)(nil)
)

// watchBuffer is the receive buffer, in bytes, for changes of all nodes' routes: a
// message takes some 1 KiB of it. Without the right to more than net.core.rmem_max it
// is that.
const watchBuffer = 128 << 20

// Attributes and options that the unix package lacks (linux/net_namespace.h,
// linux/netlink.h).
const (
	netnsaNSID         = 1
	netnsaFD           = 3
	groupsIPv4IPv6     = unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE
	watchPollInterval  = 100 // ms, between looks at whether it is over
	watchMessagesAhead = 1 << 14
)

// heard is one message of the kernel, or that some were lost.
type heard struct {
	stamp int64
	node  int32
	lost  bool
	data  []byte
}

// WatchRoutes implements RouteWatcher.
//
// One socket hears all nodes. The kernel looks at every listener of every namespace for
// each message that it sends, so a listener per node would cost the square of their
// number. The socket lives in a namespace of its own in which every node's namespace
// has a number (NETLINK_LISTEN_ALL_NSID, Linux 4.2).
func (r *roster) WatchRoutes(ctx context.Context, nodes []string, report func([]RouteUpdate)) error {
	list := make([]*linuxNode, len(nodes))
	for i, name := range nodes {
		n, err := r.node(name)
		if err != nil {
			return err
		}
		list[i] = n
	}
	var fd int
	err := thread.Do(func() (err error) {
		fd, err = hearAll(list)
		return err
	})
	if err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan heard, watchMessagesAhead)
	ended := make(chan error, 1)
	thread.Go(func() {
		thread.RealTime() // its stamps are what is measured, and it only reads
		ended <- hear(ctx, fd, messages)
		close(messages)
	})
	err = interpret(ctx, list, messages, report)
	cancel()
	for range messages { // so that the reader is not held up
	}
	err = errors.Join(err, <-ended)
	_ = unix.Close(fd)
	if err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	return nil
}

// hearAll opens a socket that hears of routes of all nodes, whose numbers in its
// namespace are their places in the list.
func hearAll(list []*linuxNode) (fd int, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("make a network namespace: %w", err)
	}
	control, err := newSocket()
	if err != nil {
		return -1, err
	}
	defer control.close()
	for i, n := range list {
		ns, err := unix.Open(n.namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: n.namespace, Err: err}
		}
		var b batch
		b.add(unix.RTM_NEWNSID, 0, []byte{unix.AF_UNSPEC, 0, 0, 0})
		b.attr32(netnsaNSID, uint32(i))
		b.attr32(netnsaFD, uint32(ns))
		err = control.do(&b, func(_ int, e unix.Errno) error {
			return fmt.Errorf("number the namespace of node %s: %w", n.name, e)
		})
		_ = unix.Close(ns)
		if err != nil {
			return -1, err
		}
	}
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, os.NewSyscallError("socket(AF_NETLINK)", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1)
	if err == nil {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, watchBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, watchBuffer)
		}
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groupsIPv4IPv6})
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("setsockopt(NETLINK_LISTEN_ALL_NSID)", err)
	}
	return fd, nil
}

// hear passes messages on until ctx ends. After an overrun the kernel drops all that
// comes until the queue is empty, and says so only once: the loss is told of when that
// is over.
func hear(ctx context.Context, fd int, messages chan<- heard) error {
	buf, oob := make([]byte, 64<<10), make([]byte, 64)
	overrun := false
	for ctx.Err() == nil {
		n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if overrun {
				overrun = false
				messages <- heard{lost: true}
			}
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, watchPollInterval); err != nil && !errors.Is(err, unix.EINTR) {
				return os.NewSyscallError("poll", err)
			}
			continue
		case errors.Is(err, unix.ENOBUFS):
			overrun = true
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("recvmsg(AF_NETLINK)", err)
		}
		if id, ok := numberOf(oob[:oobn]); ok {
			messages <- heard{stamp: clock.Host{}.Monotonic(), node: id, data: slices.Clone(buf[:n])}
		}
	}
	return nil
}

// numberOf reads the number of the namespace that a message came from; ok is false for
// one of the socket's own.
func numberOf(oob []byte) (id int32, ok bool) {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range list {
		if m.Header.Level == unix.SOL_NETLINK && m.Header.Type == unix.NETLINK_LISTEN_ALL_NSID && len(m.Data) >= 4 {
			return int32(binary.NativeEndian.Uint32(m.Data)), true
		}
	}
	return 0, false
}

// interpret reports what nodes have, and then what is heard. The socket is open before
// tables are read: what is read may be newer than the next messages, but no message
// about something later is missed, and repeating the older ones ends in the same.
func interpret(ctx context.Context, list []*linuxNode, messages <-chan heard, report func([]RouteUpdate)) error {
	readAll := func() error {
		for _, n := range list {
			if ctx.Err() != nil {
				return nil
			}
			updates, err := n.table()
			if err != nil {
				return fmt.Errorf("node %s: %w", n.name, err)
			}
			report(updates)
		}
		return nil
	}
	if err := readAll(); err != nil {
		return err
	}
	for {
		var m heard
		var ok bool
		select {
		case <-ctx.Done():
			return nil
		case m, ok = <-messages:
		}
		var updates []RouteUpdate
		lost := false
		for more := true; more; {
			if !ok {
				return nil // the reader says why
			}
			if lost = lost || m.lost; !m.lost && int(m.node) < len(list) {
				var err error
				if updates, err = list[m.node].interpret(m, updates); err != nil {
					return fmt.Errorf("node %s: %w", list[m.node].name, err)
				}
			}
			if len(updates) >= watchMessagesAhead {
				break
			}
			select {
			case m, ok = <-messages:
			default:
				more = false
			}
		}
		if len(updates) > 0 {
			report(updates)
		}
		if lost {
			if err := readAll(); err != nil {
				return err
			}
		}
	}
}

// interpret appends the updates that a message tells of.
func (n *linuxNode) interpret(h heard, updates []RouteUpdate) ([]RouteUpdate, error) {
	err := parseMessages(h.data, func(m message) error {
		r, err := parseRoute(m)
		if err != nil || !r.watched() {
			return err
		}
		u := n.update(r)
		u.Stamp = h.stamp
		if m.typ == unix.RTM_DELROUTE {
			u.Op = RouteGone
		}
		updates = append(updates, u)
		return nil
	})
	return updates, err
}

// watched tells whether a route decides about where packets go.
func (r *route) watched() bool {
	if r.table != unix.RT_TABLE_MAIN || r.flags&unix.RTM_F_CLONED != 0 {
		return false
	}
	switch r.typ {
	case unix.RTN_UNICAST, unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT:
		return true
	default:
		return false
	}
}

func (n *linuxNode) update(r route) RouteUpdate {
	u := RouteUpdate{Node: n.name, Op: RouteSet, Prefix: r.prefix, Metric: r.metric, Protocol: int(r.protocol)}
	if r.typ != unix.RTN_UNICAST {
		return u
	}
	for _, h := range r.hops {
		u.Hops = append(u.Hops, NextHop{h.via, n.portName(h.index)})
	}
	return u
}

// table reads what a node has, as one report.
func (n *linuxNode) table() ([]RouteUpdate, error) {
	updates := []RouteUpdate{{Node: n.name, Op: RoutesLost}}
	for _, family := range []uint8{unix.AF_INET6, unix.AF_INET} {
		h := unix.RtMsg{Family: family, Table: unix.RT_TABLE_MAIN}
		err := n.sock.ask(unix.RTM_GETROUTE, true, bytesOf(&h), nil, func(m message) error {
			r, err := parseRoute(m)
			if err != nil || !r.watched() {
				return err
			}
			updates = n.merge(updates, n.update(r))
			return nil
		})
		if err != nil && !errors.Is(err, unix.ENOENT) { // no table yet
			return nil, fmt.Errorf("read routes: %w", err)
		}
	}
	return updates, nil
}

// merge appends an update, or its next hops to the last one if that is the same route:
// old kernels list those of an IPv6 route apart.
func (n *linuxNode) merge(updates []RouteUpdate, u RouteUpdate) []RouteUpdate {
	last := &updates[len(updates)-1]
	if last.Op == RouteSet && last.Prefix == u.Prefix && last.Metric == u.Metric {
		last.Hops = append(last.Hops, u.Hops...)
		return updates
	}
	return append(updates, u)
}
