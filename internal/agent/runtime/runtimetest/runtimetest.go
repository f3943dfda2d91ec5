// Package runtimetest is the suite that every runtime.Runtime passes: the fake one that the engine is tested with is thereby
// known to behave as Docker does.
package runtimetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/openberth/berth/internal/agent/runtime"
)

// Subject is a runtime under test, with an image whose entry point is the probe: "serve" runs until it is told to stop,
// "exit <code>" exits, "exit-after <duration> <code>" later, "ignore-term" has to be killed, "oom" uses more than 32 MiB of
// memory.
type Subject struct {
	Runtime runtime.Runtime
	Image   string
}

// patience bounds each wait; nothing takes that long unless it is broken.
const patience = 20 * time.Second

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"life":                    life,
		"exit code and event":     exitCode,
		"kill after timeout":      kill,
		"out of memory":           outOfMemory,
		"adopt by name":           adopt,
		"not found":               notFound,
		"no such program":         noSuchProgram,
		"dynamic port":            dynamicPort,
		"healthy":                 func(t *testing.T, f *fixture) { healthCheck(t, f, "0", runtime.Healthy) },
		"unhealthy":               func(t *testing.T, f *fixture) { healthCheck(t, f, "1", runtime.Unhealthy) },
		"list by owner":           listByOwner,
		"start again":             startAgain,
		"removed behind our back": destroyed,
		"volumes":                 volumes,
		"images":                  images,
		"stats":                   stats,
		"cancelled":               cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{Subject: s, owner: newID(), task: newID()}
			f.ctx, f.cancel = context.WithTimeout(context.Background(), 2*patience)
			t.Cleanup(func() { f.cleanUp(t) })
			test(t, f)
		})
	}
}

type fixture struct {
	Subject
	owner, task string
	ctx         context.Context
	cancel      func()
	names       []string
}

func (f *fixture) cleanUp(t *testing.T) {
	f.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, n := range f.names {
		if err := f.Runtime.RemoveContainer(ctx, n); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("remove %s: %v", n, err)
		}
	}
}

func (f *fixture) spec(name string, command ...string) *runtime.ContainerSpec {
	s := &runtime.ContainerSpec{Name: "ecs-runtimetest-1-" + name + "-" + f.task[:20],
		Image: f.Image, Command: command, MemoryLimit: 32,
		Labels: map[string]string{runtime.LabelOwner: f.owner, runtime.LabelTask: f.task, runtime.LabelContainer: name}}
	f.names = append(f.names, s.Name)
	return s
}

func (f *fixture) create(t *testing.T, s *runtime.ContainerSpec) string {
	t.Helper()
	id, err := f.Runtime.CreateContainer(f.ctx, s)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return id
}

func (f *fixture) start(t *testing.T, s *runtime.ContainerSpec) (string, runtime.State) {
	t.Helper()
	id := f.create(t, s)
	st, err := f.Runtime.StartContainer(f.ctx, id)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return id, st
}

func (f *fixture) inspect(t *testing.T, id string) runtime.State {
	t.Helper()
	st, err := f.Runtime.InspectContainer(f.ctx, id)
	if err != nil {
		t.Fatalf("inspect: %v", err)
	}
	return st
}

// watch collects events from now on.
func (f *fixture) watch(t *testing.T) <-chan runtime.Event {
	t.Helper()
	ready, events, ended := make(chan struct{}), make(chan runtime.Event, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(f.ctx)
	go func() {
		ended <- f.Runtime.Watch(ctx, f.owner, func() { close(ready) }, func(ev runtime.Event) { events <- ev })
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("watch ended: %v", err)
	case <-f.ctx.Done():
		t.Fatal("watch never got ready")
	}
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("watch didn't end with its context")
		}
	})
	return events
}

func (f *fixture) next(t *testing.T, events <-chan runtime.Event, kind runtime.EventKind) runtime.Event {
	t.Helper()
	for {
		select {
		case ev := <-events:
			if ev.Kind == kind {
				return ev
			}
		case <-time.After(patience):
			t.Fatalf("no %s event", kind)
		}
	}
}

func life(t *testing.T, f *fixture) {
	events := f.watch(t)
	s := f.spec("app", "serve")
	s.Config = checked("0")
	id := f.create(t, s)
	if st := f.inspect(t, id); st.Phase != runtime.Created || !st.StartedAt.IsZero() || st.Name != s.Name || st.ID != id {
		t.Fatalf("created: %+v", st)
	}
	if st := f.inspect(t, s.Name); st.ID != id {
		t.Fatalf("by name: %+v", st)
	}
	before := time.Now()
	st, err := f.Runtime.StartContainer(f.ctx, id)
	if err != nil || st.Phase != runtime.Running || st.StartedAt.Before(before.Add(-time.Second)) {
		t.Fatalf("started: %+v, %v", st, err)
	}
	again, err := f.Runtime.StartContainer(f.ctx, id)
	if err != nil || !again.StartedAt.Equal(st.StartedAt) {
		t.Fatalf("start of a running container: %+v, %v", again, err)
	}
	f.next(t, events, runtime.HealthChanged) // by now it listens to the signal
	if err := f.Runtime.StopContainer(f.ctx, id, 10*time.Second); err != nil {
		t.Fatalf("stop: %v", err)
	}
	st = f.inspect(t, id)
	if st.Phase != runtime.Exited || st.ExitCode != 0 || st.FinishedAt.Before(st.StartedAt) {
		t.Fatalf("stopped: %+v", st)
	}
	if err := f.Runtime.StopContainer(f.ctx, id, 10*time.Second); err != nil {
		t.Fatalf("stop of an ended container: %v", err)
	}
	if err := f.Runtime.RemoveContainer(f.ctx, id); err != nil {
		t.Fatalf("remove: %v", err)
	}
}

func exitCode(t *testing.T, f *fixture) {
	events := f.watch(t)
	id, _ := f.start(t, f.spec("app", "exit", "3"))
	ev := f.next(t, events, runtime.Died)
	if ev.ExitCode != 3 || ev.ContainerID != id || ev.TaskARN != f.task || ev.ContainerName != "app" {
		t.Fatalf("event: %+v", ev)
	}
	if st := f.inspect(t, id); st.Phase != runtime.Exited || st.ExitCode != 3 || st.OOMKilled {
		t.Fatalf("after the event: %+v", st)
	}
}

func kill(t *testing.T, f *fixture) {
	events := f.watch(t)
	s := f.spec("app", "ignore-term")
	s.Config = checked("0")
	id, _ := f.start(t, s)
	f.next(t, events, runtime.HealthChanged) // by now it ignores the signal
	begin := time.Now()
	if err := f.Runtime.StopContainer(f.ctx, id, time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 900*time.Millisecond {
		t.Fatalf("killed after %v", took)
	}
	if st := f.inspect(t, id); st.Phase != runtime.Exited || st.ExitCode != 137 {
		t.Fatalf("killed: %+v", st)
	}
}

func outOfMemory(t *testing.T, f *fixture) {
	events := f.watch(t)
	id, _ := f.start(t, f.spec("app", "oom"))
	f.next(t, events, runtime.Died)
	if st := f.inspect(t, id); !st.OOMKilled || st.ExitCode != 137 {
		t.Fatalf("%+v", st)
	}
}

func adopt(t *testing.T, f *fixture) {
	s := f.spec("app", "serve")
	id, _ := f.start(t, s)
	if again := f.create(t, s); again != id {
		t.Fatalf("created %s beside %s", again, id)
	}
	other := *s
	other.Labels = maps.Clone(s.Labels)
	other.Labels[runtime.LabelTask] = "another"
	if got, err := f.Runtime.CreateContainer(f.ctx, &other); err == nil {
		t.Fatalf("took over somebody else's container: %s", got)
	}
	if st := f.inspect(t, id); st.Phase != runtime.Running {
		t.Fatalf("adoption disturbed it: %+v", st)
	}
}

func notFound(t *testing.T, f *fixture) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	_, startErr := f.Runtime.StartContainer(f.ctx, id)
	_, inspectErr := f.Runtime.InspectContainer(f.ctx, id)
	for what, err := range map[string]error{"start": startErr, "inspect": inspectErr,
		"stop": f.Runtime.StopContainer(f.ctx, id, time.Second), "remove": f.Runtime.RemoveContainer(f.ctx, id)} {
		if !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func noSuchProgram(t *testing.T, f *fixture) {
	s := f.spec("app", "no-such-program")
	s.EntryPoint = []string{"/no-such-program"}
	id := f.create(t, s)
	_, err := f.Runtime.StartContainer(f.ctx, id)
	if err == nil || errors.Is(err, runtime.ErrUnavailable) || errors.Is(err, runtime.ErrNotFound) {
		t.Fatalf("start: %v", err)
	}
}

func dynamicPort(t *testing.T, f *fixture) {
	seen := map[int]bool{}
	for i := range 2 {
		s := f.spec(fmt.Sprintf("app%d", i), "serve")
		s.Publish = []runtime.Published{{ContainerPort: 8080, Protocol: "tcp"}, {ContainerPort: 8081, Protocol: "tcp"}}
		_, st := f.start(t, s)
		var four []runtime.Port
		for _, p := range st.Ports {
			if p.HostIP == "0.0.0.0" {
				four = append(four, p)
			}
		}
		if len(four) != 2 || four[0].ContainerPort != 8080 || four[1].ContainerPort != 8081 {
			t.Fatalf("ports: %+v", st.Ports)
		}
		for _, p := range four {
			if p.HostPort == 0 || seen[p.HostPort] || p.Protocol != "tcp" {
				t.Fatalf("port: %+v", p)
			}
			seen[p.HostPort] = true
		}
	}
}

// checked is the configuration of a container whose health check exits with code.
func checked(code string) string {
	return fmt.Sprintf(`{"Healthcheck":{"Test":["CMD","/probe","exit",%q],"Interval":%d,"Timeout":%d,"Retries":1}}`,
		code, 300*time.Millisecond, 5*time.Second)
}

func healthCheck(t *testing.T, f *fixture, code, want string) {
	events := f.watch(t)
	s := f.spec("app", "serve")
	s.Config = checked(code)
	s.HealthChecked = true
	id, st := f.start(t, s)
	if st.Health != runtime.HealthUnknown {
		t.Fatalf("right after the start: %+v", st)
	}
	if ev := f.next(t, events, runtime.HealthChanged); ev.Health != want || ev.ContainerName != "app" {
		t.Fatalf("event: %+v", ev)
	}
	if st := f.inspect(t, id); st.Health != want {
		t.Fatalf("after the event: %+v", st)
	}
}

func listByOwner(t *testing.T, f *fixture) {
	running, _ := f.start(t, f.spec("app", "serve"))
	created := f.create(t, f.spec("next", "serve"))
	foreign := f.spec("foreign", "serve")
	foreign.Labels[runtime.LabelOwner] = "somebody-else"
	f.create(t, foreign)
	list, err := f.Runtime.ListContainers(f.ctx, f.owner)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]runtime.Phase{}
	for _, st := range list {
		got[st.ID] = st.Phase
		if st.Labels[runtime.LabelTask] != f.task || st.Name == "" || st.Name[0] == '/' {
			t.Errorf("listed: %+v", st)
		}
	}
	if want := map[string]runtime.Phase{running: runtime.Running, created: runtime.Created}; !maps.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func startAgain(t *testing.T, f *fixture) {
	events := f.watch(t)
	id, first := f.start(t, f.spec("app", "exit-after", "200ms", "2"))
	f.next(t, events, runtime.Died)
	second, err := f.Runtime.StartContainer(f.ctx, id)
	if err != nil || second.Phase != runtime.Running || !second.StartedAt.After(first.StartedAt) {
		t.Fatalf("started again: %+v, %v", second, err)
	}
	f.next(t, events, runtime.Died)
}

func destroyed(t *testing.T, f *fixture) {
	events := f.watch(t)
	id, _ := f.start(t, f.spec("app", "serve"))
	if err := f.Runtime.RemoveContainer(f.ctx, id); err != nil {
		t.Fatal(err)
	}
	if ev := f.next(t, events, runtime.Died); ev.ExitCode != 137 {
		t.Fatalf("event: %+v", ev)
	}
	if ev := f.next(t, events, runtime.Destroyed); ev.ContainerName != "app" || ev.TaskARN != f.task {
		t.Fatalf("event: %+v", ev)
	}
	if _, err := f.Runtime.InspectContainer(f.ctx, id); !errors.Is(err, runtime.ErrNotFound) {
		t.Fatalf("inspect: %v", err)
	}
}

func volumes(t *testing.T, f *fixture) {
	spec := runtime.TaskSpec{ID: f.task, Owner: f.owner, Volumes: []runtime.Volume{{Name: "ecs-runtimetest-1-v-" + f.task}}}
	for range 2 {
		if _, err := f.Runtime.PrepareTask(f.ctx, spec); err != nil {
			t.Fatalf("prepare: %v", err)
		}
	}
	for range 2 {
		if err := f.Runtime.RemoveTask(f.ctx, spec); err != nil {
			t.Fatalf("remove: %v", err)
		}
	}
	spec.Volumes = []runtime.Volume{{Name: "runtimetest-missing-" + f.task, Shared: true}}
	_, err := f.Runtime.PrepareTask(f.ctx, spec)
	if err == nil || errors.Is(err, runtime.ErrUnavailable) || errors.Is(err, runtime.ErrNotFound) {
		t.Fatalf("shared volume that doesn't exist: %v", err)
	}
}

func images(t *testing.T, f *fixture) {
	img, err := f.Runtime.PullImage(f.ctx, f.Image, runtime.PullPreferCached)
	if err != nil || img.ID == "" || !img.PullStarted.IsZero() {
		t.Fatalf("cached image: %+v, %v", img, err)
	}
	_, err = f.Runtime.PullImage(f.ctx, "127.0.0.1:9/runtimetest/missing:1", runtime.PullPreferCached)
	if err == nil || errors.Is(err, runtime.ErrUnavailable) || errors.Is(err, runtime.ErrNotFound) {
		t.Fatalf("missing image: %v", err)
	}
}

func stats(t *testing.T, f *fixture) {
	id, _ := f.start(t, f.spec("app", "serve"))
	s, err := f.Runtime.Stats(f.ctx, id)
	if err != nil || s.At.IsZero() || s.Memory <= 0 || s.CPU < 0 || !s.NetworkSeen {
		t.Fatalf("stats: %+v, %v", s, err)
	}
	if err := f.Runtime.StopContainer(f.ctx, id, time.Second); err != nil {
		t.Fatal(err)
	}
	if s, err := f.Runtime.Stats(f.ctx, id); !errors.Is(err, runtime.ErrNotFound) {
		t.Fatalf("stats of an ended container: %+v, %v", s, err)
	}
}

func cancelled(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := f.Runtime.CreateContainer(ctx, f.spec("app", "serve")); !errors.Is(err, context.Canceled) {
		t.Errorf("create: %v", err)
	}
	if _, err := f.Runtime.InspectContainer(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("inspect: %v", err)
	}
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
