package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openberth/berth/internal/agent/checkpoint"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

// Bounds of single steps (ECS_CONTAINER_CREATE_TIMEOUT, ECS_CONTAINER_START_TIMEOUT; a stop may take as much longer than its
// own timeout as stopGrace).
const (
	createTimeout = 4 * time.Minute
	startTimeout  = 3 * time.Minute
	stopGrace     = 2 * time.Minute
	retryMin      = 250 * time.Millisecond
	retryMax      = 15 * time.Second
)

// worker moves one task. Everything about the task happens in its goroutine: others post functions to it, and read the
// snapshot that it publishes.
type worker struct {
	e    *Engine
	arn  string
	task *Task // only in run

	busy     map[string]*flight
	unsure   map[string]bool
	lastExit map[string]int // what the runtime said of an end, should the container be gone before it is looked at
	retryAt  time.Time
	backoff  time.Duration
	dirty    bool
	acks     []func() // to call when what is known now is on disk
	// published is closed when what is known now can be seen.
	published []chan struct{}

	mu    sync.Mutex
	queue []func(now time.Time)
	wake  chan struct{}

	snap atomic.Pointer[snapshot]
	kick chan struct{} // tells the sender that there is something new
}

// flight is a step that is under way.
type flight struct {
	action Action
	cancel context.CancelFunc
}

// snapshot is a record that nobody changes any more; durable is closed once it is on disk.
type snapshot struct {
	task    *Task
	durable chan struct{}
}

func newWorker(e *Engine, t *Task) *worker {
	w := &worker{e: e, arn: t.Spec.ARN, task: t, busy: map[string]*flight{}, unsure: map[string]bool{}, lastExit: map[string]int{},
		wake: make(chan struct{}, 1), kick: make(chan struct{}, 1)}
	w.snap.Store(&snapshot{task: t.clone()})
	return w
}

// post hands f to the worker's goroutine; it never blocks.
func (w *worker) post(f func(now time.Time)) {
	w.mu.Lock()
	w.queue = append(w.queue, f)
	w.mu.Unlock()
	notify(w.wake)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *worker) drain(now time.Time) {
	w.mu.Lock()
	queue := w.queue
	w.queue = nil
	w.mu.Unlock()
	for _, f := range queue {
		f(now)
	}
}

// request queues for the host's resources; it is called once, before run.
func (w *worker) request() {
	if w.task.Desired == agentlink.StatusRunning && !w.task.Admitted {
		w.e.ledger.request(w.arn, w.task.Order, demand(w.task.Spec), func() {
			w.post(func(time.Time) { w.task.Admitted, w.dirty = true, true })
		})
	}
}

// run moves the task until it is over and cleaned up, or ctx ends; containers stay as they are then.
func (w *worker) run(ctx context.Context) {
	notify(w.kick)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.drain(time.Now())
		step := Next(w.task, w.observed())
		for step.Action != Wait {
			w.begin(ctx, step)
			step = Next(w.task, w.observed())
		}
		if w.dirty || len(w.acks) > 0 {
			w.publish()
		}
		wake := step.Wake
		if due, ok := w.cleanupDue(); ok {
			if !time.Now().Before(due) {
				if w.cleanUp(ctx) {
					return
				}
				due = w.retryAt
			}
			wake = earliest(wake, due)
		}
		if wake.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(wake))
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}

func (w *worker) observed() Observed {
	busy := make(map[string]Action, len(w.busy))
	for name, f := range w.busy {
		busy[name] = f.action
	}
	return Observed{Now: time.Now(), Available: w.e.up.Load(), RetryAt: w.retryAt, Busy: busy, Unsure: w.unsure}
}

// publish makes what is known now visible, and durable.
func (w *worker) publish() {
	acks := w.acks
	w.dirty, w.acks = false, nil
	s := &snapshot{task: w.task.clone(), durable: make(chan struct{})}
	before := w.snap.Swap(s)
	if healthDiffers(before.task, s.task) && w.e.cfg.HealthChanged != nil {
		w.e.cfg.HealthChanged(w.arn)
	}
	for _, c := range w.published {
		close(c)
	}
	w.published = nil
	w.e.save(s.task, func() {
		close(s.durable)
		for _, ack := range acks {
			ack()
		}
	})
	if s.task.Stopped() {
		w.e.ledger.release(w.arn)
		w.e.stoppedOne(w.arn)
	}
	notify(w.kick)
}

// healthDiffers tells whether there is something about health to publish.
func healthDiffers(before, after *Task) bool {
	for i := range after.Containers {
		a, b := &after.Containers[i], &before.Containers[i]
		if a.HealthChecked() && (a.Health != b.Health || a.Known != b.Known) {
			return true
		}
	}
	return false
}

// save queues the record for the checkpoint.
func (e *Engine) save(t *Task, durable func()) {
	b, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("task record doesn't marshal: %v", err)) // it holds nothing that can fail
	}
	e.cfg.Checkpoint.Put(checkpoint.Tasks, t.Spec.ARN, b, durable)
}

// begin starts a step; those that need the runtime go on in a goroutine of their own and post what came of them.
func (w *worker) begin(ctx context.Context, step Step) {
	w.e.log.Debug("step", "task", w.arn, "action", string(step.Action), "container", step.Container, "reason", step.Reason)
	now := time.Now()
	switch step.Action {
	case Abandon:
		w.task.abandon(w.task.Container(step.Container), "", now)
		w.dirty = true
	case Fail:
		w.task.abandon(w.task.Container(step.Container), step.Reason, now)
		w.task.stop(now)
		w.dirty = true
	case Cancel:
		w.busy[step.Container].cancel()
		w.busy[step.Container].action = Cancel
	default:
		ctx, cancel := context.WithCancel(ctx)
		w.busy[step.Container] = &flight{step.Action, cancel}
		if step.Action == Inspect {
			delete(w.unsure, step.Container) // what happens from here on is news
		}
		task := w.task.clone()
		go func() {
			defer cancel()
			apply := w.execute(ctx, task, step)
			w.post(func(now time.Time) {
				delete(w.busy, step.Container)
				apply(now)
			})
		}()
	}
}

// execute does what the step says, on a copy of the record; what it returns takes the outcome into the record itself.
func (w *worker) execute(ctx context.Context, task *Task, step Step) func(now time.Time) {
	rt, cfg := w.e.cfg.Runtime, &w.e.cfg
	c := task.Container(step.Container)
	switch step.Action {
	case Prepare:
		p, err := rt.PrepareTask(ctx, taskSpec(task.Spec, cfg.Owner))
		if p.Warning != "" {
			w.e.log.Warn("no limits for the task as a whole", "task", w.arn, "reason", p.Warning)
		}
		return w.outcome(step, err, "ResourceInitializationError", func(time.Time, *Container) { w.task.Prepared = &p })
	case Pull:
		img, err := rt.PullImage(ctx, c.Spec.Image, cfg.PullBehaviour)
		if errors.Is(err, context.Canceled) {
			return func(time.Time) {} // given up: the task stops, or the agent does
		}
		if err == nil && img.Warning != "" {
			w.e.log.Warn("image not pulled, using the local one", "task", w.arn, "image", c.Spec.Image, "err", img.Warning)
		}
		return w.outcome(step, err, "CannotPullContainerError", func(_ time.Time, c *Container) {
			c.Known, c.ImageDigest = Pulled, img.Digest
			w.task.pulled(img)
		})
	case Create:
		ctx, cancel := context.WithTimeout(ctx, createTimeout)
		defer cancel()
		id, err := rt.CreateContainer(ctx, containerSpec(task, c, cfg.Owner))
		return w.outcome(step, err, "CannotCreateContainerError", func(_ time.Time, c *Container) { c.Known, c.ID = Created, id })
	case Start:
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		st, err := rt.StartContainer(ctx, c.ID)
		return w.outcome(step, err, "CannotStartContainerError", func(now time.Time, c *Container) { w.task.observe(c, st, now) })
	case Stop:
		timeout := cfg.StopTimeout
		if c.Spec.StopTimeout > 0 {
			timeout = time.Duration(c.Spec.StopTimeout) * time.Second
		}
		ctx, cancel := context.WithTimeout(ctx, timeout+stopGrace)
		defer cancel()
		err := rt.StopContainer(ctx, c.ID, timeout)
		var st runtime.State
		if err == nil {
			st, err = rt.InspectContainer(ctx, c.ID)
		}
		return w.looked(step, st, err)
	default: // Inspect
		id := c.ID
		if id == "" {
			id = containerName(task.Spec, c.Name)
		}
		st, err := rt.InspectContainer(ctx, id)
		return w.looked(step, st, err)
	}
}

func (t *Task) pulled(img runtime.Image) {
	if img.PullStarted.IsZero() {
		return
	}
	t.PullStartedAt = earliest(t.PullStartedAt, img.PullStarted)
	if img.PullStopped.After(t.PullStoppedAt) {
		t.PullStoppedAt = img.PullStopped
	}
}

// outcome takes in the end of a step on the way up.
func (w *worker) outcome(step Step, err error, name string, success func(now time.Time, c *Container)) func(now time.Time) {
	return func(now time.Time) {
		c := w.task.Container(step.Container)
		switch {
		case err == nil:
			w.backoff = 0
			if c == nil || c.Known != Stopped {
				success(now, c)
			}
			w.task.settle(now)
		case errors.Is(err, context.Canceled):
			w.unsure[step.Container] = true
			return
		case errors.Is(err, runtime.ErrUnavailable):
			w.later(step, err, now)
			return
		case errors.Is(err, runtime.ErrNotFound) && step.Action == Start:
			w.task.missing(c, nil, now) // removed behind our back between create and start
		case c == nil:
			w.task.fail(name+": "+err.Error(), now)
		default:
			if errors.Is(err, context.DeadlineExceeded) {
				name, err = "DockerTimeoutError", fmt.Errorf("could not %s the container in time", step.Action)
				w.reap(c)
			}
			w.e.log.Warn("step failed", "task", w.arn, "container", c.Name, "action", string(step.Action), "err", err)
			w.task.abandon(c, name+": "+err.Error(), now)
			if step.Action == Pull {
				// Without an image there is no point in the others running (agent-protocol 8.5).
				w.task.stop(now)
			}
		}
		w.dirty = true
	}
}

// reap stops a container that was given up although the runtime may still start it.
func (w *worker) reap(c *Container) {
	name := containerName(w.task.Spec, c.Name)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
		defer cancel()
		if err := w.e.cfg.Runtime.StopContainer(ctx, name, 0); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			w.e.log.Warn("container given up could not be stopped", "task", w.arn, "container", name, "err", err)
		}
	}()
}

// looked takes in how a container is.
func (w *worker) looked(step Step, st runtime.State, err error) func(now time.Time) {
	return func(now time.Time) {
		c := w.task.Container(step.Container)
		switch {
		case err == nil:
			w.backoff = 0
			w.task.observe(c, st, now)
		case errors.Is(err, runtime.ErrNotFound):
			w.backoff = 0
			var code *int
			if last, ok := w.lastExit[c.Name]; ok {
				code = &last
			}
			w.task.missing(c, code, now)
		case errors.Is(err, context.Canceled):
			w.unsure[c.Name] = true
		default:
			w.later(step, err, now)
		}
		w.dirty = true
	}
}

// later holds the task back for a while, then looks again.
func (w *worker) later(step Step, err error, now time.Time) {
	w.backoff = min(max(2*w.backoff, retryMin), retryMax)
	w.retryAt = now.Add(w.backoff)
	if step.Container != "" {
		w.unsure[step.Container] = true
	}
	w.e.log.Warn("runtime call failed, trying again", "task", w.arn, "container", step.Container,
		"action", string(step.Action), "err", err, "in", w.backoff)
}

// happened takes in an event of the runtime.
func (w *worker) happened(ev runtime.Event) {
	w.post(func(now time.Time) {
		c := w.task.Container(ev.ContainerName)
		if c == nil || c.Known == Stopped {
			return
		}
		switch ev.Kind {
		case runtime.HealthChanged:
			if c.Known == Running && c.observeHealth(ev.Health, ev.Time) {
				w.dirty = true
			}
			return
		case runtime.Died:
			w.lastExit[c.Name] = ev.ExitCode
		}
		w.unsure[c.Name] = true
	})
}

// recheck looks at every container that may have changed unseen.
func (w *worker) recheck() {
	w.post(func(time.Time) {
		w.retryAt, w.backoff = time.Time{}, 0
		for i := range w.task.Containers {
			if c := &w.task.Containers[i]; c.Known != Stopped {
				w.unsure[c.Name] = true
			}
		}
	})
}
