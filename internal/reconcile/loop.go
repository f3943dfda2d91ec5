package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// Func brings the object called key nearer to where it should be. It returns when to look again even if nothing changes
// (zero: never). It must be safe to run at any time, any number of times.
type Func func(ctx context.Context, key string) (wake time.Time, err error)

// Feed tells a loop which keys to look at: first all there are, then those that something happened to. It returns when
// ctx ends, or with an error when it can't go on, which ends the loop.
type Feed func(ctx context.Context, add func(keys ...string)) error

// Options configures a Loop.
type Options struct {
	Name      string // of the controller, for logs and metrics
	Reconcile Func
	Feed      Feed // optional: without it, keys come through Add alone
	Workers   int  // default 1

	MinBackoff time.Duration // default 100 ms
	MaxBackoff time.Duration // default 30 s
	// Jitter returns a number in [0,1) that spreads retries: the pause is between half and the whole of the computed one.
	// Default: random.
	Jitter func() float64

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default()
	// Observe is told of every pass; metrics hang here. Optional.
	Observe func(Pass)
}

// Pass is one run of Reconcile.
type Pass struct {
	Key     string
	Waited  time.Duration // from when the key was due until a worker took it
	Took    time.Duration
	Err     error
	Pending int // keys that were due when the pass ended
}

// Loop runs one controller. See the package comment.
type Loop struct {
	opts Options
	log  *slog.Logger

	mu    sync.Mutex
	due   *sync.Cond       // signalled when queue grows or closed is set
	queue []string         // keys that a worker should take, oldest first
	keys  map[string]*item // everything that is queued, running, waiting for its time, or failing
	done  bool
}

// item is what the loop knows of a key.
type item struct {
	queued   bool
	queuedAt time.Time
	running  bool
	again    bool        // was added while running
	timer    *time.Timer // for wake or retry; nil: none
	failures int         // in a row
}

// New makes a Loop; Run starts it.
func New(opts Options) *Loop {
	if opts.Workers <= 0 {
		opts.Workers = 1
	}
	if opts.MinBackoff <= 0 {
		opts.MinBackoff = 100 * time.Millisecond
	}
	if opts.MaxBackoff <= 0 {
		opts.MaxBackoff = 30 * time.Second
	}
	if opts.Jitter == nil {
		opts.Jitter = rand.Float64
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	l := &Loop{opts: opts, log: opts.Logger.With("controller", opts.Name), keys: map[string]*item{}}
	l.due = sync.NewCond(&l.mu)
	return l
}

// Run works until ctx ends (then it returns nil) or the feed fails. A Loop runs once.
func (l *Loop) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	for range l.opts.Workers {
		workers.Go(func() { l.work(ctx) })
	}
	var err error
	if l.opts.Feed != nil {
		if err = l.opts.Feed(ctx, l.Add); err == nil && ctx.Err() == nil {
			err = fmt.Errorf("reconcile: the feed of %s ended early", l.opts.Name)
		}
		if ctx.Err() != nil {
			err = nil
		}
	} else {
		<-ctx.Done()
	}
	cancel()
	l.close()
	workers.Wait()
	return err
}

// Add makes keys due now.
func (l *Loop) Add(keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		l.add(key)
	}
}

// add makes key due now; mu is held.
func (l *Loop) add(key string) {
	if l.done {
		return
	}
	it := l.keys[key]
	if it == nil {
		it = &item{}
		l.keys[key] = it
	}
	switch {
	case it.queued:
	case it.running:
		it.again = true
	default:
		it.queued, it.queuedAt = true, l.opts.Now()
		l.queue = append(l.queue, key)
		l.due.Signal()
	}
}

func (l *Loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	for _, it := range l.keys {
		it.stopTimer()
	}
	l.due.Broadcast()
}

func (l *Loop) work(ctx context.Context) {
	for {
		key, due, ok := l.take()
		if !ok {
			return
		}
		start := l.opts.Now()
		wake, err := l.run(ctx, key)
		if ctx.Err() != nil {
			return // whatever failed, failed because the loop ends
		}
		pending := l.finish(key, wake, err)
		if l.opts.Observe != nil {
			l.opts.Observe(Pass{Key: key, Waited: start.Sub(due), Took: l.opts.Now().Sub(start), Err: err, Pending: pending})
		}
	}
}

// take waits for a key that is due.
func (l *Loop) take() (key string, due time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.done {
		l.due.Wait()
	}
	if l.done {
		return "", time.Time{}, false
	}
	key, l.queue = l.queue[0], l.queue[1:]
	it := l.keys[key]
	it.queued, it.running = false, true
	it.stopTimer() // this pass is what the timer was for
	return key, it.queuedAt, true
}

// run calls Reconcile; a panic becomes an error.
func (l *Loop) run(ctx context.Context, key string) (wake time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return l.opts.Reconcile(ctx, key)
}

// finish arranges the next pass over key, and returns how many keys are due.
func (l *Loop) finish(key string, wake time.Time, err error) (pending int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it := l.keys[key]
	it.running = false
	again := it.again
	it.again = false
	if err != nil {
		it.failures++
		pause := l.backoff(it.failures)
		l.log.Warn("a pass failed; it will be tried again", "key", key, "failures", it.failures, "pause", pause, "error", err)
		wake = l.opts.Now().Add(pause)
	} else {
		it.failures = 0
	}
	switch {
	case l.done:
	case again:
		l.add(key)
	case !wake.IsZero():
		l.wakeAt(key, it, wake)
	case it.failures == 0:
		delete(l.keys, key)
	}
	return len(l.queue)
}

// wakeAt makes key due at wake; mu is held.
func (l *Loop) wakeAt(key string, it *item, wake time.Time) {
	pause := wake.Sub(l.opts.Now())
	if pause <= 0 {
		l.add(key)
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.keys[key] == it && it.timer == timer { // else a pass has begun meanwhile, and what it returned holds
			it.timer = nil
			l.add(key)
		}
	})
	it.timer = timer
}

func (it *item) stopTimer() {
	if it.timer != nil {
		it.timer.Stop()
		it.timer = nil
	}
}

// backoff is the pause after the nth failure in a row: MinBackoff, twice that, four times that ... to MaxBackoff; less up
// to half of it.
func (l *Loop) backoff(failures int) time.Duration {
	pause := l.opts.MaxBackoff
	if n := failures - 1; n < 30 && l.opts.MinBackoff<<n < pause {
		pause = l.opts.MinBackoff << n
	}
	return pause - time.Duration(float64(pause/2)*l.opts.Jitter())
}
