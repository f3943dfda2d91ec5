package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/openberth/berth/internal/agentlink"
)

// Bounds of the sender (agent-protocol 4.3).
const (
	sendMin        = time.Second
	sendMax        = 30 * time.Second
	sendGrowth     = 1.3
	sendJitter     = 0.2
	sendConcurrent = 16 // calls at the same time, over all tasks
	// sendDelay is how long a change of containers alone waits, so that a task of three containers that start one after
	// the other makes one call and not three.
	sendDelay = time.Second
)

// ErrRefused says that the control plane will never take a state change in: it is dropped.
var ErrRefused = errors.New("state change refused")

// send reports what the control plane doesn't know yet of the worker's task, one call after the other, for ever.
func (w *worker) send(ctx context.Context) {
	wait := sendMin
	var due time.Time // of what isn't urgent
	for {
		s := w.snap.Load()
		r, urgent := s.task.Report(w.e.cfg.Cluster)
		if r == nil {
			wait, due = sendMin, time.Time{}
			select {
			case <-w.kick:
				continue
			case <-ctx.Done():
				return
			}
		}
		if due.IsZero() {
			due = time.Now().Add(sendDelay)
		}
		if left := time.Until(due); !urgent && left > 0 {
			select {
			case <-w.kick:
			case <-time.After(left):
			case <-ctx.Done():
				return
			}
			continue
		}
		// The end of a task must be on disk before the control plane may forget the task; anything else is seen again on the
		// containers themselves.
		if r.Status == agentlink.StatusStopped && s.durable != nil {
			select {
			case <-s.durable:
			case <-ctx.Done():
				return
			}
		}
		retry := w.e.retrySignal()
		err := w.e.submit(ctx, r)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, ErrRefused) {
			w.e.log.Warn("state change not delivered, trying again", "task", w.arn, "status", r.Status, "err", err, "in", wait)
			jittered := time.Duration(float64(wait) * (1 + sendJitter*rand.Float64()))
			select {
			case <-time.After(jittered):
				wait = min(time.Duration(float64(wait)*sendGrowth), sendMax)
			case <-retry:
				wait = sendMin
			case <-ctx.Done():
				return
			}
			continue
		}
		if err != nil {
			w.e.log.Error("state change dropped: the control plane refuses it", "task", w.arn, "status", r.Status, "err", err)
		} else {
			w.e.log.Info("state change delivered", "task", w.arn, "status", r.Status, "containers", len(r.Containers))
		}
		wait, due = sendMin, time.Time{}
		taken := make(chan struct{})
		w.post(func(time.Time) {
			w.task.accepted(r)
			w.dirty = true
			w.published = append(w.published, taken) // only then: or the sender would repeat itself
		})
		select {
		case <-taken:
		case <-ctx.Done():
			return
		}
	}
}

func (e *Engine) submit(ctx context.Context, r *agentlink.TaskStateChange) error {
	select {
	case e.sending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.sending }()
	return e.cfg.ControlPlane.SubmitTaskStateChange(ctx, r)
}

// retrySignal is closed when the control plane has come back: what waits for its next try goes at once.
func (e *Engine) retrySignal() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.retry
}

// RetryNow sends again at once what waits to be sent: the control plane is back.
func (e *Engine) RetryNow() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.retry)
	e.retry = make(chan struct{})
}
