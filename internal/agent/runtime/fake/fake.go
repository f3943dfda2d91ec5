// Package fake is a container runtime in memory. Its "programs" are what the probe of runtimetest does, by the container's
// command; it passes the same suite as the real runtime.
package fake

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/openberth/berth/internal/agent/runtime"
)

// Runtime is a fake runtime. The zero value isn't usable: see New.
type Runtime struct {
	mu         sync.Mutex
	hook       func(call, name string) error
	images     map[string]runtime.Image
	remote     map[string]bool
	containers map[string]*fakeContainer // by id
	volumes    map[string]bool
	watchers   map[*watcher]bool
	down       bool
	nextID     int
	nextPort   int
	created    map[string]int // how often each name was created
	started    map[string]int
	log        []string
}

type fakeContainer struct {
	spec   *runtime.ContainerSpec
	state  runtime.State
	run    int         // counts the starts: what was scheduled for an earlier run does nothing
	timer  *time.Timer // ends the program
	health *time.Timer
	ended  chan struct{}
}

type watcher struct {
	owner  string
	events chan runtime.Event
	gone   chan struct{}
}

// New makes a runtime that has the given images.
func New(images ...string) *Runtime {
	r := &Runtime{images: map[string]runtime.Image{}, remote: map[string]bool{}, containers: map[string]*fakeContainer{},
		volumes: map[string]bool{}, watchers: map[*watcher]bool{}, nextPort: 32768, created: map[string]int{}, started: map[string]int{}}
	for _, i := range images {
		r.images[i] = runtime.Image{ID: "sha256:" + i}
	}
	return r
}

// SetHook has f called, without any lock, before each call, with its name and the container's (or image's, or task's) name:
// it may fail the call, or delay it.
func (r *Runtime) SetHook(f func(call, name string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = f
}

// SetDown takes the runtime away, containers running on, or brings it back.
func (r *Runtime) SetDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
	if down {
		for w := range r.watchers {
			close(w.gone)
			delete(r.watchers, w)
		}
	}
}

// AddRemoteImage puts an image into the registry.
func (r *Runtime) AddRemoteImage(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remote[name] = true
}

// Exit makes the running container of that name (docker's) end.
func (r *Runtime) Exit(name string, code int, oom bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.byName(name); c != nil && c.state.Phase == runtime.Running {
		r.end(c, code, oom)
	}
}

// SetHealth makes the container's health check say so.
func (r *Runtime) SetHealth(name, health string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.byName(name); c != nil {
		r.setHealth(c, health)
	}
}

// Created tells how often a container of that name was created; Started, how often one was started.
func (r *Runtime) Created(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.created[name]
}

// Started tells how often a container of that name was started.
func (r *Runtime) Started(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started[name]
}

// States lists all containers by name.
func (r *Runtime) States() map[string]runtime.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]runtime.State{}
	for _, c := range r.containers {
		out[c.spec.Name] = c.state
	}
	return out
}

// Volumes lists the volumes.
func (r *Runtime) Volumes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for v := range r.volumes {
		out = append(out, v)
	}
	return out
}

// Log is what was done to containers, in order: "start <name>", "stop <name>" (asked to), "exit <name>".
func (r *Runtime) Log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.log...)
}

func (r *Runtime) enter(ctx context.Context, call, name string) error {
	r.mu.Lock()
	hook := r.hook
	r.mu.Unlock()
	if hook != nil {
		if err := hook(call, name); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	if r.down {
		r.mu.Unlock()
		return fmt.Errorf("%w: fake is down", runtime.ErrUnavailable)
	}
	return nil
}

// Info implements runtime.Observer.
func (r *Runtime) Info(ctx context.Context) (runtime.Info, error) {
	if err := r.enter(ctx, "info", ""); err != nil {
		return runtime.Info{}, err
	}
	defer r.mu.Unlock()
	return runtime.Info{Version: "20.10.24", APIVersion: "1.41", LogDrivers: []string{"json-file"}, CPUs: 4, Memory: 8 << 30}, nil
}

// PullImage implements runtime.Images.
func (r *Runtime) PullImage(ctx context.Context, image string, behaviour runtime.PullBehaviour) (runtime.Image, error) {
	if err := r.enter(ctx, "pull", image); err != nil {
		return runtime.Image{}, err
	}
	defer r.mu.Unlock()
	img, local := r.images[image]
	switch {
	case local && behaviour == runtime.PullPreferCached:
		return img, nil
	case r.remote[image]:
		img = runtime.Image{ID: "sha256:" + image, Digest: "sha256:remote", PullStarted: time.Now(), PullStopped: time.Now()}
		r.images[image] = runtime.Image{ID: img.ID, Digest: img.Digest}
		return img, nil
	case local && behaviour == runtime.PullDefault:
		img.Warning = "no registry"
		return img, nil
	}
	return runtime.Image{}, fmt.Errorf("pull access denied for %s", image)
}

// PrepareTask implements runtime.Tasks.
func (r *Runtime) PrepareTask(ctx context.Context, spec runtime.TaskSpec) (runtime.Prepared, error) {
	if err := r.enter(ctx, "prepare", spec.ID); err != nil {
		return runtime.Prepared{}, err
	}
	defer r.mu.Unlock()
	for _, v := range spec.Volumes {
		if v.Shared && !v.Provision && !r.volumes[v.Name] {
			return runtime.Prepared{}, fmt.Errorf("CannotCreateVolumeError: shared volume %s doesn't exist and autoprovision is off", v.Name)
		}
		r.volumes[v.Name] = true
	}
	return runtime.Prepared{}, nil
}

// RemoveTask implements runtime.Tasks.
func (r *Runtime) RemoveTask(ctx context.Context, spec runtime.TaskSpec) error {
	if err := r.enter(ctx, "remove task", spec.ID); err != nil {
		return err
	}
	defer r.mu.Unlock()
	for _, v := range spec.Volumes {
		if !v.Shared {
			delete(r.volumes, v.Name)
		}
	}
	return nil
}

// CreateContainer implements runtime.Containers.
func (r *Runtime) CreateContainer(ctx context.Context, spec *runtime.ContainerSpec) (string, error) {
	if err := r.enter(ctx, "create", spec.Name); err != nil {
		return "", err
	}
	defer r.mu.Unlock()
	if c := r.byName(spec.Name); c != nil {
		for k, v := range spec.Labels {
			if c.state.Labels[k] != v {
				return "", fmt.Errorf("the name %s is taken", spec.Name)
			}
		}
		return c.state.ID, nil
	}
	if _, ok := r.images[spec.Image]; !ok {
		return "", fmt.Errorf("no such image: %s", spec.Image)
	}
	for _, v := range spec.VolumesFrom {
		if r.byName(v.Container) == nil {
			return "", fmt.Errorf("no container %s to take volumes from", v.Container)
		}
	}
	r.nextID++
	c := &fakeContainer{spec: spec, state: runtime.State{ID: fmt.Sprintf("fake%060d", r.nextID), Name: spec.Name,
		Labels: maps.Clone(spec.Labels), Phase: runtime.Created}}
	r.containers[c.state.ID] = c
	r.created[spec.Name]++
	return c.state.ID, nil
}

// StartContainer implements runtime.Containers.
func (r *Runtime) StartContainer(ctx context.Context, id string) (runtime.State, error) {
	if err := r.enter(ctx, "start", r.nameOf(id)); err != nil {
		return runtime.State{}, err
	}
	defer r.mu.Unlock()
	c := r.find(id)
	if c == nil {
		return runtime.State{}, runtime.ErrNotFound
	}
	if c.state.Phase == runtime.Running {
		return c.state, nil
	}
	command := c.spec.Command
	if len(command) > 0 && command[0] == "no-such-program" {
		return runtime.State{}, fmt.Errorf("exec: %q: executable file not found", command[0])
	}
	c.run++
	c.ended = make(chan struct{})
	c.state.Phase, c.state.StartedAt, c.state.ExitCode, c.state.OOMKilled = runtime.Running, time.Now(), 0, false
	c.state.FinishedAt, c.state.Ports = time.Time{}, nil
	for _, m := range c.spec.Publish {
		p := runtime.Port{HostIP: "0.0.0.0", HostPort: m.HostPort, ContainerPort: m.ContainerPort, Protocol: m.Protocol}
		if p.HostPort == 0 {
			p.HostPort = r.nextPort
			r.nextPort++
		}
		if p.Protocol == "" {
			p.Protocol = "tcp"
		}
		six := p
		six.HostIP = "::"
		c.state.Ports = append(c.state.Ports, p, six)
	}
	r.started[c.spec.Name]++
	r.log = append(r.log, "start "+c.spec.Name)
	r.program(c, command)
	r.healthCheck(c)
	return c.state, nil
}

// StopContainer implements runtime.Containers.
func (r *Runtime) StopContainer(ctx context.Context, id string, timeout time.Duration) error {
	if err := r.enter(ctx, "stop", r.nameOf(id)); err != nil {
		return err
	}
	c := r.find(id)
	if c == nil {
		r.mu.Unlock()
		return runtime.ErrNotFound
	}
	if c.state.Phase != runtime.Running {
		r.mu.Unlock()
		return nil
	}
	r.log = append(r.log, "stop "+c.spec.Name)
	command := c.spec.Command
	if len(command) == 0 || command[0] != "ignore-term" {
		r.end(c, 0, false)
		r.mu.Unlock()
		return nil
	}
	ended := c.ended
	r.mu.Unlock()
	select {
	case <-time.After(timeout):
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.state.Phase == runtime.Running {
		r.end(c, 137, false)
	}
	return nil
}

// InspectContainer implements runtime.Containers.
func (r *Runtime) InspectContainer(ctx context.Context, id string) (runtime.State, error) {
	if err := r.enter(ctx, "inspect", r.nameOf(id)); err != nil {
		return runtime.State{}, err
	}
	defer r.mu.Unlock()
	c := r.find(id)
	if c == nil {
		return runtime.State{}, runtime.ErrNotFound
	}
	return c.state, nil
}

// RemoveContainer implements runtime.Containers.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) error {
	if err := r.enter(ctx, "remove", r.nameOf(id)); err != nil {
		return err
	}
	defer r.mu.Unlock()
	c := r.find(id)
	if c == nil {
		return runtime.ErrNotFound
	}
	if c.state.Phase == runtime.Running {
		r.end(c, 137, false)
	}
	delete(r.containers, c.state.ID)
	r.tell(c, runtime.Event{Kind: runtime.Destroyed})
	return nil
}

// ListContainers implements runtime.Containers.
func (r *Runtime) ListContainers(ctx context.Context, owner string) ([]runtime.State, error) {
	if err := r.enter(ctx, "list", ""); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	var out []runtime.State
	for _, c := range r.containers {
		if c.state.Labels[runtime.LabelOwner] == owner {
			out = append(out, runtime.State{ID: c.state.ID, Name: c.state.Name, Labels: c.state.Labels, Phase: c.state.Phase})
		}
	}
	return out, nil
}

// Watch implements runtime.Observer.
func (r *Runtime) Watch(ctx context.Context, owner string, ready func(), event func(runtime.Event)) error {
	if err := r.enter(ctx, "watch", ""); err != nil {
		return err
	}
	w := &watcher{owner: owner, events: make(chan runtime.Event, 4096), gone: make(chan struct{})}
	r.watchers[w] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, w)
	}()
	ready()
	for {
		select {
		case ev := <-w.events:
			event(ev)
		case <-w.gone:
			return runtime.ErrUnavailable
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Runtime) tell(c *fakeContainer, ev runtime.Event) {
	ev.ContainerID, ev.Time = c.state.ID, time.Now()
	ev.TaskARN, ev.ContainerName = c.state.Labels[runtime.LabelTask], c.state.Labels[runtime.LabelContainer]
	for w := range r.watchers {
		if w.owner == c.state.Labels[runtime.LabelOwner] {
			w.events <- ev // room for more than any test makes
		}
	}
}

// Stats implements runtime.Observer.
func (r *Runtime) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	if err := r.enter(ctx, "stats", r.nameOf(id)); err != nil {
		return runtime.Stats{}, err
	}
	defer r.mu.Unlock()
	c := r.find(id)
	if c == nil || c.state.Phase != runtime.Running {
		return runtime.Stats{}, runtime.ErrNotFound
	}
	up := time.Since(c.state.StartedAt)
	return runtime.Stats{At: time.Now(), CPU: up / 2, Memory: 10 << 20, NetworkSeen: true,
		Rx: runtime.Traffic{Bytes: int64(up / time.Millisecond)}, Tx: runtime.Traffic{Bytes: int64(up / time.Millisecond)}}, nil
}

func (r *Runtime) byName(name string) *fakeContainer {
	for _, c := range r.containers {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}

func (r *Runtime) find(id string) *fakeContainer {
	if c := r.containers[id]; c != nil {
		return c
	}
	return r.byName(id)
}

func (r *Runtime) nameOf(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		return c.spec.Name
	}
	return id
}
