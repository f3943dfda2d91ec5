package sigv4

import (
	"net/http"

	"github.com/openberth/berth/internal/fault"
)

// Reason says why a request was refused, in terms that no protocol owns; Refusal.Fault speaks the protocols' own.
type Reason int

const (
	// Missing: the request carries no signature at all.
	Missing Reason = iota + 1
	// Incomplete: there is a signature, but it can't be read.
	Incomplete
	// UnknownKey: no such access key, or its session token is missing or wrong. AWS doesn't say which.
	UnknownKey
	// TokenExpired: the temporary credentials are over.
	TokenExpired
	// Mismatch: the signature isn't the one that we calculate.
	Mismatch
	// Skewed: signed too long ago, or too far in the future.
	Skewed
	// WrongScope: signed for another region, service or day.
	WrongScope
)

func (r Reason) String() string {
	switch r {
	case Missing:
		return "missing"
	case Incomplete:
		return "incomplete"
	case UnknownKey:
		return "unknown key"
	case TokenExpired:
		return "token expired"
	case Mismatch:
		return "mismatch"
	case Skewed:
		return "skewed"
	case WrongScope:
		return "wrong scope"
	}
	return "unknown"
}

// Refusal is the error of a request whose signature isn't accepted.
type Refusal struct {
	Reason  Reason
	Message string // in AWS's words
}

func (r *Refusal) Error() string {
	return "signature refused (" + r.Reason.String() + "): " + r.Message
}

// codes are AWS's codes by reason: of the JSON protocols (and rest-json, CBOR), of the query protocol, of EC2's.
var codes = map[Reason]struct{ json, query, ec2 string }{
	Missing:      {"MissingAuthenticationTokenException", "MissingAuthenticationToken", "AuthFailure"},
	Incomplete:   {"IncompleteSignatureException", "IncompleteSignature", "AuthFailure"},
	UnknownKey:   {"UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure"},
	TokenExpired: {"ExpiredTokenException", "ExpiredToken", "RequestExpired"},
	Mismatch:     {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"},
	Skewed:       {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired"},
	WrongScope:   {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"},
}

// Fault is the refusal as AWS words it under a protocol (wire.Service.Protocol).
func (r *Refusal) Fault(protocol string) *fault.Error {
	c, message := codes[r.Reason], r.Message
	code := c.json
	switch protocol {
	case "query":
		code = c.query
		if r.Reason == Missing {
			message = "Request is missing Authentication Token"
		}
	case "ec2":
		code = c.ec2
		switch {
		case code == "RequestExpired":
			message = "Request has expired."
		case r.Reason == Missing || r.Reason == UnknownKey:
			message = "AWS was not able to validate the provided access credentials"
		}
	}
	return &fault.Error{Kind: fault.Client, Code: code, Message: message}
}

// Status is the HTTP status that AWS answers the refusal with under a protocol.
func (r *Refusal) Status(protocol string) int {
	switch protocol {
	case "query", "rest-json":
		return http.StatusForbidden
	case "ec2":
		if codes[r.Reason].ec2 == "AuthFailure" {
			return http.StatusUnauthorized
		}
	}
	return http.StatusBadRequest
}
