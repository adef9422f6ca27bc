package provision

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"orrery.dev/orrery/provision/dhcp"
	"orrery.dev/orrery/provision/protocol"
	"orrery.dev/orrery/provision/radv"
	"orrery.dev/orrery/provision/registry"
	"orrery.dev/orrery/provision/site"
	"orrery.dev/orrery/provision/tftp"
)

// Desk knows the machines and decides what each gets. Its methods may be called concurrently.
type Desk struct {
	site     *site.Site
	registry *registry.Registry
	images   *Images
	now      func() time.Time

	mu sync.Mutex // one machine at a time gets an address
}

// NewDesk is a desk; now tells the time of day.
func NewDesk(s *site.Site, r *registry.Registry, i *Images, now func() time.Time) *Desk {
	return &Desk{site: s, registry: r, images: i, now: now}
}

// Policies for unknown machines, as the site file names them, and the standing of known ones.
const (
	known      = "known"
	ignore     = "ignore"
	quarantine = "quarantine"
)

// restlessness is how often at most a machine that does nothing new is written down.
const restlessness = 10 * time.Second

// Meet decides what a client of DHCPv6 gets.
func (d *Desk) Meet(c dhcp.Client) (dhcp.Offer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.registry.List() // none joins them meanwhile, for only Meet makes machines
	key, err := keyOf(c, all)
	if err != nil {
		return dhcp.Offer{}, err
	}
	entry := d.site.Machine(c.MAC, c.DUID)
	var offer dhcp.Offer
	ignored := false
	_, err = d.registry.Update(key, func(m *registry.Machine) error {
		d.introduce(m, c, entry)
		if m.Standing == ignore {
			m.Enter(registry.Ignored, d.seen(m))
			ignored = true
			return nil
		}
		if m.Stage == "" || m.Stage == registry.Ignored {
			m.Enter(registry.Seen, d.seen(m))
		}
		if m.Address, err = d.address(m, entry, all); err != nil {
			return err
		}
		offer.Address = m.Address
		if err := d.offer(m, c, entry, &offer); err != nil {
			return err
		}
		d.compare(m, all)
		return nil
	})
	switch {
	case err != nil:
		return dhcp.Offer{}, err
	case ignored:
		return dhcp.Offer{}, dhcp.ErrIgnored
	}
	return offer, nil
}

// seen is when a machine was seen, which moves on in steps so that repeated requests are not written each.
func (d *Desk) seen(m *registry.Machine) time.Time {
	if now := d.now(); now.Sub(m.LastSeen) > restlessness || now.Before(m.LastSeen) {
		return now
	}
	return m.LastSeen
}

// keyOf is the key of a client. One whose MAC is unknown is the only machine with its
// DUID, or a machine known by its DUID alone.
func keyOf(c dhcp.Client, all []registry.Machine) (string, error) {
	if c.MAC != "" {
		return c.MAC, nil
	}
	if c.DUID == "" {
		return "", errors.New("a client with neither a hardware address nor a DUID")
	}
	var same []registry.Machine
	for _, m := range all {
		if m.DUID == c.DUID {
			same = append(same, m)
		}
	}
	switch len(same) {
	case 0:
		return "duid:" + c.DUID, nil
	case 1:
		return same[0].Key, nil
	}
	return "", fmt.Errorf("the DUID %s is that of %s and %s, and the client tells no hardware address: give each machine its own UUID in the firmware", c.DUID, same[0].Name, same[1].Name)
}

// introduce writes down who a machine is.
func (d *Desk) introduce(m *registry.Machine, c dhcp.Client, entry *site.Machine) {
	now := d.now()
	if m.FirstSeen.IsZero() {
		m.FirstSeen = now
	}
	m.LastSeen = d.seen(m)
	if c.MAC != "" {
		m.MAC = c.MAC
	}
	if c.DUID != "" {
		m.DUID = c.DUID
	}
	m.Standing = d.site.Spec.Unknown
	switch {
	case entry != nil:
		m.Standing, m.Name = known, entry.Name
	case m.Name == "":
		m.Name = "m-" + strings.ReplaceAll(strings.TrimPrefix(m.Key, "duid:"), ":", "")
		if len(m.Name) > 40 {
			sum := sha256.Sum256([]byte(m.Key))
			m.Name = "m-" + hex.EncodeToString(sum[:8])
		}
	}
	if c.VendorClass != "" {
		m.Firmware = c.VendorClass
	}
	if c.Architecture != "" {
		m.Architecture = c.Architecture
	}
}

// compare notes that another machine has the same DUID. Both go on, since they are told apart by their hardware
// addresses; the one that came later is told of.
func (d *Desk) compare(m *registry.Machine, all []registry.Machine) {
	same := func(o registry.Machine) bool {
		return m.DUID != "" && o.DUID == m.DUID && o.Key != m.Key && o.FirstSeen.Compare(m.FirstSeen) <= 0 && !strings.HasPrefix(o.Error, duplicate)
	}
	if i := slices.IndexFunc(all, same); i >= 0 && m.Error == "" {
		m.Fail(fmt.Sprintf("%s: %s is also that of %s (%s); give each machine its own UUID in the firmware", duplicate, m.DUID, all[i].Name, all[i].Key), nil, d.now())
	}
}

const duplicate = "duplicate DUID"

// address is the one that a machine has for good.
func (d *Desk) address(m *registry.Machine, entry *site.Machine, all []registry.Machine) (netip.Addr, error) {
	if entry != nil && entry.Address != "" {
		return netip.MustParseAddr(entry.Address), nil
	}
	taken := map[netip.Addr]bool{d.site.Server(): true}
	for _, e := range d.site.Spec.Machines {
		if a, err := netip.ParseAddr(e.Address); err == nil {
			taken[a] = true
		}
	}
	for _, o := range all {
		if o.Key != m.Key {
			taken[o.Address] = true
		}
	}
	if m.Address.IsValid() && d.site.Segment().Contains(m.Address) && !taken[m.Address] {
		return m.Address, nil
	}
	for salt := range 256 {
		if a := d.site.Derive(m.Key, byte(salt)); !taken[a] {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no address is free for %s", m.Key)
}

// rule is how a machine boots, nil for not at all.
func (d *Desk) rule(m *registry.Machine) *site.Rule {
	if m.Standing == quarantine {
		return &site.Rule{Path: "any", Image: d.site.Spec.Quarantine}
	}
	return d.site.Rule(site.Traits{MAC: m.MAC, DUID: m.DUID, Name: m.Name, VendorClass: m.Firmware, Architecture: m.Architecture})
}

// offer fills in how a client boots.
func (d *Desk) offer(m *registry.Machine, c dhcp.Client, entry *site.Machine, o *dhcp.Offer) error {
	rule := d.rule(m)
	quirks := site.Merge(rule, entry)
	o.NoOption16, o.NoOption60, o.NoRapidCommit = quirks.Has(site.NoOption16), quirks.Has(site.NoOption60), quirks.Has(site.NoRapidCommit)
	if quirks.Has(site.SlowOffer) {
		o.Delay = 2 * time.Second
	}
	if rule == nil || rule.Path == "none" {
		return nil
	}
	if c.Kind == dhcp.Node {
		return d.summon(m, c, rule, o)
	}
	if d.installed(m, entry, rule) {
		return nil
	}
	file, params, path := "", rule.Parameters, string(c.Kind)
	switch {
	case c.Kind == dhcp.PXE && (rule.Path == "any" || rule.Path == "pxe"):
	case c.Kind == dhcp.HTTP && (rule.Path == "any" || rule.Path == "http"):
	case c.Kind == dhcp.IPXE && rule.Path == "ipxe":
	case c.Kind == dhcp.PXE && rule.Path == "ipxe":
		file, params = rule.IPXE, nil
	default:
		return nil // an operating system, or a client that is to try something else
	}
	if file == "" {
		var err error
		if file, err = d.bootFile(rule); err != nil {
			if c.Commit || m.Error == "" {
				m.Fail(err.Error(), nil, d.now())
			}
			return nil
		}
	}
	switch c.Kind {
	case dhcp.PXE:
		o.BootFile = "tftp://[" + d.site.Spec.Address + "]/" + file
	case dhcp.HTTP:
		o.BootFile = d.base(false) + protocol.FilesPath + file
	case dhcp.IPXE:
		o.BootFile = d.base(false) + protocol.IPXEPath + "?" + url.Values{"machine": {m.Key}}.Encode()
	}
	o.Parameters = params
	if c.Commit {
		m.Path, m.Image = path, rule.Image
		m.Enter(registry.Firmware, d.now())
	}
	return nil
}

// installed says whether a machine's disk has what its role wants there, so that it is to boot from it.
func (d *Desk) installed(m *registry.Machine, entry *site.Machine, rule *site.Rule) bool {
	if m.Installed == "" || d.site.RoleOf(entry).Install == "" || rule.Image == "" {
		return false
	}
	image, err := d.images.Open(rule.Image)
	return err == nil && image.Disk != nil && image.Disk.SHA256 == m.Installed
}

// bootFile is the path of what a rule boots, below the served directory.
func (d *Desk) bootFile(rule *site.Rule) (string, error) {
	if rule.File != "" {
		return rule.File, nil
	}
	image, err := d.images.Open(rule.Image)
	if err != nil {
		return "", err
	}
	return image.BootFile(), nil
}

// summon tells Orrery's first program where its configuration is.
func (d *Desk) summon(m *registry.Machine, c dhcp.Client, rule *site.Rule, o *dhcp.Offer) error {
	if !c.Commit {
		// Only what the client takes gets a token, so that there is one.
		o.BootFile = d.base(true) + protocol.ConfigPath
		return nil
	}
	token := secret()
	m.Token = hash(token)
	if m.Image == "" {
		m.Image = rule.Image
	}
	o.BootFile = d.base(true) + protocol.ConfigPath + "?" + url.Values{"machine": {m.Key}, "token": {token}}.Encode()
	return nil
}

// base is the URL of the server; private asks for HTTPS where there is any.
func (d *Desk) base(private bool) string {
	h := d.site.Spec.HTTP
	scheme, port, standard := "http", h.Port, 80
	if private && h.TLS != nil {
		scheme, port, standard = "https", h.TLS.Port, 443
	}
	host := "[" + d.site.Spec.Address + "]"
	if port != standard {
		host = fmt.Sprintf("%s:%d", host, port)
	}
	return scheme + "://" + host
}

// secret is 128 random bits in hexadecimal digits.
func secret() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// hash is what is kept of a secret.
func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// right compares a secret with what was kept of one, in constant time.
func right(secret, kept string) bool {
	return kept != "" && subtle.ConstantTimeCompare([]byte(hash(secret)), []byte(kept)) == 1
}

// errDenied is the error for a wrong token or key; it does not say which part is wrong.
var errDenied = errors.New("unknown machine, or wrong or used token")

// Configure gives a machine its configuration for its token, which is used up by it.
func (d *Desk) Configure(key, token string) (*protocol.Config, error) {
	m, ok := d.registry.Get(key)
	if !ok || !right(token, m.Token) {
		return nil, errDenied
	}
	image, imageErr := d.images.Open(m.Image)
	report := secret()
	m, err := d.registry.Update(key, func(m *registry.Machine) error {
		if !right(token, m.Token) {
			return errDenied // used in this moment
		}
		m.Token, m.Report = "", hash(report)
		m.Enter(registry.Kernel, d.now())
		if imageErr != nil {
			m.Fail(imageErr.Error(), nil, d.now())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if imageErr != nil {
		return nil, imageErr
	}
	role := d.site.RoleOf(d.site.Machine(m.MAC, m.DUID))
	if m.Standing == quarantine {
		role = site.Role{Check: "none"} // neither scenario nor cluster
	}
	return &protocol.Config{
		Machine: key, Key: report, Name: m.Name, Address: m.Address, Prefix: d.site.Spec.Prefix, DNS: d.site.Spec.DNS,
		Server: d.base(true), Image: d.base(false) + protocol.FilesPath + image.Directory,
		Manifest: image.Raw, Signature: image.Signature, SSHKeys: d.site.Spec.SSHKeys,
		Role: protocol.Role{Scenario: role.Scenario, Join: role.Join, Check: role.Check, Install: role.Install},
	}, nil
}

// Report takes a node's report.
func (d *Desk) Report(r *protocol.Report, key string) error {
	m, ok := d.registry.Get(r.Machine)
	if !ok || !right(key, m.Report) {
		return errDenied
	}
	stage := registry.Stage(r.Stage)
	if !stage.Reported() {
		return fmt.Errorf("%q is not a stage", protocol.Printable(r.Stage))
	}
	_, err := d.registry.Update(r.Machine, func(m *registry.Machine) error {
		if r.Error != "" {
			m.Fail(fmt.Sprintf("%s: %s", stage, r.Error), r.Console, d.now())
			return nil
		}
		if r.Installed != "" {
			m.Installed = r.Installed
		}
		m.Enter(stage, d.now())
		return nil
	})
	return err
}

// Script is what iPXE runs on a machine.
func (d *Desk) Script(key string) (string, error) {
	m, ok := d.registry.Get(key)
	if !ok {
		return "", errDenied
	}
	rule := d.rule(&m)
	if rule == nil || rule.Path != "ipxe" {
		return "", fmt.Errorf("%s does not boot by iPXE", m.Name)
	}
	if rule.File != "" {
		return script(d.base(false) + protocol.FilesPath + rule.File), nil
	}
	image, err := d.images.Open(rule.Image)
	if err != nil {
		return "", err
	}
	// What iPXE gives as arguments replaces the command line that is built in, an empty one too.
	return script(d.base(false) + protocol.FilesPath + image.BootFile() + " " + image.Cmdline), nil
}

// script has iPXE boot a file. A transfer that breaks off is tried again, with pauses in which a server is begun anew; after a minute the
// firmware goes on with what else it can boot from.
func script(kernel string) string {
	var b strings.Builder
	b.WriteString("#!ipxe\n")
	for _, pause := range []int{2, 8, 20, 30} {
		fmt.Fprintf(&b, "kernel %s && boot ||\nsleep %d\n", kernel, pause)
	}
	b.WriteString("exit 1\n")
	return b.String()
}

// at is the machine that has an address.
func (d *Desk) at(a netip.Addr) (registry.Machine, bool) {
	return d.registry.Find(func(m *registry.Machine) bool { return m.Address == a && a.IsValid() })
}

// quirks are those of the machine that has an address.
func (d *Desk) quirks(a netip.Addr) site.Quirks {
	m, ok := d.at(a)
	if !ok {
		return nil
	}
	return site.Merge(d.rule(&m), d.site.Machine(m.MAC, m.DUID))
}

// Limits of TFTP for the machine that has an address.
func (d *Desk) Limits(a netip.Addr) tftp.Limits {
	var l tftp.Limits
	q := d.quirks(a)
	if q.Has(site.SmallBlocks) {
		l.Block = 512
	}
	if q.Has(site.NoWindow) {
		l.Window = 1
	}
	return l
}

// Sent notes how a transfer to a machine ended. Firmware asks for a file's size by beginning a
// transfer and ending it at once, which is no failure.
func (d *Desk) Sent(a netip.Addr, name string, sent int64, err error) {
	if err == nil || sent == 0 && strings.Contains(err.Error(), "the client has ended") {
		return
	}
	d.failed(a, fmt.Sprintf("TFTP of %s after %d bytes: %v", protocol.Printable(name), sent, err))
}

// failed notes an error of the machine that has an address, if there is one.
func (d *Desk) failed(a netip.Addr, what string) {
	m, ok := d.at(a)
	if !ok {
		return
	}
	// A failure to write it down shows with the next request.
	_, _ = d.registry.Update(m.Key, func(m *registry.Machine) error {
		if now := d.now(); m.Error != what || now.Sub(m.ErrorAt) > sameError {
			m.Fail(what, nil, now)
		}
		return nil
	})
}

// sameError is for how long the same error of a machine is not written down again.
const sameError = time.Minute

// Advertisement is the router advertisement for a machine, nil for all.
func (d *Desk) Advertisement(mac net.HardwareAddr, source net.HardwareAddr) *radv.Advertisement {
	spec := &d.site.Spec.Advertise
	a := &radv.Advertisement{
		HopLimit: 64, RouterLifetime: spec.RouterLifetime.Std(), Source: source, MTU: spec.MTU, Prefix: d.site.Segment(),
		Valid: spec.PrefixLifetime.Std(), Preferred: spec.PrefixLifetime.Std() / 2, DNSLifetime: 3 * spec.Interval.Std(),
	}
	for _, f := range spec.Flags {
		a.Managed = a.Managed || f == "managed"
		a.Other = a.Other || f == "other"
		a.Autonomous = a.Autonomous || f == "autonomous"
	}
	for _, text := range d.site.Spec.DNS {
		a.DNS = append(a.DNS, netip.MustParseAddr(text))
	}
	if mac != nil {
		var q site.Quirks
		if m, ok := d.registry.Get(mac.String()); ok {
			q = site.Merge(d.rule(&m), d.site.Machine(m.MAC, m.DUID))
		} else {
			q = site.Merge(nil, d.site.Machine(mac.String(), ""))
		}
		if q.Has(site.RAUnmanaged) {
			a.Managed, a.Other = false, false
		}
		if q.Has(site.RAManagedOnly) {
			a.Autonomous = false
		}
	}
	return a
}
