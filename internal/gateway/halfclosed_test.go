package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/wire/sigv4"
)

type noKeys struct{}

func (noKeys) AccessKey(context.Context, string) (sigv4.Key, bool, error) {
	return sigv4.Key{}, false, nil
}

// TestHalfClosedClientsAreRefused: a client that has closed its half of the connection is told what it did wrong, however early
// that is noticed; it used to be told now and then that Berth had failed.
func TestHalfClosedClientsAreRefused(t *testing.T) {
	g := New(Options{Keys: noKeys{}})
	ctx, closed := context.WithCancel(t.Context())
	closed()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("{}"))
	g.ServeHTTP(w, r)
	if w.Code < 400 || w.Code >= 500 {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
}
