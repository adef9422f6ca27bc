package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/examples"
	"orrery.dev/orrery/nodeimage"
	"orrery.dev/orrery/provision/manifest"
)

func imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Build images of nodes: a machine boots one and is a worker",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(imageBuildCommand(), imageKeyCommand())
	return c
}

func imageBuildCommand() *cobra.Command {
	o := nodeimage.Options{Example: examples.ThreeNodes, Log: os.Stderr}
	c := &cobra.Command{
		Use:   "build",
		Short: "Build a node image out of Debian's packages",
		Long: `Build an image of a worker: kernel, root, Orrery and routing daemons, of Debian's
packages alone. The same packages and the same SOURCE_DATE_EPOCH give the same
bytes. It takes root and the packages that "scripts/deps.sh vm" installs. The program
orrery-boot is looked for beside this one.`,
		Example: "  orrery image key -O site.key\n  orrery image build -O files/worker --key site.key",
		Args:    cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVarP(&o.Out, "out", "O", "worker", "directory of the image")
	f.StringVar(&o.Suite, "suite", "bookworm", "release of Debian")
	f.StringVar(&o.Mirror, "mirror", "", "URL of a mirror, or a sources.list file; default: mmdebstrap's")
	f.StringVar(&o.Kernel, "kernel", "linux-image-cloud-amd64", "package of the kernel; linux-image-amd64 has drivers for real hardware")
	f.StringSliceVar(&o.Include, "include", nil, "further packages")
	f.BoolVar(&o.Kubernetes, "kubernetes", false, "add containerd and what kubelet needs")
	f.StringVar(&o.Cmdline, "cmdline", nodeimage.DefaultCmdline, "command line of the kernel")
	f.BoolVar(&o.Disk, "disk", false, "add the image of a whole disk, which machines are installed from")
	f.StringVar(&o.PrivateKey, "key", "", "private key that signs the image; its public half is built in, and nodes refuse a root of another")
	f.StringVar(&o.Authority, "ca", "", "certificates in PEM that the provisioning server's must be signed with")
	f.StringVar(&o.SecureBootKey, "secure-boot-key", "", "key in PEM that signs the boot file for UEFI Secure Boot, by sbsign")
	f.StringVar(&o.SecureBootCertificate, "secure-boot-cert", "", "certificate for that key")
	f.StringVar(&o.Boot, "boot-program", "", "the program orrery-boot")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if o.Orrery, err = os.Executable(); err != nil {
			return err
		}
		if o.Boot == "" {
			o.Boot = filepath.Join(filepath.Dir(o.Orrery), "orrery-boot")
		}
		if _, err := os.Stat(o.Boot); err != nil {
			return &exitError{exitHost, fmt.Errorf("the program orrery-boot: %w; build it with \"make build-all\", or name it with --boot-program", err)}
		}
		if o.Epoch, err = sourceDate(); err != nil {
			return usageError(err)
		}
		o.Version = version
		began := time.Now()
		m, err := nodeimage.Build(cmd.Context(), o)
		if errors.Is(err, nodeimage.ErrMissing) {
			return &exitError{exitHost, err}
		}
		if err != nil {
			return err
		}
		t := table{head: []string{"file", "bytes", "sha256"}}
		for _, f := range []manifest.File{m.Boot, m.Root} {
			t.add(filepath.Join(o.Out, f.Name), strconv.FormatInt(f.Size, 10), f.SHA256)
		}
		if m.Disk != nil {
			t.add(filepath.Join(o.Out, m.Disk.Name), strconv.FormatInt(m.Disk.Size, 10), m.Disk.SHA256)
		}
		if err := t.print(os.Stdout, "table"); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "kernel %s, %s, in %v\n", m.Kernel, plural(len(m.Packages), "package"), time.Since(began).Round(time.Second))
		return nil
	}
	return c
}

// sourceDate is SOURCE_DATE_EPOCH, or the first second of 2026: a fixed instant, so that a build is
// reproducible without asking for it.
func sourceDate() (int64, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("SOURCE_DATE_EPOCH is %q; give it seconds since 1970, or leave it out", text)
	}
	return n, nil
}

func imageKeyCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:     "key",
		Short:   "Make a pair of keys that images are signed with",
		Long:    "Make an Ed25519 key. The private half is written to a file that is not overwritten, and the\npublic half beside it, with \".pub\" behind its name: that one is for \"key\" in the site file.",
		Example: "  orrery image key -O site.key",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVarP(&out, "out", "O", "site.key", "file of the private key")
	c.RunE = func(*cobra.Command, []string) error {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("a key is not overwritten: %w", err)
		}
		_, err = f.Write(manifest.EncodeKey(private.Seed()))
		return errors.Join(err, f.Close(), os.WriteFile(out+".pub", manifest.EncodeKey(public), 0o644))
	}
	return c
}
