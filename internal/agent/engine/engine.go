package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openberth/berth/internal/agent/checkpoint"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

// ControlPlane takes the reports. An error that is ErrRefused drops the report, any other one sends it again.
type ControlPlane interface {
	SubmitTaskStateChange(ctx context.Context, change *agentlink.TaskStateChange) error
}

// Config is what an Engine needs.
type Config struct {
	Cluster       string
	Owner         string // the data directory's id
	Runtime       runtime.Runtime
	Checkpoint    *checkpoint.DB
	ControlPlane  ControlPlane
	PullBehaviour runtime.PullBehaviour
	StopTimeout   time.Duration
	CleanupWait   time.Duration
	Total         Resources // what the host gives to tasks
	Log           *slog.Logger
	// HealthChanged is called when Task tells something new about a health-checked container.
	HealthChanged func(taskARN string)
	// RuntimeChanged is called when the runtime goes away or comes back.
	RuntimeChanged func(up bool, reason string)
	// Offline keeps the engine from reporting and from cleaning up: for Teardown.
	Offline bool
}

// Engine runs the tasks of one agent.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	ledger *ledger
	up     atomic.Bool // the runtime answers

	sending chan struct{}

	mu      sync.Mutex
	workers map[string]*worker
	order   uint64
	retry   chan struct{}
	run     context.Context // while Run runs
	running sync.WaitGroup
	stopped map[string]bool
	idle    *sync.Cond // on mu: a task has stopped
}

// New makes an engine that goes on with the tasks in the checkpoint.
func New(cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg, log: cfg.Log, ledger: newLedger(cfg.Total), sending: make(chan struct{}, sendConcurrent),
		workers: map[string]*worker{}, retry: make(chan struct{}), stopped: map[string]bool{}}
	e.idle = sync.NewCond(&e.mu)
	records, err := cfg.Checkpoint.All(checkpoint.Tasks)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	for arn, b := range records {
		t := new(Task)
		if err := json.Unmarshal(b, t); err != nil {
			return nil, fmt.Errorf("read task %s from the checkpoint: %w", arn, err)
		}
		if err := t.bind(); err != nil {
			return nil, fmt.Errorf("read checkpoint: %w", err)
		}
		w := newWorker(e, t)
		for i := range t.Containers {
			if c := &t.Containers[i]; c.Known != Stopped {
				w.unsure[c.Name] = true
			}
		}
		if t.Admitted && !t.Stopped() {
			e.ledger.hold(arn, demand(t.Spec))
		}
		e.workers[arn] = w
		e.order = max(e.order, t.Order)
	}
	return e, nil
}

// Run moves the tasks until ctx ends; their containers run on.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	e.run = ctx
	for _, w := range slices.SortedFunc(maps.Values(e.workers), func(a, b *worker) int { return cmp.Compare(a.task.Order, b.task.Order) }) {
		e.launch(w)
	}
	e.mu.Unlock()
	e.watch(ctx)
	e.mu.Lock()
	e.run = nil // nothing is launched any more
	e.mu.Unlock()
	e.running.Wait()
	return ctx.Err()
}

// launch starts a worker; mu is held.
func (e *Engine) launch(w *worker) {
	if e.run == nil {
		return // Run does it, or nobody needs to any more: the record is there
	}
	// Here, where tasks come by in the order in which they were accepted: their goroutines start in any order, and one that
	// asked before its elder would get the room that the elder waits for.
	w.request()
	ctx, cancel := context.WithCancel(e.run)
	e.running.Go(func() {
		w.run(ctx)
		cancel() // the sender has nothing left to do either
	})
	if !e.cfg.Offline {
		e.running.Go(func() { w.send(ctx) })
	}
}

// Accept takes tasks of a payload in. Accepted is called once all of them (and seqNum, if it is the highest so far) are on
// disk; only then may the payload be acknowledged. Tasks to stop go before tasks to run. A task that is known already is
// not run again; one that has ended is reported again, since the control plane hasn't heard.
func (e *Engine) Accept(tasks []*agentlink.Task, seqNum *int64, accepted func()) {
	tasks = slices.Clone(tasks)
	sort.SliceStable(tasks, func(i, j int) bool {
		return tasks[i].DesiredStatus == agentlink.StatusStopped && tasks[j].DesiredStatus != agentlink.StatusStopped
	})
	left := newCountdown(len(tasks)+1, accepted)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, spec := range tasks {
		e.accept(withoutCredentials(spec), left.one)
	}
	if seqNum != nil {
		e.saveSeqNum(*seqNum)
	}
	e.cfg.Checkpoint.Barrier(left.one)
}

// accept takes one task in; mu is held.
func (e *Engine) accept(spec *agentlink.Task, accepted func()) {
	if w, known := e.workers[spec.ARN]; known {
		w.post(func(now time.Time) {
			if spec.DesiredStatus == agentlink.StatusStopped {
				w.task.stop(now)
			}
			w.task.again()
			w.dirty = true
			w.acks = append(w.acks, accepted)
		})
		return
	}
	e.order++
	t := NewTask(spec, e.order, time.Now())
	w := newWorker(e, t)
	e.workers[spec.ARN] = w
	e.save(t.clone(), func() { // nothing is started before the record is there: or a crash would leave orphans
		accepted()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.launch(w)
	})
}

// Stop stops tasks that the control plane has confirmed it doesn't want.
func (e *Engine) Stop(arns []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, arn := range arns {
		if w := e.workers[arn]; w != nil {
			w.post(func(now time.Time) {
				w.task.stop(now)
				w.dirty = true
			})
		}
	}
}

// SeqNum is the highest sequence number on record, -1 at first.
func (e *Engine) SeqNum() (int64, error) {
	b, err := e.cfg.Checkpoint.Get(checkpoint.Meta, checkpoint.KeySeqNum)
	if err != nil || len(b) == 0 {
		return -1, err
	}
	var n int64
	return n, json.Unmarshal(b, &n)
}

func (e *Engine) saveSeqNum(n int64) {
	b, _ := json.Marshal(n)
	e.cfg.Checkpoint.Put(checkpoint.Meta, checkpoint.KeySeqNum, b, nil)
}

// SaveSeqNum records n; durable is called when that is on disk.
func (e *Engine) SaveSeqNum(n int64, durable func()) {
	e.saveSeqNum(n)
	e.cfg.Checkpoint.Barrier(durable)
}

// Snapshot returns the records of all tasks, in order of acceptance; nobody changes them any more.
func (e *Engine) Snapshot() []*Task {
	e.mu.Lock()
	tasks := make([]*Task, 0, len(e.workers))
	for _, w := range e.workers {
		tasks = append(tasks, w.snap.Load().task)
	}
	e.mu.Unlock()
	slices.SortFunc(tasks, func(a, b *Task) int { return int(int64(a.Order) - int64(b.Order)) })
	return tasks
}

// Task returns the record of a task, nil if there is none.
func (e *Engine) Task(arn string) *Task {
	e.mu.Lock()
	defer e.mu.Unlock()
	if w := e.workers[arn]; w != nil {
		return w.snap.Load().task
	}
	return nil
}

// forget drops a worker whose task is cleaned up, unless something has been posted to it meanwhile.
func (e *Engine) forget(w *worker) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		return false
	}
	delete(e.workers, w.arn)
	delete(e.stopped, w.arn)
	return true
}

func (e *Engine) stoppedOne(arn string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped[arn] = true
	e.idle.Broadcast()
}

// Bounds of the watch over the runtime.
const (
	watchMin  = 250 * time.Millisecond
	watchMax  = 5 * time.Second
	pollEvery = 5 * time.Minute
	pollSlack = 30 * time.Second
)

// watch follows the runtime's events, again and again: events say where to look, and after every gap everything is looked at.
func (e *Engine) watch(ctx context.Context) {
	e.running.Go(func() { e.poll(ctx) })
	wait := watchMin
	for ctx.Err() == nil {
		err := e.cfg.Runtime.Watch(ctx, e.cfg.Owner, func() {
			wait = watchMin
			e.reconcile(ctx)
		}, e.event)
		if ctx.Err() != nil {
			return
		}
		e.setUp(false, fmt.Sprint(err))
		e.log.Warn("container runtime went away", "err", err, "again in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, watchMax)
	}
}

func (e *Engine) setUp(up bool, reason string) {
	if e.up.Swap(up) != up && e.cfg.RuntimeChanged != nil {
		e.cfg.RuntimeChanged(up, reason)
	}
}

func (e *Engine) event(ev runtime.Event) {
	e.mu.Lock()
	w := e.workers[ev.TaskARN]
	e.mu.Unlock()
	if w != nil {
		w.happened(ev)
	}
}

// reconcile looks at everything after a gap, and removes what no record claims.
func (e *Engine) reconcile(ctx context.Context) {
	e.setUp(true, "")
	e.recheck()
	list, err := e.cfg.Runtime.ListContainers(ctx, e.cfg.Owner)
	if err != nil {
		e.log.Warn("containers could not be listed", "err", err) // the next gap or poll looks again
		return
	}
	for _, st := range list {
		// The record comes before the container, and goes after it: what has none belongs to a payload that was never
		// acknowledged, and comes again.
		if e.Task(st.Labels[runtime.LabelTask]) != nil {
			continue
		}
		e.log.Warn("removing a container that no task claims", "container", st.Name, "id", st.ID)
		if err := e.cfg.Runtime.RemoveContainer(ctx, st.ID); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			e.log.Warn("orphaned container could not be removed", "container", st.Name, "err", err)
		}
	}
}

func (e *Engine) recheck() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.workers {
		w.recheck()
	}
}

// poll looks at everything now and then, should an event have been lost.
func (e *Engine) poll(ctx context.Context) {
	for {
		select {
		case <-time.After(pollEvery + rand.N(pollSlack)):
			if e.up.Load() {
				e.recheck()
			}
		case <-ctx.Done():
			return
		}
	}
}

// countdown calls f when one has been called n times.
type countdown struct {
	left atomic.Int64
	f    func()
}

func newCountdown(n int, f func()) *countdown {
	c := &countdown{f: f}
	c.left.Store(int64(n))
	return c
}

func (c *countdown) one() {
	if c.left.Add(-1) == 0 && c.f != nil {
		c.f()
	}
}
