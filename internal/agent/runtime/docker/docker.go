// Package docker runs containers on a Docker daemon, 20.10 (API 1.41) or newer.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/singleflight"

	"github.com/openberth/berth/internal/agent/runtime"
)

// defaultParallel is how many containers are created or started at the same time. The daemon does most of its work for a
// container on one core and waits for the disk and for runc in between: on two cores four at a time gave the best rate,
// more only made each of them slower.
const defaultParallel = 4

// Options configure a Runtime.
type Options struct {
	Host     string // "unix:///var/run/docker.sock"; empty: DOCKER_HOST, or that
	Parallel int    // containers to create or start at the same time; 0: a default
	// PullTries is how often a registry is asked that doesn't answer; 0: a default.
	PullTries int
}

// Runtime is a Docker daemon.
type Runtime struct {
	api    *client.Client
	slots  chan struct{}
	cgroup *cgroups
	pulls  singleflight.Group
	tries  int

	mu     sync.Mutex
	pulled map[string]bool // names pulled by this process (PullOnce)
	daemon *daemon
	oom    oomNews
}

// daemon is what doesn't change while a daemon lives.
type daemon struct{ cgroupDriver, cgroupVersion string }

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a runtime; the daemon needn't be there yet.
func New(o Options) (*Runtime, error) {
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	if o.PullTries <= 0 {
		o.PullTries = pullTries
	}
	host := cmp.Or(o.Host, os.Getenv(client.EnvOverrideHost), client.DefaultDockerHost)
	opts := []client.Opt{client.WithUserAgent("berth-agent"), client.WithTLSClientConfigFromEnv(), client.WithHost(host)}
	if os.Getenv(client.EnvOverrideCertPath) == "" {
		// The client's own transport keeps so few connections that with more calls than that it would dial for each. The
		// scheme has to be said, since it takes a transport that it didn't make itself for one with TLS.
		opts = []client.Opt{client.WithUserAgent("berth-agent"), client.WithHTTPClient(&http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 2 * o.Parallel, IdleConnTimeout: time.Minute},
			CheckRedirect: client.CheckRedirect,
		}), client.WithHost(host), client.WithScheme("http")}
	}
	api, err := client.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker client: %w", err)
	}
	return &Runtime{api: api, tries: o.PullTries, slots: make(chan struct{}, o.Parallel), cgroup: newCgroups("/sys/fs/cgroup"),
		pulled: map[string]bool{}}, nil
}

// Close gives up the connections.
func (r *Runtime) Close() error { return r.api.Close() }

// Info implements runtime.Observer.
func (r *Runtime) Info(ctx context.Context) (runtime.Info, error) {
	res, err := r.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return runtime.Info{}, translate(err)
	}
	i := res.Info
	r.mu.Lock()
	r.daemon = &daemon{i.CgroupDriver, i.CgroupVersion}
	r.mu.Unlock()
	return runtime.Info{Version: i.ServerVersion, APIVersion: r.api.ClientVersion(), LogDrivers: i.Plugins.Log, Security: security(i.SecurityOptions), CPUs: i.NCPU,
		Memory: i.MemTotal, TaskLimits: r.cgroup.usable(i.CgroupDriver, i.CgroupVersion)}, nil
}

// security takes the names out of the daemon's security options: "name=seccomp,profile=default" is "seccomp".
func security(options []string) (names []string) {
	for _, o := range options {
		name, _, _ := strings.Cut(o, ",")
		names = append(names, strings.TrimPrefix(name, "name="))
	}
	return names
}

// acquire waits for a slot of the daemon's.
func (r *Runtime) acquire(ctx context.Context) (release func(), err error) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// CreateContainer implements runtime.Containers.
func (r *Runtime) CreateContainer(ctx context.Context, spec *runtime.ContainerSpec) (string, error) {
	cfg, host, err := build(spec)
	if err != nil {
		return "", err
	}
	release, err := r.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	res, err := r.api.ContainerCreate(ctx, client.ContainerCreateOptions{Name: spec.Name, Config: cfg, HostConfig: host})
	if cerrdefs.IsConflict(err) {
		return r.adopt(ctx, spec, err)
	}
	return res.ID, translate(err)
}

// adopt takes over the container that has the name already, if it is ours: what an agent made that died before it could
// write that down.
func (r *Runtime) adopt(ctx context.Context, spec *runtime.ContainerSpec, conflict error) (string, error) {
	st, err := r.InspectContainer(ctx, spec.Name)
	if err != nil {
		return "", errors.Join(translate(conflict), err)
	}
	for k, v := range spec.Labels {
		if st.Labels[k] != v {
			return "", fmt.Errorf("%w: a container of that name exists, but its label %s is %q instead of %q", conflict, k, st.Labels[k], v)
		}
	}
	return st.ID, nil
}

// StartContainer implements runtime.Containers.
func (r *Runtime) StartContainer(ctx context.Context, id string) (runtime.State, error) {
	release, err := r.acquire(ctx)
	if err != nil {
		return runtime.State{}, err
	}
	_, err = r.api.ContainerStart(ctx, id, client.ContainerStartOptions{})
	release()
	if err != nil {
		return runtime.State{}, translate(err)
	}
	return r.InspectContainer(ctx, id)
}

// StopContainer implements runtime.Containers.
func (r *Runtime) StopContainer(ctx context.Context, id string, timeout time.Duration) error {
	r.oom.expectKill(id)
	seconds := int((timeout + time.Second - 1) / time.Second) // rounded up: 0 would kill at once
	_, err := r.api.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &seconds})
	if cerrdefs.IsNotModified(err) {
		return nil // has ended already
	}
	return translate(err)
}

// InspectContainer implements runtime.Containers.
func (r *Runtime) InspectContainer(ctx context.Context, id string) (runtime.State, error) {
	res, err := r.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return runtime.State{}, translate(err)
	}
	st := state(&res.Container)
	if st.Phase == runtime.Exited && st.ExitCode == killed && !st.OOMKilled {
		st.OOMKilled = r.oom.killed(ctx, st.ID, st.FinishedAt)
	}
	return st, nil
}

// RemoveContainer implements runtime.Containers.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) error {
	_, err := r.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	r.oom.forget(id)
	if cerrdefs.IsConflict(err) {
		return nil // "removal is already in progress"
	}
	return translate(err)
}

// ListContainers implements runtime.Containers.
func (r *Runtime) ListContainers(ctx context.Context, owner string) ([]runtime.State, error) {
	res, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ownedBy(owner)})
	if err != nil {
		return nil, translate(err)
	}
	var out []runtime.State
	for _, c := range res.Items {
		st := runtime.State{ID: c.ID, Labels: c.Labels, Phase: phase(c.State)}
		if len(c.Names) > 0 {
			st.Name = c.Names[0][1:] // "/name"
		}
		out = append(out, st)
	}
	return out, nil
}

func ownedBy(owner string) client.Filters {
	return make(client.Filters).Add("label", runtime.LabelOwner+"="+owner)
}

func phase(s container.ContainerState) runtime.Phase {
	switch s {
	case container.StateCreated:
		return runtime.Created
	case container.StateRunning, container.StatePaused, container.StateRestarting:
		return runtime.Running
	}
	return runtime.Exited
}

func state(c *container.InspectResponse) runtime.State {
	st := runtime.State{ID: c.ID, Name: c.Name[1:], Labels: c.Config.Labels, Phase: phase(c.State.Status), ExitCode: c.State.ExitCode,
		OOMKilled: c.State.OOMKilled, Error: c.State.Error, StartedAt: instant(c.State.StartedAt), FinishedAt: instant(c.State.FinishedAt)}
	if h := c.State.Health; h != nil && h.Status != container.NoHealthcheck {
		st.Health = health(h.Status)
		if n := len(h.Log); n > 0 {
			st.HealthLog = h.Log[n-1].Output
		}
	}
	st.Ports = ports(c)
	return st
}

// ports lists what is published: as the daemon says, or with host networking as the definition does.
func ports(c *container.InspectResponse) []runtime.Port {
	var out []runtime.Port
	if c.HostConfig != nil && c.HostConfig.NetworkMode.IsHost() {
		if st := phase(c.State.Status); st == runtime.Running {
			for p := range c.Config.ExposedPorts {
				out = append(out, runtime.Port{HostPort: int(p.Num()), ContainerPort: int(p.Num()), Protocol: string(p.Proto())})
			}
		}
	} else if c.NetworkSettings != nil {
		for p, bindings := range c.NetworkSettings.Ports {
			for _, b := range bindings {
				n, err := strconv.Atoi(b.HostPort)
				if err != nil {
					continue
				}
				port := runtime.Port{HostPort: n, ContainerPort: int(p.Num()), Protocol: string(p.Proto())}
				if b.HostIP.IsValid() {
					port.HostIP = b.HostIP.String()
				}
				out = append(out, port)
			}
		}
	}
	slices.SortFunc(out, func(a, b runtime.Port) int {
		if a.ContainerPort != b.ContainerPort {
			return a.ContainerPort - b.ContainerPort
		}
		if a.Protocol != b.Protocol {
			return map[bool]int{true: -1, false: 1}[a.Protocol < b.Protocol]
		}
		return a.HostPort - b.HostPort
	})
	return out
}

func health(s container.HealthStatus) string {
	switch s {
	case container.Healthy:
		return runtime.Healthy
	case container.Unhealthy:
		return runtime.Unhealthy
	}
	return runtime.HealthUnknown
}

// instant reads the daemon's timestamps, whose zero is the year 1.
func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

// translate tells the two kinds of errors that mean something apart from all others: no such container, and a daemon that
// didn't answer, or that was interrupted while it did.
func translate(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case cerrdefs.IsNotFound(err):
		return fmt.Errorf("%w: %w", runtime.ErrNotFound, err)
	case client.IsErrConnectionFailed(err), cerrdefs.IsUnavailable(err):
		return fmt.Errorf("%w: %w", runtime.ErrUnavailable, err)
	}
	var netErr net.Error
	if errors.As(err, &netErr) {
		return fmt.Errorf("%w: %w", runtime.ErrUnavailable, err)
	}
	return err
}
