// Package protocol is what a node and the provisioning server say to each other over HTTP:
//
//	node ── GET ConfigPath?machine=…&token=… ──▶ server: Config, once per token
//	node ── POST ReportPath: Report ───────────▶ server: 204, or 400, 403, 409
//
// The node learns the first URL by DHCPv6 (option 59). Everything a node is told but for the
// image, which is signed, is only as trustworthy as the segment, unless HTTPS is used.
package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"
)

// The paths.
const (
	ConfigPath = "/v1/config"
	ReportPath = "/v1/report"
	FilesPath  = "/files/"
	IPXEPath   = "/v1/ipxe"
)

// The bounds of what is read.
const (
	MaxConfig  = 1 << 20
	MaxReport  = 64 << 10
	MaxConsole = 40 // lines
	maxLine    = 400
)

// Config is what a node is told.
type Config struct {
	// Machine is the key by which the server knows it, Key authenticates its reports.
	Machine string `json:"machine"`
	Key     string `json:"key"`
	Name    string `json:"name"`
	// Address and Prefix are empty where routers tell the address, as they may for a node that no server knows.
	Address netip.Addr `json:"address,omitzero"`
	Prefix  string     `json:"prefix,omitempty"`
	// Router is the default router where routers do not advertise.
	Router netip.Addr `json:"router,omitzero"`
	DNS    []string   `json:"dns,omitempty"`
	// Server is the URL of the server without path. A node without one has the configuration from a disk, and reports to nobody.
	Server string `json:"server,omitempty"`
	// Image is the URL of the image's directory, Manifest and Signature the content of these files; there with a server only.
	Image     string `json:"image,omitempty"`
	Manifest  []byte `json:"manifest,omitempty"`
	Signature []byte `json:"signature,omitempty"`

	SSHKeys []string `json:"sshKeys,omitempty"`
	Role    Role     `json:"role"`

	// Slot is that of the disk that a node has booted from; the node writes it down for itself.
	Slot string `json:"slot,omitempty"`
}

// Role is what the node does once it is up; see package site.
type Role struct {
	Scenario string   `json:"scenario,omitempty"`
	Join     []string `json:"join,omitempty"`
	Check    string   `json:"check,omitempty"`
	Install  string   `json:"install,omitempty"`
}

// Report tells the server how far a node has come.
type Report struct {
	Machine string `json:"machine"`
	Stage   string `json:"stage"`
	// Error is what has failed on the way to the stage; Console the last lines.
	Error   string   `json:"error,omitempty"`
	Console []string `json:"console,omitempty"`
	// Installed is the SHA-256 of the disk image that is on the machine's disk now.
	Installed string `json:"installed,omitempty"`
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// DecodeConfig reads a Config and refuses what a node must not act on.
func DecodeConfig(data []byte) (*Config, error) {
	c := new(Config)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	prefix, err := netip.ParsePrefix(c.Prefix)
	alone := c.Server == "" && c.Image == ""
	switch {
	case alone && c.Prefix == "" && !c.Address.IsValid():
	case err != nil || !prefix.Contains(c.Address) || !c.Address.Is6():
		return nil, fmt.Errorf("the configuration has the address %s, which is not within %q", c.Address, c.Prefix)
	}
	switch {
	case c.Router.IsValid() && !c.Router.Is6():
		return nil, fmt.Errorf("the configuration has the router %s, which has no IPv6 address", c.Router)
	case !nameForm.MatchString(c.Name):
		return nil, fmt.Errorf("the configuration names the machine %q, which is no host name", c.Name)
	case !alone && (!isURL(c.Server) || !isURL(c.Image)):
		return nil, errors.New("the configuration names no server")
	}
	for _, d := range c.DNS {
		if _, err := netip.ParseAddr(d); err != nil {
			return nil, fmt.Errorf("the configuration names the name server %q", d)
		}
	}
	for _, k := range c.SSHKeys {
		if strings.ContainsAny(k, "\n\r") {
			return nil, errors.New("the configuration has a key of several lines")
		}
	}
	return c, nil
}

func isURL(s string) bool {
	return (strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")) && !strings.ContainsAny(s, " \n\r\"'\\")
}

// DecodeReport reads a Report and bounds its texts.
func DecodeReport(r io.Reader) (*Report, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxReport+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxReport {
		return nil, fmt.Errorf("a report of more than %d bytes", MaxReport)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var report Report
	if err := d.Decode(&report); err != nil {
		return nil, fmt.Errorf("a report that cannot be read: %w", err)
	}
	report.Error, report.Installed = Printable(report.Error), Printable(report.Installed)
	if n := len(report.Console); n > MaxConsole {
		report.Console = report.Console[n-MaxConsole:]
	}
	for i, line := range report.Console {
		report.Console[i] = Printable(line)
	}
	return &report, nil
}

// Printable bounds a line and takes from it what a terminal would obey.
func Printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\uFFFD':
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxLine {
		return string(r[:maxLine]) + "…"
	}
	return s
}
