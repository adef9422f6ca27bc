package protocol

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"unicode"
)

func example() *Config {
	return &Config{Machine: "x", Name: "node-1", Address: netip.MustParseAddr("fd00:77::5"), Prefix: "fd00:77::/64", Server: "http://[fd00:77::1]", Image: "http://[fd00:77::1]/files/worker"}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		good   bool
	}{
		{func(*Config) {}, true},
		{func(c *Config) { c.Name = "../x" }, false},
		{func(c *Config) { c.Address = netip.MustParseAddr("fd00:78::5") }, false},
		{func(c *Config) { c.Prefix = "x" }, false},
		{func(c *Config) { c.Server = "ftp://x" }, false},
		{func(c *Config) { c.Server, c.Image = "", "" }, true},
		{func(c *Config) { c.Server, c.Image, c.Address, c.Prefix = "", "", netip.Addr{}, "" }, true},
		{func(c *Config) { c.Address, c.Prefix = netip.Addr{}, "" }, false},
		{func(c *Config) { c.Server = "" }, false},
		{func(c *Config) { c.Router = netip.MustParseAddr("192.0.2.1") }, false},
		{func(c *Config) { c.DNS = []string{"x\ny"} }, false},
		{func(c *Config) { c.SSHKeys = []string{"a\nb"} }, false},
	} {
		x := example()
		c.change(x)
		data, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeConfig(data); (err == nil) != c.good {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func FuzzConfig(f *testing.F) {
	data, err := json.Marshal(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := DecodeConfig(data); err == nil && (strings.ContainsAny(c.Name, "/\n.") || !c.Address.Is6() && (c.Address.IsValid() || c.Server != "")) {
			t.Errorf("%+v", c)
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add(`{"machine":"x","stage":"root","error":"e","console":["a\u001b","b"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := DecodeReport(strings.NewReader(text))
		if err != nil {
			return
		}
		if len(r.Console) > MaxConsole || strings.ContainsFunc(strings.Join(append(r.Console, r.Error), ""), unicode.IsControl) {
			t.Errorf("%+v", r)
		}
	})
}
