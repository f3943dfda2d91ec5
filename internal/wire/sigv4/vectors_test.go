package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// vectors.json holds requests that other signers signed (testdata/make_vectors.py).
type vectorFile struct {
	AccessKeyID, SecretAccessKey, Now string
	Vectors                           []vector
}

type vector struct{ Name, Service, Region, Token, Request string }

func readVectors(t testing.TB) (vectorFile, time.Time) {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	now, err := time.Parse(basicISO8601, f.Now)
	if err != nil {
		t.Fatal(err)
	}
	return f, now
}

func parseRequest(t testing.TB, raw string) (*http.Request, []byte) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, body
}

// oneKey is a set of one key.
type oneKey Key

func (k oneKey) AccessKey(_ context.Context, id string) (Key, bool, error) {
	return Key(k), id == k.AccessKeyID, nil
}

func TestVectorsOfOtherSignersVerify(t *testing.T) {
	f, now := readVectors(t)
	if len(f.Vectors) < 25 {
		t.Fatalf("only %d vectors", len(f.Vectors))
	}
	// What the Amazon ECS agent was seen to sign: these sets must be among the vectors.
	seen := map[string]bool{
		"SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;x-amz-date;x-amz-target,": false,
		"SignedHeaders=host;x-amz-date,": false,
	}
	defer func() {
		for set, found := range seen {
			if !found {
				t.Error("no vector with", set)
			}
		}
	}()
	for _, v := range f.Vectors {
		for set := range seen {
			seen[set] = seen[set] || strings.Contains(v.Request, set)
		}
		t.Run(v.Name, func(t *testing.T) {
			key := oneKey{Credentials: Credentials{f.AccessKeyID, f.SecretAccessKey, v.Token}, Principal: "arn:aws:iam::123456789012:root"}
			verifier := NewVerifier(key)
			accept := Accept{Regions: []string{v.Region}, Services: []string{v.Service}}
			for range 2 { // the second time with a cached signing key
				r, body := parseRequest(t, v.Request)
				id, err := verifier.Verify(t.Context(), r, body, accept, now)
				if err != nil {
					t.Fatal(err)
				}
				if id.AccessKeyID != f.AccessKeyID || id.Principal != key.Principal || id.Service != v.Service || id.Region != v.Region || !id.SignedAt.Equal(now) {
					t.Errorf("identity %+v", id)
				}
				if presigned := strings.Contains(v.Name, "presigned"); id.Presigned != presigned {
					t.Errorf("Presigned = %v", id.Presigned)
				}
			}
		})
	}
}

// Every byte that a signature covers must matter. Each vector is changed in one place; none may pass.
func TestAChangedRequestNeverVerifies(t *testing.T) {
	f, now := readVectors(t)
	changes := map[string]func(r *http.Request, body *[]byte) (changed bool){
		"method":       func(r *http.Request, _ *[]byte) bool { r.Method = "PUT"; return true },
		"host":         func(r *http.Request, _ *[]byte) bool { r.Host += "0"; return true },
		"body":         func(_ *http.Request, b *[]byte) bool { *b = append(bytes.Clone(*b), ' '); return true },
		"path":         func(r *http.Request, _ *[]byte) bool { r.RequestURI = changePath(r.RequestURI); return true },
		"query":        func(r *http.Request, _ *[]byte) bool { r.RequestURI = addParameter(r.RequestURI); return true },
		"content-type": func(r *http.Request, _ *[]byte) bool { return changeHeader(r, "Content-Type", "text/plain") },
		"target":       func(r *http.Request, _ *[]byte) bool { return changeHeader(r, "X-Amz-Target", "X.DeleteCluster") },
		"other header": func(r *http.Request, _ *[]byte) bool { return changeHeader(r, "My-Header", "a b c d") },
		"new x-amz header": func(r *http.Request, _ *[]byte) bool {
			r.Header.Set("X-Amz-New", "1")
			return true
		},
		"length": func(r *http.Request, _ *[]byte) bool {
			r.ContentLength++
			return strings.Contains(r.Header.Get("Authorization"), ";content-length;")
		},
		"date": func(r *http.Request, _ *[]byte) bool {
			return changeHeader(r, "X-Amz-Date", now.Add(time.Second).Format(basicISO8601))
		},
		"signature": func(r *http.Request, _ *[]byte) bool {
			h := r.Header.Get("Authorization")
			if h == "" {
				return false
			}
			last := "0"
			if strings.HasSuffix(h, "0") {
				last = "1"
			}
			r.Header.Set("Authorization", h[:len(h)-1]+last)
			return true
		},
	}
	seen := map[string]int{}
	for _, v := range f.Vectors {
		verifier := NewVerifier(oneKey{Credentials: Credentials{f.AccessKeyID, f.SecretAccessKey, v.Token}})
		for what, change := range changes {
			r, body := parseRequest(t, v.Request)
			if !change(r, &body) {
				continue
			}
			seen[what]++
			_, err := verifier.Verify(t.Context(), r, body, Accept{[]string{v.Region}, []string{v.Service}}, now)
			if refusal, ok := err.(*Refusal); !ok || refusal.Reason != Mismatch {
				t.Errorf("%s with another %s: %v", v.Name, what, err)
			}
		}
	}
	for what := range changes {
		if seen[what] == 0 {
			t.Errorf("no vector has a %s", what)
		}
	}
}

func changePath(uri string) string {
	path, query, has := strings.Cut(uri, "?")
	if path += "zz"; has {
		return path + "?" + query
	}
	return path
}

func addParameter(uri string) string {
	if strings.Contains(uri, "?") {
		return uri + "&zz=1"
	}
	return uri + "?zz=1"
}

func changeHeader(r *http.Request, name, value string) bool {
	if r.Header.Get(name) == "" {
		return false
	}
	r.Header.Set(name, value)
	return true
}
