package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/net/ipv6"
)

// The ports (RFC 8415, section 7.2).
const (
	clientPort = 546
	serverPort = 547
)

// Conn receives requests on one segment.
type Conn struct {
	conn net.PacketConn
	p    *ipv6.PacketConn
	ifi  *net.Interface
}

// Listen opens the server's port for an interface: for its multicast address, and for relays.
func Listen(ifi *net.Interface) (*Conn, error) {
	c, err := net.ListenPacket("udp6", fmt.Sprintf("[::]:%d", serverPort))
	if err != nil {
		return nil, fmt.Errorf("DHCPv6 needs port %d: %w; end what uses it (\"ss -ulpn\" tells), or be root", serverPort, err)
	}
	p := ipv6.NewPacketConn(c)
	err = errors.Join(
		p.SetControlMessage(ipv6.FlagInterface, true),
		p.JoinGroup(ifi, &net.UDPAddr{IP: net.ParseIP("ff02::1:2")}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("DHCPv6 on %s: %w", ifi.Name, err), c.Close())
	}
	return &Conn{c, p, ifi}, nil
}

// Close frees the port.
func (c *Conn) Close() error { return c.conn.Close() }

// delayed bounds the answers that wait to be sent late.
const delayed = 64

// Serve answers until the context ends; then it returns nil.
func (s *Server) Serve(ctx context.Context, c *Conn, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	var late sync.WaitGroup
	defer late.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.p.SetReadDeadline(time.Unix(1, 0)) })()
	slots := make(chan struct{}, delayed)
	packet := make([]byte, 65536)
	for {
		n, control, from, err := c.p.ReadFrom(packet)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("DHCPv6 messages cannot be received: %w", err)
		}
		sender, ok := from.(*net.UDPAddr)
		if !ok || control == nil || control.IfIndex != c.ifi.Index {
			continue
		}
		reply, delay, err := s.Answer(packet[:n], sender.IP)
		if err != nil && !errors.Is(err, ErrIgnored) {
			log.Warn("not answered", "service", "dhcp", "from", sender.IP.String(), "why", err.Error())
		}
		if reply == nil {
			continue
		}
		to := &net.UDPAddr{IP: sender.IP, Zone: c.ifi.Name, Port: clientPort}
		if reply[0] == relayReply {
			to.Port = serverPort
		}
		send := func() {
			if _, err := c.p.WriteTo(reply, &ipv6.ControlMessage{IfIndex: c.ifi.Index}, to); err != nil {
				log.Warn("not sent", "service", "dhcp", "to", sender.IP.String(), "why", err.Error())
			}
		}
		if delay <= 0 {
			send()
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			continue // the client asks again
		}
		late.Go(func() {
			defer func() { <-slots }()
			timer := time.NewTimer(delay)
			defer timer.Stop()
			select {
			case <-timer.C:
				send()
			case <-ctx.Done():
			}
		})
	}
}

// relayReply is the type of a message that goes to a relay (RFC 8415, section 7.3).
const relayReply = 13
