package firstboot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// What follows is from the UEFI specification 2.10, sections 5.2.3 (protective MBR) and 5.3.2 (GPT header).
const (
	sector = 512
	// maxEntries bounds the partition entries, in bytes: 128 of 128 bytes are usual.
	maxEntries = 64 << 10

	headerCRC, headerSize                                     = 16, 12
	headerMine, headerOther, headerLastUsable, headerEntryLBA = 24, 32, 48, 72
	headerEntries, headerEntrySize                            = 80, 84
	protectiveSize                                            = 446 + 12
)

var errTable = errors.New("there is no GPT on it")

// spread puts the second copy of a disk's partition table at the disk's end, size in bytes, after an image of a smaller disk was
// written to its beginning. The partitions stay.
func spread(disk interface {
	io.ReaderAt
	io.WriterAt
}, size int64) error {
	var mbr, header [sector]byte
	if _, err := disk.ReadAt(mbr[:], 0); err != nil {
		return err
	}
	if _, err := disk.ReadAt(header[:], sector); err != nil {
		return err
	}
	le := binary.LittleEndian
	length := le.Uint32(header[headerSize:])
	entries := int64(le.Uint32(header[headerEntries:])) * int64(le.Uint32(header[headerEntrySize:]))
	if !bytes.HasPrefix(header[:], []byte("EFI PART")) || length < 92 || length > sector || entries <= 0 || entries > maxEntries {
		return errTable
	}
	table := make([]byte, (entries+sector-1)/sector*sector)
	if _, err := disk.ReadAt(table, int64(le.Uint64(header[headerEntryLBA:]))*sector); err != nil {
		return err
	}
	last := uint64(size/sector) - 1
	second := last - uint64(len(table)/sector) // where the second copy of the entries begins
	if last < 34 || second <= le.Uint64(header[headerLastUsable:]) && last != le.Uint64(header[headerOther:]) {
		return errors.New("it is smaller than its image")
	}
	le.PutUint64(header[headerLastUsable:], second-1)
	seal := func(mine, other, entryLBA uint64) []byte {
		h := header
		le.PutUint64(h[headerMine:], mine)
		le.PutUint64(h[headerOther:], other)
		le.PutUint64(h[headerEntryLBA:], entryLBA)
		le.PutUint32(h[headerCRC:], 0)
		le.PutUint32(h[headerCRC:], crc32.ChecksumIEEE(h[:length]))
		return h[:]
	}
	le.PutUint32(mbr[protectiveSize:], uint32(min(last, 0xffffffff)))
	// The second copy first: whatever happens in between, one of them is right.
	for _, w := range []struct {
		data []byte
		at   uint64
	}{
		{table, second}, {seal(last, 1, second), last}, {seal(1, last, le.Uint64(header[headerEntryLBA:])), 1}, {mbr[:], 0},
	} {
		if _, err := disk.WriteAt(w.data, int64(w.at)*sector); err != nil {
			return err
		}
	}
	return nil
}
