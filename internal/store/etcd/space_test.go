package etcd_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/etcd"
)

type blob struct {
	ID   string
	Data string
}

// TestFullStore fills a store of 16 MiB: first new records are refused, deletes make room, and writing goes on.
func TestFullStore(t *testing.T) {
	b, err := etcd.Start(t.Context(), etcd.EmbeddedConfig{Dir: t.TempDir(), Quota: 16 << 20, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	tab := store.NewTable("blob", func(b *blob) string { return b.ID })
	s, _ := serve(t, b, tab)
	<-s.Ready()
	data := strings.Repeat("x", 200<<10)
	n := 0
	fill := func() error {
		for ; ; n++ {
			if n > 1000 {
				return errors.New("never full")
			}
			_, err := s.Update(t.Context(), func(tx *store.Tx) error {
				tab.Put(tx, &blob{fmt.Sprintf("%04d", n), data})
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	if err := fill(); !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	first := n
	if st, err := b.Status(t.Context()); err != nil || st.Alarm != "" {
		t.Errorf("etcd's own alarm came first, after %d records: %+v %v", n, st, err)
	}
	if first < 40 {
		t.Errorf("full after %d records of 200 KiB", first)
	}
	_, err = s.Update(t.Context(), func(tx *store.Tx) error {
		for r := range tab.All(tx) {
			if r.ID > "0010" {
				tab.Delete(tx, r.ID)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("a delete in a full store: %v", err)
	}
	if err := b.Reclaim(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	// etcd writes its pages every 100 ms, and counts them then; a snapshot makes it do so now.
	if err := b.Backup(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := fill(); !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if second := n - first; second < first/2 {
		t.Errorf("after deletes there was space for %d records, and for %d at first", second, first)
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Alarm != "" {
		t.Errorf("etcd's own alarm went off: %+v %v", st, err)
	}
}

// TestEtcdsOwnAlarm overwrites a few records until etcd refuses everything, because of old revisions that nobody has
// compacted yet, and expects the store to get out of that by itself.
func TestEtcdsOwnAlarm(t *testing.T) {
	b, err := etcd.StartWithFileQuota(t.Context(), etcd.EmbeddedConfig{Dir: t.TempDir(), Logger: quiet}, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	tab := store.NewTable("blob", func(b *blob) string { return b.ID })
	s, _ := serve(t, b, tab)
	<-s.Ready()
	data := strings.Repeat("x", 100<<10)
	write := func(n int) error {
		_, err := s.Update(t.Context(), func(tx *store.Tx) error {
			tab.Put(tx, &blob{fmt.Sprint(n % 3), data})
			return nil
		})
		return err
	}
	n := 0
	for err = error(nil); err == nil && n < 1000; n++ {
		err = write(n)
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("after %d writes: %v", n, err)
	}
	// The refusal made the store look; it has the backend reclaim space within a second.
	for refused := 0; ; refused++ {
		if err = write(n); err == nil {
			break
		}
		if !errors.Is(err, store.ErrFull) || t.Context().Err() != nil {
			t.Fatal(err)
		}
		if err := b.Reclaim(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		if refused > 10 {
			t.Fatal("refused, although there is space again")
		}
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Alarm != "" || st.File > 4<<20 {
		t.Errorf("afterwards: %+v %v", st, err)
	}
}
