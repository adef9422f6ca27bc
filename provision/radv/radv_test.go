package radv_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"orrery.dev/orrery/provision/radv"
	"orrery.dev/orrery/provision/radv/radvtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// example has every field.
func example() *radv.Advertisement {
	return &radv.Advertisement{
		HopLimit: 64, Managed: true, Other: true, RouterLifetime: 30 * time.Minute,
		Source: net.HardwareAddr{2, 0, 0, 0, 0, 1}, MTU: 1500, Prefix: netip.MustParsePrefix("fd00:77::/64"), Autonomous: true,
		Valid: 24 * time.Hour, Preferred: 12 * time.Hour, DNS: []netip.Addr{netip.MustParseAddr("fd00:77::53")}, DNSLifetime: time.Hour,
	}
}

// The bytes are those of RFC 4861, sections 4.2 and 4.6, and of RFC 8106, section 5.1.
func TestEncode(t *testing.T) {
	want := []byte{
		134, 0, 0, 0, 64, 0xc0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0,
		1, 1, 2, 0, 0, 0, 0, 1,
		5, 1, 0, 0, 0, 0, 0x05, 0xdc,
		3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0xa8, 0xc0, 0, 0, 0, 0, 0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		25, 3, 0, 0, 0, 0, 0x0e, 0x10, 0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53,
	}
	if got := example().Encode(); !bytes.Equal(got, want) {
		t.Errorf("got\n%v want\n%v", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := example()
		a.Managed, a.Other, a.Autonomous = rapid.Bool().Draw(t, "m"), rapid.Bool().Draw(t, "o"), rapid.Bool().Draw(t, "a")
		a.RouterLifetime = time.Duration(rapid.IntRange(0, 9000).Draw(t, "lifetime")) * time.Second
		a.MTU = rapid.IntRange(1280, 65535).Draw(t, "mtu")
		a.Valid = time.Duration(rapid.Uint32().Draw(t, "valid")) * time.Second
		for range rapid.IntRange(0, 3).Draw(t, "dns") {
			a.DNS = append(a.DNS, netip.MustParseAddr("fd00::1"))
		}
		got, err := radv.Decode(a.Encode())
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Fatalf("%v\n%+v\n%+v", err, got, a)
		}
	})
}

// A node that solicits is answered with what is meant for it, one without an address by
// what all nodes hear; what is malformed is not answered.
func TestResponder(t *testing.T) {
	segment := radvtest.New()
	r := &radv.Responder{Interval: time.Hour, Answer: func(mac net.HardwareAddr) *radv.Advertisement {
		a := example()
		a.Managed = mac == nil
		return a
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Serve(ctx, segment) }()
	expect := func(to string, managed bool) {
		t.Helper()
		sent := <-segment.Out
		a, err := radv.Decode(sent.Message)
		if err != nil || sent.To != netip.MustParseAddr(to) || a.Managed != managed {
			t.Errorf("to %s: %+v, %v", sent.To, a, err)
		}
	}
	expect("ff02::1", true) // the first comes unasked
	node := netip.MustParseAddr("fe80::1")
	segment.Solicit([]byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 0}, node)
	segment.Solicit([]byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 9}, node)
	expect("fe80::1", false)
	segment.Solicit([]byte{133, 0, 0, 0, 0, 0, 0, 0}, netip.IPv6Unspecified())
	expect("ff02::1", true)
	cancel()
	_ = segment.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(example().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := radv.Decode(b)
		if err != nil {
			return
		}
		again, err := radv.Decode(a.Encode())
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Errorf("%v\n%+v\n%+v", err, again, a)
		}
	})
}
