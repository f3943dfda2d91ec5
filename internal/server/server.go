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
// the first moment, also while the store is away; API calls are served as soon as the state is loaded and this server leads.
func (s *Server) Run(ctx context.Context) error {
	defer s.listen.Close()
	// The store follows. Until then calls are held, and agents are refused, which need a leader.
	link := control.New(control.Config{Scope: s.cfg.Scope(), Now: time.Now, Log: s.log.With("part", "agentlink")})
	api := &operations.Service{
		Scope: s.cfg.Scope(), Now: time.Now, Log: s.log.With("part", "operations"), Endpoint: s.endpointFor,
	}
	start := newStartup(ctx)
	front := gateway.New(gateway.Options{
		Services:        []gateway.Service{{API: &ecsapi.API, Protocol: wire.NewAWSJSON(&ecsapi.API), Handlers: start.held(api.Handlers())}},
		Keys:            rootkey.NewKeys(s.key, s.cfg.Scope().Root()),
		Scope:           s.cfg.Scope(),
		Version:         s.version,
		Checks:          []gateway.Check{{Name: "store", Ready: func(context.Context) error { return start.leading() }}},
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
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return front.Serve(ctx, s.listen) })

	backend, err := s.openBackend(ctx)
	if err != nil {
		if ctx.Err() == nil {
			g.Go(func() error { return err }) // ends the gateway
		}
		return g.Wait()
	}
	defer backend.Close()
	st := store.Open(backend, store.Options{ID: s.id(), Logger: s.log}, state.Tables()...)
	link.Store, api.Store = st, st
	start.opened(st)
	scheduler := servicesched.New(servicesched.Config{
		Store: st, Now: time.Now, Log: s.log.With("part", "servicesched"), HealthyAfter: s.cfg.Scheduler.HealthyAfter,
	})
	retain := retention.New(retention.Config{
		Store: st, Now: time.Now, Log: s.log.With("part", "retention"), StoppedTasks: s.cfg.Scheduler.StoppedTaskRetention,
		Collectors: []func(context.Context) error{api.CollectTaskDefinitions},
	})

	// The store outlives the rest: what is under way when ctx ends still commits.
	storeCtx, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	var storeGroup errgroup.Group
	storeGroup.Go(func() error {
		err := st.Run(storeCtx)
		if err != nil && storeCtx.Err() == nil {
			g.Go(func() error { return fmt.Errorf("the store: %w", err) }) // ends the others
		}
		return nil
	})
	for _, part := range []func(context.Context) error{link.Run, scheduler.Run, retain.Run} {
		g.Go(func() error { return st.Lead(ctx, part) })
	}
	err = g.Wait()
	stopStore()
	return errors.Join(err, storeGroup.Wait())
}

// id is this server, as it campaigns for the leadership: with its port, since a machine may have several.
func (s *Server) id() string {
	host, _ := os.Hostname()
	_, port, _ := net.SplitHostPort(s.listen.Addr().String())
	return net.JoinHostPort(host, port)
}

// endpointFor is the URL under which whoever calls reaches this server: the one that was called, since an address of ours
// means nothing to an agent on another machine, or behind a load balancer.
func (s *Server) endpointFor(ctx context.Context) string {
	if c := wire.CallerOf(ctx); c.Host != "" {
		if c.TLS {
			return "https://" + c.Host
		}
		return "http://" + c.Host
	}
	return s.Endpoint()
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
	for {
		attempt, cancel := context.WithTimeout(ctx, contactTimeout)
		b, err := etcd.Connect(attempt, etcd.ExternalConfig{Endpoints: s.cfg.Store.Endpoints, TLS: tlsConfig, Logger: log})
		away := attempt.Err() != nil // nobody answered; an answer that says no won't change
		cancel()
		if err == nil {
			return b, nil
		}
		if !away || ctx.Err() != nil {
			return nil, err
		}
		log.Warn("the store does not answer; trying again", "endpoints", s.cfg.Store.Endpoints, "error", err)
	}
}

// contactTimeout is how long a silent store is waited for before the log says so.
const contactTimeout = 5 * time.Second

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
