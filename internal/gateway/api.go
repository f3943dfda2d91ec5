package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/observe"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// readTimeout is for a request's body, writeSlack for its answer, on top of the time for the call itself: a client that is
// slow on purpose would otherwise hold a connection, and what it has sent, for ever. (A variable for tests only.)
var readTimeout = 30 * time.Second

const (
	writeSlack = 30 * time.Second
	// maxDiscard is how much of a body that is too large is read to the end. Clients send all of it before they look for an
	// answer; closing the connection earlier would give them a broken pipe instead of the reason.
	maxDiscard = 16 << 20
)

// call is one API call on its way through.
type call struct {
	id        string
	route     *route // nil: for no service of ours
	protocol  wire.Protocol
	operation string
	started   time.Time
}

func (g *Gateway) serveAPI(w http.ResponseWriter, r *http.Request) {
	c := &call{id: arn.NewUUID(), started: g.options.Now()}
	g.metrics.inFlight.Inc()
	defer g.metrics.inFlight.Dec()
	w.Header().Set("X-Amzn-Requestid", c.id)
	// These are the sockets' deadlines: real time, not Options.Now.
	control := http.NewResponseController(w)
	control.SetWriteDeadline(time.Now().Add(readTimeout + g.options.RequestTimeout + writeSlack)) //nolint:errcheck // not every ResponseWriter has one

	if c.route = g.routes.find(r); c.route != nil {
		c.protocol = c.route.protocol
	} else {
		c.protocol = fallbackProtocol(r, c.id)
	}
	a := &answer{ResponseWriter: w}
	var out any
	err := guard(func() (err error) {
		out, err = g.attempt(c, w, r)
		return err
	})
	if err == nil {
		err = guard(func() error {
			c.protocol.Encode(a, out)
			return nil
		})
	}
	code := "OK"
	if err != nil {
		code = g.refuse(c, a, r, err)
	}
	g.record(c, r, code)
}

// attempt does all that can go wrong, up to the handler's result.
func (g *Gateway) attempt(c *call, w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := g.readBody(w, r)
	if err != nil {
		return nil, err
	}
	defer unhurried(r, time.Now())
	r.Body = io.NopCloser(bytes.NewReader(body)) // for protocols that look into it to find the operation
	identity, err := g.verifier.Verify(r.Context(), r, body, g.accepts(c, r), g.options.Now())
	if err != nil {
		return nil, err
	}
	if c.route == nil {
		code := "UnknownOperationException"
		if c.protocolName() == "query" {
			code = "InvalidAction"
		}
		return nil, fault.New(code, "Berth doesn't serve this operation of %s.", identity.Service)
	}
	operation, err := c.protocol.Route(r)
	if err != nil {
		return nil, err
	}
	c.operation = operation
	handler, ok := c.route.handlers[operation]
	if !ok {
		return nil, fault.Unsupported("Berth does not implement %s yet; see docs/compat/%s.md", operation, c.route.api.ID)
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.options.RequestTimeout)
	defer cancel()
	ctx = wire.WithCaller(ctx, g.caller(identity, r, c.id))
	out, err := handler.Serve(ctx, func(in any) error { return c.protocol.Decode(r, body, in) })
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil && r.Context().Err() == nil {
		return nil, &timedOut{g.options.RequestTimeout, err} // our deadline, not one of the handler's own
	}
	return out, err
}

// timedOut is a call that Options.RequestTimeout has ended.
type timedOut struct {
	after time.Duration
	err   error
}

func (t *timedOut) Error() string { return fmt.Sprintf("no result after %v: %v", t.after, t.err) }

func (g *Gateway) caller(identity sigv4.Identity, r *http.Request, requestID string) wire.Caller {
	return wire.Caller{
		Account:     g.options.Scope.Account,
		ARN:         identity.Principal,
		AccessKeyID: identity.AccessKeyID,
		RequestID:   requestID,
		UserAgent:   r.UserAgent(),
		Host:        r.Host,
		TLS:         r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// accepts is the credential scope that a call must be signed for.
func (g *Gateway) accepts(c *call, r *http.Request) sigv4.Accept {
	regions := []string{g.options.Scope.Region}
	var service string
	if c.route != nil {
		service = c.route.api.SigningName
	} else if scope, ok := sigv4.PeekScope(r); ok {
		// For no service of ours: a good signature gets told so, rather than that it was made for the wrong service.
		service = scope.Service
	}
	if service == "iam" || service == "sts" {
		regions = append(regions, globalRegion(g.options.Scope.Partition))
	}
	return sigv4.Accept{Regions: regions, Services: []string{service}}
}

// globalRegion is where clients sign calls for that have no region.
func globalRegion(partition string) string {
	switch partition {
	case "aws-cn":
		return "cn-north-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	}
	return "us-east-1"
}

// tooLarge is answered with 413.
type tooLarge struct{ limit int64 }

func (e tooLarge) Error() string {
	return fmt.Sprintf("HTTP content length exceeded %d bytes.", e.limit)
}

// readBody reads the whole body: its hash is part of the signature.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(readTimeout)) //nolint:errcheck // not every ResponseWriter has one
	limit := g.options.MaxRequestBytes
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(min(r.ContentLength, 64<<10))) // what is announced needn't come
	}
	n, err := io.Copy(&b, io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return nil, fault.New("SerializationException", "The request body could not be read: %v", err)
	case n > limit:
		io.CopyN(io.Discard, r.Body, maxDiscard) //nolint:errcheck // whatever happens, the answer is the same
		return nil, tooLarge{limit}
	}
	// Only now: net/http reads on in a body that wasn't read to its end, and that must end too.
	control.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	return b.Bytes(), nil
}

// refuse answers with an error, logs it if it is Berth's own, and returns its code.
func (g *Gateway) refuse(c *call, a *answer, r *http.Request, err error) string {
	log := g.options.Log.With(observe.KeyRequestID, c.id, observe.KeyOperation, c.operation)
	// The client has gone, most likely. It may also have closed its half of the connection only, and be reading: without an
	// answer it would get net/http's own, which is a 200.
	gone := r.Context().Err() != nil
	var (
		f        *fault.Error
		refusal  *sigv4.Refusal
		large    tooLarge
		late     *timedOut
		panicked *panicError
	)
	switch {
	case errors.As(err, &panicked):
		log.Error("handler panicked", observe.KeyError, panicked.value, observe.KeyStack, string(panicked.stack))
		f = unexplained(c.id, nil)
	case errors.As(err, &refusal):
		f, a.status = refusal.Fault(c.protocolName()), refusal.Status(c.protocolName())
	case errors.As(err, &large):
		f, a.status = fault.New("RequestEntityTooLargeException", "%s", large.Error()), http.StatusRequestEntityTooLarge
	case errors.As(err, &late):
		log.Error("request timed out", observe.KeyError, err)
		f = fault.Internal(err, "The request took longer than %v. Its request id is %s.", late.after, c.id)
	case errors.As(err, &f):
		if f.Kind == fault.Server && !gone {
			log.Error("request failed", observe.KeyCode, f.Code, observe.KeyError, f)
		}
	case gone:
		log.Debug("client went away", observe.KeyError, err)
		f = fault.Internal(err, "The connection was closed before the call was over.")
	default:
		log.Error("request failed", observe.KeyError, err)
		f = unexplained(c.id, err)
	}
	if gone {
		if !a.wrote {
			c.protocol.Fault(a, f)
		}
		return "ClientClosedRequest"
	}
	if a.wrote { // an encoder broke in the middle of an answer: cut it off, so that nobody takes it for whole
		panic(http.ErrAbortHandler)
	}
	c.protocol.Fault(a, f)
	return f.Code
}

// unexplained is what clients hear of a failure that nobody foresaw: nothing but where to look it up.
func unexplained(id string, err error) *fault.Error {
	return fault.Internal(err, "Berth failed to serve this request. Its log says why, under request id %s.", id)
}

func (c *call) protocolName() string {
	if c.route != nil {
		return c.route.api.Protocol
	}
	if _, ok := c.protocol.(xmlFallback); ok {
		return "query"
	}
	return "json"
}

func (g *Gateway) record(c *call, r *http.Request, code string) {
	service := ""
	if c.route != nil {
		service = c.route.api.ID
	}
	took := g.options.Now().Sub(c.started)
	g.metrics.requests.WithLabelValues(service, c.operation, code).Observe(took.Seconds())
	if g.options.Log.Enabled(r.Context(), slog.LevelDebug) {
		g.options.Log.Debug("request served", observe.KeyRequestID, c.id, observe.KeyService, service,
			observe.KeyOperation, c.operation, observe.KeyCode, code, observe.KeyDuration, took)
	}
}

// panicError is a panic on its way to the log.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprint("panic: ", p.value) }

// guard turns a panic of f into an error. http.ErrAbortHandler passes: it is how a handler gives up a connection.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f()
}

// answer lets the gateway give an answer another status than the protocol would, and tells whether one was begun.
type answer struct {
	http.ResponseWriter
	status int // 0: the protocol's
	wrote  bool
}

func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		status = a.status
	}
	a.wrote = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.wrote = true
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
