package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/agent/checkpoint"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agent/runtime/fake"
	"github.com/openberth/berth/internal/agentlink"
)

const (
	owner = "owner-of-tests"
	image = "probe:1"
)

// rig is an engine on a fake runtime and a fake control plane, inside a synctest bubble: time passes only when nothing moves.
type rig struct {
	t       *testing.T
	rt      *fake.Runtime
	cp      *controlPlane
	dir     string
	runtime runtime.Runtime // rt, or something around it
	fp      checkpoint.Failpoint
	submit  ControlPlane // cp, or something around it
	cleanup time.Duration
	total   Resources

	e    *Engine
	db   *checkpoint.DB
	stop func()
}

// bubble runs f on a rig whose engine runs.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		defer func() { r.kill() }()
		f(t, r)
	})
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, rt: fake.New(image), cp: &controlPlane{}, dir: t.TempDir(), cleanup: 10 * time.Minute,
		total: Resources{CPU: 4096, Memory: 8192}}
	r.runtime, r.submit = r.rt, r.cp
	return r
}

func (r *rig) config() Config {
	return Config{Cluster: "default", Owner: owner, Runtime: r.runtime, Checkpoint: r.db, ControlPlane: r.submit,
		PullBehaviour: runtime.PullPreferCached, StopTimeout: 30 * time.Second, CleanupWait: r.cleanup, Total: r.total,
		Log: slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// start opens the checkpoint and runs an engine on it.
func (r *rig) start() {
	r.t.Helper()
	var err error
	log := slog.New(slog.DiscardHandler)
	if r.db, err = checkpoint.Open(r.dir, log, r.fp); err != nil {
		r.t.Fatal(err)
	}
	if r.e, err = New(r.config()); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	e, db := r.e, r.db
	go func() {
		defer close(done)
		_ = e.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-done
		if err := db.Close(); err != nil {
			r.t.Error(err)
		}
	}
	synctest.Wait()
}

// kill ends the agent; the containers run on.
func (r *rig) kill() {
	r.stop()
	r.stop = func() {}
}

func (r *rig) restart() {
	r.kill()
	r.start()
}

// deliver hands a payload to the engine and tells whether it was acknowledged.
func (r *rig) deliver(tasks ...*agentlink.Task) (acked bool) {
	r.t.Helper()
	ack := make(chan struct{})
	r.e.Accept(tasks, nil, func() { close(ack) })
	synctest.Wait()
	select {
	case <-ack:
		return true
	default:
		return false
	}
}

func (r *rig) run(tasks ...*agentlink.Task) {
	r.t.Helper()
	if !r.deliver(tasks...) {
		r.t.Fatal("payload not acknowledged")
	}
}

func (r *rig) stopTask(t *agentlink.Task) {
	r.t.Helper()
	r.run(&agentlink.Task{ARN: t.ARN, DesiredStatus: agentlink.StatusStopped, Family: t.Family, Version: t.Version})
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d) // virtual: this is a synctest bubble
	synctest.Wait()
}

func (r *rig) phase(t *agentlink.Task, name string) string {
	st, ok := r.rt.States()[containerName(t, name)]
	if !ok {
		return "absent"
	}
	return string(st.Phase)
}

// expect checks the reports about a task, one line each.
func (r *rig) expect(t *agentlink.Task, want ...string) {
	r.t.Helper()
	if got := r.cp.lines(t.ARN); !slices.Equal(got, want) {
		r.t.Fatalf("reports about %s:\n  %s\nwant:\n  %s", t.ARN, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// controlPlane records reports.
type controlPlane struct {
	mu      sync.Mutex
	away    bool
	refuse  bool
	reports []*agentlink.TaskStateChange
	hook    func() error
}

func (c *controlPlane) SubmitTaskStateChange(_ context.Context, r *agentlink.TaskStateChange) error {
	if c.hook != nil {
		if err := c.hook(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return errors.New("connection refused")
	}
	if c.refuse {
		return fmt.Errorf("%w: InvalidParameterException", ErrRefused)
	}
	c.reports = append(c.reports, r)
	return nil
}

func (c *controlPlane) set(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
}

func (c *controlPlane) lines(arn string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, r := range c.reports {
		if r.Task == arn {
			out = append(out, line(r))
		}
	}
	return out
}

// line writes a report as "RUNNING: app=RUNNING 32768->80, init=STOPPED(0)".
func line(r *agentlink.TaskStateChange) string {
	var b strings.Builder
	b.WriteString(r.Status)
	if r.Reason != "" {
		b.WriteString(" [" + r.Reason + "]")
	}
	b.WriteString(":")
	for i, c := range r.Containers {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(" " + c.ContainerName + "=" + c.Status)
		if c.ExitCode != nil {
			fmt.Fprintf(&b, "(%d)", *c.ExitCode)
		}
		for _, n := range c.NetworkBindings {
			fmt.Fprintf(&b, " %d->%d", n.HostPort, n.ContainerPort)
		}
		if c.Reason != "" {
			b.WriteString(" [" + c.Reason + "]")
		}
	}
	return b.String()
}

var taskNumber = 0

// task makes a task of the given containers.
func task(containers ...agentlink.Container) *agentlink.Task {
	taskNumber++
	return &agentlink.Task{ARN: fmt.Sprintf("arn:aws:ecs:us-east-1:123456789012:task/default/%032d", taskNumber), Family: "web",
		Version: "1", DesiredStatus: agentlink.StatusRunning, Containers: containers}
}

// essential makes an essential container that runs the probe with the command.
func essential(name string, command ...string) agentlink.Container {
	return agentlink.Container{Name: name, Image: image, Essential: true, Command: command}
}

func sidecar(name string, command ...string) agentlink.Container {
	c := essential(name, command...)
	c.Essential = false
	return c
}

func after(c agentlink.Container, dependencies ...string) agentlink.Container {
	for _, d := range dependencies {
		name, condition, _ := strings.Cut(d, ":")
		c.DependsOn = append(c.DependsOn, agentlink.ContainerDependency{ContainerName: name, Condition: condition})
	}
	return c
}

func checked(c agentlink.Container) agentlink.Container {
	config := `{"Healthcheck":{"Test":["CMD","/probe"]}}`
	c.HealthCheckType, c.DockerConfig = "docker", &agentlink.DockerConfig{Config: &config}
	return c
}
