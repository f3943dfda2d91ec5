package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/openberth/berth/internal/store"
)

// Faulty wraps a backend so that commits fail as they do in the field, at places that the seed chooses.
type Faulty struct {
	store.Backend
	// Rate of commits to spoil, of 100.
	Rate int

	mu  sync.Mutex
	rng *rand.Rand
}

// NewFaulty wraps b.
func NewFaulty(b store.Backend, seed uint64, rate int) *Faulty {
	return &Faulty{Backend: b, Rate: rate, rng: rand.New(rand.NewPCG(seed, 0))}
}

func (f *Faulty) roll(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(n)
}

// Campaign implements store.Backend.
func (f *Faulty) Campaign(ctx context.Context, id string) (store.Term, error) {
	if f.roll(100) < f.Rate {
		return nil, errInjected
	}
	term, err := f.Backend.Campaign(ctx, id)
	if err != nil {
		return nil, err
	}
	return &faultyTerm{Term: term, f: f}, nil
}

var errInjected = errors.New("injected fault")

type faultyTerm struct {
	store.Term
	f *Faulty

	settle func(ctx context.Context) (bool, store.Rev, error) // the truth about the last commit, nil if known
}

// Commit fails cleanly, fails without being applied, is applied and fails, or has its fate decided by Settle.
func (t *faultyTerm) Commit(ctx context.Context, rows []store.Row) (store.Rev, error) {
	t.settle = nil
	if t.f.roll(100) >= t.f.Rate {
		return t.Term.Commit(ctx, rows)
	}
	switch t.f.roll(4) {
	case 0:
		return 0, &store.RejectedError{Err: errInjected}
	case 1:
		t.settle = func(context.Context) (bool, store.Rev, error) { return false, 0, nil }
	case 2:
		rev, err := t.Term.Commit(ctx, rows)
		if err != nil {
			return rev, err
		}
		t.settle = func(context.Context) (bool, store.Rev, error) { return true, rev, nil }
	case 3:
		t.settle = func(ctx context.Context) (bool, store.Rev, error) {
			rev, err := t.Term.Commit(ctx, rows)
			return err == nil, rev, err
		}
	}
	return 0, errInjected
}

// Settle sometimes needs a second try.
func (t *faultyTerm) Settle(ctx context.Context) (bool, store.Rev, error) {
	if t.settle == nil {
		return t.Term.Settle(ctx)
	}
	if t.f.roll(3) == 0 {
		return false, 0, errInjected
	}
	return t.settle(ctx)
}

// Chaos lets writers count, on a backend that fails and under leaders that are deposed, restarts again and again, and
// compares with what the writers were told.
func Chaos(t *testing.T, h Harness) {
	const rounds, writers, updates = 4, 8, 25
	b, ctx := h.Open(t), h.patient(t)
	tab := counters()
	ledger := newLedger(writers)
	for round := range rounds {
		seed := uint64(round + 1)
		faulty := NewFaulty(b, seed, 15)
		s, stop := serve(t, faulty, "a", tab)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(w)))
				for range updates {
					select {
					case <-s.Ready():
					case <-ctx.Done():
						t.Error("nobody leads")
						return
					}
					ledger.update(t, ctx, s, tab, w, rng)
					if w == 0 && rng.IntN(12) == 0 {
						h.Depose(t, b)
					}
				}
			})
		}
		wg.Wait()
		stop()
		clean, stop := serve(t, b, "b", tab)
		await(t, ctx, "leading after the restart", clean.Ready())
		ledger.check(t, clean, tab, fmt.Sprintf("seed %d", seed))
		stop()
	}
}

// ledger is what writers have been told: the model that the store is compared with.
type ledger struct {
	mu      sync.Mutex
	acked   []int // by writer
	unknown []int
}

func newLedger(writers int) *ledger {
	return &ledger{acked: make([]int, writers), unknown: make([]int, writers)}
}

var errMine = errors.New("the transaction's own error")

// update runs a transaction of writer w: it counts in the writer's own record and in a shared one, so that half a
// transaction shows, and moves an amount between two accounts, whose sum stays zero.
func (l *ledger) update(t testing.TB, ctx context.Context, s *store.Store, tab *store.Table[counter], w int, rng *rand.Rand) {
	fail, amount := rng.IntN(10) == 0, rng.IntN(100)
	var own, shared int
	_, err := s.Update(ctx, func(tx *store.Tx) error {
		own = add(tx, tab, fmt.Sprintf("own-%d", w), 1)
		shared = add(tx, tab, "shared", 1)
		add(tx, tab, fmt.Sprintf("account-%d", w%3), amount)
		add(tx, tab, fmt.Sprintf("account-%d", (w+1)%3), -amount)
		if fail {
			return errMine
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.acked[w]++
		if got := read(t, s, tab, fmt.Sprintf("own-%d", w)); got < own {
			t.Errorf("writer %d was told %d, but View shows %d", w, own, got)
		}
		if got := read(t, s, tab, "shared"); got < shared {
			t.Errorf("writer %d was told a total of %d, but View shows %d", w, shared, got)
		}
	case errors.Is(err, store.ErrUnknown):
		l.unknown[w]++
	case errors.Is(err, errMine), errors.Is(err, store.ErrNotLeader), errors.Is(err, errInjected):
	default:
		t.Errorf("writer %d: %v", w, err)
	}
}

func (l *ledger) check(t testing.TB, s *store.Store, tab *store.Table[counter], when string) {
	t.Helper()
	total := 0
	for w := range l.acked {
		got := read(t, s, tab, fmt.Sprintf("own-%d", w))
		if got < l.acked[w] || got > l.acked[w]+l.unknown[w] {
			t.Errorf("%s: writer %d has %d, but %d were acknowledged, and %d are unknown", when, w, got, l.acked[w], l.unknown[w])
		}
		total += got
		l.acked[w], l.unknown[w] = got, 0
	}
	if got := read(t, s, tab, "shared"); got != total {
		t.Errorf("%s: the writers' records sum up to %d, but the shared one says %d", when, total, got)
	}
	if sum := read(t, s, tab, "account-0") + read(t, s, tab, "account-1") + read(t, s, tab, "account-2"); sum != 0 {
		t.Errorf("%s: the accounts sum up to %d", when, sum)
	}
}
