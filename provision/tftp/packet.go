package tftp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The operations (RFC 1350, section 5; RFC 2347).
const (
	opRead  = 1
	opWrite = 2
	opData  = 3
	opAck   = 4
	opError = 5
	opOACK  = 6
)

// The error codes that are sent (RFC 1350, appendix; RFC 2347).
const (
	codeUndefined  = 0
	codeNotFound   = 1
	codeAccess     = 2
	codeIllegal    = 4
	codeUnknownTID = 5
	codeOption     = 8
)

// The bounds of the options.
const (
	defaultBlock = 512
	minBlock     = 8
	maxBlock     = 65464
	maxWindow    = 65535
	maxTimeout   = 5 // seconds: a silent client has its place for so long after each try
)

// request is a read or write request.
type request struct {
	op      int
	file    string
	mode    string
	options []option // in order, names in lower case, each once
}

type option struct{ name, value string }

// maxRequest is the largest request (RFC 2347).
const maxRequest = 512

// decodeRequest reads a request.
func decodeRequest(p []byte) (request, error) {
	if len(p) < 2 || len(p) > maxRequest {
		return request{}, fmt.Errorf("a request of %d bytes", len(p))
	}
	r := request{op: int(binary.BigEndian.Uint16(p))}
	if r.op != opRead && r.op != opWrite {
		return request{}, fmt.Errorf("operation %d is not a request", r.op)
	}
	words := strings.Split(string(p[2:]), "\x00")
	// The last word has its zero too, so the split ends with an empty one.
	if len(words) < 3 || words[len(words)-1] != "" {
		return request{}, errors.New("a request without file, mode or the zero at its end")
	}
	words = words[:len(words)-1]
	r.file, r.mode = words[0], strings.ToLower(words[1])
	if r.mode != "octet" && r.mode != "netascii" {
		return request{}, fmt.Errorf("mode %q", r.mode)
	}
	words = words[2:]
	seen := map[string]bool{}
	for len(words) >= 2 {
		name := strings.ToLower(words[0])
		if !seen[name] { // an option is to be given once (RFC 2347); the first counts
			r.options = append(r.options, option{name, words[1]})
		}
		seen[name] = true
		words = words[2:]
	}
	return r, nil
}

// terms are what is agreed for a transfer.
type terms struct {
	block, window int
	timeout       int // seconds; 0 for the server's own
	agreed        []option
}

// Limits bound what is agreed to.
type Limits struct {
	// Block is the largest block in bytes, 0 for no limit; Window the largest window in
	// blocks, 0 for the default.
	Block, Window int
}

const defaultWindow = 64

// negotiate answers a request's options for a file of so many bytes. What is unknown
// or malformed is passed over (RFC 2347).
func negotiate(r request, size int64, l Limits) terms {
	t := terms{block: defaultBlock, window: 1}
	most := maxBlock
	if l.Block > 0 {
		most = max(minBlock, min(most, l.Block))
	}
	window := defaultWindow
	if l.Window > 0 {
		window = l.Window
	}
	for _, o := range r.options {
		n, err := strconv.Atoi(o.value)
		if err != nil {
			continue
		}
		switch {
		case o.name == "blksize" && n >= minBlock:
			t.block = min(n, most)
			n = t.block
		case o.name == "tsize" && n >= 0:
			t.agreed = append(t.agreed, option{"tsize", strconv.FormatInt(size, 10)})
			continue
		case o.name == "windowsize" && n >= 1 && n <= maxWindow:
			t.window = min(n, window)
			n = t.window
		case o.name == "timeout" && n >= 1 && n <= maxTimeout:
			t.timeout = n
		default:
			continue
		}
		t.agreed = append(t.agreed, option{o.name, strconv.Itoa(n)})
	}
	return t
}

func encodeOACK(options []option) []byte {
	var b bytes.Buffer
	b.Write([]byte{0, opOACK})
	for _, o := range options {
		b.WriteString(o.name + "\x00" + o.value + "\x00")
	}
	return b.Bytes()
}

func encodeError(code int, text string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, opError}, uint16(code))
	return append(append(b, text...), 0)
}

// reply is what a client sends during a transfer.
type reply struct {
	block uint16 // that is acknowledged
	gone  string // the client's error, "" for none
}

// decodeReply reads an acknowledgement or an error.
func decodeReply(p []byte) (reply, error) {
	if len(p) < 4 {
		return reply{}, fmt.Errorf("a packet of %d bytes", len(p))
	}
	number := binary.BigEndian.Uint16(p[2:])
	switch op := binary.BigEndian.Uint16(p); op {
	case opAck:
		return reply{block: number}, nil
	case opError:
		text, _, _ := bytes.Cut(p[4:], []byte{0})
		return reply{gone: fmt.Sprintf("error %d %q", number, text[:min(len(text), 100)])}, nil
	default:
		return reply{}, fmt.Errorf("operation %d in a transfer", op)
	}
}
