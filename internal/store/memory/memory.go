// Package memory is the store's backend for tests: as strict as the durable ones, and gone with the process. Several
// stores can share one, which makes them servers of one cluster; a store that is opened again on it has "restarted".
package memory

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"

	"github.com/openberth/berth/internal/store"
)

// Backend implements store.Backend.
type Backend struct {
	mu      sync.Mutex
	rows    map[id][]byte
	rev     store.Rev
	fence   int64         // the number of the newest term; only it may commit
	leader  *term         // nil: there is none
	history []store.Batch // what Follow replays
	dropped store.Rev     // history starts after it
	size    int64
	quota   int64
	full    bool
	changed chan struct{} // closed and replaced whenever something above changes
}

type id struct{ kind, key string }

// New makes an empty backend.
func New() *Backend {
	return &Backend{rows: map[id][]byte{}, changed: make(chan struct{})}
}

// SetQuota limits the space, as keys and values count.
func (b *Backend) SetQuota(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quota = bytes
}

// maxHistory bounds what a follower can catch up on; it is small enough for tests to pass it.
const maxHistory = 1000

// Load implements store.Backend.
func (b *Backend) Load(ctx context.Context, each func(store.Row) error) (store.Rev, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, value := range b.rows {
		if err := each(store.Row{Kind: id.kind, Key: id.key, Value: value}); err != nil {
			return 0, err
		}
	}
	return b.rev, ctx.Err()
}

// Follow implements store.Backend.
func (b *Backend) Follow(ctx context.Context, from store.Rev, each func(store.Batch) error) error {
	for {
		b.mu.Lock()
		if from < b.dropped {
			b.mu.Unlock()
			return store.ErrCompacted
		}
		i, _ := slices.BinarySearchFunc(b.history, from+1, func(h store.Batch, rev store.Rev) int { return int(h.Rev - rev) })
		news, changed := slices.Clone(b.history[i:]), b.changed
		b.mu.Unlock()
		for _, batch := range news {
			if err := each(batch); err != nil {
				return err
			}
			from = batch.Rev
		}
		if len(news) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Campaign implements store.Backend.
func (b *Backend) Campaign(ctx context.Context, _ string) (store.Term, error) {
	for {
		b.mu.Lock()
		if b.leader == nil {
			t := b.takeOver()
			b.mu.Unlock()
			return t, nil
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// Depose ends the current term behind its leader's back, as an expired lease does. With tell, the leader learns of it;
// without, only when it is fenced.
func (b *Backend) Depose(tell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.leader == nil {
		return
	}
	if tell {
		close(b.leader.lost)
	}
	b.leader = nil
	b.signal()
}

func (b *Backend) takeOver() *term {
	b.fence++
	t := &term{b: b, fence: b.fence, start: b.rev, lost: make(chan struct{})}
	b.record(nil)
	b.leader = t
	return t
}

// record makes rows the next revision.
func (b *Backend) record(rows []store.Row) store.Rev {
	b.rev++
	b.history = append(b.history, store.Batch{Rev: b.rev, Rows: rows})
	if len(b.history) > maxHistory {
		b.dropped = b.history[maxHistory/2-1].Rev
		b.history = slices.Clone(b.history[maxHistory/2:])
	}
	b.signal()
	return b.rev
}

func (b *Backend) signal() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Limits implements store.Backend.
func (b *Backend) Limits() store.Limits { return store.Limits{Rows: 5000, Bytes: 8 << 20} }

// Status implements store.Backend.
func (b *Backend) Status(context.Context) (store.Status, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := store.Status{Used: b.size, Quota: b.quota}
	if b.full {
		st.Alarm = "no space"
	}
	return st, nil
}

// Reclaim implements store.Backend.
func (b *Backend) Reclaim(_ context.Context, full bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = false
	if full {
		b.history, b.dropped = nil, b.rev
	}
	return nil
}

// Backup implements store.Backend: a JSON object a line.
func (b *Backend) Backup(_ context.Context, w io.Writer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	enc := json.NewEncoder(w)
	for id, value := range b.rows {
		if err := enc.Encode(store.Row{Kind: id.kind, Key: id.key, Value: value}); err != nil {
			return err
		}
	}
	return nil
}

type term struct {
	b     *Backend
	fence int64
	start store.Rev
	lost  chan struct{}
}

func (t *term) Rev() store.Rev        { return t.start }
func (t *term) Lost() <-chan struct{} { return t.lost }

func (t *term) Commit(ctx context.Context, rows []store.Row) (store.Rev, error) {
	b := t.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if b.fence != t.fence {
		return 0, store.ErrFenced
	}
	grows := int64(0)
	for _, row := range rows {
		old, exists := b.rows[id{row.Kind, row.Key}]
		if exists {
			grows -= int64(len(row.Kind) + len(row.Key) + len(old))
		}
		if row.Value != nil {
			grows += int64(len(row.Kind) + len(row.Key) + len(row.Value))
		}
	}
	if b.quota > 0 && grows > 0 && b.size+grows > b.quota {
		b.full = true
		return 0, &store.RejectedError{Err: store.ErrFull}
	}
	for _, row := range rows {
		if row.Value == nil {
			delete(b.rows, id{row.Kind, row.Key})
		} else {
			b.rows[id{row.Kind, row.Key}] = row.Value
		}
	}
	b.size += grows
	return b.record(rows), nil
}

// Settle has nothing to find out: a Commit that returned an error was not applied.
func (t *term) Settle(context.Context) (bool, store.Rev, error) {
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	if t.b.fence != t.fence {
		return false, 0, store.ErrFenced
	}
	return false, 0, nil
}

func (t *term) Resign(context.Context) error {
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	if t.b.leader == t {
		t.b.leader = nil
		t.b.signal()
	}
	return nil
}
