package nodeimage

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"orrery.dev/orrery/provision/firstboot"
)

// always are the modules without which no root is mounted. What hardware needs is loaded when that is
// there.
var always = []string{"overlay", "squashfs", "loop"}

// wanted are the directories of modules that a machine may need to reach its root: networks and disks.
var wanted = []string{
	"kernel/drivers/net/ethernet/", "kernel/drivers/net/virtio_net.", "kernel/drivers/net/vmxnet3/", "kernel/drivers/net/hyperv/", "kernel/drivers/hv/",
	"kernel/drivers/nvme/host/", "kernel/drivers/ata/ahci", "kernel/drivers/scsi/virtio_scsi.", "kernel/drivers/scsi/sd_mod.", "kernel/drivers/scsi/hv_storvsc.",
	"kernel/drivers/block/virtio_blk.", "kernel/drivers/virtio/", "kernel/drivers/char/hw_random/virtio-rng.",
	"kernel/fs/ext4/", "kernel/fs/fat/", "kernel/fs/nls/nls_cp437.", "kernel/fs/nls/nls_ascii.", "kernel/fs/nls/nls_iso8859-1.",
	"kernel/fs/isofs/",
}

// dependencies reads modules.dep: paths of modules, and of what each needs, nearest last.
func dependencies(text []byte) map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		file, needs, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok {
			all[file] = strings.Fields(needs)
		}
	}
	return all
}

// modules adds kernel modules and their index to the initial file system.
func (b *build) modules(ctx context.Context, members map[string]member) error {
	dir := filepath.Join(b.root, "usr/lib/modules", b.release)
	text, err := os.ReadFile(dir + "/modules.dep")
	if err != nil {
		return err
	}
	needs := dependencies(text)
	chosen := map[string]bool{}
	var index firstboot.Modules
	for file, deps := range needs {
		name := firstboot.ModuleName(file)
		first := slices.Contains(always, name)
		if !first && !slices.ContainsFunc(wanted, func(w string) bool { return strings.HasPrefix(file, w) }) {
			continue
		}
		chosen[file] = true
		for _, d := range deps {
			chosen[d] = true
		}
		if first {
			index.Always = append(index.Always, name)
		}
	}
	builtin, err := os.ReadFile(dir + "/modules.builtin")
	if err != nil {
		return err
	}
	for _, name := range always {
		if !slices.Contains(index.Always, name) && !bytes.Contains(builtin, []byte("/"+name+".ko\n")) {
			return fmt.Errorf("the kernel %s has no module %s, which every node needs", b.release, name)
		}
	}
	slices.Sort(index.Always)
	index.Needs = map[string][]string{}
	for file := range chosen {
		name := firstboot.ModuleName(file)
		data, err := b.module(ctx, filepath.Join(dir, file))
		if err != nil {
			return err
		}
		members[path.Join(strings.TrimPrefix(firstboot.ModulesDir, "/"), name+".ko")] = member{mode: 0o644, data: data}
		index.Needs[name] = []string{}
		for _, d := range slices.Backward(needs[file]) { // modules.dep has the nearest first
			index.Needs[name] = append(index.Needs[name], firstboot.ModuleName(d))
		}
	}
	if index.Aliases, err = aliases(dir+"/modules.alias", index.Needs); err != nil {
		return err
	}
	data, err := index.Encode()
	if err != nil {
		return err
	}
	members[strings.TrimPrefix(firstboot.ModulesIndex, "/")] = member{mode: 0o644, data: data}
	return nil
}

// aliases are those of modules.alias whose module is there.
func aliases(file string, there map[string][]string) ([][2]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all [][2]string
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) != 3 || words[0] != "alias" || !strings.Contains(words[1], ":") {
			continue
		}
		if _, ok := there[words[2]]; ok {
			all = append(all, [2]string{words[1], words[2]})
		}
	}
	return all, nil
}

// module reads a module, which later releases of Debian compress.
func (b *build) module(ctx context.Context, file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if !errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(file, ".xz") {
		return data, err
	}
	text, err := b.run(ctx, "xz", "--decompress", "--stdout", file)
	return []byte(text), err
}
