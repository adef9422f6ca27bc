package provision

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"golang.org/x/sync/errgroup"

	"orrery.dev/orrery/provision/dhcp"
	"orrery.dev/orrery/provision/manifest"
	"orrery.dev/orrery/provision/radv"
	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/provision/site"
	"orrery.dev/orrery/provision/tftp"
	"orrery.dev/orrery/socket"
)

// Server has the sockets of all services open.
type Server struct {
	site     *site.Site
	desk     *Desk
	registry *registry.Registry
	root     *os.Root
	log      *slog.Logger
	source   net.HardwareAddr

	radv    radv.Conn // nil if router advertisements are off
	dhcp    *dhcp.Conn
	duid    dhcpv6.DUID
	tftp    net.PacketConn
	http    net.Listener
	https   net.Listener // nil without TLS
	control net.Listener
}

// Open opens the journal, the served directory and all sockets. What fails leaves nothing open.
func Open(s *site.Site, log *slog.Logger) (_ *Server, err error) {
	v := &Server{site: s, log: log}
	defer func() {
		if err != nil {
			v.Close()
		}
	}()
	ifi, err := net.InterfaceByName(s.Spec.Interface)
	if err != nil {
		return nil, fmt.Errorf("the site's interface %s: %w; \"ip link\" lists those that there are", s.Spec.Interface, err)
	}
	v.source = ifi.HardwareAddr
	var key ed25519.PublicKey
	if s.Spec.Key != "" {
		text, err := os.ReadFile(s.Path(s.Spec.Key))
		if err != nil {
			return nil, fmt.Errorf("the site's key: %w", err)
		}
		if key, err = manifest.PublicKey(text); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Spec.Key, err)
		}
	}
	if v.root, err = os.OpenRoot(s.Path(s.Spec.Files)); err != nil {
		return nil, fmt.Errorf("the directory of files: %w", err)
	}
	if v.registry, err = registry.Open(s.Path(s.Spec.State)); err != nil {
		return nil, err
	}
	v.desk = NewDesk(s, v.registry, NewImages(v.root, key), time.Now)
	if v.duid, err = identity(s, ifi); err != nil {
		return nil, err
	}
	if !s.Spec.Advertise.Off {
		if v.radv, err = radv.Listen(ifi); err != nil {
			return nil, err
		}
	}
	if v.dhcp, err = dhcp.Listen(ifi); err != nil {
		return nil, err
	}
	address := s.Server()
	if v.tftp, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 69))); err != nil {
		return nil, fmt.Errorf("TFTP needs port 69 of %s: %w; give %s this address (\"ip -6 address add %s/64 dev %s nodad\"), or end what uses the port", address, err, ifi.Name, address, ifi.Name)
	}
	if v.http, err = listen(address, s.Spec.HTTP.Port); err != nil {
		return nil, err
	}
	if t := s.Spec.HTTP.TLS; t != nil {
		pair, err := tls.LoadX509KeyPair(s.Path(t.Certificate), s.Path(t.Key))
		if err != nil {
			return nil, fmt.Errorf("the certificate for HTTPS: %w", err)
		}
		plain, err := listen(address, t.Port)
		if err != nil {
			return nil, err
		}
		v.https = tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	path := ControlPath(s)
	_ = os.Remove(path) // of a server that was killed: the journal's lock says that none lives
	if v.control, err = socket.Listen(path); err != nil {
		return nil, fmt.Errorf("the socket for status: %w", err)
	}
	return v, nil
}

func listen(address netip.Addr, port int) (net.Listener, error) {
	l, err := net.ListenTCP("tcp6", net.TCPAddrFromAddrPort(netip.AddrPortFrom(address, uint16(port))))
	if err != nil {
		return nil, fmt.Errorf("HTTP needs port %d of %s: %w; end what uses it, or give the site another port", port, address, err)
	}
	return l, nil
}

// identity is the server's DUID, which is written down: clients refuse a server whose identifier
// changes between two messages.
func identity(s *site.Site, ifi *net.Interface) (dhcpv6.DUID, error) {
	path := s.Path(s.Spec.State) + "/server-duid"
	text, err := os.ReadFile(path)
	if err == nil {
		var b []byte
		if b, err = hex.DecodeString(string(text)); err == nil {
			return dhcpv6.DUIDFromBytes(b)
		}
		return nil, fmt.Errorf("%s holds no DUID; remove it, and a new one is made: %w", path, err)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the server's DUID: %w", err)
	}
	d := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: ifi.HardwareAddr}
	if err := os.WriteFile(path, []byte(hex.EncodeToString(d.ToBytes())), 0o600); err != nil {
		return nil, fmt.Errorf("the server's DUID: %w", err)
	}
	return d, nil
}

// Close frees everything. A server that has served is closed already.
func (v *Server) Close() {
	for _, c := range []interface{ Close() error }{v.control, v.https, v.http, v.tftp, v.radv} {
		if c != nil {
			_ = c.Close()
		}
	}
	if v.dhcp != nil {
		_ = v.dhcp.Close()
	}
	if v.registry != nil {
		_ = v.registry.Close()
	}
	if v.root != nil {
		_ = v.root.Close()
	}
}

// Grace is for how long a server that is to end goes on if it is sending something. Firmware gives up a transfer that breaks off, and a boot
// file of tens of megabytes takes it a minute.
const Grace = time.Minute

// Serve serves until the context ends, goes on while something is being sent, for Grace at most, closes everything and returns nil.
func (v *Server) Serve(ctx context.Context) error {
	defer v.Close()
	asked := ctx
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	active := new(sending)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		select {
		case <-asked.Done():
			active.wait(ctx, Grace)
			end()
		case <-ctx.Done():
		}
		return nil
	})
	if v.radv != nil {
		group.Go(func() error {
			r := &radv.Responder{Interval: v.site.Spec.Advertise.Interval.Std(), Answer: func(mac net.HardwareAddr) *radv.Advertisement {
				return v.desk.Advertisement(mac, v.source)
			}}
			return r.Serve(ctx, v.radv)
		})
	}
	group.Go(func() error {
		s := &dhcp.Server{Desk: v.desk, DUID: v.duid, Prefix: v.site.Segment(), Lease: v.site.Spec.Lease.Std()}
		for _, text := range v.site.Spec.DNS {
			s.DNS = append(s.DNS, netip.MustParseAddr(text))
		}
		return s.Serve(ctx, v.dhcp, v.log)
	})
	group.Go(func() error {
		s := &tftp.Server{
			Open: func(name string) (tftp.File, error) {
				f, err := v.root.Open(name)
				if err != nil {
					return nil, err
				}
				return &sent{f, active.begin()}, nil
			},
			Limits: v.desk.Limits,
			Done: func(a netip.Addr, name string, sent int64, err error) {
				v.log.Info("sent", "service", "tftp", "to", a.String(), "file", name, "bytes", sent, "error", err)
				v.desk.Sent(a, name, sent, err)
			},
		}
		local := v.tftp.LocalAddr().(*net.UDPAddr)
		return s.Serve(ctx, v.tftp, func() (net.PacketConn, error) { return net.ListenUDP("udp6", &net.UDPAddr{IP: local.IP}) })
	})
	for _, l := range []net.Listener{v.http, v.https} {
		if l != nil {
			group.Go(func() error { return serveHTTP(ctx, l, active.handler(Handler(v.desk, v.root, v.log))) })
		}
	}
	group.Go(func() error { return serveHTTP(ctx, v.control, controlHandler(v.registry)) })
	return group.Wait()
}

// serveHTTP serves until the context ends.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)} // what strangers send is no error of ours
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("HTTP at %s: %w", l.Addr(), err)
	}
	return nil
}
