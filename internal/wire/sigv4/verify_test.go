package sigv4

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var (
	testCredentials = Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00"}
	testNow         = time.Date(2026, 2, 13, 8, 30, 5, 0, time.UTC)
	testAccept      = Accept{Regions: []string{"us-east-1"}, Services: []string{"ecs"}}
)

// call makes a server-side request as the CLI would send it, signed at testNow.
func call(c Credentials, service, region string) *http.Request {
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListClusters")
	Sign(r, []byte("{}"), c, service, region, testNow)
	return r
}

func verify(t *testing.T, key Key, r *http.Request, now time.Time) (Identity, error) {
	t.Helper()
	return NewVerifier(oneKey(key)).Verify(t.Context(), r, []byte("{}"), testAccept, now)
}

func TestOwnSignaturesVerify(t *testing.T) {
	for _, url := range []string{
		"http://127.0.0.1:4566/",
		"http://berth.internal/a%20b//c/../d?x=1&y=a+b&z=%2B&empty&&u=%C3%BC&bad=%zz",
	} {
		for _, token := range []string{"", "a-token"} {
			c := testCredentials
			c.SessionToken = token
			r := httptest.NewRequest("POST", url, nil)
			r.Header.Set("Authorization", "what was there before")
			Sign(r, []byte("{}"), c, "ecs", "us-east-1", testNow)
			if _, err := verify(t, Key{Credentials: c}, r, testNow); err != nil {
				t.Errorf("%s: %v", url, err)
			}
		}
	}
}

// What Sign does to a client's request must hold for what the server receives.
func TestSignedRequestsSurviveTheWire(t *testing.T) {
	var got error
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, got = NewVerifier(oneKey{Credentials: testCredentials}).Verify(r.Context(), r, nil, testAccept, testNow)
	}))
	defer server.Close()
	r, err := http.NewRequest("", server.URL+"/acs/ws?dockerVersion=DockerVersion%3A+20.10.24%2Bdfsg1&seqNum=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	Sign(r, nil, testCredentials, "ecs", "us-east-1", testNow)
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got != nil {
		t.Error(got)
	}
}

func TestRefusals(t *testing.T) {
	key := Key{Credentials: testCredentials}
	session := Key{Credentials: Credentials{"ASIAIOSFODNN7EXAMPLE", "secret", "token"}, Expires: testNow.Add(time.Hour)}
	good := func() *http.Request { return call(testCredentials, "ecs", "us-east-1") }
	authorization := func(h string) *http.Request {
		r := good()
		r.Header.Set("Authorization", h)
		return r
	}
	// change replaces a part of a good Authorization header.
	change := func(old, new string) *http.Request {
		r := good()
		h := r.Header.Get("Authorization")
		if !strings.Contains(h, old) {
			t.Fatalf("no %q in %s", old, h)
		}
		return authorization(strings.Replace(h, old, new, 1))
	}
	header := func(name, value string) *http.Request {
		r := good()
		r.Header.Set(name, value)
		return r
	}
	presigned := func(query string) *http.Request { return httptest.NewRequest("GET", "http://h/?"+query, nil) }
	const allParameters = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260213%2Fus-east-1%2Fecs%2Faws4_request&X-Amz-Signature=00&X-Amz-SignedHeaders=host&X-Amz-Date=20260213T083005Z"

	for _, c := range []struct {
		name    string
		request *http.Request
		key     Key
		now     time.Time
		reason  Reason
		message string // a part of it
	}{
		{"no signature", httptest.NewRequest("GET", "http://h/", nil), key, testNow, Missing, "Missing Authentication Token"},
		{"bearer token", authorization("Bearer abc"), key, testNow, Incomplete,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=Bearer"},
		{"empty header", authorization(""), key, testNow, Incomplete, "requires 'Credential' parameter"},
		{"no date", func() *http.Request { r := good(); r.Header.Del("X-Amz-Date"); return r }(), key, testNow, Incomplete,
			"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256"},
		{"no signature parameter", change(", Signature=", ", Sig="), key, testNow, Incomplete, "Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256"},
		{"missing equal sign", change("SignedHeaders=", "SignedHeaders "), key, testNow, Incomplete, "' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 "},
		{"parameter twice", change(", Signature=", ", Signature=00, Signature="), key, testNow, Incomplete, "one 'Signature' parameter"},
		{"two headers", func() *http.Request { r := good(); r.Header.Add("Authorization", "x"); return r }(), key, testNow, Incomplete, "given once, got 2"},
		{"two dates", func() *http.Request { r := good(); r.Header.Add("X-Amz-Date", "x"); return r }(), key, testNow, Incomplete, "X-Amz-Date header must be given once"},
		{"two tokens", func() *http.Request { r := good(); r.Header["X-Amz-Security-Token"] = []string{"a", "b"}; return r }(), key, testNow, Incomplete, "X-Amz-Security-Token header must be given once"},
		{"bad date", header("X-Amz-Date", "2026-02-13T08:30:05Z"), key, testNow, Incomplete, "Date must be in ISO-8601 'basic format'. Got '2026-02-13T08:30:05Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"slash in the key id", change("Credential=", "Credential=a/"), key, testNow, Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/AKIA"},
		{"line break in signed headers", presigned(strings.Replace(allParameters, "SignedHeaders=host", "SignedHeaders=host%0Ax:y%3Bhost", 1)), key, testNow, Incomplete, "SignedHeaders must be header names"},
		{"SigV4a", change("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), key, testNow, Incomplete, "(SigV4a). Sign with 'AWS4-HMAC-SHA256'"},
		{"another algorithm", change("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), key, testNow, Incomplete, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'"},
		{"streaming", header("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), key, testNow, Incomplete, "chunked payload signing isn't supported"},
		{"unsigned payload", header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), key, testNow, Mismatch, "the payload must be signed"},
		{"another payload's hash", header("X-Amz-Content-Sha256", strings.Repeat("0", 64)), key, testNow, Mismatch, "does not match what was computed"},
		{"another region", call(testCredentials, "ecs", "eu-west-1"), key, testNow, WrongScope,
			"Credential should be scoped to a valid region, not 'eu-west-1'. This Berth serves region us-east-1: set AWS_REGION and AWS_DEFAULT_REGION (AWS CLI v1, boto3), or run `eval \"$(berth env)\"`."},
		{"another service", call(testCredentials, "sqs", "us-east-1"), key, testNow, WrongScope, "Credential should be scoped to correct service: 'ecs'."},
		{"another terminator", change("/aws4_request", "/aws3_request"), key, testNow, WrongScope, "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws3_request'."},
		{"another day", change("/20260213/", "/20260212/"), key, testNow, WrongScope,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260212' != '20260213', from '20260213T083005Z'."},
		{"region and service", call(testCredentials, "sqs", "eu-west-1"), key, testNow, WrongScope, "`. Credential should be scoped to correct service"},
		{"unknown key", call(Credentials{AccessKeyID: "AKIAUNKNOWN", SecretAccessKey: "x"}, "ecs", "us-east-1"), key, testNow, UnknownKey, "The security token included in the request is invalid."},
		{"token missing", call(Credentials{AccessKeyID: session.AccessKeyID, SecretAccessKey: "secret"}, "ecs", "us-east-1"), session, testNow, UnknownKey, "is invalid."},
		{"token wrong", call(Credentials{session.AccessKeyID, "secret", "other"}, "ecs", "us-east-1"), session, testNow, UnknownKey, "is invalid."},
		{"token not asked for", call(Credentials{key.AccessKeyID, key.SecretAccessKey, "token"}, "ecs", "us-east-1"), key, testNow, UnknownKey, "is invalid."},
		{"token over", call(session.Credentials, "ecs", "us-east-1"), session, session.Expires, TokenExpired, "The security token included in the request is expired"},
		{"wrong secret", call(Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: "x"}, "ecs", "us-east-1"), key, testNow, Mismatch,
			"Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:127.0.0.1:4566\n"},
		{"wrong secret and a wrong clock", call(Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: "x"}, "ecs", "us-east-1"), key, testNow.Add(time.Hour), Mismatch, "The request signature we calculated"},
		{"signature of another length", change("Signature=", "Signature=00"), key, testNow, Mismatch, "The request signature we calculated"},
		{"host unsigned", change("host;", ""), key, testNow, Mismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"target unsigned", change(";x-amz-target", ""), key, testNow, Mismatch, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
		{"too old", good(), key, testNow.Add(15*time.Minute + time.Second), Skewed,
			"Signature expired: 20260213T083005Z is now earlier than 20260213T083006Z (20260213T084506Z - 15 min.)"},
		{"too new", good(), key, testNow.Add(-15*time.Minute - time.Second), Skewed,
			"Signature not yet current: 20260213T083005Z is still later than 20260213T083004Z (20260213T081504Z + 15 min.)"},
		{"presigned with nothing else", presigned("X-Amz-Algorithm=AWS4-HMAC-SHA256"), key, testNow, Incomplete,
			"AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."},
		{"presigned, SigV4a", presigned("X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256"), key, testNow, Incomplete, "SigV4a"},
		{"presigned, no algorithm of ours", presigned(strings.Replace(allParameters, "AWS4-HMAC-SHA256", "HMAC", 1)), key, testNow, Incomplete, "Unsupported AWS 'algorithm': 'HMAC'"},
		{"presigned, parameter twice", presigned(allParameters + "&X-Amz-Date=1"), key, testNow, Incomplete, "'X-Amz-Date' must be given once"},
		{"presigned for more than a week", presigned(allParameters + "&X-Amz-Expires=604801"), key, testNow, Incomplete, "less than a week"},
		{"presigned for no time", presigned(allParameters + "&X-Amz-Expires=0"), key, testNow, Incomplete, "must be positive"},
		{"presigned until never", presigned(allParameters + "&X-Amz-Expires=soon"), key, testNow, Incomplete, "should be a number"},
		{"presigned with an HTTP date", presigned(strings.Replace(allParameters, "20260213T083005Z", "Fri,+13+Feb+2026+08:30:05+GMT", 1)), key, testNow, Incomplete, "basic format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := verify(t, c.key, c.request, c.now)
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("want a refusal, got %v", err)
			}
			if refusal.Reason != c.reason || !strings.Contains(refusal.Message, c.message) {
				t.Errorf("got  %v\nwant (%v): %s", refusal, c.reason, c.message)
			}
			if strings.Contains(refusal.Message, c.key.SecretAccessKey) && c.key.SecretAccessKey != "secret" {
				t.Error("the refusal gives the secret away")
			}
		})
	}
}

func TestClockMayBeOffByFifteenMinutes(t *testing.T) {
	for _, d := range []time.Duration{-15 * time.Minute, 0, 15 * time.Minute} {
		if _, err := verify(t, Key{Credentials: testCredentials}, call(testCredentials, "ecs", "us-east-1"), testNow.Add(d)); err != nil {
			t.Errorf("clock off by %v: %v", d, err)
		}
	}
}

func TestPresignedRequestIsValidForAsLongAsItSays(t *testing.T) {
	f, now := readVectors(t)
	for _, v := range f.Vectors {
		if v.Name != "presigned GET, extra signed header" { // for 60 s
			continue
		}
		verifier := NewVerifier(oneKey{Credentials: Credentials{f.AccessKeyID, f.SecretAccessKey, ""}})
		for offset, want := range map[time.Duration]string{
			-15 * time.Minute: "", 60 * time.Second: "",
			61 * time.Second:                "Signature expired: 20260213T083005Z is now earlier than 20260213T083006Z (20260213T083106Z - 1 min.)",
			-15*time.Minute - 1*time.Second: "Signature not yet current: ",
		} {
			r, body := parseRequest(t, v.Request)
			_, err := verifier.Verify(t.Context(), r, body, Accept{[]string{v.Region}, []string{v.Service}}, now.Add(offset))
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("after %v: %v", offset, err)
			}
		}
		return
	}
	t.Fatal("vector is gone")
}

type brokenKeys struct{ error }

func (b brokenKeys) AccessKey(context.Context, string) (Key, bool, error) {
	return Key{}, false, b.error
}

// A key store that is down isn't the client's fault: clients give up on a refusal, and retry a server's error.
func TestFailedLookUpIsNoRefusal(t *testing.T) {
	down := errors.New("store is down")
	_, err := NewVerifier(brokenKeys{down}).Verify(t.Context(), call(testCredentials, "ecs", "us-east-1"), []byte("{}"), testAccept, testNow)
	var refusal *Refusal
	if !errors.Is(err, down) || errors.As(err, &refusal) {
		t.Errorf("got %v", err)
	}
}

// A key that is replaced under the same id (secret rotated) must not be answered for from the cache.
func TestReplacedSecretIsNotCached(t *testing.T) {
	key := oneKey{Credentials: testCredentials}
	verifier := NewVerifier(&key)
	check := func() error {
		_, err := verifier.Verify(t.Context(), call(testCredentials, "ecs", "us-east-1"), []byte("{}"), testAccept, testNow)
		return err
	}
	if err := check(); err != nil {
		t.Fatal(err)
	}
	key.SecretAccessKey = "another"
	if check() == nil {
		t.Error("the old secret still signs")
	}
}

func TestSigningKeyCache(t *testing.T) {
	var c signingKeys
	for i := range 3 * maxSigningKeys {
		c.put(derivation{accessKeyID: fmt.Sprint(i)}, []byte{1})
		if len(c.m) > maxSigningKeys {
			t.Fatalf("%d keys after %d", len(c.m), i)
		}
	}
	verifier := NewVerifier(oneKey{Credentials: testCredentials})
	bad := call(Credentials{AccessKeyID: testCredentials.AccessKeyID, SecretAccessKey: "x"}, "ecs", "us-east-1")
	verifier.Verify(t.Context(), bad, []byte("{}"), testAccept, testNow)
	if len(verifier.cache.m) != 0 {
		t.Error("a key was cached for a signature that didn't verify")
	}
	verifier.Verify(t.Context(), call(testCredentials, "ecs", "us-east-1"), []byte("{}"), testAccept, testNow)
	if len(verifier.cache.m) != 1 {
		t.Error("the key of a verified signature wasn't cached")
	}
}

func TestFaultsByProtocol(t *testing.T) {
	for _, c := range []struct {
		reason         Reason
		protocol, code string
		status         int
	}{
		{Missing, "json", "MissingAuthenticationTokenException", 400},
		{Missing, "query", "MissingAuthenticationToken", 403},
		{Incomplete, "json", "IncompleteSignatureException", 400},
		{UnknownKey, "json", "UnrecognizedClientException", 400},
		{UnknownKey, "query", "InvalidClientTokenId", 403},
		{UnknownKey, "ec2", "AuthFailure", 401},
		{TokenExpired, "smithy-rpc-v2-cbor", "ExpiredTokenException", 400},
		{Mismatch, "json", "InvalidSignatureException", 400},
		{Mismatch, "rest-json", "InvalidSignatureException", 403},
		{Mismatch, "query", "SignatureDoesNotMatch", 403},
		{Skewed, "json", "InvalidSignatureException", 400},
		{Skewed, "ec2", "RequestExpired", 400},
		{WrongScope, "json", "InvalidSignatureException", 400},
	} {
		r := &Refusal{c.reason, "words"}
		if f := r.Fault(c.protocol); f.Code != c.code || f.Message == "" || r.Status(c.protocol) != c.status {
			t.Errorf("%v under %s: %d %v", c.reason, c.protocol, r.Status(c.protocol), f)
		}
	}
}

// FuzzVerify feeds arbitrary headers, targets and hosts: nothing may panic, and nothing but a good signature may pass.
func FuzzVerify(f *testing.F) {
	good := call(testCredentials, "ecs", "us-east-1")
	f.Add(good.Header.Get("Authorization"), "/", "X-Amz-Target", good.Header.Get("X-Amz-Target"), good.Header.Get("X-Amz-Date"))
	vectors, _ := readVectors(f)
	for _, v := range vectors.Vectors {
		r, _ := parseRequest(f, v.Request)
		f.Add(r.Header.Get("Authorization"), r.RequestURI, "My-Header", r.Header.Get("My-Header"), r.Header.Get("X-Amz-Date"))
	}
	f.Add("AWS4-HMAC-SHA256 ,=,==;Credential=////", "/?X-Amz-Algorithm=%zz&;", "X-Amz-Content-Sha256", "STREAMING-", "")
	verifier := NewVerifier(oneKey{Credentials: Credentials{"AKIAFUZZ", "not the secret of any seed", ""}})
	f.Fuzz(func(t *testing.T, authorization, target, name, value, date string) {
		r, err := http.NewRequest("GET", "http://h/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := r.URL.Parse(target); err == nil {
			r.URL = u
			r.RequestURI = target
		}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("X-Amz-Date", date)
		r.Header.Set(name, value)
		var refusal *Refusal
		if _, err := verifier.Verify(t.Context(), r, nil, testAccept, testNow); !errors.As(err, &refusal) {
			t.Errorf("got %v", err)
		}
		PeekScope(r)
	})
}

func BenchmarkVerify(b *testing.B) {
	r := call(testCredentials, "ecs", "us-east-1")
	verifier := NewVerifier(oneKey{Credentials: testCredentials})
	for b.Loop() {
		if _, err := verifier.Verify(b.Context(), r, []byte("{}"), testAccept, testNow); err != nil {
			b.Fatal(err)
		}
	}
}
