package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// form chooses between the ways in which real signers turn the same request into canonical text.
type form struct {
	// rawPath leaves "//", "/./" and "/../" in the path, as aws-sdk-go-v2 signs it; botocore takes them out.
	rawPath bool
	// rawQuery takes the query's pairs as they stand on the wire, as botocore signs a URL that it was given; otherwise
	// they are decoded and encoded anew. The difference shows in a "+" (aws-sdk-go-v2, and so the Amazon ECS agent, signs
	// a space that it then sends as "+") and in characters that needn't have been escaped.
	rawQuery bool
	// withoutToken leaves the session token out of a presigned query: some clients (MQTT's) add it after signing.
	withoutToken bool
}

// canonicalRequest is the text that the client hashed and signed, were it to arrive as r.
func canonicalRequest(r *http.Request, signedHeaders []string, payloadHash string, f form) string {
	path, query := target(r)
	method := r.Method
	if method == "" { // a client's request that leaves GET out
		method = http.MethodGet
	}
	var b strings.Builder
	b.WriteString(method)
	b.WriteByte('\n')
	b.WriteString(canonicalPath(path, f.rawPath))
	b.WriteByte('\n')
	b.WriteString(canonicalQuery(query, f))
	b.WriteByte('\n')
	for _, name := range signedHeaders {
		b.WriteString(name)
		b.WriteByte(':')
		for i, v := range headerValues(r, name) {
			if i > 0 {
				b.WriteByte(',')
			}
			foldBlanks(&b, v)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(signedHeaders, ";"))
	b.WriteByte('\n')
	b.WriteString(payloadHash)
	return b.String()
}

// target is the path and the query as they stand on the wire. The decoded URL.Path has lost what was signed: "/a%2Fb" and
// "/a/b" are the same there.
func target(r *http.Request) (path, query string) {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, query, _ = strings.Cut(r.RequestURI, "?")
		return path, query
	}
	return r.URL.EscapedPath(), r.URL.RawQuery // a client's request, or the absolute form that proxies get
}

// canonicalPath escapes the escaped path once more ("%20" becomes "%2520"), as every service but S3 has it.
func canonicalPath(path string, raw bool) string {
	if path == "" {
		return "/"
	}
	if !raw {
		path = cleanPath(path)
	}
	var b strings.Builder
	escape(&b, path, true)
	return b.String()
}

// cleanPath resolves "." and "..", and collapses slashes; a closing slash stays. Not path.Clean, which drops it.
func cleanPath(p string) string {
	var kept []string
	for segment := range strings.SplitSeq(p, "/") {
		switch segment {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, segment)
		}
	}
	out := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && strings.HasSuffix(p, "/") {
		out += "/"
	}
	return out
}

// canonicalQuery sorts the pairs by encoded name, then by encoded value. The signature of a presigned request isn't part
// of what it signs.
func canonicalQuery(query string, f form) string {
	if query == "" {
		return ""
	}
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if name == "X-Amz-Signature" || part == "" && !f.rawQuery || name == "X-Amz-Security-Token" && f.withoutToken {
			continue
		}
		if !f.rawQuery {
			name, value = reencode(name), reencode(value)
		}
		pairs = append(pairs, pair{name, value})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

// reencode decodes a name or a value of a query ("+" is a space, as handlers will read it too) and encodes it the one way
// that RFC 3986 has. A '%' that escapes nothing stands for itself.
func reencode(s string) string {
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			decoded = append(decoded, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			decoded = append(decoded, byte(n))
			i += 2
		default:
			decoded = append(decoded, c)
		}
	}
	var b strings.Builder
	escape(&b, string(decoded), false)
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// escape percent-encodes every byte that RFC 3986 doesn't call unreserved.
func escape(b *strings.Builder, s string, keepSlash bool) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
}

// headerValues gives the values of a header in order of arrival. net/http takes three headers out of Header that clients
// do sign: they are rebuilt from where it puts them.
func headerValues(r *http.Request, name string) []string {
	switch name {
	case "host":
		if r.Host == "" && r.URL != nil { // a client's request
			return []string{r.URL.Host}
		}
		return []string{r.Host}
	case "content-length":
		if r.ContentLength >= 0 {
			return []string{strconv.FormatInt(r.ContentLength, 10)}
		}
	case "transfer-encoding":
		if len(r.TransferEncoding) > 0 {
			return r.TransferEncoding
		}
	}
	return r.Header[http.CanonicalHeaderKey(name)]
}

// foldBlanks writes v without blanks at its ends, and inner runs of them as one space.
func foldBlanks(b *strings.Builder, v string) {
	v = strings.Trim(v, " \t")
	blank := false
	for i := range len(v) {
		if v[i] == ' ' || v[i] == '\t' {
			blank = true
			continue
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		b.WriteByte(v[i])
	}
}

func stringToSign(at, scope, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return algorithm + "\n" + at + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
}
