// Package sigv4 verifies and makes AWS Signature Version 4 signatures, in the Authorization header or in the query
// string ("presigned"). Verification is a function of the request, the keys and the time: it reads no clock and keeps
// nothing but a cache of derived signing keys.
//
// What is signed, in order: method, path, query, the headers that the client lists, and the SHA-256 of the body. A
// server can't see what the client canonicalised, only what arrived, so most of this package is about getting from the
// bytes on the wire back to the text that the client signed. Where real signers disagree (canonical.go), every form that
// means the same request is accepted.
package sigv4

import (
	"context"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"

	// basicISO8601 is how SigV4 writes a moment, dateOnly how it writes the day of a credential scope.
	basicISO8601 = "20060102T150405Z"
	dateOnly     = "20060102"
)

// Credentials are what a client signs with.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // empty for a long-term key
}

// Key is what the server knows of an access key.
type Key struct {
	Credentials
	Principal string    // the ARN of whom the key belongs to
	Expires   time.Time // zero for a long-term key
}

// Keys finds an active access key by its id. An error means that the look-up failed, not that there is no such key.
type Keys interface {
	AccessKey(ctx context.Context, id string) (key Key, found bool, err error)
}

// Accept is what a credential scope must name to be accepted.
type Accept struct {
	Regions  []string // the first one is named in the remedy
	Services []string // signing names
}

// Identity is who signed a request, once the signature is verified.
type Identity struct {
	AccessKeyID string
	Principal   string
	Region      string
	Service     string
	SignedAt    time.Time
	Presigned   bool
}
