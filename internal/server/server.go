// Package server is the composition root of the control plane: the only place that knows every part.
package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/agentlink/control"
	"github.com/openberth/berth/internal/config"
	"github.com/openberth/berth/internal/ecs/operations"
	"github.com/openberth/berth/internal/ecs/retention"
	"github.com/openberth/berth/internal/ecs/servicesched"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/gateway"
	"github.com/openberth/berth/internal/iam"
	"github.com/openberth/berth/internal/iam/rootkey"
	"github.com/openberth/berth/internal/observe"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/etcd"
	"github.com/openberth/berth/internal/wire"
)

// Server is a control plane: API, state, schedulers, and the server end of the agent protocol.
type Server struct {
	cfg     config.Config
	version string
	log     *slog.Logger
	key     iam.AccessKey
	listen  net.Listener
}

// New checks what can be checked before anything runs: it takes the port, and reads the root access key or makes it. Run
// does the rest.
func New(cfg config.Config, version string, log *slog.Logger) (*Server, error) {
	key, created, err := rootkey.Ensure(cfg.DataDir, time.Now())
	if err != nil {
		return nil, err
	}
	if created {
		log.Info("made the root access key", "file", rootkey.Path(cfg.DataDir))
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w; stop what listens there, or choose another address with --listen", cfg.Listen, err)
	}
	return &Server{cfg: cfg, version: version, log: log, key: key, listen: l}, nil
}

// Endpoint is the URL of the API for clients on this machine.
func (s *Server) Endpoint() string { return config.EndpointOf(s.listen.Addr().String()) }

// Run serves until ctx ends, then lets go of everything in the reverse order of its start. The port answers /health from
// the first moment; API calls are served as soon as the state is loaded.
func (s *Server) Run(ctx context.Context) error {
	defer s.listen.Close()
	backend, err := s.openBackend(ctx)
	if err != nil {
		return err
	}
	defer backend.Close()
	st := store.Open(backend, store.Options{Logger: s.log}, state.Tables()...)

	link := control.New(control.Config{Store: st, Scope: s.cfg.Scope(), Now: time.Now, Log: s.log.With("part", "agentlink")})
	api := &operations.Service{
		Store: st, Scope: s.cfg.Scope(), Now: time.Now, Log: s.log.With("part", "operations"),
		Endpoint: func(context.Context) string { return s.Endpoint() },
	}
	scheduler := servicesched.New(servicesched.Config{
		Store: st, Now: time.Now, Log: s.log.With("part", "servicesched"), HealthyAfter: s.cfg.Scheduler.HealthyAfter,
	})
	retain := retention.New(retention.Config{
		Store: st, Now: time.Now, Log: s.log.With("part", "retention"), StoppedTasks: s.cfg.Scheduler.StoppedTaskRetention,
		Collectors: []func(context.Context) error{api.CollectTaskDefinitions},
	})
	front := gateway.New(gateway.Options{
		Services:        []gateway.Service{{API: &ecsapi.API, Protocol: wire.NewAWSJSON(&ecsapi.API), Handlers: held(api.Handlers(), settled(ctx, st))}},
		Keys:            rootkey.NewKeys(s.key, s.cfg.Scope().Root()),
		Scope:           s.cfg.Scope(),
		Version:         s.version,
		Checks:          []gateway.Check{{Name: "store", Ready: func(ctx context.Context) error { return leading(st) }}},
		Log:             s.log.With("part", "gateway"),
		Metrics:         observe.NewRegistry(s.version),
		MaxRequestBytes: s.cfg.MaxRequestBytes,
	})
	front.Mount("GET /acs/ws", link.ACS(), true)
	front.Mount("GET /tcs/ws", link.TCS(), true)
	if s.cfg.DebugEndpoints {
		front.Mount("GET /debug/pprof/", observe.DebugHandler(), false)
	}

	s.log.Info("serving", "endpoint", s.Endpoint(), "account", s.cfg.Account, "region", s.cfg.Region, "version", s.version)
	// The store outlives the rest: what is under way when ctx ends still commits.
	storeCtx, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	var storeGroup errgroup.Group
	g, ctx := errgroup.WithContext(ctx)
	storeGroup.Go(func() error {
		err := st.Run(storeCtx)
		if err != nil && storeCtx.Err() == nil {
			g.Go(func() error { return fmt.Errorf("the store: %w", err) }) // ends the others
		}
		return nil
	})
	g.Go(func() error { return front.Serve(ctx, s.listen) })
	for _, part := range []func(context.Context) error{link.Run, scheduler.Run, retain.Run} {
		g.Go(func() error { return st.Lead(ctx, part) })
	}
	err = g.Wait()
	stopStore()
	return errors.Join(err, storeGroup.Wait())
}

// startPatience is how long calls that come during the start are held for. An embedded etcd is ready within a few hundred
// milliseconds, an external one's former leader may take its 10 s to expire.
const startPatience = 15 * time.Second

// settled is closed when the start is over: this server leads, or it has been waiting for so long that another one does.
func settled(ctx context.Context, st *store.Store) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-st.Ready():
		case <-time.After(startPatience):
		case <-ctx.Done():
		}
	}()
	return over
}

// held makes handlers wait for the end of the start, so that whoever calls a moment too early is answered a moment later
// instead of refused.
func held(handlers []wire.Handler, settled <-chan struct{}) []wire.Handler {
	out := make([]wire.Handler, len(handlers))
	for i, h := range handlers {
		serve := h.Serve
		h.Serve = func(ctx context.Context, decode func(any) error) (any, error) {
			select {
			case <-settled:
			case <-ctx.Done():
			}
			return serve(ctx, decode)
		}
		out[i] = h
	}
	return out
}

// leading says why this server can't answer yet.
func leading(st *store.Store) error {
	select {
	case <-st.Ready():
		return nil
	default:
		return errors.New("the state isn't loaded yet, or another server leads")
	}
}

type closingBackend interface {
	store.Backend
	io.Closer
}

func (s *Server) openBackend(ctx context.Context) (closingBackend, error) {
	log := s.log.With("part", "store")
	if s.cfg.Store.Embedded() {
		return etcd.Start(ctx, etcd.EmbeddedConfig{Dir: filepath.Join(s.cfg.DataDir, "state"), Logger: log})
	}
	tlsConfig, err := clientTLS(s.cfg.Store)
	if err != nil {
		return nil, err
	}
	return etcd.Connect(ctx, etcd.ExternalConfig{Endpoints: s.cfg.Store.Endpoints, TLS: tlsConfig, Logger: log})
}

// clientTLS reads the certificates for an external etcd; nil when none is configured.
func clientTLS(cfg config.Store) (*tls.Config, error) {
	if cfg.CertFile == "" && cfg.CAFile == "" {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("the store's client certificate: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the store's certificate authority: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the store's certificate authority: %s holds no PEM certificate", cfg.CAFile)
		}
	}
	return out, nil
}
