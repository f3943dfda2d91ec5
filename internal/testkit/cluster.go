package testkit

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs/operations"
	"github.com/openberth/berth/internal/ecs/retention"
	"github.com/openberth/berth/internal/ecs/servicesched"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
	"github.com/openberth/berth/internal/store/storetest"
)

// Options configures a Cluster. The zero value is good.
type Options struct {
	Seed   uint64       // of the store's faults
	Faults int          // of 100 commits, how many fail in one of the ways in which commits fail
	Logger *slog.Logger // default: nothing is logged
	// StoppedTasks is how long STOPPED tasks are kept; default 1 h.
	StoppedTasks time.Duration
}

// Cluster is a control plane in this process. All its methods belong to one goroutine, the test's, in a synctest bubble.
type Cluster struct {
	// Store and API are those of the running control plane: another after each Start.
	Store *store.Store
	API   *operations.Service

	t       testing.TB
	opts    Options
	log     *slog.Logger
	memory  *memory.Backend
	starts  uint64
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Scope is where the cluster's resources live.
var Scope = arn.Scope{Partition: "aws", Region: "us-east-1", Account: "123456789012"}

// HealthyAfter is the scheduler's setting in a Cluster.
const HealthyAfter = 40 * time.Second

// New starts a control plane, which ends with the test.
func New(t testing.TB, opts Options) *Cluster {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	c := &Cluster{t: t, opts: opts, log: opts.Logger, memory: memory.New()}
	c.Start()
	t.Cleanup(c.Kill)
	return c
}

// Start starts the control plane on the state that is there.
func (c *Cluster) Start() {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.starts++
	backend := storetest.NewFaulty(c.memory, c.opts.Seed+c.starts, c.opts.Faults)
	st := store.Open(backend, store.Options{ID: "test", Logger: c.log, CheckMutation: true}, state.Tables()...)
	c.Store = st
	c.API = &operations.Service{Store: st, Scope: Scope, Now: time.Now, Log: c.log,
		Endpoint: func(context.Context) string { return "http://127.0.0.1:4566" }}
	scheduler := servicesched.New(servicesched.Config{Store: st, Now: time.Now, Log: c.log, HealthyAfter: HealthyAfter})
	keeper := retention.New(retention.Config{Store: st, Now: time.Now, Log: c.log, StoppedTasks: c.opts.StoppedTasks,
		Collectors: []func(context.Context) error{c.API.CollectTaskDefinitions}})
	c.running.Go(func() {
		if err := st.Run(ctx); err != nil {
			c.t.Errorf("store: %v", err)
		}
	})
	for _, part := range []func(context.Context) error{scheduler.Run, keeper.Run} {
		c.running.Go(func() {
			// A controller may fail while its term ends; it is started again in the next one.
			for ctx.Err() == nil {
				if err := st.Lead(ctx, part); err != nil {
					c.log.Warn("a controller ended", "error", err)
				}
			}
		})
	}
	<-st.Ready()
}

// Kill stops the control plane wherever it happens to be. What it hadn't committed is lost, and only that.
func (c *Cluster) Kill() {
	c.cancel()
	c.running.Wait()
	c.memory.Depose(false)
}

// Depose takes the leadership from the control plane, which must get it back; tell says whether it learns of that at once,
// or when its next commit is refused.
func (c *Cluster) Depose(tell bool) {
	c.memory.Depose(tell)
	synctest.Wait()
}

// View reads the durable state.
func (c *Cluster) View(fn func(r store.Reader)) {
	c.t.Helper()
	if err := c.Store.View(func(r store.Reader) error { fn(r); return nil }); err != nil {
		c.t.Fatalf("View: %v", err)
	}
}

// SetFaults changes how many of 100 commits fail, from the next Start on.
func (c *Cluster) SetFaults(rate int) { c.opts.Faults = rate }
