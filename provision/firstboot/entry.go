package firstboot

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
)

// entry is a boot file on a disk, whose name says what it boots: orrery-0001-a+3.efi is the first generation, in slot a, with three tries left
// (systemd's Automatic Boot Assessment). The boot loader takes the newest generation that has tries left or came up.
type entry struct {
	generation int
	slot       string
	counted    bool // it has not come up yet
	left       int  // tries
}

var entryForm = regexp.MustCompile(`^orrery-([0-9]{4})-([ab])(\+([0-9]+)(-[0-9]+)?)?\.efi$`)

// entryOf reads the name of a boot file.
func entryOf(file string) (entry, bool) {
	m := entryForm.FindStringSubmatch(filepath.Base(file))
	if m == nil {
		return entry{}, false
	}
	e := entry{slot: m[2], counted: m[3] != ""}
	e.generation, _ = strconv.Atoi(m[1])
	e.left, _ = strconv.Atoi(m[4])
	return e, true
}

// name is that of the boot file without count and ending.
func (e entry) name() string { return fmt.Sprintf("orrery-%04d-%s", e.generation, e.slot) }

// plan says which entry a new root gets, and which files boot its slot until now. The slot of the newest one that came up is
// kept; if none has, that of the newest one.
func plan(files []string) (old []string, next entry) {
	var keep entry
	for _, f := range files {
		e, ok := entryOf(f)
		if !ok {
			continue
		}
		next.generation = max(next.generation, e.generation)
		if keep.slot == "" || keep.counted && !e.counted || keep.counted == e.counted && e.generation > keep.generation {
			keep = e
		}
	}
	next.generation++
	next.slot = "a"
	if keep.slot == "a" {
		next.slot = "b"
	}
	for _, f := range files {
		if e, ok := entryOf(f); ok && e.slot == next.slot {
			old = append(old, f)
		}
	}
	return old, next
}
