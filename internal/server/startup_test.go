package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
	"github.com/openberth/berth/internal/wire"
)

// TestOnlyTheLeaderAnswers has two servers on one backend, of which the second stands by.
func TestOnlyTheLeaderAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		backend := memory.New()
		run := func(s *startup) (stop context.CancelFunc) {
			st := store.Open(backend, store.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			s.opened(st)
			running, stop := context.WithCancel(ctx)
			go st.Run(running) //nolint:errcheck // it ends with the test
			synctest.Wait()
			return stop
		}
		first, second, lost := newStartup(ctx), newStartup(ctx), newStartup(ctx)
		call := func(s *startup) error {
			h := s.held([]wire.Handler{{Serve: func(context.Context, func(any) error) (any, error) { return nil, nil }}})
			_, err := h[0].Serve(ctx, nil)
			return err
		}
		begin := time.Now()
		if err := first.leading(); err == nil || !strings.Contains(err.Error(), "store does not answer") {
			t.Errorf("before there is a store: %v", err)
		}
		early := make(chan error, 1)
		go func() { early <- call(first) }()
		synctest.Wait()
		stop := run(first)
		if err := <-early; err != nil || time.Since(begin) != 0 {
			t.Errorf("a call during the start: %v, after %v", err, time.Since(begin))
		}
		if err := first.leading(); err != nil {
			t.Errorf("the leader: %v", err)
		}

		run(second)
		if err := second.leading(); err == nil || !strings.Contains(err.Error(), "stands by") {
			t.Errorf("the second: %v", err)
		}
		var f *fault.Error
		if err := call(second); !errors.As(err, &f) || f.Kind != fault.Server || time.Since(begin) != startPatience {
			t.Errorf("a call to the second: %v, after %v", err, time.Since(begin))
		}
		if err := call(lost); !errors.Is(err, store.ErrNotLoaded) {
			t.Errorf("a call to one without a store: %v", err)
		}
		begin = time.Now()
		if err := call(second); !errors.Is(err, errStandby) || time.Since(begin) != 0 {
			t.Errorf("another: %v, after %v", err, time.Since(begin))
		}

		stop()
		synctest.Wait()
		if err := call(first); !errors.Is(err, errStandby) {
			t.Errorf("a call to the one that has ended: %v", err)
		}
		if err := call(second); err != nil {
			t.Errorf("a call to the one that has taken over: %v", err)
		}
		cancel()
	})
}

// TestAgentsComeBackToWhereTheyCalled: a server on all interfaces, or behind a balancer, doesn't know its address.
func TestAgentsComeBackToWhereTheyCalled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Server{listen: l}
	for _, c := range []struct {
		caller wire.Caller
		want   string
	}{
		{wire.Caller{}, "http://" + l.Addr().String()},
		{wire.Caller{Host: "10.0.0.7:4566"}, "http://10.0.0.7:4566"},
		{wire.Caller{Host: "berth.example.com", TLS: true}, "https://berth.example.com"},
	} {
		if got := s.endpointFor(wire.WithCaller(t.Context(), c.caller)); got != c.want {
			t.Errorf("%+v: %s, want %s", c.caller, got, c.want)
		}
	}
}
