package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Sign adds an Authorization header (and X-Amz-Date, and the session token) to r. The body is given apart and must be what
// r sends. Signed are the host, the content type and every x-amz- header; sign last, and change none of them afterwards.
//
// For a websocket, sign a GET of the http:// form of its URL without a body, and dial with the request's headers.
func Sign(r *http.Request, body []byte, c Credentials, service, region string, now time.Time) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	at := now.UTC().Format(basicISO8601)
	r.Header.Del("Authorization")
	r.Header.Set("X-Amz-Date", at)
	r.Header.Del("X-Amz-Security-Token")
	if c.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", c.SessionToken)
	}

	signed := []string{"host"}
	for name := range r.Header {
		if lower := strings.ToLower(name); lower == "content-type" || strings.HasPrefix(lower, "x-amz-") {
			signed = append(signed, lower)
		}
	}
	slices.Sort(signed)

	payload := sha256.Sum256(body)
	scope := CredentialScope{c.AccessKeyID, at[:len(dateOnly)], region, service, terminator}
	key := derivation{c.AccessKeyID, c.SecretAccessKey, scope.Date, region, service}.derive()
	canonical := canonicalRequest(r, signed, hex.EncodeToString(payload[:]), form{})
	signature := sum(key, stringToSign(at, scope.String(), canonical))
	r.Header.Set("Authorization", algorithm+" Credential="+c.AccessKeyID+"/"+scope.String()+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+hex.EncodeToString(signature))
}
