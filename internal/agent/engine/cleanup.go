package engine

import (
	"context"
	"errors"
	"time"

	"github.com/openberth/berth/internal/agent/checkpoint"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

// cleanupDue says when the task's containers are to be removed: some time after its end has been accepted. A task that
// never had any containers here has nothing worth keeping.
func (w *worker) cleanupDue() (time.Time, bool) {
	t := w.task
	if t.Sent != agentlink.StatusStopped || !t.Stopped() || len(w.busy) > 0 || w.e.cfg.Offline {
		return time.Time{}, false
	}
	for i := range t.Containers {
		if t.Containers[i].Sent != agentlink.StatusStopped {
			return time.Time{}, false
		}
	}
	if len(t.Containers) == 0 {
		return t.StoppedAt, true
	}
	due := t.StoppedAt.Add(w.e.cfg.CleanupWait)
	if w.retryAt.After(due) {
		due = w.retryAt
	}
	return due, true
}

// cleanUp removes everything of the task, its record last, and tells whether that is done.
func (w *worker) cleanUp(ctx context.Context) bool {
	if err := removeTask(ctx, w.e.cfg.Runtime, w.task, w.e.cfg.Owner); err != nil {
		if ctx.Err() == nil {
			w.later(Step{Action: "remove"}, err, time.Now())
		}
		return false
	}
	if !w.e.forget(w) {
		return false // somebody has just asked for it
	}
	w.e.cfg.Checkpoint.Delete(checkpoint.Tasks, w.arn, nil)
	return true
}

func removeTask(ctx context.Context, rt runtime.Runtime, t *Task, owner string) error {
	for i := range t.Containers {
		// By name: a container that was made but never recorded goes too.
		err := rt.RemoveContainer(ctx, containerName(t.Spec, t.Containers[i].Name))
		if err != nil && !errors.Is(err, runtime.ErrNotFound) {
			return err
		}
	}
	if t.Prepared == nil && len(t.Containers) == 0 {
		return nil
	}
	return rt.RemoveTask(ctx, taskSpec(t.Spec, owner))
}
