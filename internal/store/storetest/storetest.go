// Package storetest is what every backend of the store must pass: the contract of store.Backend, and the store's
// promises on top of it while leaders are deposed, commits fail and outcomes get lost.
package storetest

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/store"
)

// Harness says how to get backends of one sort.
type Harness struct {
	// Open makes a backend with nothing in it, which lives as long as the test.
	Open func(t testing.TB) store.Backend
	// Depose ends the current term of b (if there is one) behind its leader's back, so that another can begin.
	Depose func(t testing.TB, b store.Backend)
	// Patience is how long a test may take before it fails. Default a minute, for machines that do much else.
	Patience time.Duration
	// Bubble runs each test in a synctest bubble, where waiting takes no time. It is for backends without I/O.
	Bubble bool
}

// Run runs the whole suite.
func Run(t *testing.T, h Harness) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"RowsSurvive", rowsSurvive},
		{"ManyRows", manyRows},
		{"CommitUpToTheLimits", commitUpToTheLimits},
		{"FollowShowsWholeCommits", followShowsWholeCommits},
		{"FollowNeedsHistory", followNeedsHistory},
		{"CampaignWaitsForResignation", campaignWaitsForResignation},
		{"CampaignCanBeGivenUp", campaignCanBeGivenUp},
		{"OldTermIsFenced", oldTermIsFenced},
		{"SettleAfterCancelledCommit", settleAfterCancelledCommit},
		{"BackupIsNotEmpty", backupIsNotEmpty},
		{"ReopenedStoreHasEverything", reopenedStoreHasEverything},
		{"StandbyTakesOver", standbyTakesOver},
		{"DeposedLeaderCannotWrite", deposedLeaderCannotWrite},
		{"StandbyLoadsAgainWithoutHistory", standbyLoadsAgain},
		{"NewerFormatIsRefused", newerFormatIsRefused},
		{"Chaos", Chaos},
	} {
		t.Run(test.name, func(t *testing.T) {
			if h.Bubble {
				synctest.Test(t, func(t *testing.T) { test.run(t, h) })
				return
			}
			test.run(t, h)
		})
	}
}

// patient is a context for one test.
func (h Harness) patient(t testing.TB) context.Context {
	if h.Patience == 0 {
		h.Patience = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
	t.Cleanup(cancel)
	return ctx
}

func campaign(t testing.TB, ctx context.Context, b store.Backend, id string) store.Term {
	t.Helper()
	term, err := b.Campaign(ctx, id)
	if err != nil {
		t.Fatalf("campaign of %s: %v", id, err)
	}
	t.Cleanup(func() {
		// A term that has been deposed has nothing to resign; the error says only that.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = term.Resign(ctx)
	})
	return term
}

func commit(t testing.TB, ctx context.Context, term store.Term, rows ...store.Row) store.Rev {
	t.Helper()
	rev, err := term.Commit(ctx, rows)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return rev
}

func load(t testing.TB, ctx context.Context, b store.Backend) (map[string]string, store.Rev) {
	t.Helper()
	rows := make(chan store.Row, 100)
	got := map[string]string{}
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for row := range rows {
			if _, twice := got[row.Kind+" "+row.Key]; twice {
				t.Errorf("row %s %s was loaded twice", row.Kind, row.Key)
			}
			got[row.Kind+" "+row.Key] = string(row.Value)
		}
	}()
	rev, err := b.Load(ctx, func(row store.Row) error { rows <- row; return nil })
	close(rows)
	<-collected
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return got, rev
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// serve runs a store until the test ends or stop is called.
func serve(t testing.TB, b store.Backend, id string, tables ...store.AnyTable) (s *store.Store, stop func()) {
	t.Helper()
	s = store.Open(b, store.Options{ID: id, Logger: quiet}, tables...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run of %s: %v", id, err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return s, stop
}

func await(t testing.TB, ctx context.Context, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-ctx.Done():
		t.Fatalf("%s: did not happen", what)
	}
}
