// Package gateway is the one HTTP front door: it finds out which service and operation a request is for, verifies who
// signed it, and has the handler serve it under the protocol that the client speaks. Health, metrics and websockets are
// behind the same door.
package gateway

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/observe"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// Service is one AWS API under one protocol. An API that clients call under several protocols is given once for each,
// with the same handlers.
type Service struct {
	API      *wire.Service
	Protocol wire.Protocol
	Handlers []wire.Handler // operations of the API without one are refused by name
}

// Options are what a Gateway is made of.
type Options struct {
	Services []Service
	Keys     sigv4.Keys
	Scope    arn.Scope // where this Berth is: whose account, which region
	Version  string
	Checks   []Check // what must hold before Berth is ready

	Now     func() time.Time     // default: time.Now
	Log     *slog.Logger         // default: discard
	Metrics *prometheus.Registry // default: a registry of its own

	MaxRequestBytes int64         // default: 4 MiB
	RequestTimeout  time.Duration // for one API call; default: 30 s, so that clients (60 s) hear of it
	DrainTimeout    time.Duration // for what is under way when Serve ends; default: 10 s
}

// Gateway serves them.
type Gateway struct {
	options  Options
	verifier *sigv4.Verifier
	routes   routes
	mux      *http.ServeMux // everything but API calls
	metrics  *metrics

	// draining is cancelled when the gateway stops; mounted handlers see it as their context.
	draining context.Context
	drain    context.CancelFunc

	mu       sync.Mutex
	mounted  int                   // mounted handlers that run
	hijacked map[net.Conn]struct{} // connections that they took over
	idle     chan struct{}         // closed and replaced whenever mounted falls to 0
}

// New makes a Gateway. Mount what else it should serve before it serves.
func New(o Options) *Gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.MaxRequestBytes <= 0 {
		o.MaxRequestBytes = 4 << 20
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = 30 * time.Second
	}
	if o.DrainTimeout <= 0 {
		o.DrainTimeout = 10 * time.Second
	}
	g := &Gateway{
		options:  o,
		verifier: sigv4.NewVerifier(o.Keys),
		routes:   newRoutes(o.Services),
		mux:      http.NewServeMux(),
		metrics:  newMetrics(o.Metrics),
		hijacked: map[net.Conn]struct{}{},
		idle:     make(chan struct{}),
	}
	g.draining, g.drain = context.WithCancel(context.Background())
	g.mux.HandleFunc("GET /health", g.serveHealth)
	g.mux.HandleFunc("GET /health/ready", g.serveReady)
	g.mux.Handle("GET /metrics", observe.MetricsHandler(o.Metrics))
	return g
}

// ServeHTTP implements http.Handler. Any Host is accepted: clients put prefixes in front of it, and proxies their own.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := g.mux.Handler(r); pattern != "" {
		if r.ContentLength != 0 {
			// Nobody wants a body here, but net/http waits for it, and anybody can send the beginning of one. A handler that
			// takes the connection over is free of the deadline.
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) //nolint:errcheck // not every ResponseWriter has one
		}
		g.mux.ServeHTTP(w, r)
		return
	}
	g.serveAPI(w, r)
}
