package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	readHeaderTimeout = 10 * time.Second
	// idleTimeout outlasts the time for which SDKs keep an idle connection, so that a request never meets a closing one.
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// Serve serves on ln until ctx ends. Then it takes no more requests, tells mounted handlers to end, and lets what is under
// way finish within DrainTimeout; what is left over is cut off, which is an error. A Gateway serves once.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	// Requests outlive ctx: they are what draining is for.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(g.options.Log.Handler(), slog.LevelDebug), // clients' broken TLS and the like
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		g.drain()
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}

	g.drain()
	grace, cancel := context.WithTimeout(base, g.options.DrainTimeout)
	defer cancel()
	err := errors.Join(server.Shutdown(grace), g.awaitMounts(grace))
	if err == nil {
		return nil
	}
	cut()
	err = fmt.Errorf("requests were still under way after %v and were cut off: %w", g.options.DrainTimeout, err)
	return errors.Join(err, server.Close(), g.closeHijacked())
}

// awaitMounts waits until no mounted handler runs. http.Server.Shutdown doesn't: it forgets connections taken over.
func (g *Gateway) awaitMounts(ctx context.Context) error {
	for {
		g.mu.Lock()
		n, idle := g.mounted, g.idle
		g.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("%d mounted handlers: %w", n, ctx.Err())
		}
	}
}

func (g *Gateway) closeHijacked() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []error
	for conn := range g.hijacked {
		if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
