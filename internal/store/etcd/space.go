package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/openberth/berth/internal/store"
)

// spacePolicy is what differs between our own member and somebody else's cluster.
type spacePolicy struct {
	endpoints []string // to ask
	quota     int64    // zero: what etcd says
	// defragment is set for our own member, where pages in use count rather than the file. The in-process client can't:
	// it has no health server to tell, and crashes (3.7.3).
	defragment func() error
}

// Status implements store.Backend. Of several members, the fullest counts.
func (b *Backend) Status(ctx context.Context) (store.Status, error) {
	var all store.Status
	var errs []error
	for _, endpoint := range b.space.endpoints {
		resp, err := b.client.Status(ctx, endpoint)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", endpoint, err))
			continue
		}
		st := store.Status{Used: resp.DbSize, File: resp.DbSize, Quota: b.space.quota, Alarm: strings.Join(resp.Errors, "; ")}
		if b.space.defragment != nil {
			st.Used = resp.DbSizeInUse
		}
		if st.Quota == 0 {
			st.Quota = resp.DbSizeQuota // etcd 3.6 and later
		}
		if st.Used >= all.Used {
			alarm := all.Alarm
			all = st
			if all.Alarm == "" {
				all.Alarm = alarm
			}
		}
	}
	if len(errs) == len(b.space.endpoints) {
		return store.Status{}, errors.Join(errs...)
	}
	return all, nil
}

// Reclaim implements store.Backend. Normally it forgets what is older than the last call, so that a follower that is
// behind by less needn't load again. When full it forgets all but the present.
func (b *Backend) Reclaim(ctx context.Context, full bool) error {
	now, err := b.client.Get(ctx, b.keys.fence(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	b.mu.Lock()
	to := b.compactTo
	b.compactTo = now.Header.Revision
	b.mu.Unlock()
	var opts []clientv3.CompactOption
	if full {
		to = now.Header.Revision
		opts = append(opts, clientv3.WithCompactPhysical()) // wait until the pages are free
	}
	if to > 0 {
		if _, err := b.client.Compact(ctx, to, opts...); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
			return fmt.Errorf("compact: %w", err)
		}
	}
	if !full || b.space.defragment == nil {
		return nil
	}
	return b.clearAlarm(ctx)
}

// clearAlarm takes our own member out of etcd's NOSPACE state, which refuses all writes until somebody ends it, also
// when there is space again.
func (b *Backend) clearAlarm(ctx context.Context) error {
	st, err := b.Status(ctx)
	if err != nil || st.Alarm == "" {
		return err
	}
	if err := b.space.defragment(); err != nil {
		return fmt.Errorf("defragment: %w", err)
	}
	if st, err = b.Status(ctx); err != nil {
		return err
	}
	if st.File >= st.Quota {
		return nil // etcd would raise it again at once
	}
	alarms, err := b.client.AlarmList(ctx)
	if err != nil {
		return err
	}
	for _, a := range alarms.Alarms {
		if a.Alarm != etcdserverpb.AlarmType_NOSPACE {
			continue // e.g. corruption, which nobody should wipe away
		}
		if _, err := b.client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
			return fmt.Errorf("end the alarm: %w", err)
		}
	}
	return nil
}
