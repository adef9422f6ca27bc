package nodeimage

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
)

// member is a file of an initial file system.
type member struct {
	mode fs.FileMode // with fs.ModeDir for a directory, fs.ModeCharDevice for a device
	data []byte
	// major and minor numbers of a device.
	major, minor int
}

// The types of files (inode(7)).
const (
	typeRegular   = 0o100000
	typeDirectory = 0o040000
	typeCharacter = 0o020000
)

// cpio packs members by their paths in the "newc" form that Linux reads
// (Documentation/driver-api/early-userspace/buffer-format.rst): sorted, owned by root, with times of
// zero, so that the same members give the same bytes. Directories that are missing are added.
func cpio(members map[string]member) []byte {
	all := maps.Clone(members)
	for name := range members {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = member{mode: fs.ModeDir | 0o755}
			}
		}
	}
	var b bytes.Buffer
	for i, name := range slices.Sorted(maps.Keys(all)) { // a directory sorts before what is in it
		m := all[name]
		mode, links := typeRegular|int(m.mode.Perm()), 1
		switch {
		case m.mode.IsDir():
			mode, links = typeDirectory|int(m.mode.Perm()), 2
		case m.mode&fs.ModeCharDevice != 0:
			mode = typeCharacter | int(m.mode.Perm())
		}
		entry(&b, i+1, mode, links, m, name)
	}
	entry(&b, 0, 0, 1, member{}, "TRAILER!!!")
	return b.Bytes()
}

func entry(b *bytes.Buffer, inode, mode, links int, m member, name string) {
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	fmt.Fprintf(b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", inode, mode, 0, 0, links, 0, len(m.data), 0, 0, m.major, m.minor, len(name)+1, 0)
	b.WriteString(name + "\x00")
	pad()
	b.Write(m.data)
	pad()
}
