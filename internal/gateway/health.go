package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Check is one thing that must hold before requests can be served.
type Check struct {
	Name  string
	Ready func(context.Context) error // why not; nil when it holds
}

// checkTimeout bounds a check: one that hangs isn't ready.
const checkTimeout = 2 * time.Second

// health is what /health says.
type health struct {
	Live    bool              `json:"live"`
	Ready   bool              `json:"ready"`
	Version string            `json:"version,omitempty"`
	Checks  map[string]string `json:"checks"` // "ok", or the reason
}

// serveHealth tells that the process serves (always 200: whoever restarts what isn't live must not do so because the store
// is busy electing a leader), and in the body what isn't ready. With ?ready it answers as serveReady.
func (g *Gateway) serveHealth(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("ready") {
		g.serveReady(w, r)
		return
	}
	writeHealth(w, http.StatusOK, g.health(r.Context()))
}

// serveReady answers 503 until every check holds, and again once the gateway is stopping.
func (g *Gateway) serveReady(w http.ResponseWriter, r *http.Request) {
	h := g.health(r.Context())
	status := http.StatusOK
	if !h.Ready {
		status = http.StatusServiceUnavailable
	}
	writeHealth(w, status, h)
}

func writeHealth(w http.ResponseWriter, status int, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(h) //nolint:errcheck // the client has gone: there is nobody to tell
}

// health runs the checks, all at once.
func (g *Gateway) health(ctx context.Context) health {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	h := health{Live: true, Ready: true, Version: g.options.Version, Checks: map[string]string{}}
	var mu sync.Mutex
	report := func(name string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			h.Checks[name] = "ok"
			return
		}
		h.Ready = false
		h.Checks[name] = err.Error()
	}
	if g.draining.Err() != nil {
		h.Ready = false
		h.Checks["gateway"] = "stopping"
	}
	var wg sync.WaitGroup
	for _, c := range g.options.Checks {
		wg.Go(func() { report(c.Name, guard(func() error { return c.Ready(ctx) })) })
	}
	wg.Wait()
	return h
}
