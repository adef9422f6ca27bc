package radv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv6"
)

var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = net.ParseIP("ff02::2")
)

// Conn sends and receives ICMPv6 messages on one segment.
type Conn interface {
	// Receive waits for a solicitation until the deadline, after which its error is
	// os.ErrDeadlineExceeded. It gives only what was sent from the segment itself.
	Receive(deadline time.Time) (message []byte, from netip.Addr, err error)
	// Send sends from the link-local address of the interface.
	Send(message []byte, to netip.Addr) error
	Close() error
}

// Responder advertises on one segment.
type Responder struct {
	// Answer is the advertisement for a node, whose hardware address is nil for all.
	Answer func(mac net.HardwareAddr) *Advertisement
	// Interval between unsolicited advertisements.
	Interval time.Duration
}

// perSecond bounds what solicitations, which anybody may forge, can cause.
const perSecond = 100

// Serve advertises until the context ends; then it returns nil.
func (r *Responder) Serve(ctx context.Context, conn Conn) error {
	next := time.Now()
	second, answered := next, 0
	for ctx.Err() == nil {
		now := time.Now()
		if !now.Before(next) {
			// A failed one is not the end: the interface may be down for a moment.
			_ = conn.Send(r.Answer(nil).Encode(), allNodes)
			next = now.Add(r.Interval)
		}
		deadline := next
		if soon := now.Add(time.Second); soon.Before(deadline) {
			deadline = soon // to see the context's end
		}
		b, from, err := conn.Receive(deadline)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("router solicitations cannot be received: %w", err)
		}
		mac, err := decodeSolicitation(b)
		if err != nil {
			continue
		}
		if now := time.Now(); now.Sub(second) >= time.Second {
			second, answered = now, 0
		}
		if answered++; answered > perSecond {
			continue
		}
		to := from
		if !from.IsLinkLocalUnicast() {
			to = allNodes // a node without an address solicits from "::"
		}
		_ = conn.Send(r.Answer(mac).Encode(), to)
	}
	return nil
}

// Listen opens a raw socket on an interface. It needs the right to do so (CAP_NET_RAW).
func Listen(ifi *net.Interface) (Conn, error) {
	c, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, fmt.Errorf("router advertisements need a raw socket: %w; be root, or have CAP_NET_RAW", err)
	}
	p := ipv6.NewPacketConn(c)
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	if err := errors.Join(
		p.SetICMPFilter(&filter),
		p.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true),
		p.SetMulticastInterface(ifi),
		p.SetMulticastHopLimit(255),
		p.SetHopLimit(255),
		p.SetMulticastLoopback(false),
		p.JoinGroup(ifi, &net.IPAddr{IP: allRouters}),
	); err != nil {
		return nil, errors.Join(fmt.Errorf("router advertisements on %s: %w", ifi.Name, err), c.Close())
	}
	return &conn{p, ifi}, nil
}

type conn struct {
	p   *ipv6.PacketConn
	ifi *net.Interface
}

func (c *conn) Close() error { return c.p.Close() }

func (c *conn) Receive(deadline time.Time) ([]byte, netip.Addr, error) {
	if err := c.p.SetReadDeadline(deadline); err != nil {
		return nil, netip.Addr{}, err
	}
	b := make([]byte, 1500)
	for {
		n, control, from, err := c.p.ReadFrom(b)
		if err != nil {
			return nil, netip.Addr{}, err
		}
		ip, ok := from.(*net.IPAddr)
		if !ok || control == nil || control.IfIndex != c.ifi.Index || control.HopLimit != 255 {
			continue
		}
		if address, ok := netip.AddrFromSlice(ip.IP); ok {
			return b[:n], address, nil
		}
	}
}

func (c *conn) Send(message []byte, to netip.Addr) error {
	_, err := c.p.WriteTo(message, &ipv6.ControlMessage{HopLimit: 255, IfIndex: c.ifi.Index}, &net.IPAddr{IP: to.AsSlice(), Zone: c.ifi.Name})
	return err
}
