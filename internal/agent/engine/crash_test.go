package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

// A crash is simulated by cutting the agent off: from the moment on, nothing of what it does reaches the disk, the runtime or
// the control plane. Then its goroutines are ended, and a new agent starts on what the old one left.
type crash struct {
	at    int64 // the point to die at, counted from 1; 0: never
	count atomic.Int64
	dead  atomic.Bool
	where atomic.Value // what the point was
}

var errDead = errors.New("the agent is dead")

// point is passed before and after every effect.
func (c *crash) point(what string) error {
	if c.dead.Load() {
		return errDead
	}
	if n := c.count.Add(1); n == c.at {
		c.where.Store(what)
		c.dead.Store(true)
		return errDead
	}
	return nil
}

// mortal is a runtime whose caller may die before a call takes effect, or after that without hearing of it.
type mortal struct {
	runtime.Runtime
	crash *crash
}

func (m *mortal) around(what string, call func() error) error {
	if m.crash.point("before "+what) != nil {
		return runtime.ErrUnavailable
	}
	err := call()
	if m.crash.point("after "+what) != nil {
		return runtime.ErrUnavailable
	}
	return err
}

func (m *mortal) PrepareTask(ctx context.Context, s runtime.TaskSpec) (p runtime.Prepared, err error) {
	err = m.around("prepare", func() error { p, err = m.Runtime.PrepareTask(ctx, s); return err })
	return p, err
}

func (m *mortal) CreateContainer(ctx context.Context, s *runtime.ContainerSpec) (id string, err error) {
	err = m.around("create", func() error { id, err = m.Runtime.CreateContainer(ctx, s); return err })
	return id, err
}

func (m *mortal) StartContainer(ctx context.Context, id string) (st runtime.State, err error) {
	err = m.around("start", func() error { st, err = m.Runtime.StartContainer(ctx, id); return err })
	return st, err
}

func (m *mortal) StopContainer(ctx context.Context, id string, d time.Duration) error {
	return m.around("stop", func() error { return m.Runtime.StopContainer(ctx, id, d) })
}

func (m *mortal) RemoveContainer(ctx context.Context, id string) error {
	return m.around("remove", func() error { return m.Runtime.RemoveContainer(ctx, id) })
}

func (m *mortal) RemoveTask(ctx context.Context, s runtime.TaskSpec) error {
	return m.around("remove task", func() error { return m.Runtime.RemoveTask(ctx, s) })
}

func (m *mortal) InspectContainer(ctx context.Context, id string) (runtime.State, error) {
	if m.crash.dead.Load() {
		return runtime.State{}, runtime.ErrUnavailable
	}
	return m.Runtime.InspectContainer(ctx, id)
}

// mortalControlPlane takes reports, but the agent may die before they arrive, or before it hears that they did.
type mortalControlPlane struct {
	*controlPlane
	crash *crash
}

func (m *mortalControlPlane) SubmitTaskStateChange(ctx context.Context, r *agentlink.TaskStateChange) error {
	if err := m.crash.point("before submit " + r.Status); err != nil {
		return err
	}
	if err := m.controlPlane.SubmitTaskStateChange(ctx, r); err != nil {
		return err
	}
	return m.crash.point("after submit " + r.Status)
}

// TestCrashAnywhere runs one story and kills the agent at the first, the second, ... of everything that it does: each write
// of the checkpoint, each call of the runtime, each report. Whatever the point, the new agent brings the story to the same
// end, and no container is made twice, started twice, or left over.
func TestCrashAnywhere(t *testing.T) {
	points := story(t, 0)
	t.Logf("%d points", points)
	if points < 40 {
		t.Fatalf("only %d points: the story doesn't cover much", points)
	}
	for at := int64(1); at <= points; at++ {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			story(t, at)
		})
	}
}

// story is a task of two containers that is stopped, one that ends by itself with code 3, and one whose start fails. The
// control plane delivers each message until it is acknowledged. It returns how many points were passed.
func story(t *testing.T, at int64) (points int64) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.cleanup = time.Minute
		c := &crash{at: at}
		r.runtime = &mortal{r.rt, c}
		r.fp = c.point
		r.submit = &mortalControlPlane{r.cp, c}
		r.start()
		defer func() { r.kill() }()

		arn := func(n int) string { return fmt.Sprintf("arn:aws:ecs:us-east-1:123456789012:task/default/%032d", n) }
		named := func(n int, containers ...agentlink.Container) *agentlink.Task {
			return &agentlink.Task{ARN: arn(n), Family: "web", Version: "1", DesiredStatus: agentlink.StatusRunning, Containers: containers}
		}
		app := essential("app", "serve")
		app.MountPoints = []agentlink.MountPoint{{SourceVolume: "v", ContainerPath: "/v"}}
		stopped := named(1, after(app, "db:START"), sidecar("db", "serve"))
		stopped.Volumes = []agentlink.Volume{{Name: "v"}}
		ends := named(2, essential("app", "exit-after", "20s", "3"))
		broken := named(3, essential("app", "no-such-program"))

		revive := func() {
			if !c.dead.Load() {
				return
			}
			r.kill()
			c.at = 0
			c.dead.Store(false)
			r.start()
		}
		deliver := func(tasks ...*agentlink.Task) {
			for !r.deliver(tasks...) {
				r.pass(5 * time.Second)
				revive()
			}
		}
		deliver(stopped, ends)
		deliver(broken)
		for range 6 {
			r.pass(5 * time.Second)
			revive()
		}
		deliver(&agentlink.Task{ARN: stopped.ARN, DesiredStatus: agentlink.StatusStopped})
		for range 40 {
			r.pass(5 * time.Second)
			revive()
		}
		points = c.count.Load()

		died := fmt.Sprintf("died at point %d, %v", at, c.where.Load())
		check := func(task *agentlink.Task, want ...string) {
			t.Helper()
			// A report may arrive twice, when the agent died before it knew that it had arrived.
			got := slices.Compact(r.cp.lines(task.ARN))
			if !slices.Equal(got, want) {
				t.Errorf("%s: reports:\n  %s\nwant:\n  %s", died, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
		}
		check(stopped, "RUNNING: app=RUNNING, db=RUNNING", "STOPPED: app=STOPPED(0), db=STOPPED(0)")
		check(ends, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(3)")
		check(broken, `STOPPED: app=STOPPED [CannotStartContainerError: exec: "no-such-program": executable file not found]`)
		for _, x := range []struct {
			task    *agentlink.Task
			name    string
			started int
		}{{stopped, "app", 1}, {stopped, "db", 1}, {ends, "app", 1}, {broken, "app", 0}} {
			n := containerName(x.task, x.name)
			if created, started := r.rt.Created(n), r.rt.Started(n); created != 1 || started != x.started {
				t.Errorf("%s: %s was created %d times and started %d times", died, n, created, started)
			}
		}
		if left := r.rt.States(); len(left) > 0 {
			t.Errorf("%s: left over: %v", died, left)
		}
		if left := r.rt.Volumes(); len(left) > 0 {
			t.Errorf("%s: volumes left over: %v", died, left)
		}
		if left := r.e.Snapshot(); len(left) > 0 {
			t.Errorf("%s: %d records left over", died, len(left))
		}
	})
	return points
}
