package underlay

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
)

const (
	// MinKey is the least length of a shared key, in bytes.
	MinKey = 32

	sessionSize = 16
	macSize     = sha256.Size
	helloLabel  = "orrery underlay hello"
	dataLabel   = "orrery underlay 1 data"
	dataKeySize = 16 // AES-128
)

// sessionNumber names the life of one transport: random, never used again.
type sessionNumber [sessionSize]byte

// id is what datagrams bear of it.
func (s sessionNumber) id() uint64 { return binary.BigEndian.Uint64(s[:]) }

// draw fills b with random bytes.
func draw(b []byte) { _, _ = rand.Read(b) } // never fails

// helloKey authenticates requests and answers of all versions and runs.
func helloKey(key []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, key, nil, helloLabel, macSize)
}

// mac of a request or an answer.
func mac(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write(b) // never fails
	return h.Sum(nil)
}

// authentic tells whether b ends with its code.
func authentic(key, b []byte) bool {
	at := len(b) - macSize
	return at >= 0 && hmac.Equal(mac(key, b[:at]), b[at:])
}

// dataCipher seals what a session of one host sends to a session of another.
func dataCipher(key []byte, run Run, from, to string, sender, receiver sessionNumber) (cipher.AEAD, error) {
	salt := slices.Concat(sender[:], receiver[:])
	info := append([]byte(dataLabel), run[:]...)
	for _, name := range []string{from, to} {
		info = binary.BigEndian.AppendUint16(info, uint16(len(name)))
		info = append(info, name...)
	}
	k, err := hkdf.Key(sha256.New, key, salt, string(info), dataKeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// session is the relation between this transport's life and one of a peer's.
type session struct {
	peer   *Peer
	remote sessionNumber
	seal   cipher.AEAD // what this host sends; any thread may use it
	open   cipher.AEAD // what the peer sends
	// known tells whether the peer has this session's keys, too.
	known atomic.Bool
	// streams that the peer sends; of the receiving thread alone.
	streams map[uint32]*Stream
}

func (p *Peer) newSession(remote sessionNumber) (*session, error) {
	c := &p.transport.config
	s := &session{peer: p, remote: remote, streams: make(map[uint32]*Stream)}
	var err error
	if s.seal, err = dataCipher(c.Key, c.Run, c.Host, p.name, p.transport.session, remote); err != nil {
		return nil, err
	}
	s.open, err = dataCipher(c.Key, c.Run, p.name, c.Host, remote, p.transport.session)
	return s, err
}
