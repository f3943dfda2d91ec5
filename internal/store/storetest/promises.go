package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/openberth/berth/internal/store"
)

type counter struct {
	ID string
	N  int
}

func counters() *store.Table[counter] {
	return store.NewTable("counter", func(c *counter) string { return c.ID })
}

// add increments a counter by n.
func add(tx *store.Tx, tab *store.Table[counter], id string, n int) int {
	next := counter{ID: id}
	if c, ok := tab.Get(tx, id); ok {
		next = *c
	}
	next.N += n
	tab.Put(tx, &next)
	return next.N
}

func read(t testing.TB, s *store.Store, tab *store.Table[counter], id string) int {
	t.Helper()
	n := 0
	err := s.View(func(r store.Reader) error {
		if c, ok := tab.Get(r, id); ok {
			n = c.N
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func reopenedStoreHasEverything(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	tab := counters()
	for round := range 4 {
		s, stop := serve(t, b, "a", tab)
		await(t, ctx, "leading", s.Ready())
		for i := range 10 {
			if got := read(t, s, tab, "n"); got != round*10+i {
				t.Fatalf("round %d: the counter is %d, want %d", round, got, round*10+i)
			}
			rev, err := s.Update(ctx, func(tx *store.Tx) error { add(tx, tab, "n", 1); return nil })
			if err != nil {
				t.Fatal(err)
			}
			_ = s.View(func(r store.Reader) error {
				if r.Rev() < rev {
					t.Errorf("View shows revision %d after a commit at %d", r.Rev(), rev)
				}
				return nil
			})
		}
		stop()
		if _, err := s.Update(ctx, func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrNotLeader) {
			t.Errorf("Update after the end: %v", err)
		}
	}
}

// sees waits until s shows that the counter is at least n, by its watch.
func sees(t testing.TB, ctx context.Context, s *store.Store, tab *store.Table[counter], id string, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := s.Watch(ctx, tab)
	for {
		got := 0
		err := s.View(func(r store.Reader) error {
			if c, ok := tab.Get(r, id); ok {
				got = c.N
			}
			return nil
		})
		if err == nil && got >= n {
			return
		}
		if _, ok := <-changes; !ok {
			t.Fatalf("the counter %s is %d and was expected to become %d (%v)", id, got, n, err)
		}
	}
}

func increment(t testing.TB, ctx context.Context, s *store.Store, tab *store.Table[counter], times int) {
	t.Helper()
	for range times {
		if _, err := s.Update(ctx, func(tx *store.Tx) error { add(tx, tab, "n", 1); return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

func standbyTakesOver(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	tab := counters()
	first, stopFirst := serve(t, b, "first", tab)
	await(t, ctx, "first leads", first.Ready())
	increment(t, ctx, first, tab, 10)
	second, _ := serve(t, b, "second", tab)
	sees(t, ctx, second, tab, "n", 10) // what was there
	increment(t, ctx, first, tab, 10)
	sees(t, ctx, second, tab, "n", 20) // what comes
	if _, err := second.Update(ctx, func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("Update on the standby: %v", err)
	}
	stopFirst()
	await(t, ctx, "second leads", second.Ready())
	if got := read(t, second, tab, "n"); got != 20 {
		t.Errorf("the new leader has %d, want 20", got)
	}
	increment(t, ctx, second, tab, 10)
	if got := read(t, second, tab, "n"); got != 30 {
		t.Errorf("the new leader counts %d, want 30", got)
	}
}

// onceElected is a backend on which a server leads once, so that a deposed leader doesn't just come back.
type onceElected struct {
	store.Backend
	was atomic.Bool
}

func (o *onceElected) Campaign(ctx context.Context, id string) (store.Term, error) {
	if o.was.Swap(true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return o.Backend.Campaign(ctx, id)
}

func deposedLeaderCannotWrite(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	tab := counters()
	old, _ := serve(t, &onceElected{Backend: b}, "old", tab)
	await(t, ctx, "old leads", old.Ready())
	increment(t, ctx, old, tab, 5)
	second, _ := serve(t, b, "second", tab)
	sees(t, ctx, second, tab, "n", 5)
	h.Depose(t, b)
	await(t, ctx, "second leads", second.Ready())
	_, err := old.Update(ctx, func(tx *store.Tx) error { add(tx, tab, "n", 1000); return nil })
	if !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("the old leader's Update: got %v, want ErrNotLeader", err)
	}
	increment(t, ctx, second, tab, 5)
	if got := read(t, second, tab, "n"); got != 10 {
		t.Errorf("the new leader has %d, want 10", got)
	}
	// The old leader never shows what it couldn't write, and follows again.
	sees(t, ctx, old, tab, "n", 10)
	if got := read(t, old, tab, "n"); got != 10 {
		t.Errorf("the old leader shows %d, want 10", got)
	}
}

// lossyFollow makes a backend whose first Follow finds its history gone.
type lossyFollow struct {
	store.Backend
	lost chan struct{}
}

func (l *lossyFollow) Follow(ctx context.Context, from store.Rev, each func(store.Batch) error) error {
	select {
	case <-l.lost:
		return l.Backend.Follow(ctx, from, each)
	default:
	}
	close(l.lost)
	<-ctx.Done() // deaf until the standby is elected or given up
	return ctx.Err()
}

func standbyLoadsAgain(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	tab := counters()
	first, stopFirst := serve(t, b, "first", tab)
	await(t, ctx, "first leads", first.Ready())
	increment(t, ctx, first, tab, 3)
	deaf := &lossyFollow{Backend: b, lost: make(chan struct{})}
	second, _ := serve(t, deaf, "second", tab)
	await(t, ctx, "second follows", deaf.lost)
	increment(t, ctx, first, tab, 3)
	_, err := first.Update(ctx, func(tx *store.Tx) error { add(tx, tab, "other", 1); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Reclaim(ctx, true); err != nil {
		t.Fatal(err)
	}
	changes := second.Watch(ctx, tab)
	stopFirst()
	await(t, ctx, "second leads", second.Ready())
	if got := read(t, second, tab, "n"); got != 6 {
		t.Errorf("the new leader has %d, want 6", got)
	}
	told := map[string]string{}
	for len(told) < 2 {
		select {
		case <-ctx.Done():
			t.Fatalf("the watcher was told only %v", told)
		case cs := <-changes:
			for _, c := range cs {
				before, after, _ := tab.Change(c)
				told[c.Key] = fmt.Sprintf("%v>%v", before, after)
			}
		}
	}
	if want := "map[n:&{n 3}>&{n 6} other:<nil>>&{other 1}]"; fmt.Sprint(told) != want {
		t.Errorf("the watcher was told %v, want %s", told, want)
	}
}

func newerFormatIsRefused(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	term := campaign(t, ctx, b, "newer")
	commit(t, ctx, term,
		store.Row{Kind: "meta", Key: "format", Value: []byte(`{"version":99}`)},
		store.Row{Kind: "counter", Key: "n", Value: []byte(`["what a new version may write"]`)})
	if err := term.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	s := store.Open(b, store.Options{Logger: quiet}, counters())
	if err := s.Run(ctx); !errors.Is(err, store.ErrFormat) {
		t.Errorf("Run: got %v, want ErrFormat", err)
	}
}
