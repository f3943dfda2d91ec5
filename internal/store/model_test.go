package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

// model is what the store should be: a map.
type model map[string]boat

func (m model) names(keep func(boat) bool) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if keep(m[name]) {
			all = append(all, name)
		}
	}
	return strings.Join(all, " ")
}

// Few and similar names, so that records collide and are prefixes of each other.
var (
	genName   = rapid.SampledFrom([]string{"a", "aa", "ab", "a\x00", "a\x00b", "a/", "b", "ba", "é", "z"})
	genHarbor = rapid.SampledFrom([]string{"", "kiel", "kie", "oslo", "o\x00slo"})
)

func genBoat(t *rapid.T) boat {
	return boat{
		Name:   genName.Draw(t, "name"),
		Harbor: genHarbor.Draw(t, "harbor"),
		Tags:   rapid.SliceOfN(rapid.SampledFrom([]string{"red", "old", ""}), 0, 3).Draw(t, "tags"),
		Length: rapid.IntRange(0, 9).Draw(t, "length"),
	}
}

// compare checks every way of reading r against the model.
func compare(t *rapid.T, tab tables, r store.Reader, m model) {
	check := func(what, got, want string) {
		if got != want {
			t.Fatalf("%s: got %q, want %q", what, got, want)
		}
	}
	all := func(boat) bool { return true }
	check("All", names(tab.boats.All(r)), m.names(all))
	check("Len", fmt.Sprint(tab.boats.Len(r)), fmt.Sprint(len(m)))
	for b := range tab.boats.All(r) {
		check("contents", fmt.Sprint(*b), fmt.Sprint(m[b.Name]))
	}
	at := genName.Draw(t, "at")
	got, ok := tab.boats.Get(r, at)
	want, has := m[at]
	if ok != has || ok && fmt.Sprint(*got) != fmt.Sprint(want) {
		t.Fatalf("Get %q: got %v %v, want %v %v", at, got, ok, want, has)
	}
	check("After", names(tab.boats.After(r, at)), m.names(func(b boat) bool { return b.Name > at }))
	check("Prefix", names(tab.boats.Prefix(r, at)), m.names(func(b boat) bool { return strings.HasPrefix(b.Name, at) }))
	for _, harbor := range []string{"", "kiel", "kie", "oslo", "o\x00slo"} {
		in := func(b boat) bool { return b.Harbor == harbor && harbor != "" }
		check("Each "+harbor, names(tab.byHarbor.Each(r, harbor)), m.names(in))
		check("After in "+harbor, names(tab.byHarbor.After(r, harbor, at)), m.names(func(b boat) bool { return in(b) && b.Name > at }))
	}
	for _, tag := range []string{"red", "old", ""} {
		tagged := m.names(func(b boat) bool { return slices.Contains(b.Tags, tag) })
		check("tag "+tag, names(tab.byTag.Each(r, tag)), tagged)
		check("count "+tag, fmt.Sprint(tab.byTag.Count(r, tag)), fmt.Sprint(len(strings.Fields(strings.ReplaceAll(tagged, "\x00", "0")))))
	}
}

// replica is a state that is built from changes alone.
type replica struct {
	changes <-chan []store.Change
	have    model
}

// take applies what has arrived, until the record that marks the end.
func (rp *replica) take(t *rapid.T, tab tables) {
	for rp.have["~end"].Name == "" {
		for _, c := range <-rp.changes {
			before, after, _ := tab.boats.Change(c)
			was, had := rp.have[c.Key]
			if (before != nil) != had || had && fmt.Sprint(*before) != fmt.Sprint(was) {
				t.Fatalf("change of %q from %v, but the watcher had %v %v", c.Key, before, was, had)
			}
			if c.Deleted() {
				delete(rp.have, c.Key)
			} else {
				rp.have[c.Key] = *after
			}
			if before == nil && after == nil {
				t.Fatalf("a change of %q from nothing to nothing", c.Key)
			}
		}
	}
	delete(rp.have, "~end")
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := newTables()
		backend := memory.New()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		m := model{}
		for range rapid.IntRange(1, 3).Draw(t, "restarts") {
			s := store.Open(backend, store.Options{Logger: quiet, CheckMutation: true}, tab.boats)
			run, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- s.Run(run) }()
			select {
			case <-s.Ready():
			case err := <-ended:
				t.Fatal(err)
			}
			var replicas []*replica
			for range rapid.IntRange(1, 12).Draw(t, "transactions") {
				if rapid.IntRange(0, 3).Draw(t, "watch") == 0 {
					replicas = append(replicas, &replica{s.Watch(ctx, tab.boats), maps.Clone(m)})
				}
				transaction(t, tab, s, m)
				if err := s.View(func(r store.Reader) error { compare(t, tab, r, m); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			mark(t, s, tab, func(tx *store.Tx) { tab.boats.Put(tx, &boat{Name: "~end"}) })
			for i, rp := range replicas {
				rp.take(t, tab)
				if fmt.Sprint(rp.have) != fmt.Sprint(m) {
					t.Fatalf("watcher %d has %v, want %v", i, rp.have, m)
				}
			}
			mark(t, s, tab, func(tx *store.Tx) { tab.boats.Delete(tx, "~end") })
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
	})
}

func mark(t *rapid.T, s *store.Store, tab tables, fn func(*store.Tx)) {
	if _, err := s.Update(context.Background(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// transaction does something random to the store, and to m if it succeeds.
func transaction(t *rapid.T, tab tables, s *store.Store, m model) {
	next := maps.Clone(m)
	mine := errors.New("mine")
	_, err := s.Update(context.Background(), func(tx *store.Tx) error {
		for range rapid.IntRange(0, 5).Draw(t, "writes") {
			if rapid.Bool().Draw(t, "put") {
				b := genBoat(t)
				tab.boats.Put(tx, &b)
				next[b.Name] = b
			} else {
				name := genName.Draw(t, "name")
				tab.boats.Delete(tx, name)
				delete(next, name)
			}
			compare(t, tab, tx, next)
		}
		if rapid.IntRange(0, 4).Draw(t, "fails") == 0 {
			return mine
		}
		return nil
	})
	switch {
	case err == nil:
		clear(m)
		maps.Copy(m, next)
	case err != mine:
		t.Fatal(err)
	}
}
