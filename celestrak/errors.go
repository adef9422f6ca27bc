package celestrak

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
)

// Reason is why a query has no answer.
type Reason string

// The reasons.
const (
	ReasonUnknown     Reason = "unknown"     // there is no such group, number or launch
	ReasonNotUpdated  Reason = "not updated" // nothing newer than what was sent before, and that is not cached
	ReasonRefused     Reason = "refused"     // CelesTrak does not want to be asked, or not so
	ReasonUnreachable Reason = "unreachable" // no network, no answer in time, or a fault of the server
	ReasonUnreadable  Reason = "unreadable"  // what came is no element sets
	ReasonTooLarge    Reason = "too large"   // what came is larger than MaxSize
)

// Error is a query without an answer.
type Error struct {
	Query  Query
	Reason Reason
	Text   string // one sentence: what, where, what to do
	Err    error  // what lies beneath, if anything
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.Err }

// unreachable puts a failure of the transport in plain words.
func unreachable(q Query, address string, err error) error {
	var (
		why       string
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		op        *net.OpError
		timeout   interface{ Timeout() bool }
		asked     *url.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &dns):
		why = "its name cannot be resolved; check the network"
	case errors.As(err, &authority):
		why = "its certificate is signed by an unknown authority; check the certificates of this machine (package ca-certificates) or a proxy between"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		why = "no answer in time; check the network, or try again later"
	case errors.As(err, &op) && op.Op == "dial":
		why = fmt.Sprintf("%v; check the network, or set HTTPS_PROXY if there is a proxy", op.Err)
	case errors.As(err, &asked):
		why = fmt.Sprintf("%v; try again later", asked.Err)
	default:
		why = fmt.Sprintf("%v; try again later", err)
	}
	return &Error{Query: q, Reason: ReasonUnreachable, Text: fmt.Sprintf("%s cannot be asked for %s: %s", host(address), q, why), Err: err}
}

// host of an address, for messages.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}
