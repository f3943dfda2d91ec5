package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/store"
)

func rowsSurvive(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	term := campaign(t, ctx, b, "a")
	odd := []string{"plain", "with/slash", "with space", "ünï", "~", "a\x00b", strings.Repeat("long", 200), "/", "arn:aws:ecs:eu-west-1:1:task/c/0123"}
	want := map[string]string{}
	var rows []store.Row
	for i, kind := range []string{"boat", "boat-yard", "b"} {
		for _, key := range odd {
			value := fmt.Sprintf("%d %s", i, key)
			want[kind+" "+key] = value
			rows = append(rows, store.Row{Kind: kind, Key: key, Value: []byte(value)})
		}
	}
	first := commit(t, ctx, term, rows...)
	want["boat plain"] = "changed"
	delete(want, "boat ünï")
	second := commit(t, ctx, term,
		store.Row{Kind: "boat", Key: "plain", Value: []byte("changed")},
		store.Row{Kind: "boat", Key: "ünï"},
		store.Row{Kind: "boat", Key: "never was"})
	if second <= first || first <= term.Rev() {
		t.Errorf("revisions don't grow: term %d, commits %d and %d", term.Rev(), first, second)
	}
	got, rev := load(t, ctx, b)
	if rev < second {
		t.Errorf("loaded revision %d, but %d was committed", rev, second)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func manyRows(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	term := campaign(t, ctx, b, "a")
	want := map[string]string{}
	for kind, n := range map[string]int{"big": 5000, "small": 50} {
		var rows []store.Row
		for i := range n {
			row := store.Row{Kind: kind, Key: fmt.Sprintf("key-%d", i), Value: fmt.Append(nil, i)}
			want[kind+" "+row.Key] = string(row.Value)
			rows = append(rows, row)
		}
		for part := range slices.Chunk(rows, min(1000, b.Limits().Rows)) {
			commit(t, ctx, term, part...)
		}
	}
	if got, _ := load(t, ctx, b); !maps.Equal(got, want) {
		t.Errorf("got %d rows, want %d", len(got), len(want))
	}
}

func commitUpToTheLimits(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	term := campaign(t, ctx, b, "a")
	limits := b.Limits()
	if limits.Rows < 100 || limits.Bytes < 1<<20 {
		t.Fatalf("limits are %+v: too small to work with", limits)
	}
	rows := make([]store.Row, limits.Rows)
	for i := range rows {
		rows[i] = store.Row{Kind: "boat", Key: fmt.Sprintf("key-%d", i), Value: []byte("x")}
	}
	commit(t, ctx, term, rows...)
	big := store.Row{Kind: "boat", Key: "big", Value: make([]byte, limits.Bytes-100)}
	commit(t, ctx, term, big)
	if got, _ := load(t, ctx, b); len(got) != limits.Rows+1 {
		t.Errorf("got %d rows, want %d", len(got), limits.Rows+1)
	}
}

func followShowsWholeCommits(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	term := campaign(t, ctx, b, "a")
	commit(t, ctx, term, store.Row{Kind: "boat", Key: "before", Value: []byte("0")})
	_, from := load(t, ctx, b)
	want := []string{}
	write := func(first, last int) {
		for i := first; i < last; i++ {
			rev := commit(t, ctx, term,
				store.Row{Kind: "boat", Key: "a", Value: fmt.Append(nil, i)},
				store.Row{Kind: "boat", Key: fmt.Sprint("b", i), Value: []byte{}},
				store.Row{Kind: "boat", Key: fmt.Sprint("b", i-1)})
			want = append(want, fmt.Sprint(rev))
		}
	}
	write(0, 20) // some from the past, some live
	var got []string
	err := b.Follow(ctx, from, func(batch store.Batch) error {
		if len(batch.Rows) == 0 {
			return nil // a new term
		}
		n := len(got)
		got = append(got, fmt.Sprint(batch.Rev))
		rows := map[string]string{}
		for _, row := range batch.Rows {
			rows[row.Key] = fmt.Sprintf("%s %v", row.Value, row.Value == nil)
		}
		wantRows := map[string]string{"a": fmt.Sprintf("%d false", n), fmt.Sprint("b", n): " false", fmt.Sprint("b", n-1): " true"}
		if n == 0 {
			delete(rows, "b-1") // it never was, so there need be no word of its end
			delete(wantRows, "b-1")
		}
		if !maps.Equal(rows, wantRows) {
			t.Errorf("commit %d: got %v, want %v", n, rows, wantRows)
		}
		if len(got) == 20 {
			write(20, 40)
		}
		if len(got) == 40 {
			return io.EOF
		}
		return nil
	})
	if !errors.Is(err, io.EOF) {
		t.Fatalf("Follow returned %v", err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got revisions %v, want %v", got, want)
	}
}

func followNeedsHistory(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	term := campaign(t, ctx, b, "a")
	from := commit(t, ctx, term, store.Row{Kind: "boat", Key: "a", Value: []byte("0")})
	for i := range 5 {
		commit(t, ctx, term, store.Row{Kind: "boat", Key: "a", Value: fmt.Append(nil, i)})
	}
	if err := b.Reclaim(ctx, true); err != nil {
		t.Fatal(err)
	}
	err := b.Follow(ctx, from, func(store.Batch) error { return nil })
	if !errors.Is(err, store.ErrCompacted) {
		t.Errorf("got %v, want ErrCompacted", err)
	}
	if got, _ := load(t, ctx, b); got["boat a"] != "4" {
		t.Errorf("reclaiming space lost something: %v", got)
	}
}

func campaignWaitsForResignation(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	first := campaign(t, ctx, b, "a")
	rev := commit(t, ctx, first, store.Row{Kind: "boat", Key: "a", Value: []byte("0")})
	won := make(chan store.Term, 1)
	go func() {
		term, err := b.Campaign(ctx, "b")
		if err != nil {
			t.Errorf("campaign of b: %v", err)
		}
		won <- term
	}()
	// The second can't win while the first can still write.
	for i := range 20 {
		select {
		case <-won:
			t.Fatal("two terms at the same time")
		default:
			rev = commit(t, ctx, first, store.Row{Kind: "boat", Key: "a", Value: fmt.Append(nil, i)})
		}
	}
	if err := first.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	second := <-won
	if second == nil {
		return
	}
	defer second.Resign(ctx)
	if second.Rev() < rev {
		t.Errorf("the new term starts at revision %d, before the commit at %d", second.Rev(), rev)
	}
	commit(t, ctx, second, store.Row{Kind: "boat", Key: "a", Value: []byte("second")})
}

func campaignCanBeGivenUp(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	first := campaign(t, ctx, b, "a")
	impatient, cancel := context.WithCancel(ctx)
	gaveUp := make(chan error, 1)
	go func() {
		_, err := b.Campaign(impatient, "b")
		gaveUp <- err
	}()
	commit(t, ctx, first, store.Row{Kind: "boat", Key: "a", Value: []byte("0")})
	cancel()
	if err := <-gaveUp; err == nil {
		t.Fatal("b was elected")
	}
	// Whoever gave up is not in the way later.
	if err := first.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	campaign(t, ctx, b, "c")
}

func oldTermIsFenced(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	old := campaign(t, ctx, b, "old")
	commit(t, ctx, old, store.Row{Kind: "boat", Key: "a", Value: []byte("old")})
	h.Depose(t, b)
	now := campaign(t, ctx, b, "new")
	for _, rows := range [][]store.Row{
		{{Kind: "boat", Key: "a", Value: []byte("too late")}},
		{{Kind: "boat", Key: "a"}},
	} {
		if _, err := old.Commit(ctx, rows); !errors.Is(err, store.ErrFenced) {
			t.Errorf("the old term's commit: got %v, want ErrFenced", err)
		}
	}
	if _, _, err := old.Settle(ctx); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the old term's settlement: got %v, want ErrFenced", err)
	}
	if got, _ := load(t, ctx, b); got["boat a"] != "old" {
		t.Errorf("got %v", got)
	}
	commit(t, ctx, now, store.Row{Kind: "boat", Key: "a", Value: []byte("new")})
}

func settleAfterCancelledCommit(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	term := campaign(t, ctx, b, "a")
	commit(t, ctx, term, store.Row{Kind: "boat", Key: "a", Value: []byte("0")})
	for i := range 30 {
		value := fmt.Sprint("try ", i)
		hasty, cancel := context.WithCancel(ctx)
		if i%3 == 0 {
			cancel() // before it starts; otherwise somewhere in the middle
		} else {
			go cancel()
		}
		_, err := term.Commit(hasty, []store.Row{{Kind: "boat", Key: "a", Value: []byte(value)}})
		cancel()
		applied := err == nil
		if err != nil {
			var settleErr error
			if applied, _, settleErr = term.Settle(ctx); settleErr != nil {
				t.Fatalf("settle after %v: %v", err, settleErr)
			}
		}
		if got, _ := load(t, ctx, b); (got["boat a"] == value) != applied {
			t.Fatalf("the commit said %v, then applied=%v, but the row is %q", err, applied, got["boat a"])
		}
	}
	commit(t, ctx, term, store.Row{Kind: "boat", Key: "a", Value: []byte("last")})
}

func backupIsNotEmpty(t *testing.T, h Harness) {
	b, ctx := h.Open(t), h.patient(t)
	term := campaign(t, ctx, b, "a")
	commit(t, ctx, term, store.Row{Kind: "boat", Key: "a", Value: []byte("needle in the backup")})
	var out strings.Builder
	if err := b.Backup(ctx, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "needle in the backup") && !strings.Contains(out.String(), "bmVlZGxlIGluIHRoZSBiYWNrdXA=") {
		t.Errorf("the backup of %d bytes does not have the row", out.Len())
	}
	st, err := b.Status(ctx)
	if err != nil || st.Used <= 0 {
		t.Errorf("Status: %+v %v", st, err)
	}
}
