package etcd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openberth/berth/internal/store"
)

// TestDeadLeaderIsReplaced cuts the leader off from etcd without a word, so that only its lease's end tells.
func TestDeadLeaderIsReplaced(t *testing.T) {
	external.start(t)
	const prefix = "/dead-leader/"
	tab := notes()
	dying := external.connectTo(t, prefix)
	first := store.Open(dying, store.Options{ID: "first", Logger: quiet}, tab)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	<-first.Ready()
	_, err := first.Update(ctx, func(tx *store.Tx) error { tab.Put(tx, &note{ID: "a", N: 1}); return nil })
	if err != nil {
		t.Fatal(err)
	}
	second, _ := serve(t, external.connectTo(t, prefix), tab)
	select {
	case <-second.Ready():
		t.Fatal("two leaders")
	default:
	}
	begin := time.Now()
	_ = dying.Close() // "context canceled"
	select {
	case <-second.Ready():
	case <-ctx.Done():
		t.Fatal("nobody took over")
	}
	// The lease is 2 s, and etcd looks for ended leases twice a second.
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the takeover took %v", took)
	}
	_ = second.View(func(r store.Reader) error {
		if n, ok := tab.Get(r, "a"); !ok || n.N != 1 {
			t.Errorf("the new leader has %v", n)
		}
		return nil
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestLimitsAreProbed(t *testing.T) {
	external.start(t)
	if got := external.connect(t).Limits().Rows; got != 127 {
		t.Errorf("an etcd with its default of 128 operations allows %d rows, want 127 and the fence", got)
	}
}

// TestIdleLeaderIsTold: a leader that has nothing to write must stop its controllers all the same.
func TestIdleLeaderIsTold(t *testing.T) {
	external.start(t)
	b := external.connect(t)
	s, _ := serve(t, b, notes())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	terms := 0
	err := s.Lead(ctx, func(term context.Context) error {
		if terms++; terms == 2 {
			return errors.New("enough")
		}
		depose(t, b)
		<-term.Done()
		return nil
	})
	if err == nil || terms != 2 {
		t.Errorf("the leadership did not end: %d terms, %v", terms, err)
	}
}
