package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/openberth/berth/internal/agent/runtime"
)

// Teardown stops every task of the checkpoint, in the order that their dependencies ask for, and removes their containers,
// volumes and limits, and what else bears the owner's label. The records stay, with the exit codes: the next agent on this
// data directory reports them. It returns how many containers it removed. The configuration must be Offline.
func Teardown(ctx context.Context, cfg Config) (removed int, err error) {
	if !cfg.Offline {
		return 0, errors.New("teardown needs an offline engine")
	}
	e, err := New(cfg)
	if err != nil {
		return 0, err
	}
	if _, err := cfg.Runtime.Info(ctx); err != nil {
		if len(e.workers) == 0 {
			return 0, nil // no runtime any more, and nothing that it could have
		}
		return 0, fmt.Errorf("teardown: %w", err)
	}
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	var done sync.WaitGroup
	done.Go(func() { _ = e.Run(run) }) // ends with run, which is no error here

	tasks := e.Snapshot()
	var arns []string
	for _, t := range tasks {
		if !t.Stopped() {
			arns = append(arns, t.Spec.ARN)
		}
	}
	e.Stop(arns)
	waitErr := e.waitStopped(ctx, arns)
	cancel()
	done.Wait()
	if err := cfg.Checkpoint.Sync(ctx); err != nil && waitErr == nil {
		waitErr = err
	}
	if waitErr != nil {
		return 0, fmt.Errorf("teardown: %w", waitErr)
	}

	list, err := cfg.Runtime.ListContainers(ctx, cfg.Owner)
	if err != nil {
		return 0, fmt.Errorf("teardown: %w", err)
	}
	var (
		g  errgroup.Group
		mu sync.Mutex
	)
	g.SetLimit(teardownParallel)
	for _, st := range list {
		g.Go(func() error {
			err := cfg.Runtime.RemoveContainer(ctx, st.ID)
			if err != nil && !errors.Is(err, runtime.ErrNotFound) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			removed++
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return removed, fmt.Errorf("teardown: %w", err)
	}
	var errs []error
	for _, t := range e.Snapshot() {
		errs = append(errs, removeTask(ctx, cfg.Runtime, t, cfg.Owner))
	}
	return removed, errors.Join(errs...)
}

// teardownParallel is how many containers are removed at the same time.
const teardownParallel = 8

// waitStopped waits until the tasks have stopped and that is recorded.
func (e *Engine) waitStopped(ctx context.Context, arns []string) error {
	stop := context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.idle.Broadcast()
	})
	defer stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		left := 0
		for _, arn := range arns {
			if !e.stopped[arn] {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d tasks have not stopped: %w", left, context.Cause(ctx))
		}
		e.idle.Wait()
	}
}
