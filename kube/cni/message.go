package cni

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// Version of the protocol.
const Version = 1

// maxMessage bounds a request and an answer, in bytes. The largest lists ten thousand
// attachments, of some hundred bytes each.
const maxMessage = 4 << 20

// Command of the CNI specification.
type Command string

// The commands that are passed on to the agent.
const (
	Add    Command = "ADD"
	Delete Command = "DEL"
	Check  Command = "CHECK"
	GC     Command = "GC"
	Status Command = "STATUS"
)

// Request is what a plugin was called with.
type Request struct {
	Version int     `json:"version"`
	Command Command `json:"command"`
	// Network is the name of the network configuration.
	Network string `json:"network,omitempty"`
	// Attachment that the command is about; none for GC and STATUS.
	Attachment
	// Namespace is the path of the network namespace. DEL may come without one.
	Namespace string `json:"namespace,omitempty"`
	// Pod that the container is the sandbox of, as the runtime says.
	Pod Pod `json:"pod,omitzero"`
	// Valid are the attachments that GC is to keep.
	Valid []Attachment `json:"valid,omitempty"`
	// Expected is what CHECK compares with: what ADD has answered, as far as it is known.
	Expected *Result `json:"expected,omitempty"`
}

// Attachment of a container to a network.
type Attachment struct {
	Container string `json:"container,omitempty"`
	Interface string `json:"interface,omitempty"`
}

// Pod in a cluster.
type Pod struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// Result is what an attachment consists of. A container that is no node of a scenario
// gets none.
type Result struct {
	Interfaces []Interface `json:"interfaces,omitempty"`
}

// Interface of a container.
type Interface struct {
	Name      string         `json:"name"`
	MAC       string         `json:"mac,omitempty"`
	MTU       int            `json:"mtu,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
}

// Answer of the agent.
type Answer struct {
	Version int `json:"version"`
	Result
	Error *Error `json:"error,omitempty"`
}

// Error is one that the runtime is told.
type Error struct {
	Code    uint   `json:"code"`
	Message string `json:"message"`
	Details string `json:"details,omitempty"`
}

func (e *Error) Error() string {
	if e.Details == "" {
		return e.Message
	}
	return e.Message + ": " + e.Details
}

// Codes of errors (CNI specification 1.1.0, section 5).
const (
	CodeUnknownContainer uint = 3
	CodeEnvironment      uint = 4
	CodeIO               uint = 5
	CodeDecoding         uint = 6
	CodeConfiguration    uint = 7
	CodeTryAgainLater    uint = 11
	CodeNotAvailable     uint = 50  // STATUS: the plugin cannot serve ADD
	CodeLimited          uint = 51  // STATUS: nor do what was attached before have connectivity
	CodeMismatch         uint = 100 // CHECK found a difference
	CodeInternal         uint = 999
)

// check says what makes a request senseless.
func (r *Request) check() error {
	switch r.Command {
	case GC, Status:
		return nil
	case Add, Check, Delete:
	default:
		return fmt.Errorf("the command %q is unknown", r.Command)
	}
	if r.Container == "" || r.Interface == "" {
		return errors.New("the container or its interface is not named")
	}
	if strings.ContainsRune(r.Namespace, 0) {
		return errors.New("the path of the namespace is none")
	}
	if r.Namespace == "" && r.Command != Delete {
		return errors.New("the network namespace is not named")
	}
	return nil
}

// DecodeRequest reads a request as a plugin sends it.
func DecodeRequest(from io.Reader) (*Request, error) {
	r := new(Request)
	if err := decode(from, r, &r.Version); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("cni: %w", err)
	}
	return r, nil
}

// DecodeAnswer reads an answer as the agent sends it.
func DecodeAnswer(from io.Reader) (*Answer, error) {
	a := new(Answer)
	if err := decode(from, a, &a.Version); err != nil {
		return nil, err
	}
	return a, nil
}

// errVersion is wrapped where the other end speaks another version.
var errVersion = errors.New("plugin and agent are not of one release")

func decode(from io.Reader, into any, version *int) error {
	b, err := io.ReadAll(io.LimitReader(from, maxMessage+1))
	switch {
	case err != nil:
		return fmt.Errorf("cni: %w", err)
	case len(b) > maxMessage:
		return fmt.Errorf("cni: a message has more than %d bytes", maxMessage)
	case len(b) == 0:
		return fmt.Errorf("cni: %w", io.ErrUnexpectedEOF)
	}
	// The version first: of another one nothing else can be relied on.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return fmt.Errorf("cni: a message is malformed: %w", err)
	}
	if head.Version != Version {
		return fmt.Errorf("cni: %w: one speaks version %d of their protocol, the other %d; they come from one image, wait until the worker is updated", errVersion, head.Version, Version)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("cni: a message is malformed: %w", err)
	}
	*version = head.Version
	return nil
}

func encode(to io.Writer, m any) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("cni: %w", err)
	}
	if len(b) > maxMessage {
		return fmt.Errorf("cni: a message has %d bytes, more than the %d that may be sent", len(b), maxMessage)
	}
	_, err = to.Write(b)
	return err
}
