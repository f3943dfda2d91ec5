package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

// startPatience is how long calls that come during the start are held for. An embedded etcd is ready within a few hundred
// milliseconds, an external one's former leader may take its 10 s to expire.
const startPatience = 15 * time.Second

// errStandby answers API calls to a server that doesn't lead. It has the state too, but a moment late: who creates something
// at the leader and asks here would be told that it doesn't exist, and believe it. SDKs retry a ServerException, and a load
// balancer that looks at /health/ready doesn't come here at all.
var errStandby = &fault.Error{Kind: fault.Server, Code: "ServerException",
	Message: "This server stands by: it does not lead the cluster right now, so it does not answer API calls. Nothing was changed; " +
		"try again, or call the server that leads, which is the one whose /health/ready answers 200."}

// Why a server can't answer API calls, as /health says it.
var (
	errStoreAway = errors.New("the store does not answer yet; the log says why")
	errLoading   = errors.New("the state isn't loaded yet")
	errStandsBy  = errors.New("this server stands by: another one leads the cluster, or none does yet")
)

// startup is how far the server has come.
type startup struct {
	settled chan struct{} // closed when this server leads, or has been waiting for so long that another one does
	st      *store.Store  // nil until opened
	mu      sync.Mutex
}

func newStartup(ctx context.Context) *startup {
	s := &startup{settled: make(chan struct{})}
	context.AfterFunc(ctx, s.settle)
	time.AfterFunc(startPatience, s.settle)
	return s
}

// opened is called when there is a store.
func (s *startup) opened(st *store.Store) {
	s.mu.Lock()
	s.st = st
	s.mu.Unlock()
	go func() {
		select {
		case <-st.Ready():
			s.settle()
		case <-s.settled:
		}
	}()
}

func (s *startup) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.settled:
	default:
		close(s.settled)
	}
}

// leading says why this server can't answer API calls; nil when it can.
func (s *startup) leading() error {
	s.mu.Lock()
	st := s.st
	s.mu.Unlock()
	if st == nil {
		return errStoreAway
	}
	select {
	case <-st.Ready():
		return nil
	default:
	}
	if err := st.View(func(store.Reader) error { return nil }); err != nil {
		return errLoading
	}
	return errStandsBy
}

// held makes handlers wait for the end of the start, so that whoever calls a moment too early is answered a moment later
// instead of refused, and lets them serve only while this server leads.
func (s *startup) held(handlers []wire.Handler) []wire.Handler {
	out := make([]wire.Handler, len(handlers))
	for i, h := range handlers {
		serve := h.Serve
		h.Serve = func(ctx context.Context, decode func(any) error) (any, error) {
			select {
			case <-s.settled:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			switch s.leading() {
			case nil:
				return serve(ctx, decode)
			case errStandsBy:
				return nil, errStandby
			}
			return nil, store.ErrNotLoaded
		}
		out[i] = h
	}
	return out
}
