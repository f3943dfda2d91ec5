package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/openberth/berth/internal/store"
)

// EmbeddedConfig configures the member in this process.
type EmbeddedConfig struct {
	Dir    string       // all data; created, and readable by this user only
	Quota  int64        // bytes in use; default DefaultQuota. The file can become twice as large.
	Logger *slog.Logger // default slog.Default()

	// fileQuota is where etcd raises its own alarm. What counts before that is pages in use (store.Status); the file
	// also holds free ones, up to a half when large records come and go (measured: 36 MB for 16 MB of 200 KB records).
	fileQuota int64
}

// DefaultQuota is what etcd's authors advise as the maximum. A million records of 600 bytes take 1.4 GB.
const DefaultQuota = 8 << 30

const (
	// Ours alone, so generous: the deletion of a cluster with all that is in it is one transaction.
	embeddedMaxOps   = 10_001   // and one for the fence
	embeddedMaxBytes = 10 << 20 // the most that etcd doesn't warn of

	// A sole member elects itself after one to two election timeouts, of which etcd skips the first. 20 ms ticks are
	// slow enough to cost nothing when idle (50 wake-ups a second), and start in 20-120 ms.
	tickMs     = 20
	electionMs = 100

	// Raft keeps this many entries in memory after a snapshot of its state, for members that lag behind: there are
	// none. With etcd's default of 5,000 it would keep up to 5 GB of 1 MiB commits.
	catchUpEntries = 16
	// A snapshot every 500 commits bounds what a restart reads again, at 1 MiB each to 500 MiB of write-ahead log.
	snapshotCount = 500
)

// Start starts the member. ctx limits the start only.
func Start(ctx context.Context, cfg EmbeddedConfig) (*Backend, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Quota == 0 {
		cfg.Quota = DefaultQuota
	}
	if cfg.fileQuota == 0 {
		cfg.fileQuota = 2*cfg.Quota + 64<<20
	}
	unlock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	server, err := startMember(ctx, cfg)
	if err != nil {
		unlock()
		return nil, err
	}
	client := v3client.New(server.Server)
	b := &Backend{
		client: client,
		keys:   keys{defaultPrefix},
		log:    cfg.Logger,
		limits: limits(embeddedMaxOps, embeddedMaxBytes),
		elect:  &soleElector{free: make(chan struct{}, 1)},
		space:  spacePolicy{endpoints: []string{""}, quota: cfg.Quota, defragment: server.Server.Backend().Defrag},
	}
	b.close = sync.OnceValue(func() error {
		err := client.Close()
		server.Close()
		unlock()
		if errors.Is(err, context.Canceled) {
			return nil // the client's way of saying that it is closed
		}
		return err
	})
	return b, nil
}

func startMember(ctx context.Context, cfg EmbeddedConfig) (*embed.Etcd, error) {
	ec := embed.NewConfig()
	ec.Dir = filepath.Join(cfg.Dir, "etcd")
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(cfg.Logger))

	// No listeners. The peer URL is the member's name in its own member list; nobody ever connects to it.
	nowhere := url.URL{Scheme: "http", Host: "localhost:0"}
	ec.ListenPeerUrls, ec.ListenClientUrls, ec.ListenClientHttpUrls, ec.ListenMetricsUrls = nil, nil, nil, nil
	ec.AdvertisePeerUrls, ec.AdvertiseClientUrls = []url.URL{nowhere}, nil
	ec.Name = "berth"
	ec.InitialCluster = ec.InitialClusterFromName(ec.Name)
	ec.InitialClusterToken = "berth"
	ec.EnableGRPCGateway = false
	ec.AuthToken = "" // nobody can log in

	ec.TickMs, ec.ElectionMs = tickMs, electionMs
	ec.SnapshotCount, ec.SnapshotCatchUpEntries = snapshotCount, catchUpEntries
	ec.MaxWalFiles, ec.MaxSnapFiles = 2, 2
	ec.MaxTxnOps, ec.MaxRequestBytes = embeddedMaxOps+1, embeddedMaxBytes
	ec.QuotaBackendBytes = cfg.fileQuota
	ec.AutoCompactionRetention = "0" // the store's leader compacts

	if err := ec.Validate(); err != nil {
		return nil, fmt.Errorf("etcd: configuration: %w", err)
	}
	server, err := embed.StartEtcd(ec)
	if err != nil {
		return nil, fmt.Errorf("etcd: start in %s: %w", cfg.Dir, err)
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err = <-server.Err():
	case <-server.Server.StopNotify():
		err = errors.New("it stopped")
	case <-ctx.Done():
		err = ctx.Err()
	}
	server.Close()
	return nil, fmt.Errorf("etcd: start in %s: %w", cfg.Dir, err)
}

// limits leaves room for the fence.
func limits(ops, bytes int) store.Limits { return store.Limits{Rows: ops - 1, Bytes: bytes - 4096} }

// lockDir makes the directory ours: private, and nobody else's as long as this process lives. The kernel releases the
// lock when the process dies, however it dies.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("etcd: another process uses the data directory %s; stop it first, or choose another directory", dir)
		}
		return nil, fmt.Errorf("etcd: lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

// soleElector elects one campaigner at a time within this process; the directory's lock excludes all others.
type soleElector struct {
	free chan struct{} // holds an element while somebody leads

	mu   sync.Mutex
	lost chan struct{} // of the one who leads
}

func (e *soleElector) campaign(ctx context.Context, _ string) (<-chan struct{}, func(context.Context) error, error) {
	select {
	case e.free <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	lost := make(chan struct{})
	e.mu.Lock()
	e.lost = lost
	e.mu.Unlock()
	return lost, func(context.Context) error { e.end(lost, false); return nil }, nil
}

// end ends the leadership that lost belongs to, if it hasn't ended.
func (e *soleElector) end(lost chan struct{}, tell bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost != lost || lost == nil {
		return
	}
	e.lost = nil
	if tell {
		close(lost)
	}
	<-e.free
}
