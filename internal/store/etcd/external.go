package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const defaultPrefix = "/berth/"

// ExternalConfig configures the connection to a cluster that somebody else runs.
type ExternalConfig struct {
	Endpoints          []string // "https://10.0.0.1:2379"
	TLS                *tls.Config
	Username, Password string
	Prefix             string        // of all keys; default "/berth/"
	TTL                time.Duration // after which a silent leader is replaced; default 10 s
	Quota              int64         // the members' quota, for etcd before 3.6, which doesn't tell
	MaxRequestBytes    int           // the members' --max-request-bytes, if it was changed
	Logger             *slog.Logger
}

const (
	// etcd's defaults.
	externalMaxOps   = 128
	externalMaxBytes = 1536 << 10
)

// Connect connects to the cluster. ctx limits the first contact only.
func Connect(ctx context.Context, cfg ExternalConfig) (*Backend, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Prefix == "" {
		cfg.Prefix = defaultPrefix
	}
	if cfg.TTL == 0 {
		cfg.TTL = 10 * time.Second
	}
	if cfg.MaxRequestBytes == 0 {
		cfg.MaxRequestBytes = externalMaxBytes
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            cfg.Endpoints,
		TLS:                  cfg.TLS,
		Username:             cfg.Username,
		Password:             cfg.Password,
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    5 * time.Second, // so that a dead member is noticed within 8 s
		DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize:   2 * cfg.MaxRequestBytes,
		Logger:               newLogger(cfg.Logger),
	})
	if err != nil {
		return nil, fmt.Errorf("etcd: connect to %v: %w", cfg.Endpoints, err)
	}
	b := &Backend{
		client: client,
		keys:   keys{cfg.Prefix},
		log:    cfg.Logger,
		elect:  &leaseElector{client: client, prefix: keys{cfg.Prefix}.election(), ttl: cfg.TTL},
		space:  spacePolicy{endpoints: cfg.Endpoints, quota: cfg.Quota},
	}
	b.close = sync.OnceValue(client.Close)
	ops, err := b.probeOps(ctx)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("etcd: connect to %v: %w", cfg.Endpoints, err)
	}
	b.limits = limits(ops, cfg.MaxRequestBytes)
	return b, nil
}

// probeOps finds out how many operations a transaction may have (--max-txn-ops), with one that only reads.
func (b *Backend) probeOps(ctx context.Context) (int, error) {
	for _, ops := range []int{10_000, 1001, externalMaxOps} {
		reads := make([]clientv3.Op, ops)
		for i := range reads {
			reads[i] = clientv3.OpGet(b.keys.fence(), clientv3.WithCountOnly())
		}
		_, err := b.client.Txn(ctx).Then(reads...).Commit()
		if errors.Is(err, rpctypes.ErrTooManyOps) {
			continue
		}
		return ops, err
	}
	return 0, fmt.Errorf("its --max-txn-ops is less than %d, which is etcd's default and the least that Berth works with", externalMaxOps)
}

// leaseElector elects by etcd's own recipe: the oldest key under the prefix leads, and a key dies with the lease of the
// server that made it, unless that keeps it alive.
type leaseElector struct {
	client *clientv3.Client
	prefix string
	ttl    time.Duration
}

func (e *leaseElector) campaign(ctx context.Context, id string) (<-chan struct{}, func(context.Context) error, error) {
	grant, err := e.client.Grant(ctx, int64(max(e.ttl/time.Second, 1)))
	if err != nil {
		return nil, nil, err
	}
	// The session outlives ctx, and revokes the lease when it is closed.
	session, err := concurrency.NewSession(e.client, concurrency.WithLease(grant.ID), concurrency.WithTTL(int(e.ttl/time.Second)),
		concurrency.WithContext(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, nil, err
	}
	resign := func(ctx context.Context) error {
		session.Orphan() // stop keeping it alive
		_, err := e.client.Revoke(ctx, grant.ID)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil
		}
		return err
	}
	// A candidate whose lease has expired while it waited would win with a key that is gone.
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(session.Ctx(), cancel)
	defer stop()
	if err := concurrency.NewElection(session, e.prefix).Campaign(waiting, id); err != nil {
		revoke, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = resign(revoke)
		return nil, nil, err
	}
	return session.Done(), resign, nil
}
