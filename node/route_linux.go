package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// metricDefault6 is what the kernel makes of an IPv6 route's metric 0.
const metricDefault6 = 1024

// inOrder compares what the kernel tells routes of one table apart by.
func inOrder(a, b Route) int {
	return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), cmp.Compare(a.Metric, b.Metric))
}

// Routes implements Engine. They are ordered by prefix, metric and port; a
// route with several next hops is listed once for each.
func (r *roster) Routes(ctx context.Context, node string) ([]Route, error) {
	n, err := r.node(node)
	if err != nil {
		return nil, err
	}
	list, err := n.dump()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", node, err)
	}
	return list, ctx.Err()
}

// dump reads the main tables of both families.
func (n *linuxNode) dump() ([]Route, error) {
	var list []Route
	for _, family := range []uint8{unix.AF_INET6, unix.AF_INET} {
		h := unix.RtMsg{Family: family, Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST}
		err := n.sock.ask(unix.RTM_GETROUTE, true, bytesOf(&h), nil, func(m message) error {
			r, err := parseRoute(m)
			if err != nil || r.table != unix.RT_TABLE_MAIN || r.typ != unix.RTN_UNICAST || r.flags&unix.RTM_F_CLONED != 0 {
				return err
			}
			for _, hop := range r.hops {
				list = append(list, Route{
					Prefix: r.prefix, Via: hop.via, Port: n.portName(hop.index),
					Metric: r.metric, Protocol: int(r.protocol),
				})
			}
			return nil
		})
		if err != nil && !errors.Is(err, unix.ENOENT) { // no table yet
			return nil, fmt.Errorf("read routes: %w", err)
		}
	}
	slices.SortFunc(list, func(a, b Route) int {
		return cmp.Or(inOrder(a, b), cmp.Compare(a.Port, b.Port))
	})
	return list, nil
}

func (n *linuxNode) portName(index int32) string {
	for i := range n.ports {
		if n.ports[i].index == index {
			return n.ports[i].name
		}
	}
	return fmt.Sprintf("if%d", index)
}

// SetRoutes implements Engine. What the engine set last is remembered, so that
// the node's table is read only after a call that failed: nobody else is expected
// to change routes of the same protocol number.
func (r *roster) SetRoutes(ctx context.Context, node string, protocol int, routes []Route) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if protocol <= unix.RTPROT_STATIC || protocol > 255 {
		return fmt.Errorf("node %s: routing protocol number %d is outside of %d … 255", node, protocol, unix.RTPROT_STATIC+1)
	}
	n, err := r.node(node)
	if err != nil {
		return err
	}
	want := slices.Clone(routes)
	for i := range want {
		r := &want[i]
		r.Protocol = protocol
		r.Prefix = r.Prefix.Masked()
		if r.Metric == 0 && r.Prefix.Addr().Is6() {
			r.Metric = metricDefault6
		}
	}
	slices.SortFunc(want, inOrder)
	for i, r := range want {
		if !r.Prefix.IsValid() || i > 0 && inOrder(want[i-1], r) == 0 {
			return fmt.Errorf("node %s: route to %s with metric %d is invalid or given twice", node, r.Prefix, r.Metric)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	have, known := n.routes[protocol]
	if n.doubt[protocol] || n.inherited && !known {
		list, err := n.dump()
		if err != nil {
			return fmt.Errorf("node %s: %w", node, err)
		}
		have = slices.CompactFunc(
			slices.DeleteFunc(list, func(r Route) bool { return r.Protocol != protocol }),
			func(a, b Route) bool { return inOrder(a, b) == 0 })
	}
	if err := n.change(have, want); err != nil {
		n.doubt[protocol] = true // some may have been changed: read again next time
		return fmt.Errorf("node %s: %w", node, err)
	}
	n.routes[protocol], n.doubt[protocol] = want, false
	return nil
}

// change makes a table that has some routes have others; both are in order. New
// ones come before old ones go, so that no packet falls between.
func (n *linuxNode) change(have, want []Route) error {
	var b batch
	var list, gone []Route
	for len(have) > 0 || len(want) > 0 {
		where := 0
		switch {
		case len(want) == 0:
			where = -1
		case len(have) == 0:
			where = 1
		default:
			where = inOrder(have[0], want[0])
		}
		if where < 0 {
			gone, have = append(gone, have[0]), have[1:]
			continue
		}
		r := want[0]
		same := where == 0 && have[0] == r
		want = want[1:]
		if where == 0 {
			have = have[1:]
		}
		if same {
			continue
		}
		if err := n.addRoute(&b, r, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE); err != nil {
			return err
		}
		list = append(list, r)
	}
	added := len(list)
	for _, r := range gone {
		if err := n.addRoute(&b, r, unix.RTM_DELROUTE, 0); err != nil {
			return err
		}
	}
	list = append(list, gone...)
	return n.sock.do(&b, func(i int, e unix.Errno) error {
		if i >= added && e == unix.ESRCH {
			return nil // gone already
		}
		return fmt.Errorf("set route %s via %s on %s: %w", list[i].Prefix, list[i].Via, list[i].Port, e)
	})
}

func (n *linuxNode) addRoute(b *batch, r Route, typ, flags uint16) error {
	port, ok := n.port(r.Port)
	if !ok {
		return fmt.Errorf("route to %s: no port %q", r.Prefix, r.Port)
	}
	h := unix.RtMsg{
		Family: unix.AF_INET6, Dst_len: uint8(r.Prefix.Bits()),
		Table: unix.RT_TABLE_MAIN, Protocol: uint8(r.Protocol), Type: unix.RTN_UNICAST,
	}
	four := r.Prefix.Addr().Is4()
	if four {
		h.Family = unix.AF_INET
		if !r.Via.IsValid() {
			h.Scope = unix.RT_SCOPE_LINK
		}
	}
	b.add(typ, flags, bytesOf(&h))
	b.attr(unix.RTA_DST, r.Prefix.Addr().AsSlice())
	b.attr32(unix.RTA_OIF, uint32(port.index))
	b.attr32(unix.RTA_PRIORITY, uint32(r.Metric))
	switch {
	case !r.Via.IsValid():
	case four && r.Via.Is6(): // an IPv4 route over an IPv6 next hop (Linux 5.2)
		via := binary.NativeEndian.AppendUint16(nil, unix.AF_INET6)
		b.attr(unix.RTA_VIA, append(via, r.Via.AsSlice()...))
	default:
		b.attr(unix.RTA_GATEWAY, r.Via.AsSlice())
	}
	return nil
}

// Lookup implements Lookuper.
func (r *roster) Lookup(ctx context.Context, node string, dst netip.Addr) (Route, error) {
	return r.LookupFrom(ctx, node, netip.Addr{}, dst)
}

// LookupFrom implements Lookuper.
func (r *roster) LookupFrom(ctx context.Context, node string, src, dst netip.Addr) (Route, error) {
	if err := ctx.Err(); err != nil {
		return Route{}, err
	}
	n, err := r.node(node)
	if err != nil {
		return Route{}, err
	}
	h := unix.RtMsg{Family: unix.AF_INET6, Dst_len: uint8(dst.BitLen())}
	if dst.Is4() {
		h.Family = unix.AF_INET
	}
	if src.IsValid() {
		h.Src_len = uint8(src.BitLen())
	}
	var found route
	err = n.sock.ask(unix.RTM_GETROUTE, false, bytesOf(&h), func(b *batch) {
		b.attr(unix.RTA_DST, dst.AsSlice())
		if src.IsValid() {
			b.attr(unix.RTA_SRC, src.AsSlice())
		}
		if dst.Is6() {
			b.attr(unix.RTA_IP_PROTO, []byte{unix.IPPROTO_ICMPV6})
		}
	}, func(m message) (err error) {
		found, err = parseRoute(m)
		return err
	})
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ESRCH):
		return Route{}, fmt.Errorf("node %s: %s: %w", node, dst, ErrUnreachable)
	case err != nil:
		return Route{}, fmt.Errorf("node %s: look up %s: %w", node, dst, err)
	case found.typ == unix.RTN_LOCAL:
		return Route{Prefix: netip.PrefixFrom(dst, dst.BitLen()), Port: "lo", Metric: found.metric, Protocol: int(found.protocol)}, nil
	case found.typ != unix.RTN_UNICAST || len(found.hops) == 0:
		return Route{}, fmt.Errorf("node %s: %s: %w", node, dst, ErrUnreachable)
	}
	return Route{
		Prefix: netip.PrefixFrom(dst, dst.BitLen()), Via: found.hops[0].via, Port: n.portName(found.hops[0].index),
		Metric: found.metric, Protocol: int(found.protocol),
	}, nil
}

// route is a message of type RTM_NEWROUTE or RTM_DELROUTE.
type route struct {
	prefix        netip.Prefix
	table         uint32
	typ, protocol uint8
	flags         uint32
	metric        int
	hops          []hop
}

type hop struct {
	via   netip.Addr
	index int32
}

// parseRoute reads an RTM_NEWROUTE or RTM_DELROUTE (rtnetlink(7)). Messages of other
// types and families give a route of type 0.
func parseRoute(m message) (route, error) {
	if m.typ != unix.RTM_NEWROUTE && m.typ != unix.RTM_DELROUTE || len(m.data) < unix.SizeofRtMsg {
		return route{}, nil
	}
	d := m.data
	r := route{table: uint32(d[4]), protocol: d[5], typ: d[7], flags: binary.NativeEndian.Uint32(d[8:])}
	bits := int(d[1])
	var dst netip.Addr
	switch d[0] {
	case unix.AF_INET:
		dst = netip.IPv4Unspecified()
	case unix.AF_INET6:
		dst = netip.IPv6Unspecified()
	default:
		return route{}, nil
	}
	var one hop
	err := parseAttrs(d[unix.SizeofRtMsg:], func(typ uint16, data []byte) error {
		switch typ {
		case unix.RTA_DST:
			a, ok := netip.AddrFromSlice(data)
			if !ok || a.BitLen() != dst.BitLen() {
				return errMalformed
			}
			dst = a
		case unix.RTA_TABLE, unix.RTA_PRIORITY:
			if len(data) < 4 {
				return errMalformed
			}
			v := binary.NativeEndian.Uint32(data)
			if typ == unix.RTA_TABLE {
				r.table = v
			} else {
				r.metric = int(v)
			}
		case unix.RTA_MULTIPATH:
			return parseHops(data, &r.hops)
		default:
			return one.attr(typ, data)
		}
		return nil
	})
	if err != nil {
		return route{}, err
	}
	if r.prefix, err = dst.Prefix(bits); err != nil {
		return route{}, errMalformed
	}
	if len(r.hops) == 0 && one.index != 0 {
		r.hops = []hop{one}
	}
	return r, nil
}

// attr reads an attribute that says something of a next hop.
func (h *hop) attr(typ uint16, data []byte) error {
	switch typ {
	case unix.RTA_OIF:
		if len(data) < 4 {
			return errMalformed
		}
		h.index = int32(binary.NativeEndian.Uint32(data))
	case unix.RTA_VIA: // struct rtvia: a family before the address
		if len(data) < 2 {
			return errMalformed
		}
		data = data[2:]
		fallthrough
	case unix.RTA_GATEWAY:
		a, ok := netip.AddrFromSlice(data)
		if !ok {
			return errMalformed
		}
		h.via = a
	}
	return nil
}

// parseHops reads the value of RTA_MULTIPATH: struct rtnexthop, each followed
// by its attributes.
func parseHops(b []byte, hops *[]hop) error {
	for len(b) >= unix.SizeofRtNexthop {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > len(b) {
			return errMalformed
		}
		h := hop{index: int32(binary.NativeEndian.Uint32(b[4:]))}
		if err := parseAttrs(b[unix.SizeofRtNexthop:n], h.attr); err != nil {
			return err
		}
		*hops = append(*hops, h)
		b = b[min(align(n), len(b)):]
	}
	return nil
}
