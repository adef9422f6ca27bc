package release

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"orrery.dev/orrery/images"
	"orrery.dev/orrery/images/debian"
)

// Repository begins the names of all images.
const Repository = "orrery.dev/"

// searchPath is that of processes in the images.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Orrery is the image with the program, a static one that is at binary on this
// host, and with the operator, the agent and the CNI plugin, which are beside it.
func Orrery(version, binary string) images.Image {
	return images.Image{
		Name:       Repository + "orrery:" + version,
		Entrypoint: []string{"/usr/bin/orrery"},
		Env:        []string{searchPath},
		Labels:     labels("orrery", version),
		Layers: [][]images.File{append(program(binary),
			beside(binary, "orrery-operator"), beside(binary, "orrery-agent"), beside(binary, "orrery-cni"),
			// Runtimes name namespaces of pods by either path.
			images.File{Path: "/var/run", Mode: fs.ModeSymlink, Link: "/run"})},
	}
}

// beside is a program in the same directory as another one, on this host and in
// the image.
func beside(binary, name string) images.File {
	return images.File{Path: "/usr/bin/" + name, Mode: 0o755, From: filepath.Join(filepath.Dir(binary), name)}
}

// program is the layer with Orrery itself, and what every program expects.
func program(binary string) []images.File {
	return []images.File{
		{Path: "/usr/bin/orrery", Mode: 0o755, From: binary},
		{Path: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "/run", Mode: fs.ModeDir | 0o755},
	}
}

// labels are of the Open Container Initiative's image specification, section
// "annotations".
func labels(title, version string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":    title,
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
}

// routerPackages are Debian's, with what they depend on.
var routerPackages = []string{"bird2", "frr", "iproute2", "iperf3", "busybox-static"}

// routerFiles are patterns of those that are taken, beside the libraries that
// they need.
var routerFiles = []string{
	"/usr/sbin/bird", "/usr/sbin/birdc",
	"/usr/lib/frr/zebra", "/usr/lib/frr/isisd", "/usr/lib/frr/ospfd", "/usr/lib/frr/ospf6d",
	"/usr/lib/frr/bgpd", "/usr/lib/frr/bfdd", "/usr/lib/frr/staticd",
	"/usr/bin/vtysh",
	"/usr/bin/ip", "/usr/bin/ss", "/usr/bin/iperf3",
	"/usr/bin/busybox",
	// vtysh asks PAM, which loads this by name; see pamRules.
	"/usr/lib/*/security/pam_permit.so",
}

// pamRules let vtysh do what its user may do anyway: the daemons' sockets are
// those of the group frrvty.
const pamRules = "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n"

// applets are the commands that busybox is.
var applets = []string{
	"cat", "chmod", "chown", "cp", "cut", "date", "df", "dmesg", "echo", "env", "false", "find", "grep", "head", "hostname",
	"id", "kill", "less", "ln", "ls", "mkdir", "more", "mount", "mv", "nc", "ping", "ping6", "ps", "pwd", "rm", "rmdir", "sed",
	"sh", "sleep", "sort", "stat", "tail", "tar", "test", "timeout", "top", "touch", "tr", "traceroute", "traceroute6", "true", "umount",
	"uname", "vi", "wc", "wget", "which", "xargs",
}

// Router is the image with routing daemons, of the packages that apt gives now;
// they are kept in the directory cache. Which they are is in the image's
// /usr/share/orrery/packages.
func Router(ctx context.Context, version, binary, cache string) (images.Image, error) {
	packages, err := debian.Fetch(ctx, cache, routerPackages...)
	if err != nil {
		return images.Image{}, err
	}
	tree, err := debian.Open(ctx, packages)
	if err != nil {
		return images.Image{}, err
	}
	wanted, err := tree.Match(routerFiles...)
	if err != nil {
		return images.Image{}, err
	}
	if manager, err := tree.Match("/usr/lib/frr/mgmtd"); err == nil { // from FRR 9 on
		wanted = append(wanted, manager...)
	}
	closure, err := tree.Closure(wanted...)
	if err != nil {
		return images.Image{}, err
	}
	return images.Image{
		Name:    Repository + "orrery-router:" + version,
		Command: []string{"/usr/bin/sh"},
		Env:     []string{searchPath},
		Labels:  labels("orrery-router", version),
		// What changes least often is lowest.
		Layers: [][]images.File{
			append(base(list(packages, closure.Packages)), closure.Files...),
			append(program(binary), beside(binary, "orrery-init")),
		},
	}, nil
}

// list tells the packages that are in an image, in lines of name, version and
// SHA-256 of the package's file.
func list(packages []debian.Package, used []string) []byte {
	var b strings.Builder
	for _, p := range packages {
		if slices.Contains(used, p.Name) {
			fmt.Fprintf(&b, "%s %s %s\n", p.Name, p.Version, p.SHA256)
		}
	}
	return []byte(b.String())
}

// base is what packages' scripts would have made, as far as daemons need it.
func base(packages []byte) []images.File {
	files := []images.File{
		{Path: "/usr/share/orrery/packages", Mode: 0o644, Content: packages},
		{Path: "/etc/passwd", Mode: 0o644, Content: []byte(passwd)},
		{Path: "/etc/group", Mode: 0o644, Content: []byte(group)},
		{Path: "/etc/pam.d/frr", Mode: 0o644, Content: []byte(pamRules)},
		{Path: "/etc/frr/vtysh.conf", Mode: 0o644, Content: []byte("no service integrated-vtysh-config\n")},
		{Path: "/var/run", Mode: fs.ModeSymlink, Link: "/run"},
		{Path: "/var/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "/root", Mode: fs.ModeDir | 0o700},
		// Nodes' directories come here, where FRR has the place compiled in.
		{Path: "/var/lib/frr", Mode: fs.ModeDir | 0o755},
		{Path: "/var/tmp/frr", Mode: fs.ModeDir | 0o755},
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		files = append(files, images.File{Path: "/" + dir, Mode: fs.ModeSymlink, Link: "usr/" + dir})
	}
	for _, applet := range applets {
		files = append(files, images.File{Path: "/usr/bin/" + applet, Mode: fs.ModeSymlink, Link: "busybox"})
	}
	return files
}

// The daemons change to these users and groups, whose numbers are the image's
// own.
const (
	passwd = `root:x:0:0:root:/root:/bin/sh
bird:x:100:100:BIRD:/run/bird:/bin/false
frr:x:101:101:FRR:/run/frr:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
`
	group = `root:x:0:
bird:x:100:
frr:x:101:
frrvty:x:102:frr
nogroup:x:65534:
`
)
