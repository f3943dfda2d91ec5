package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// skew is how far a client's clock may be off, either way.
const skew = 15 * time.Minute

// maxEcho bounds what of the request a mismatch tells back.
const maxEcho = 8 << 10

// Verifier checks signatures against a set of keys.
type Verifier struct {
	keys  Keys
	cache signingKeys
}

// NewVerifier makes a Verifier; keys must be safe for concurrent use.
func NewVerifier(keys Keys) *Verifier { return &Verifier{keys: keys} }

// Verify tells who signed r, or refuses it with a *Refusal; any other error is the key look-up's. The body is given
// apart, since it has been read already. The order of the checks is AWS's, which decides what a request with several
// faults is told: form, scope, key, token, signature, clock.
func (v *Verifier) Verify(ctx context.Context, r *http.Request, body []byte, accept Accept, now time.Time) (Identity, error) {
	a, err := readAuthorization(r)
	if err != nil {
		return Identity{}, err
	}
	if err := checkScope(a, accept); err != nil {
		return Identity{}, err
	}
	if err := checkSignedHeaders(r, a.signedHeaders); err != nil {
		return Identity{}, err
	}
	payload, err := payloadHash(r, body)
	if err != nil {
		return Identity{}, err
	}
	key, found, err := v.keys.AccessKey(ctx, a.scope.AccessKeyID)
	if err != nil {
		return Identity{}, fmt.Errorf("look up access key: %w", err)
	}
	// One comparison for "token missing", "token not asked for" and "wrong token".
	if !found || subtle.ConstantTimeCompare([]byte(a.token), []byte(key.SessionToken)) != 1 {
		return Identity{}, &Refusal{UnknownKey, "The security token included in the request is invalid."}
	}
	if !key.Expires.IsZero() && !now.Before(key.Expires) {
		return Identity{}, &Refusal{TokenExpired, "The security token included in the request is expired"}
	}
	if err := v.checkSignature(r, a, key.SecretAccessKey, payload); err != nil {
		return Identity{}, err
	}
	if err := checkClock(a, now); err != nil {
		return Identity{}, err
	}
	return Identity{
		AccessKeyID: a.scope.AccessKeyID,
		Principal:   key.Principal,
		Region:      a.scope.Region,
		Service:     a.scope.Service,
		SignedAt:    a.at,
		Presigned:   a.presigned,
	}, nil
}

// checkScope compares the credential scope with what this server serves. As AWS does, it names all that is wrong.
func checkScope(a *authorization, accept Accept) error {
	var wrong []string
	if !slices.Contains(accept.Regions, a.scope.Region) {
		text := fmt.Sprintf("Credential should be scoped to a valid region, not '%s'.", a.scope.Region)
		if len(accept.Regions) > 0 {
			text += fmt.Sprintf(" This Berth serves region %s: set AWS_REGION and AWS_DEFAULT_REGION (AWS CLI v1, boto3), or run `eval \"$(berth env)\"`.", accept.Regions[0])
		}
		wrong = append(wrong, text)
	}
	if !slices.Contains(accept.Services, a.scope.Service) {
		wrong = append(wrong, fmt.Sprintf("Credential should be scoped to correct service: '%s'.", strings.Join(accept.Services, "' or '")))
	}
	if a.scope.Terminator != terminator {
		wrong = append(wrong, fmt.Sprintf("Credential should be scoped with a valid terminator: '%s', not '%s'.", terminator, a.scope.Terminator))
	}
	if day := a.at.Format(dateOnly); day != a.scope.Date {
		wrong = append(wrong, fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			a.scope.Date, day, a.at.Format(basicISO8601)))
	}
	if len(wrong) == 0 {
		return nil
	}
	return &Refusal{WrongScope, strings.Join(wrong, " ")}
}

// unsignedAllowed are the x-amz- headers that needn't be in SignedHeaders: the token is added after signing by some
// clients and compared with the key's own; the date and the body's hash are signed whether the header is or not; the user
// agent means nothing.
var unsignedAllowed = []string{"X-Amz-Security-Token", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-User-Agent"}

// checkSignedHeaders insists that what decides about the request is signed: else whoever sees one signed call could send
// another operation (x-amz-target) or send it elsewhere (host) under its signature.
func checkSignedHeaders(r *http.Request, signed []string) error {
	if !slices.Contains(signed, "host") {
		return &Refusal{Mismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	var missing []string
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") && !slices.Contains(unsignedAllowed, name) && !slices.Contains(signed, strings.ToLower(name)) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return &Refusal{Mismatch, fmt.Sprintf("'%s' must be a 'SignedHeader' in the AWS Authorization.", strings.Join(missing, "', '"))}
}

// payloadHash is the last line of the canonical request: the hash of the body as it arrived.
func payloadHash(r *http.Request, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	ours := hex.EncodeToString(sum[:])
	values := r.Header["X-Amz-Content-Sha256"]
	if len(values) == 0 {
		return ours, nil
	}
	if len(values) > 1 {
		return "", incomplete("X-Amz-Content-Sha256 header must be given once, got %d.", len(values))
	}
	switch theirs := textproto.TrimString(values[0]); {
	case strings.EqualFold(theirs, ours):
		return theirs, nil
	case strings.HasPrefix(theirs, "STREAMING-"):
		return "", incomplete("x-amz-content-sha256 '%s': chunked payload signing isn't supported. Sign the SHA-256 of the whole body.", theirs)
	case theirs == "UNSIGNED-PAYLOAD":
		return "", &Refusal{Mismatch, "x-amz-content-sha256 'UNSIGNED-PAYLOAD': the payload must be signed. Sign the SHA-256 of the body."}
	}
	return "", &Refusal{Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed."}
}

// forms are tried in this order; the first is what nearly every request is signed as.
var forms = []form{{}, {rawQuery: true}, {rawPath: true}, {rawPath: true, rawQuery: true}, {withoutToken: true}}

func (v *Verifier) checkSignature(r *http.Request, a *authorization, secret, payload string) error {
	d := derivation{a.scope.AccessKeyID, secret, a.scope.Date, a.scope.Region, a.scope.Service}
	key := v.cache.get(d)
	cached := key != nil
	if !cached {
		key = d.derive()
	}
	at, scope := a.at.Format(basicISO8601), a.scope.String()
	var first, previous, firstToSign string
	for i, f := range forms {
		if f.withoutToken && !a.presigned {
			continue
		}
		canonical := canonicalRequest(r, a.signedHeaders, payload, f)
		if canonical == first || canonical == previous {
			continue // most requests look the same in every form
		}
		toSign := stringToSign(at, scope, canonical)
		if hmac.Equal(sum(key, toSign), a.signature) {
			if !cached {
				v.cache.put(d, key)
			}
			return nil
		}
		if previous = canonical; i == 0 {
			first, firstToSign = canonical, toSign
		}
	}
	return mismatch(first, firstToSign)
}

// mismatch tells what we calculated from, as AWS does: comparing it with the client's own is the way to find the
// difference. Nothing in it is secret; the signature that we calculated would be.
func mismatch(canonical, toSign string) *Refusal {
	const words = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	if len(canonical) > maxEcho {
		return &Refusal{Mismatch, words}
	}
	return &Refusal{Mismatch, words + "\n\nThe Canonical String for this request should have been\n'" + canonical +
		"'\n\nThe String-to-Sign should have been\n'" + toSign + "'\n"}
}

// checkClock compares the time of signing with ours. It comes after the signature: a time that isn't signed for proves
// nothing about the client's clock.
func checkClock(a *authorization, now time.Time) error {
	now = now.UTC()
	validFor := skew
	if a.presigned {
		validFor = a.expires
	}
	at, stamp := a.at.Format(basicISO8601), now.Format(basicISO8601)
	switch age := now.Sub(a.at); {
	case age > validFor:
		return &Refusal{Skewed, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %s)",
			at, now.Add(-validFor).Format(basicISO8601), stamp, span(validFor))}
	case age < -skew:
		return &Refusal{Skewed, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %s)",
			at, now.Add(skew).Format(basicISO8601), stamp, span(skew))}
	}
	return nil
}

// span writes a duration as AWS does: "15 min."
func span(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min.", d/time.Minute)
	}
	return fmt.Sprintf("%d sec.", d/time.Second)
}
