package seed

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"orrery.dev/orrery/provision/protocol"
)

// Labels are those of the file systems that are looked for; letters count alike in both cases.
var Labels = []string{"cidata", "config-2"}

// maxFile bounds each file.
const maxFile = 1 << 20

// Seed is what a machine was told.
type Seed struct {
	// Config has no server and no image. Its address is the zero one where routers are to tell it. Machine is the MAC of the port
	// that is configured, or what identifies the instance where none is named.
	Config protocol.Config
	// Ignored are the keys that are not heeded, in order.
	Ignored []string

	mac string
}

// Read reads either form from a file system. The error says which file is wrong, and what would be right.
func Read(files fs.FS) (*Seed, error) {
	s := new(Seed)
	read := s.noCloud
	if _, err := fs.Stat(files, "openstack"); err == nil {
		read = s.configDrive
	}
	if err := read(files); err != nil {
		return nil, err
	}
	if s.Config.Name == "" {
		return nil, errors.New("the seed names no host: give hostname in the user data, or local-hostname in the meta data")
	}
	s.Config.Machine = cmp.Or(s.mac, s.Config.Machine, s.Config.Name)
	slices.Sort(s.Ignored)
	s.Ignored = slices.Compact(s.Ignored)
	// What follows holds for every configuration, and is checked in one place.
	text, err := json.Marshal(&s.Config)
	if err != nil {
		return nil, err
	}
	_, err = protocol.DecodeConfig(text)
	return s, err
}

func (s *Seed) noCloud(files fs.FS) error {
	var meta struct {
		InstanceID    string `yaml:"instance-id"`
		LocalHostname string `yaml:"local-hostname"`
		Hostname      string `yaml:"hostname"`
	}
	if err := decode(files, "meta-data", &meta); err != nil {
		return err
	}
	s.Config.Machine = meta.InstanceID
	s.host(meta.LocalHostname)
	s.host(meta.Hostname)
	if err := s.userData(files, "user-data"); err != nil {
		return err
	}
	return s.networkConfig(files, "network-config")
}

func (s *Seed) configDrive(files fs.FS) error {
	const dir = "openstack/latest/"
	var meta struct {
		UUID       string            `yaml:"uuid"`
		Hostname   string            `yaml:"hostname"`
		Name       string            `yaml:"name"`
		PublicKeys map[string]string `yaml:"public_keys"`
	}
	if err := decode(files, dir+"meta_data.json", &meta); err != nil {
		return err
	}
	s.Config.Machine = meta.UUID
	s.host(meta.Hostname)
	s.host(meta.Name)
	for _, name := range slices.Sorted(maps.Keys(meta.PublicKeys)) {
		s.Config.SSHKeys = append(s.Config.SSHKeys, strings.TrimSpace(meta.PublicKeys[name]))
	}
	if err := s.userData(files, dir+"user_data"); err != nil {
		return err
	}
	return s.networkData(files, dir+"network_data.json")
}

// host takes a name, of which the first label counts, unless there is one.
func (s *Seed) host(name string) {
	if name, _, _ = strings.Cut(name, "."); s.Config.Name == "" {
		s.Config.Name = strings.ToLower(name)
	}
}

// header is the first line of user data that is read.
const header = "#cloud-config"

func (s *Seed) userData(files fs.FS, name string) error {
	text, err := contents(files, name)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return err
	}
	if first, _, _ := bytes.Cut(text, []byte("\n")); string(bytes.TrimSpace(first)) != header {
		return fmt.Errorf("%s begins with %q; of user data only what begins with %s is read", name, protocol.Printable(string(first)), header)
	}
	var user struct {
		Hostname string   `yaml:"hostname"`
		FQDN     string   `yaml:"fqdn"`
		SSHKeys  []string `yaml:"ssh_authorized_keys"`
		Orrery   struct {
			Role role `yaml:"role"`
		} `yaml:"orrery"`
	}
	if err := decode(files, name, &user); err != nil {
		return err
	}
	if user.Hostname != "" || user.FQDN != "" {
		s.Config.Name = "" // it counts more than the meta data's
		s.host(user.Hostname)
		s.host(user.FQDN)
	}
	s.Config.SSHKeys = append(s.Config.SSHKeys, user.SSHKeys...)
	s.Config.Role = protocol.Role(user.Orrery.Role)
	if r := s.Config.Role; !slices.Contains([]string{"", "none", "three-nodes"}, r.Check) {
		return fmt.Errorf("%s: there is no check %q; write three-nodes or none", name, protocol.Printable(r.Check))
	} else if r.Scenario != "" && !strings.HasPrefix(r.Scenario, "http://") && !strings.HasPrefix(r.Scenario, "https://") {
		return fmt.Errorf("%s: %q is not a URL; begin with http:// or https://", name, protocol.Printable(r.Scenario))
	}
	return s.rest(files, name, map[string][]string{
		"": {"hostname", "fqdn", "ssh_authorized_keys", "orrery"}, "orrery": {"role"}, "orrery.role": {"scenario", "join", "check"},
	})
}

// role is that of protocol, in YAML.
type role struct {
	Scenario string   `yaml:"scenario"`
	Join     []string `yaml:"join"`
	Check    string   `yaml:"check"`
	Install  string   `yaml:"-"` // it is on its disk
}

// rest notes the keys of a file that are not known, by the path of the map that they are in.
func (s *Seed) rest(files fs.FS, name string, known map[string][]string) error {
	var all map[string]any
	if err := decode(files, name, &all); err != nil {
		return err
	}
	var walk func(path string, m map[string]any)
	walk = func(path string, m map[string]any) {
		for key, value := range m {
			whole := strings.TrimPrefix(path+"."+key, ".")
			if !slices.Contains(known[path], key) {
				s.Ignored = append(s.Ignored, protocol.Printable(name+": "+whole))
			} else if inner, ok := value.(map[string]any); ok && known[whole] != nil {
				walk(whole, inner)
			}
		}
	}
	walk("", all)
	return nil
}

// address takes an address with its prefix's length; the first of IPv6 counts.
func (s *Seed) address(where, text string) error {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %q is no address with the length of its prefix, such as fd00:77::5/64", where, protocol.Printable(text))
	case !p.Addr().Is6() || p.Addr().Is4In6():
		s.Ignored = append(s.Ignored, where+": IPv4 address "+p.String())
	case s.Config.Address.IsValid():
		s.Ignored = append(s.Ignored, where+": further address "+p.String())
	default:
		s.Config.Address, s.Config.Prefix = p.Addr(), p.Masked().String()
	}
	return nil
}

// router takes the default router.
func (s *Seed) router(where, text string) error {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("%s: %q is no address of a router", where, protocol.Printable(text))
	}
	if a.Is6() {
		s.Config.Router = a
	}
	return nil
}

// decode reads a file of YAML, or of JSON, which is YAML too. A file that is not there is as an empty one.
func decode(files fs.FS, name string, into any) error {
	text, err := contents(files, name)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s cannot be read: %s", name, protocol.Printable(yaml.FormatError(err, false, false)))
	}
	return nil
}

// contents are those of a file; nothing if it is not there.
func contents(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing is written to it
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	return text, nil
}
