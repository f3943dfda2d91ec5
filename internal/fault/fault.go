// Package fault is Berth's one error type: what went wrong, in the words and codes that AWS clients understand.
//
// A handler or a domain rule returns a *fault.Error; the gateway turns it into the protocol's error body. Any other
// error that reaches the gateway becomes a ServerException that carries only the request id, and is logged once.
package fault

import (
	"errors"
	"fmt"
)

// Kind says whose fault it is, which decides the HTTP status and whether SDKs retry.
type Kind int

const (
	// Client: the request can't succeed as it stands (HTTP 400, not retried).
	Client Kind = iota
	// Server: Berth failed (HTTP 500, retried by SDKs).
	Server
	// Throttled: try again later (HTTP 400, retried by SDKs).
	Throttled
)

// Error is an error with AWS's code (the "__type" on the wire) and message.
type Error struct {
	Kind    Kind
	Code    string // as AWS spells it: "ClusterNotFoundException"
	Message string
	// Details are further members of the error's shape, e.g. ConflictException's "resourceIds".
	Details map[string]any
	Err     error // the cause, for the log only; never sent
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.Message + ": " + e.Err.Error()
	}
	return e.Code + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// New makes a client fault with the given AWS code.
func New(code, format string, args ...any) *Error {
	return &Error{Kind: Client, Code: code, Message: fmt.Sprintf(format, args...)}
}

// InvalidParameter is ECS's most frequent refusal.
func InvalidParameter(format string, args ...any) *Error {
	return New("InvalidParameterException", format, args...)
}

// ClientError is ECS's "ClientException".
func ClientError(format string, args ...any) *Error { return New("ClientException", format, args...) }

// Unsupported refuses aloud what Berth can't honour (yet); it names what and what to do instead.
func Unsupported(format string, args ...any) *Error {
	return New("UnsupportedFeatureException", format, args...)
}

// Internal wraps a failure of Berth's own.
func Internal(err error, format string, args ...any) *Error {
	return &Error{Kind: Server, Code: "ServerException", Message: fmt.Sprintf(format, args...), Err: err}
}

// Code returns the AWS code of err, or "" when err is not a fault.
func Code(err error) string {
	var f *Error
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}
