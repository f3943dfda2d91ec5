package reconcile

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

type thing struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// TestFeedStartsWithAllThenFollows: what is there before the loop starts is looked at, and so is what comes later.
func TestFeedStartsWithAllThenFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		things := store.NewTable("thing", func(r *thing) string { return r.Name })
		st := store.Open(memory.New(), store.Options{ID: "test", Logger: quiet}, things)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { st.Run(ctx) })
		defer func() { cancel(); running.Wait() }()
		<-st.Ready()
		put := func(r thing) {
			t.Helper()
			if _, err := st.Update(ctx, func(tx *store.Tx) error { things.Put(tx, &r); return nil }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		put(thing{Name: "old"})

		var seen []string
		l := New(Options{
			Name: "test", Logger: quiet,
			Reconcile: func(ctx context.Context, key string) (time.Time, error) {
				seen = append(seen, key)
				return time.Time{}, nil
			},
			Feed: Source{
				Store: st, Tables: []store.AnyTable{things},
				All: func(r store.Reader, add func(...string)) {
					for x := range things.All(r) {
						add(x.Name)
					}
				},
				Changed: func(r store.Reader, changes []store.Change, add func(...string)) {
					for _, c := range changes {
						if _, after, _ := things.Change(c); after == nil || after.Size > 0 {
							add(c.Key)
						}
					}
				},
			}.Feed,
		})
		running.Go(func() {
			if err := l.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		synctest.Wait()
		put(thing{Name: "new", Size: 1})
		put(thing{Name: "dull"})
		if want := []string{"old", "new"}; !slices.Equal(seen, want) {
			t.Errorf("looked at %v, want %v", seen, want)
		}
	})
}
