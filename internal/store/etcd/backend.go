package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/openberth/berth/internal/store"
)

// Backend implements store.Backend.
type Backend struct {
	client *clientv3.Client
	keys   keys
	log    *slog.Logger
	limits store.Limits
	elect  elector
	space  spacePolicy
	close  func() error

	mu        sync.Mutex
	compactTo int64 // the revision at the last Reclaim: old enough by the next
}

// elector finds the server that should write; the fence makes sure of it.
type elector interface {
	// campaign blocks until id is elected. lost is closed when that ends; resign ends it.
	campaign(ctx context.Context, id string) (lost <-chan struct{}, resign func(context.Context) error, err error)
}

// Limits implements store.Backend.
func (b *Backend) Limits() store.Limits { return b.limits }

// Close releases the connection, or stops the member.
func (b *Backend) Close() error { return b.close() }

const (
	// smallKind is how many rows Load reads in one go. A kind with more is read as 256 ranges.
	smallKind = 2000
	// loaders is how many ranges are read at the same time. etcd reads a range on one core; decoding takes another.
	loaders = 8
)

// Load implements store.Backend.
func (b *Backend) Load(ctx context.Context, each func(store.Row) error) (store.Rev, error) {
	// This read says which revision is loaded.
	head, err := b.client.Get(ctx, b.keys.fence())
	if err != nil {
		return 0, err
	}
	rev := head.Header.Revision
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(loaders)
	for next := b.keys.prefix; ; {
		// Hop from kind to kind: the first key at or after next names the kind.
		resp, err := b.client.Get(ctx, next, clientv3.WithRange(b.keys.recordsEnd()), clientv3.WithLimit(1),
			clientv3.WithKeysOnly(), clientv3.WithRev(rev))
		if err != nil {
			return 0, errors.Join(err, group.Wait())
		}
		if len(resp.Kvs) == 0 {
			break
		}
		kind, _, ok := b.keys.parse(resp.Kvs[0].Key)
		if !ok {
			return 0, errors.Join(fmt.Errorf("etcd: the key %q is not Berth's", resp.Kvs[0].Key), group.Wait())
		}
		whole := b.keys.kind(kind)
		next = whole.end
		resp, err = b.read(ctx, whole, rev, smallKind, each)
		if err != nil {
			return 0, errors.Join(err, group.Wait())
		}
		if !resp.More {
			continue
		}
		for n := range buckets {
			group.Go(func() error {
				_, err := b.read(ctx, b.keys.bucket(kind, n), rev, 0, each)
				return err
			})
		}
	}
	return store.Rev(rev), group.Wait()
}

// read hands the rows of a range to each, unless there are more than limit (zero: unlimited).
func (b *Backend) read(ctx context.Context, r keyRange, rev, limit int64, each func(store.Row) error) (*clientv3.GetResponse, error) {
	resp, err := b.client.Get(ctx, r.first, clientv3.WithRange(r.end), clientv3.WithRev(rev), clientv3.WithLimit(limit))
	if err != nil || resp.More {
		return resp, err
	}
	for _, kv := range resp.Kvs {
		kind, id, ok := b.keys.parse(kv.Key)
		if !ok {
			return nil, fmt.Errorf("etcd: the key %q is not Berth's", kv.Key)
		}
		if err := each(store.Row{Kind: kind, Key: id, Value: kv.Value}); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// Follow implements store.Backend. Every commit touches the fence, so every commit is seen, and each as one batch.
func (b *Backend) Follow(ctx context.Context, from store.Rev, each func(store.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := b.client.Watch(clientv3.WithRequireLeader(ctx), b.keys.prefix, clientv3.WithPrefix(), clientv3.WithRev(int64(from)+1))
	for resp := range watch {
		if resp.CompactRevision != 0 {
			return store.ErrCompacted
		}
		if err := resp.Err(); err != nil {
			return err
		}
		// A response can hold several commits, but never a part of one.
		var batch store.Batch
		flush := func() error {
			if batch.Rev == 0 {
				return nil
			}
			return each(batch)
		}
		for _, ev := range resp.Events {
			if rev := store.Rev(ev.Kv.ModRevision); rev != batch.Rev {
				if err := flush(); err != nil {
					return err
				}
				batch = store.Batch{Rev: rev}
			}
			kind, id, ok := b.keys.parse(ev.Kv.Key)
			if !ok {
				continue // the fence, or the election
			}
			row := store.Row{Kind: kind, Key: id}
			if ev.Type == clientv3.EventTypePut {
				row.Value = ev.Kv.Value
				if row.Value == nil {
					row.Value = []byte{}
				}
			}
			batch.Rows = append(batch.Rows, row)
		}
		if err := flush(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("etcd: the watch ended")
}

// Backup implements store.Backend: a snapshot for `etcdutl snapshot restore`.
func (b *Backend) Backup(ctx context.Context, w io.Writer) error {
	snapshot, err := b.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	_, err = io.Copy(w, snapshot)
	return err
}

// rejected says whether etcd has certainly not applied a commit that it answered with err.
func rejected(err error) bool {
	for _, certain := range []error{
		rpctypes.ErrRequestTooLarge, rpctypes.ErrTooManyOps, rpctypes.ErrPermissionDenied,
		rpctypes.ErrGRPCRequestTooLarge, rpctypes.ErrGRPCTooManyOps, rpctypes.ErrGRPCPermissionDenied,
	} {
		if errors.Is(err, certain) {
			return true
		}
	}
	return false
}

// noSpace is the answer of an etcd whose quota is used up, which has applied the commit or not: the one that reaches
// the quota is applied, and answered so all the same.
func noSpace(err error) bool {
	return errors.Is(err, rpctypes.ErrNoSpace) || errors.Is(err, rpctypes.ErrGRPCNoSpace)
}
