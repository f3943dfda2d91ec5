package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

type boat struct {
	Name   string
	Harbor string   `json:",omitempty"`
	Tags   []string `json:",omitempty"`
	Length int
}

type tables struct {
	boats    *store.Table[boat]
	byHarbor *store.Index[boat]
	byTag    *store.Index[boat]
}

func newTables() tables {
	byHarbor := store.NewIndex("harbor", func(b *boat) []string {
		if b.Harbor == "" {
			return nil
		}
		return []string{b.Harbor}
	})
	byTag := store.NewIndex("tag", func(b *boat) []string { return b.Tags })
	return tables{store.NewTable("boat", func(b *boat) string { return b.Name }, byHarbor, byTag), byHarbor, byTag}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// start runs a store on backend until the test ends or stop is called.
func start(t testing.TB, backend store.Backend, opts store.Options, tabs ...store.AnyTable) (s *store.Store, stop func()) {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	s = store.Open(backend, opts, tabs...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

func names(seq func(func(*boat) bool)) string {
	var all []string
	for b := range seq {
		all = append(all, b.Name)
	}
	return strings.Join(all, " ")
}

func put(t testing.TB, s *store.Store, tab *store.Table[boat], boats ...boat) store.Rev {
	t.Helper()
	rev, err := s.Update(t.Context(), func(tx *store.Tx) error {
		for i := range boats {
			b := boats[i]
			tab.Put(tx, &b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func view(t testing.TB, s *store.Store, fn func(r store.Reader)) {
	t.Helper()
	if err := s.View(func(r store.Reader) error { fn(r); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestTablesAndIndexes(t *testing.T) {
	tab := newTables()
	s, _ := start(t, memory.New(), store.Options{}, tab.boats)
	<-s.Ready()
	put(t, s, tab.boats,
		boat{Name: "b", Harbor: "kiel", Tags: []string{"red", "old"}},
		boat{Name: "a", Harbor: "kiel"},
		boat{Name: "ab", Harbor: "oslo", Tags: []string{"red", "red"}},
		boat{Name: "c"})
	_, err := s.Update(t.Context(), func(tx *store.Tx) error {
		tab.boats.Put(tx, &boat{Name: "b", Harbor: "oslo", Tags: []string{"new"}})
		tab.boats.Delete(tx, "c")
		tab.boats.Delete(tx, "nobody")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	view(t, s, func(r store.Reader) {
		for what, got := range map[string][2]string{
			"All":             {names(tab.boats.All(r)), "a ab b"},
			"After a":         {names(tab.boats.After(r, "a")), "ab b"},
			"After aa":        {names(tab.boats.After(r, "aa")), "ab b"},
			"Prefix a":        {names(tab.boats.Prefix(r, "a")), "a ab"},
			"Len":             {fmt.Sprint(tab.boats.Len(r)), "3"},
			"harbor oslo":     {names(tab.byHarbor.Each(r, "oslo")), "ab b"},
			"harbor kiel":     {names(tab.byHarbor.Each(r, "kiel")), "a"},
			"oslo after ab":   {names(tab.byHarbor.After(r, "oslo", "ab")), "b"},
			"tag red":         {names(tab.byTag.Each(r, "red")), "ab"},
			"tag old":         {names(tab.byTag.Each(r, "old")), ""},
			"Count harbor":    {fmt.Sprint(tab.byHarbor.Count(r, "oslo")), "2"},
			"Count red":       {fmt.Sprint(tab.byTag.Count(r, "red")), "1"},
			"Count old":       {fmt.Sprint(tab.byTag.Count(r, "old")), "0"},
			"Count no harbor": {fmt.Sprint(tab.byHarbor.Count(r, "")), "0"},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: got %q, want %q", what, got[0], got[1])
			}
		}
		if b, ok := tab.boats.Get(r, "b"); !ok || b.Harbor != "oslo" {
			t.Errorf("Get b: %v %v", b, ok)
		}
		if _, ok := tab.boats.Get(r, "c"); ok {
			t.Error("c is still there")
		}
	})
}

func TestUpdateThatFailsWritesNothing(t *testing.T) {
	tab := newTables()
	s, _ := start(t, memory.New(), store.Options{}, tab.boats)
	<-s.Ready()
	mine := errors.New("mine")
	_, err := s.Update(t.Context(), func(tx *store.Tx) error {
		tab.boats.Put(tx, &boat{Name: "a"})
		if _, ok := tab.boats.Get(tx, "a"); !ok {
			t.Error("a transaction does not see its own writes")
		}
		return mine
	})
	if err != mine {
		t.Fatalf("got %v", err)
	}
	view(t, s, func(r store.Reader) {
		if tab.boats.Len(r) != 0 {
			t.Error("something was written")
		}
	})
}

func TestCounterUnderManyWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTables()
		backend := memory.New()
		s, stop := start(t, backend, store.Options{}, tab.boats)
		<-s.Ready()
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for range 20 {
					_, err := s.Update(t.Context(), func(tx *store.Tx) error {
						next := boat{Name: "n"}
						if b, ok := tab.boats.Get(tx, "n"); ok {
							next = *b
						}
						next.Length++
						tab.boats.Put(tx, &next)
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		stop()
		again, _ := start(t, backend, store.Options{}, tab.boats)
		<-again.Ready()
		view(t, again, func(r store.Reader) {
			if b, _ := tab.boats.Get(r, "n"); b == nil || b.Length != 640 {
				t.Errorf("after a restart: %+v, want 640", b)
			}
		})
	})
}

func TestWatchMerges(t *testing.T) {
	tab := newTables()
	s, _ := start(t, memory.New(), store.Options{}, tab.boats)
	<-s.Ready()
	put(t, s, tab.boats, boat{Name: "was", Length: 1})
	slow := s.Watch(t.Context(), tab.boats)
	fast := s.Watch(t.Context())
	put(t, s, tab.boats, boat{Name: "was", Length: 2}, boat{Name: "new", Length: 1}, boat{Name: "brief"})
	put(t, s, tab.boats, boat{Name: "was", Length: 3}, boat{Name: "new", Length: 2})
	_, err := s.Update(t.Context(), func(tx *store.Tx) error {
		tab.boats.Delete(tx, "brief")
		tab.boats.Put(tx, &boat{Name: "last"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for who, ch := range map[string]<-chan []store.Change{"slow": slow, "fast": fast} {
		got := map[string]string{}
		for got["last"] == "" {
			for _, c := range <-ch {
				before, after, ok := tab.boats.Change(c)
				if !ok {
					t.Fatal("a change of another table")
				}
				if before != nil && got[c.Key] == "" {
					got[c.Key] = fmt.Sprint(before.Length)
				}
				if after == nil {
					delete(got, c.Key)
					continue
				}
				got[c.Key] += fmt.Sprintf(">%d", after.Length)
			}
		}
		if !strings.HasPrefix(got["was"], "1>") || !strings.HasSuffix(got["was"], ">3") || !strings.HasSuffix(got["new"], ">2") || got["brief"] != "" {
			t.Errorf("%s: got %v", who, got)
		}
	}
}

func TestMutationIsFound(t *testing.T) {
	tab := newTables()
	s, _ := start(t, memory.New(), store.Options{CheckMutation: true}, tab.boats)
	<-s.Ready()
	put(t, s, tab.boats, boat{Name: "a", Length: 1})
	var damaged *boat
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "boat a was changed") {
			t.Errorf("got %v", r)
		}
		damaged.Length = 1 // Run checks too when it ends
	}()
	_, _ = s.Update(t.Context(), func(tx *store.Tx) error {
		damaged, _ = tab.boats.Get(tx, "a")
		damaged.Length = 2
		tab.boats.Put(tx, &boat{Name: "a", Length: 3})
		return nil
	})
}

func TestLossyRecordIsFound(t *testing.T) {
	type lossy struct {
		Key string `json:"-"`
	}
	tab := store.NewTable("lossy", func(l *lossy) string { return l.Key })
	s, _ := start(t, memory.New(), store.Options{CheckMutation: true}, tab)
	<-s.Ready()
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "lossy a would come back") {
			t.Errorf("got %v", r)
		}
	}()
	_, _ = s.Update(t.Context(), func(tx *store.Tx) error { tab.Put(tx, &lossy{"a"}); return nil })
}
