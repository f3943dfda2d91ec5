package sigv4

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxExpires is how long a presigned request may be valid: a week.
const maxExpires = 7 * 24 * time.Hour

// defaultExpires is taken for a presigned request that doesn't say (some services' clients leave it out).
const defaultExpires = 15 * time.Minute

// tokenChars are what a header name, in lower case, is made of (RFC 9110).
const tokenChars = "abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~"

// CredentialScope is what the signer says that it signed for; unverified until Verify has passed.
type CredentialScope struct {
	AccessKeyID, Date, Region, Service, Terminator string
}

func (c CredentialScope) String() string {
	return c.Date + "/" + c.Region + "/" + c.Service + "/" + c.Terminator
}

// authorization is a signature as the request carries it, in either place.
type authorization struct {
	scope         CredentialScope
	signedHeaders []string // lower case, sorted
	signature     []byte
	token         string
	at            time.Time
	presigned     bool
	expires       time.Duration // of a presigned request
}

// PeekScope reads the credential scope without verifying anything; a gateway routes by the signing name in it.
func PeekScope(r *http.Request) (CredentialScope, bool) {
	a, err := readAuthorization(r)
	if err != nil {
		return CredentialScope{}, false
	}
	return a.scope, true
}

// readAuthorization finds and parses the signature of r. Every error is a *Refusal.
func readAuthorization(r *http.Request) (*authorization, error) {
	switch h := r.Header["Authorization"]; len(h) {
	case 0:
	case 1:
		return readHeader(r, h[0])
	default:
		return nil, incomplete("Authorization header must be given once, got %d.", len(h))
	}
	if strings.Contains(r.URL.RawQuery, "X-Amz-") {
		q := r.URL.Query()
		if q.Has("X-Amz-Algorithm") || q.Has("X-Amz-Credential") || q.Has("X-Amz-Signature") {
			return readQuery(q)
		}
	}
	return nil, &Refusal{Missing, "Missing Authentication Token"}
}

func incomplete(format string, args ...any) *Refusal {
	return &Refusal{Incomplete, fmt.Sprintf(format, args...)}
}

func readHeader(r *http.Request, header string) (*authorization, error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if err := checkAlgorithm(scheme); err != nil {
		return nil, err
	}
	params := map[string]string{}
	if scheme == algorithm {
		for part := range strings.SplitSeq(rest, ",") {
			part = strings.TrimSpace(part)
			if part == "" {
				continue
			}
			name, value, ok := strings.Cut(part, "=")
			if !ok {
				return nil, incomplete("'%s' not a valid key=value pair (missing equal-sign) in Authorization header: '%s'.", part, header)
			}
			if _, twice := params[name]; twice {
				return nil, incomplete("Authorization header must have one '%s' parameter.", name)
			}
			params[name] = value
		}
	}
	var missing strings.Builder
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if params[name] == "" {
			fmt.Fprintf(&missing, "Authorization header requires '%s' parameter. ", name)
		}
	}
	date, err := dateHeader(r.Header)
	if err != nil {
		return nil, err
	}
	if date == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() > 0 {
		return nil, incomplete("%sAuthorization=%s", missing.String(), scheme)
	}
	if len(r.Header["X-Amz-Security-Token"]) > 1 {
		return nil, incomplete("X-Amz-Security-Token header must be given once.")
	}
	a := &authorization{token: r.Header.Get("X-Amz-Security-Token")}
	return a, a.fill(params["Credential"], params["SignedHeaders"], params["Signature"], date)
}

// checkAlgorithm refuses AWS's other signatures by name; what isn't one at all is left to the caller, who says which
// parameters are missing.
func checkAlgorithm(name string) error {
	switch {
	case name == algorithm || !strings.HasPrefix(name, "AWS4-"):
		return nil
	case name == "AWS4-ECDSA-P256-SHA256":
		return incomplete("Unsupported AWS 'algorithm': '%s' (SigV4a). Sign with '%s'.", name, algorithm)
	}
	return incomplete("Unsupported AWS 'algorithm': '%s'. Sign with '%s'.", name, algorithm)
}

// dateHeader returns the text of the date that was signed: X-Amz-Date wins over Date.
func dateHeader(h http.Header) (string, error) {
	for _, name := range []string{"X-Amz-Date", "Date"} {
		switch v := h[name]; len(v) {
		case 0:
		case 1:
			return v[0], nil
		default: // which of them would the client mean?
			return "", incomplete("%s header must be given once, got %d.", name, len(v))
		}
	}
	return "", nil
}

func readQuery(q url.Values) (*authorization, error) {
	if err := checkAlgorithm(q.Get("X-Amz-Algorithm")); err != nil {
		return nil, err
	}
	var missing strings.Builder
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if q.Get(name) == "" {
			fmt.Fprintf(&missing, "AWS query-string parameters must include '%s'. ", name)
		}
	}
	if missing.Len() > 0 {
		return nil, incomplete("%sRe-examine the query-string parameters.", missing.String())
	}
	if alg := q.Get("X-Amz-Algorithm"); alg != algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm': '%s'. Sign with '%s'.", alg, algorithm)
	}
	for name, values := range q {
		if strings.HasPrefix(name, "X-Amz-") && len(values) > 1 {
			return nil, incomplete("AWS query-string parameter '%s' must be given once, got %d. Re-examine the query-string parameters.", name, len(values))
		}
	}
	a := &authorization{presigned: true, token: q.Get("X-Amz-Security-Token"), expires: defaultExpires}
	if s, given := q.Get("X-Amz-Expires"), q.Has("X-Amz-Expires"); given {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil:
			return nil, incomplete("X-Amz-Expires should be a number")
		case n < 1:
			return nil, incomplete("X-Amz-Expires must be positive")
		case n > int64(maxExpires/time.Second):
			return nil, incomplete("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
		}
		a.expires = time.Duration(n) * time.Second
	}
	return a, a.fill(q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"), q.Get("X-Amz-Date"))
}

// fill parses what both places have in common.
func (a *authorization) fill(credential, signedHeaders, signature, date string) error {
	p := strings.Split(credential, "/")
	if len(p) != 5 {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", credential)
	}
	a.scope = CredentialScope{p[0], p[1], p[2], p[3], p[4]}

	a.signedHeaders = strings.Split(strings.ToLower(signedHeaders), ";")
	slices.Sort(a.signedHeaders)
	a.signedHeaders = slices.Compact(a.signedHeaders)
	for _, name := range a.signedHeaders {
		// In a query string the list may hold anything, line breaks included, which would let one text be signed for two
		// requests.
		if name == "" || strings.Trim(name, tokenChars) != "" {
			return incomplete("SignedHeaders must be header names separated by ';', got '%s'.", signedHeaders)
		}
	}

	var err error
	if a.signature, err = hex.DecodeString(signature); err != nil || len(a.signature) != 32 {
		// A signature of the wrong length or alphabet can't match: AWS words it so too, and the rest is checked first.
		a.signature = nil
	}
	if a.at, err = time.Parse(basicISO8601, date); err == nil {
		return nil
	}
	if !a.presigned { // the Date header of HTTP has forms of its own; botocore writes the second
		for _, form := range []string{http.TimeFormat, time.RFC1123Z} {
			if a.at, err = time.Parse(form, date); err == nil {
				a.at = a.at.UTC()
				return nil
			}
		}
	}
	return incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", date)
}
