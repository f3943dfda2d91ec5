package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestGoSDKsAreNotHurried: only large requests of Go SDKs wait, and what the call itself took counts.
func TestGoSDKsAreNotHurried(t *testing.T) {
	for _, c := range []struct {
		name, agent string
		size        int
		took, want  time.Duration
	}{
		{"large, Go SDK", "aws-sdk-go-v2/1.47.7 ua/2.1", 8 << 10, 0, hastyPause},
		{"large, Go SDK, slow call", "aws-sdk-go-v2/1.47.7 ua/2.1", 8 << 10, time.Second, 0},
		{"small, Go SDK", "aws-sdk-go-v2/1.47.7 ua/2.1", 1 << 10, 0, 0},
		{"large, AWS CLI", "aws-cli/2.13", 8 << 10, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", c.size)))
			r.Header.Set("User-Agent", c.agent)
			read := time.Now()
			time.Sleep(c.took)
			begin := time.Now()
			unhurried(r, read)
			if waited := time.Since(begin); waited != c.want {
				t.Errorf("%s: waited %v, want %v", c.name, waited, c.want)
			}
		})
	}
}
