package operations

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
	"github.com/openberth/berth/internal/wire"
)

var testScope = arn.Scope{Partition: "aws", Region: "us-east-1", Account: "123456789012"}

// testStart is the time that a test begins at; the service's clock moves on by a second with every look at it.
var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testService is a service over a store in memory, as the account's root calls it.
type testService struct {
	*Service
	t   testing.TB
	ctx context.Context
}

func newTestService(t testing.TB) *testService {
	t.Helper()
	st := store.Open(memory.New(), store.Options{Logger: slog.New(slog.DiscardHandler), CheckMutation: true}, state.Tables()...)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- st.Run(ctx) }()
	<-st.Ready()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	now := testStart
	s := &Service{
		Store: st, Scope: testScope, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { now = now.Add(time.Second); return now },
	}
	return &testService{s, t, as(ctx, testScope.Root())}
}

// as is a context whose caller has the given ARN.
func as(ctx context.Context, caller string) context.Context {
	return wire.WithCaller(ctx, wire.Caller{Account: testScope.Account, ARN: caller})
}

// put writes records straight into the store.
func (s *testService) put(fn func(tx *store.Tx)) {
	s.t.Helper()
	if _, err := s.Store.Update(s.ctx, func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		s.t.Fatal(err)
	}
}

// ok calls an operation that must succeed, with its input as the JSON that a client would send, checked against the model
// as the gateway does.
func ok[In, Out any](s *testService, op func(context.Context, *In) (*Out, error), input string) *Out {
	s.t.Helper()
	out, err := call(s, s.ctx, op, input)
	if err != nil {
		s.t.Fatalf("%s: %v", input, err)
	}
	return out
}

// refused calls an operation that must fail with exactly this error, "<code>: <message>".
func refused[In, Out any](s *testService, op func(context.Context, *In) (*Out, error), input, want string) {
	s.t.Helper()
	_, err := call(s, s.ctx, op, input)
	if err == nil {
		s.t.Errorf("%s: accepted, want %s", input, want)
	} else if fault.Code(err) == "" || err.Error() != want {
		s.t.Errorf("%s:\ngot  %v\nwant %s", input, err, want)
	}
}

func call[In, Out any](s *testService, ctx context.Context, op func(context.Context, *In) (*Out, error), input string) (*Out, error) {
	s.t.Helper()
	in := new(In)
	if err := json.Unmarshal([]byte(input), in); err != nil {
		s.t.Fatalf("%s: %v", input, err)
	}
	if err := wire.Validate(in); err != nil {
		return nil, err
	}
	return op(ctx, in)
}

// wantJSON compares an answer with JSON, whatever the order of members and the spaces.
func wantJSON(t testing.TB, got any, want string) {
	t.Helper()
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var g, w any
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
