package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

// gated is a backend whose commits wait for the test to say how they end.
type gated struct {
	*memory.Backend
	arrived chan []store.Row
	verdict chan error // nil: go ahead
}

func newGated() *gated {
	return &gated{Backend: memory.New(), arrived: make(chan []store.Row), verdict: make(chan error)}
}

func (g *gated) Campaign(ctx context.Context, id string) (store.Term, error) {
	term, err := g.Backend.Campaign(ctx, id)
	return &gatedTerm{term, g}, err
}

type gatedTerm struct {
	store.Term
	g *gated
}

func (t *gatedTerm) Commit(ctx context.Context, rows []store.Row) (store.Rev, error) {
	if rows[0].Kind != "meta" {
		t.g.arrived <- rows
		if err := <-t.g.verdict; err != nil {
			return 0, err
		}
	}
	return t.Term.Commit(ctx, rows)
}

// call is an Update in the background.
type call struct {
	runs int
	saw  string
	err  error
	done bool
}

// update starts an Update that notes all boats, then puts one (unless name is empty), and returns failure.
func update(t *testing.T, s *store.Store, tab tables, name string, failure error) *call {
	c := &call{}
	go func() {
		_, c.err = s.Update(t.Context(), func(tx *store.Tx) error {
			c.runs++
			c.saw = names(tab.boats.All(tx))
			if name != "" {
				tab.boats.Put(tx, &boat{Name: name})
			}
			return failure
		})
		c.done = true
	}()
	synctest.Wait()
	return c
}

func TestUpdateWaitsForWhatItSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, backend := newTables(), newGated()
		s, stop := start(t, backend, store.Options{}, tab.boats)
		defer stop()
		<-s.Ready()
		mine := errors.New("mine")
		writer := update(t, s, tab, "a", nil)
		<-backend.arrived
		reader := update(t, s, tab, "", nil)
		failing := update(t, s, tab, "never", mine)
		synctest.Wait()
		if reader.saw != "a" || failing.saw != "a" {
			t.Errorf("they saw %q and %q, want the write in flight", reader.saw, failing.saw)
		}
		if writer.done || reader.done || failing.done {
			t.Error("an Update returned before what it saw was durable")
		}
		view(t, s, func(r store.Reader) {
			if tab.boats.Len(r) != 0 {
				t.Error("View shows what isn't durable")
			}
		})
		backend.verdict <- nil
		synctest.Wait()
		if !writer.done || !reader.done || !failing.done || writer.err != nil || reader.err != nil || failing.err != mine {
			t.Errorf("after the commit: %+v %+v %+v", writer, reader, failing)
		}
		quick := update(t, s, tab, "", nil)
		if !quick.done || quick.saw != "a" {
			t.Errorf("a read of what is durable waits, or sees %q", quick.saw)
		}
	})
}

func TestDependentsRunAgainWhenACommitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, backend := newTables(), newGated()
		s, stop := start(t, backend, store.Options{}, tab.boats)
		defer stop()
		<-s.Ready()
		first := update(t, s, tab, "a", nil)
		<-backend.arrived
		second := update(t, s, tab, "b", nil)
		reader := update(t, s, tab, "", nil)
		disk := errors.New("disk")
		backend.verdict <- &store.RejectedError{Err: disk}
		rows := <-backend.arrived
		backend.verdict <- nil
		synctest.Wait()
		if !first.done || !errors.Is(first.err, disk) || fault.Code(first.err) != "ServerException" {
			t.Errorf("first: %+v", first)
		}
		if !second.done || second.err != nil || second.runs != 2 || second.saw != "" {
			t.Errorf("second should have run again without a: %+v", second)
		}
		if !reader.done || reader.runs != 2 || strings.Contains(reader.saw, "a") {
			t.Errorf("the reader should have run again without a: %+v", reader)
		}
		if len(rows) != 1 || rows[0].Key != "b" {
			t.Errorf("committed %v", rows)
		}
	})
}

func TestCommitsAreGrouped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, backend := newTables(), newGated()
		s, stop := start(t, backend, store.Options{}, tab.boats)
		defer stop()
		<-s.Ready()
		update(t, s, tab, "first", nil)
		<-backend.arrived
		var wg sync.WaitGroup
		for i := range 2500 {
			wg.Go(func() {
				put(t, s, tab.boats, boat{Name: fmt.Sprintf("b%04d", i)}, boat{Name: "last", Length: i})
			})
		}
		synctest.Wait()
		backend.verdict <- nil
		var sizes []int
		for range 3 {
			rows := <-backend.arrived
			sizes = append(sizes, len(rows))
			backend.verdict <- nil
		}
		wg.Wait()
		// "last" is one row in each group. A transaction counts with both its rows against the limit of 1,000.
		if sum := sizes[0] + sizes[1] + sizes[2]; sum != 2503 || sizes[0] != 999 && sizes[0] != 1000 {
			t.Errorf("groups of %v rows", sizes)
		}
		want := 0
		view(t, s, func(r store.Reader) {
			last, _ := tab.boats.Get(r, "last")
			want = last.Length
		})
		again, stop := start(t, backend.Backend, store.Options{}, tab.boats) // follows
		defer stop()
		synctest.Wait()
		view(t, again, func(r store.Reader) {
			if last, _ := tab.boats.Get(r, "last"); last == nil || last.Length != want {
				t.Errorf("committed %v, want the last of the group, %d", last, want)
			}
		})
	})
}

func TestUnknownOutcomeAtTheEndOfATerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, backend := newTables(), newGated()
		s, stop := start(t, backend, store.Options{}, tab.boats)
		defer stop()
		<-s.Ready()
		inFlight := update(t, s, tab, "a", nil)
		<-backend.arrived
		queued := update(t, s, tab, "b", nil)
		backend.Depose(false)
		other, err := backend.Backend.Campaign(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		backend.verdict <- errors.New("timeout")
		synctest.Wait()
		if !errors.Is(inFlight.err, store.ErrUnknown) || !errors.Is(queued.err, store.ErrNotLeader) {
			t.Errorf("got %v and %v", inFlight.err, queued.err)
		}
		if err := other.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-s.Ready()
	})
}

func TestUpdateRefusals(t *testing.T) {
	tab := newTables()
	backend := memory.New()
	s := store.Open(backend, store.Options{Logger: quiet}, tab.boats)
	nothing := func(*store.Tx) error { return nil }
	if _, err := s.Update(t.Context(), nothing); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("before Run: %v", err)
	}
	if err := s.View(func(store.Reader) error { return nil }); !errors.Is(err, store.ErrNotLoaded) {
		t.Errorf("View before Run: %v", err)
	}
	s, _ = start(t, backend, store.Options{}, tab.boats)
	<-s.Ready()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Update(ended, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	_, err := s.Update(t.Context(), func(tx *store.Tx) error {
		for i := range backend.Limits().Rows + 1 {
			tab.boats.Put(tx, &boat{Name: fmt.Sprint(i)})
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a huge transaction: %v", err)
	}
	for key, want := range map[string]string{"": "empty key", "\xff": "not UTF-8"} {
		_, err = s.Update(t.Context(), func(tx *store.Tx) error { tab.boats.Put(tx, &boat{Name: key}); return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the key %q: %v", key, err)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = s.Update(t.Context(), func(tx *store.Tx) error { tab.boats.Put(tx, &boat{Name: "p"}); panic("fn") })
	}()
	put(t, s, tab.boats, boat{Name: "after"})
	view(t, s, func(r store.Reader) {
		if got := names(tab.boats.All(r)); got != "after" {
			t.Errorf("got %q", got)
		}
	})
}

func TestLoopMayChangeWhatItWalks(t *testing.T) {
	tab := newTables()
	s, _ := start(t, memory.New(), store.Options{}, tab.boats)
	<-s.Ready()
	put(t, s, tab.boats, boat{Name: "a", Harbor: "kiel"}, boat{Name: "b", Harbor: "kiel"}, boat{Name: "c", Harbor: "kiel"})
	_, err := s.Update(t.Context(), func(tx *store.Tx) error {
		seen := ""
		for b := range tab.byHarbor.Each(tx, "kiel") {
			seen += b.Name
			tab.boats.Delete(tx, b.Name)
			tab.boats.Put(tx, &boat{Name: "z" + b.Name, Harbor: "kiel"})
		}
		if seen != "abc" {
			t.Errorf("the loop saw %q", seen)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	view(t, s, func(r store.Reader) {
		if got := names(tab.byHarbor.Each(r, "kiel")); got != "za zb zc" {
			t.Errorf("got %q", got)
		}
	})
}

func TestLeadFollowsTheLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, backend := newTables(), memory.New()
		s, stop := start(t, backend, store.Options{}, tab.boats)
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		terms, now := 0, 0
		ended := make(chan error)
		go func() {
			ended <- s.Lead(ctx, func(ctx context.Context) error {
				terms, now = terms+1, now+1
				<-ctx.Done()
				now--
				return ctx.Err()
			})
		}()
		for want := 1; want <= 3; want++ {
			synctest.Wait()
			if terms != want || now != 1 {
				t.Errorf("terms %d, of which %d go on; want %d and 1", terms, now, want)
			}
			backend.Depose(true)
		}
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil || now != 0 {
			t.Errorf("Lead returned %v with %d running", err, now)
		}
	})
}

func TestUnreadableRecordStopsTheStart(t *testing.T) {
	for what, row := range map[string]store.Row{
		"decode boat a":            {Kind: "boat", Key: "a", Value: []byte(`{"Length":"long"}`)},
		"says that its key is b":   {Kind: "boat", Key: "a", Value: []byte(`{"Name":"b"}`)},
		"the format row is \"junk": {Kind: "meta", Key: "format", Value: []byte(`junk`)},
	} {
		backend := memory.New()
		term, err := backend.Campaign(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := term.Commit(t.Context(), []store.Row{row}); err != nil {
			t.Fatal(err)
		}
		s := store.Open(backend, store.Options{Logger: quiet}, newTables().boats)
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("Run: got %v, want ... %s ...", err, what)
		}
	}
}
