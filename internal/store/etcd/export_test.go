package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Depose ends the current term behind its leader's back.
func (b *Backend) Depose(ctx context.Context) error {
	switch e := b.elect.(type) {
	case *soleElector:
		e.mu.Lock()
		lost := e.lost
		e.mu.Unlock()
		e.end(lost, false)
	case *leaseElector:
		resp, err := b.client.Get(ctx, e.prefix+"/", clientv3.WithFirstCreate()...)
		if err != nil || len(resp.Kvs) == 0 {
			return err
		}
		_, err = b.client.Revoke(ctx, clientv3.LeaseID(resp.Kvs[0].Lease))
		return err
	}
	return nil
}

// WrapKV puts wrap's result between the backend and etcd.
func (b *Backend) WrapKV(wrap func(clientv3.KV) clientv3.KV) { b.client.KV = wrap(b.client.KV) }

// StartWithFileQuota is Start with a quota of etcd's own.
func StartWithFileQuota(ctx context.Context, cfg EmbeddedConfig, quota int64) (*Backend, error) {
	cfg.fileQuota = quota
	return Start(ctx, cfg)
}
