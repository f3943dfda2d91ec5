package gateway

import (
	"bufio"
	"context"
	"net"
	"net/http"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/observe"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// Mount serves h under a pattern of http.ServeMux, for what isn't an API call: agents' websockets, profiles. A signed mount
// takes requests with a good signature over an empty body only, for any of the gateway's services, and hands on who signed
// as wire.CallerOf.
//
// The request's context ends when the gateway stops; a handler that has taken over its connection must return then.
func (g *Gateway) Mount(pattern string, h http.Handler, signed bool) {
	connections := g.metrics.connections.WithLabelValues(pattern)
	g.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		id := arn.NewUUID()
		w.Header().Set("X-Amzn-Requestid", id)
		connections.Inc()
		defer connections.Dec()
		g.enter()
		defer g.leave()

		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(g.draining, cancel)()
		t := &takeover{ResponseWriter: w, gateway: g}
		defer t.release()
		if signed {
			accept := sigv4.Accept{Regions: []string{g.options.Scope.Region}, Services: g.routes.signingNames}
			identity, err := g.verifier.Verify(ctx, r, nil, accept, g.options.Now())
			if err != nil {
				g.refuse(&call{id: id, operation: pattern, protocol: jsonFallback}, &answer{ResponseWriter: w}, r, err)
				return
			}
			ctx = wire.WithCaller(ctx, g.caller(identity, r, id))
		}
		r = r.WithContext(ctx)
		if signed {
			r.Body = http.NoBody // nobody signed for one
		}
		err := guard(func() error {
			h.ServeHTTP(t, r)
			return nil
		})
		if err != nil {
			p := err.(*panicError) //nolint:errorlint // guard's own
			g.options.Log.Error("handler panicked", observe.KeyRequestID, id, observe.KeyOperation, pattern,
				observe.KeyError, p.value, observe.KeyStack, string(p.stack))
			if t.wrote || t.conn != nil {
				t.close()
				panic(http.ErrAbortHandler)
			}
			jsonFallback.Fault(w, unexplained(id, nil))
		}
	})
}

func (g *Gateway) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mounted++
}

func (g *Gateway) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mounted--; g.mounted == 0 {
		close(g.idle)
		g.idle = make(chan struct{})
	}
}

// takeover is the ResponseWriter of a mounted handler: it remembers the connection that a websocket takes over, which
// http.Server forgets.
type takeover struct {
	http.ResponseWriter
	gateway *Gateway
	wrote   bool
	conn    net.Conn
}

// Hijack implements http.Hijacker.
func (t *takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.conn = conn
	t.gateway.mu.Lock()
	defer t.gateway.mu.Unlock()
	t.gateway.hijacked[conn] = struct{}{}
	return conn, rw, nil
}

func (t *takeover) release() {
	if t.conn != nil {
		t.gateway.mu.Lock()
		defer t.gateway.mu.Unlock()
		delete(t.gateway.hijacked, t.conn)
	}
}

func (t *takeover) close() {
	if t.conn != nil {
		t.conn.Close() //nolint:errcheck // it is given up
	}
}

func (t *takeover) WriteHeader(status int) {
	t.wrote = true
	t.ResponseWriter.WriteHeader(status)
}

func (t *takeover) Write(b []byte) (int, error) {
	t.wrote = true
	return t.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (t *takeover) Flush() {
	t.wrote = true
	http.NewResponseController(t.ResponseWriter).Flush() //nolint:errcheck // http.Flusher has no error
}

// Unwrap is for http.ResponseController.
func (t *takeover) Unwrap() http.ResponseWriter { return t.ResponseWriter }
