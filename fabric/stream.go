//go:build linux

package fabric

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// stream is a pipe of words in memory that two processes share: one writes, one
// reads. An eventfd wakes the reader if it sleeps; the writer sleeps by the clock
// in the rare case that there is no room.
type stream struct {
	*streamHead
	words []uint64
}

type streamHead struct {
	written atomic.Uint64 // by the writer, in all
	_       [7]uint64
	read    atomic.Uint64 // by the reader, in all
	// done counts words whose orders have been carried out.
	done   atomic.Uint64
	asleep atomic.Uint32 // the reader waits to be woken
	_      [5]uint64
}

const (
	streamWords = 1 << 17 // 1 MiB
	streamSize  = int(unsafe.Sizeof(streamHead{})) + 8*streamWords
	// streamPause is how long a writer waits for room or for orders to be done.
	streamPause = 20 * time.Microsecond
)

// mapStream makes the stream of shared memory of at least streamSize.
func mapStream(memory []byte) stream {
	at := unsafe.Pointer(&memory[0])
	return stream{(*streamHead)(at), unsafe.Slice((*uint64)(unsafe.Add(at, unsafe.Sizeof(streamHead{}))), streamWords)}
}

// reset empties the stream. Nobody may use it meanwhile.
func (s stream) reset() {
	s.written.Store(0)
	s.read.Store(0)
	s.done.Store(0)
	s.asleep.Store(0)
}

// write appends words. It returns false if the reader goes before there is room.
func (s stream) write(words []uint64, gone <-chan struct{}, wake func()) bool {
	for len(words) > 0 {
		at := s.written.Load()
		room := streamWords - int(at-s.read.Load())
		if room == 0 {
			if !pause(gone) {
				return false
			}
			continue
		}
		n := copy(s.words[at%streamWords:], words[:min(room, len(words))])
		s.written.Store(at + uint64(n))
		words = words[n:]
		if s.asleep.Load() != 0 && s.asleep.Swap(0) != 0 {
			wake()
		}
	}
	return true
}

// settled waits until all that was written has been carried out. It returns false if
// the reader goes before, or takes longer than bound.
func (s stream) settled(gone <-chan struct{}, bound time.Duration) bool {
	want := s.written.Load()
	for range bound / streamPause {
		if s.done.Load() >= want {
			return true
		}
		if !pause(gone) {
			return false
		}
	}
	return false
}

func pause(gone <-chan struct{}) bool {
	select {
	case <-gone:
		return false
	default:
		time.Sleep(streamPause)
		return true
	}
}

// take appends what is there to buf and makes room for more.
func (s stream) take(buf []uint64) []uint64 {
	at, end := s.read.Load(), s.written.Load()
	for at < end {
		from := at % streamWords
		n := min(end-at, streamWords-from)
		buf = append(buf, s.words[from:from+n]...)
		at += n
	}
	s.read.Store(at)
	return buf
}

// empty tells whether the reader has nothing to do and so may sleep: it is woken
// then when something comes.
func (s stream) empty() bool {
	s.asleep.Store(1)
	if s.written.Load() != s.read.Load() {
		s.asleep.Store(0)
		return false
	}
	return true
}
