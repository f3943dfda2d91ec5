package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agent/runtime/runtimetest"
	"github.com/openberth/berth/internal/arn"
)

const requireDocker = "BERTH_REQUIRE_DOCKER"

var probe = sync.OnceValues(importProbe)

// importProbe builds the probe and makes it an image, named after this process so that test binaries don't share it.
func importProbe() (image string, err error) {
	dir, err := os.MkdirTemp("", "berth-probe")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "probe")
	build := exec.Command("go", "build", "-o", bin, "-ldflags=-s -w", "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the probe: %v\n%s", err, out)
	}
	b, err := os.ReadFile(bin)
	if err != nil {
		return "", err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	_ = w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(b))})
	_, _ = w.Write(b)
	if err := w.Close(); err != nil {
		return "", err
	}
	rt, err := New(Options{})
	if err != nil {
		return "", err
	}
	defer rt.Close()
	image = "berth-runtimetest/probe:" + strconv.Itoa(os.Getpid())
	res, err := rt.api.ImageImport(context.Background(), client.ImageImportSource{Source: &layer, SourceName: "-"}, image,
		client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/probe"]`}})
	if err != nil {
		return "", err
	}
	defer res.Close()
	_, err = new(bytes.Buffer).ReadFrom(res)
	return image, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if image, err := probe(); err == nil && image != "" {
		if rt, err := New(Options{}); err == nil {
			_, _ = rt.api.ImageRemove(context.Background(), image, client.ImageRemoveOptions{Force: true})
		}
	}
	os.Exit(code)
}

// subject connects to the daemon; without one the test is skipped, or fails where the environment demands it.
func subject(t *testing.T) (*Runtime, string) {
	t.Helper()
	rt, err := New(Options{PullTries: 1})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err = rt.Info(ctx)
	}
	if err != nil {
		if os.Getenv(requireDocker) == "1" {
			t.Fatalf("no Docker daemon, though %s=1: %v", requireDocker, err)
		}
		t.Skipf("no Docker daemon: %v", err)
	}
	t.Cleanup(func() { rt.Close() })
	image, err := probe()
	if err != nil {
		t.Fatal(err)
	}
	return rt, image
}

func TestConformance(t *testing.T) {
	rt, image := subject(t)
	t.Run("suite", func(t *testing.T) { runtimetest.Run(t, runtimetest.Subject{Runtime: rt, Image: image}) })
}

type host struct {
	t     *testing.T
	rt    *Runtime
	image string
	owner string
	task  string
}

func newHost(t *testing.T) *host {
	rt, image := subject(t)
	return &host{t, rt, image, arn.NewID(), arn.NewID()}
}

func (h *host) spec(name string, command ...string) *runtime.ContainerSpec {
	s := &runtime.ContainerSpec{Name: "ecs-dockertest-1-" + name + "-" + h.task[:20],
		Image: h.image, Command: command,
		Labels: map[string]string{runtime.LabelOwner: h.owner, runtime.LabelTask: h.task, runtime.LabelContainer: name}}
	h.t.Cleanup(func() { _ = h.rt.RemoveContainer(context.Background(), s.Name) })
	return s
}

func (h *host) start(s *runtime.ContainerSpec) runtime.State {
	h.t.Helper()
	id, err := h.rt.CreateContainer(h.t.Context(), s)
	if err != nil {
		h.t.Fatalf("create %s: %v", s.Name, err)
	}
	st, err := h.rt.StartContainer(h.t.Context(), id)
	if err != nil {
		h.t.Fatalf("start %s: %v", s.Name, err)
	}
	return st
}

// startServing starts a container that serves on 8080, and waits until it does.
func (h *host) startServing(s *runtime.ContainerSpec) runtime.State {
	h.t.Helper()
	s.HealthChecked = true
	s.Config = fmt.Sprintf(`{"Healthcheck":{"Test":["CMD","/probe","dial","127.0.0.1:8080"],"Interval":%d}}`, 200*time.Millisecond)
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	ready, healthy, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		var once sync.Once
		ended <- h.rt.Watch(ctx, h.owner, func() { close(ready) }, func(ev runtime.Event) {
			if ev.Kind == runtime.HealthChanged && ev.Health == runtime.Healthy {
				once.Do(func() { close(healthy) })
			}
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		h.t.Fatal(err)
	}
	st := h.start(s)
	select {
	case <-healthy:
	case <-time.After(20 * time.Second):
		h.t.Fatal("never serves")
	}
	return st
}

// wait returns how the container ended.
func (h *host) wait(id string) runtime.State {
	h.t.Helper()
	res := h.rt.api.ContainerWait(h.t.Context(), id, client.ContainerWaitOptions{})
	select {
	case <-res.Result:
	case err := <-res.Error:
		h.t.Fatal(err)
	}
	st, err := h.rt.InspectContainer(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return st
}

func TestVolumesAreShared(t *testing.T) {
	h := newHost(t)
	volume := "ecs-dockertest-1-data-" + h.task
	task := runtime.TaskSpec{ID: h.task, Owner: h.owner, Volumes: []runtime.Volume{{Name: volume}}}
	if _, err := h.rt.PrepareTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.rt.RemoveTask(context.Background(), task) })
	dir := t.TempDir()

	w := h.spec("writer", "write", "/data/x", "hello")
	w.Mounts = []runtime.Mount{{Source: volume, Target: "/data"}, {Source: dir, Target: "/host"}}
	if st := h.wait(h.start(w).ID); st.ExitCode != 0 {
		t.Fatalf("writer: %+v", st)
	}
	reader := h.spec("reader", "expect", "/data/x", "hello")
	reader.VolumesFrom = []runtime.VolumesFrom{{Container: w.Name}}
	if st := h.wait(h.start(reader).ID); st.ExitCode != 0 {
		t.Fatalf("volumesFrom: %+v", st)
	}
	readonly := h.spec("readonly", "write", "/data/x", "other")
	readonly.Mounts = []runtime.Mount{{Source: volume, Target: "/data", ReadOnly: true}}
	if st := h.wait(h.start(readonly).ID); st.ExitCode != 1 {
		t.Fatalf("read-only mount: %+v", st)
	}
	bind := h.spec("bind", "write", "/host/y", "hello")
	bind.Mounts = []runtime.Mount{{Source: dir, Target: "/host"}}
	if st := h.wait(h.start(bind).ID); st.ExitCode != 0 {
		t.Fatalf("bind mount: %+v", st)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "y")); err != nil || string(b) != "hello" {
		t.Fatalf("bind mount: %q, %v", b, err)
	}
}

func TestPortsAndLinks(t *testing.T) {
	h := newHost(t)
	s := h.spec("server", "serve")
	s.Publish = []runtime.Published{{ContainerPort: 8080}}
	st := h.startServing(s)
	var address string
	for _, p := range st.Ports {
		if p.HostIP == "0.0.0.0" { // Docker may well have picked another port for IPv6
			address = fmt.Sprintf("127.0.0.1:%d", p.HostPort)
		}
	}
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l := h.spec("client", "dial", "db:8080")
	l.Links = []string{s.Name + ":db"}
	if st := h.wait(h.start(l).ID); st.ExitCode != 0 {
		t.Fatalf("link: %+v", st)
	}
}

func TestHostNetworkReportsTheDefinitionsPorts(t *testing.T) {
	h := newHost(t)
	s := h.spec("server", "ignore-term")
	s.NetworkMode = "host"
	s.Publish = []runtime.Published{{ContainerPort: 18099, HostPort: 18099}}
	st := h.start(s)
	if len(st.Ports) != 1 || st.Ports[0].HostPort != 18099 || st.Ports[0].ContainerPort != 18099 {
		t.Fatalf("ports: %+v", st.Ports)
	}
}

func TestTaskLimits(t *testing.T) {
	h := newHost(t)
	info, err := h.rt.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	task := runtime.TaskSpec{ID: h.task, Owner: h.owner, CPU: 0.25, Memory: 64}
	p, err := h.rt.PrepareTask(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	if !info.TaskLimits {
		if p.CgroupParent != "" {
			t.Fatalf("a cgroup where none can be had: %+v", p)
		}
		t.Skip("no task-level cgroups on this machine")
	}
	if p.CgroupParent != "/berth/"+h.task {
		t.Fatalf("prepared: %+v", p)
	}
	s := h.spec("burner", "burn")
	s.CgroupParent = p.CgroupParent
	st := h.start(s)

	// The cgroup holds the container: a quarter of a core is all that it gets.
	time0, cpu0 := sample(t, h, st.ID)
	deadline := time.Now().Add(10 * time.Second)
	for {
		time1, cpu1 := sample(t, h, st.ID)
		if time1.Sub(time0) >= time.Second {
			if share := float64(cpu1-cpu0) / float64(time1.Sub(time0)); share > 0.35 {
				t.Fatalf("used %.2f of a core", share)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no samples")
		}
	}
	if err := h.rt.RemoveContainer(t.Context(), st.ID); err != nil {
		t.Fatal(err)
	}

	// Without a limit of its own, a container still can't use more memory than the task.
	o := h.spec("eater", "oom")
	o.CgroupParent = p.CgroupParent
	if st := h.wait(h.start(o).ID); st.ExitCode != 137 {
		t.Fatalf("memory: %+v", st)
	}
	if err := h.rt.RemoveContainer(t.Context(), o.Name); err != nil {
		t.Fatal(err)
	}
	if err := h.rt.RemoveTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/berth/" + h.task); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func sample(t *testing.T, h *host, id string) (time.Time, time.Duration) {
	t.Helper()
	s, err := h.rt.Stats(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s.At, s.CPU
}

func TestUnreachableDaemon(t *testing.T) {
	rt, err := New(Options{Host: "unix://" + filepath.Join(t.TempDir(), "none.sock")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rt.InspectContainer(t.Context(), "x")
	if err == nil || !strings.Contains(err.Error(), runtime.ErrUnavailable.Error()) {
		t.Fatalf("inspect: %v", err)
	}
	if err := rt.Watch(t.Context(), "o", func() { t.Error("ready") }, nil); err == nil {
		t.Fatal("watch of nothing")
	}
}
