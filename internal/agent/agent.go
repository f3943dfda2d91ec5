// Package agent makes this machine a container instance of an ECS cluster. It speaks only the public protocol with the
// control plane, the ECS API and the ACS and TCS websockets, so that it works with any that speaks it too.
//
// engine runs the tasks, runtime the containers, checkpoint remembers, controlplane talks; this package registers the
// instance, keeps the two sessions open, and hands what arrives to the engine.
package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openberth/berth/internal/agent/checkpoint"
	"github.com/openberth/berth/internal/agent/controlplane"
	"github.com/openberth/berth/internal/agent/engine"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agent/runtime/docker"
	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// DefaultCluster is the one cluster that the agent makes if it is missing.
const DefaultCluster = "default"

// Config configures an Agent. Only Endpoint, Region, Credentials and DataDir have no default.
type Config struct {
	Endpoint    string // of the ECS API: "http://127.0.0.1:4566"
	Region      string
	Credentials sigv4.Credentials
	Cluster     string // DefaultCluster
	DataDir     string // the checkpoint; what it knows of is this agent's

	// DockerHost is "unix:///var/run/docker.sock", or DOCKER_HOST. Runtime, if set, is used instead.
	DockerHost string
	Runtime    runtime.Runtime

	AvailabilityZone string            // "<region>a"
	Attributes       map[string]string // custom ones, set by the first registration
	ReservedMemory   int64             // MiB that tasks don't get
	ReservedPorts    []int             // TCP; 22, 2375, 2376, 51678, 51679
	ReservedPortsUDP []int

	PullBehaviour  runtime.PullBehaviour // runtime.PullPreferCached
	StopTimeout    time.Duration         // between SIGTERM and SIGKILL, unless the container says otherwise: 30 s
	CleanupWait    time.Duration         // between a task's end and the removal of its containers: 3 h
	DisableMetrics bool

	Version string // "1.2.3", as AWS agents have them: three numbers
	Hash    string // of the commit
	Log     *slog.Logger
}

func (c *Config) setDefaults() error {
	switch {
	case c.Endpoint == "" || c.Region == "":
		return errors.New("agent: Endpoint and Region are required")
	case c.DataDir == "":
		return errors.New("agent: DataDir is required")
	case c.ReservedMemory < 0:
		return errors.New("agent: ReservedMemory is negative")
	}
	c.Cluster = cmp.Or(c.Cluster, DefaultCluster)
	c.AvailabilityZone = cmp.Or(c.AvailabilityZone, c.Region+"a")
	c.PullBehaviour = cmp.Or(c.PullBehaviour, runtime.PullPreferCached)
	c.StopTimeout = cmp.Or(c.StopTimeout, 30*time.Second)
	c.CleanupWait = cmp.Or(c.CleanupWait, 3*time.Hour)
	c.Version = cmp.Or(c.Version, "0.0.0")
	if c.ReservedPorts == nil {
		c.ReservedPorts = []int{22, 2375, 2376, 51678, 51679}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Agent is one container instance.
type Agent struct {
	cfg Config
	log *slog.Logger
	cp  *controlplane.Client
	rt  runtime.Runtime

	db     *checkpoint.DB // while Run runs, as everything below
	owner  string
	engine *engine.Engine
	arn    string // of the container instance

	telemetry *telemetry
	failpoint checkpoint.Failpoint

	mu        sync.Mutex
	endpoints controlplane.Endpoints // as last discovered
	seqNum    int64                  // the highest seen, of payloads and manifests
}

// New makes an agent; nothing happens before Run.
func New(cfg Config) (*Agent, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	rt := cfg.Runtime
	if rt == nil {
		d, err := docker.New(docker.Options{Host: cfg.DockerHost})
		if err != nil {
			return nil, err
		}
		rt = d
	}
	a := &Agent{cfg: cfg, log: cfg.Log, rt: rt, cp: controlplane.New(cfg.Endpoint, cfg.Region, cfg.Credentials)}
	a.cp.AgentVersion, a.cp.AgentHash = cfg.Version, cfg.Hash
	return a, nil
}

// Run registers the instance and runs its tasks until ctx ends, which leaves the containers running. A control plane or a
// Docker daemon that doesn't answer is waited for; an error means that waiting won't help.
func (a *Agent) Run(ctx context.Context) (err error) {
	if err := a.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	info, err := a.waitForRuntime(ctx)
	if err != nil {
		return err
	}
	a.cp.DockerVersion = info.Version
	total, err := a.resources(info)
	if err != nil {
		return err
	}
	a.telemetry = newTelemetry(a)
	cfg := a.engineConfig(total)
	if a.engine, err = engine.New(cfg); err != nil {
		return err
	}
	if a.seqNum, err = a.engine.SeqNum(); err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}

	g, ctx := errgroup.WithContext(ctx)
	// The engine needs no control plane: what it has on record it goes on with at once.
	g.Go(func() error { return a.engine.Run(ctx) })
	g.Go(func() error {
		arn, err := a.register(ctx, info, total)
		if err != nil {
			return err
		}
		a.arn = arn
		a.log.Info("registered", "containerInstance", a.arn, "cluster", a.cfg.Cluster)
		sessions, ctx := errgroup.WithContext(ctx)
		sessions.Go(func() error { return a.runACS(ctx) })
		sessions.Go(func() error { return a.telemetry.run(ctx) })
		return sessions.Wait()
	})
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (a *Agent) engineConfig(total engine.Resources) engine.Config {
	cfg := engine.Config{Cluster: a.cfg.Cluster, Owner: a.owner, Runtime: a.rt, Checkpoint: a.db, ControlPlane: reporter{a.cp},
		PullBehaviour: a.cfg.PullBehaviour, StopTimeout: a.cfg.StopTimeout, CleanupWait: a.cfg.CleanupWait, Total: total, Log: a.log}
	if a.telemetry != nil {
		cfg.HealthChanged, cfg.RuntimeChanged = a.telemetry.healthChanged, a.telemetry.runtimeChanged
	}
	return cfg
}

// open opens the checkpoint, and gives the data directory its id.
func (a *Agent) open() error {
	db, err := checkpoint.Open(a.cfg.DataDir, a.log, a.failpoint)
	if err != nil {
		return err
	}
	a.db = db
	owner, err := a.once(checkpoint.KeyOwner, newID())
	if err == nil {
		a.owner = owner
		var cluster string
		if cluster, err = a.once(checkpoint.KeyCluster, a.cfg.Cluster); err == nil && cluster != a.cfg.Cluster {
			err = fmt.Errorf("the data directory %s belongs to an agent of the cluster %q, not of %q: use another one", a.cfg.DataDir, cluster, a.cfg.Cluster)
		}
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// once reads a value of the checkpoint, and records fallback if there is none.
func (a *Agent) once(key, fallback string) (string, error) {
	b, err := a.db.Get(checkpoint.Meta, key)
	if err != nil || len(b) > 0 {
		return string(b), err
	}
	a.db.Put(checkpoint.Meta, key, []byte(fallback), nil)
	return fallback, a.db.Sync(context.Background())
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Bounds of waiting for what the agent can't do without.
const (
	waitMin = 250 * time.Millisecond
	waitMax = 30 * time.Second
)

func (a *Agent) waitForRuntime(ctx context.Context) (runtime.Info, error) {
	b := newBackoff(waitMin, waitMax, 2)
	for {
		info, err := a.rt.Info(ctx)
		if err == nil {
			return info, nil
		}
		if ctx.Err() != nil {
			return runtime.Info{}, ctx.Err()
		}
		wait := b.next()
		a.log.Warn("no container runtime yet", "err", err, "again in", wait)
		if !sleep(ctx, wait) {
			return runtime.Info{}, ctx.Err()
		}
	}
}

// reporter is what the engine reports through.
type reporter struct{ cp *controlplane.Client }

func (r reporter) SubmitTaskStateChange(ctx context.Context, change *agentlink.TaskStateChange) error {
	err := r.cp.SubmitTaskStateChange(ctx, change)
	if refusedForGood(err) {
		return fmt.Errorf("%w: %w", engine.ErrRefused, err)
	}
	return err
}

// Teardown stops the agent's tasks and removes everything that it made on this machine: containers, volumes, cgroups. The
// agent must not be running. What it removed is reported by the next agent on the same data directory, if there is one.
func (a *Agent) Teardown(ctx context.Context) (removed int, err error) {
	if _, err := os.Stat(filepath.Join(a.cfg.DataDir, "agent.db")); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err := a.open(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	cfg := a.engineConfig(engine.Resources{})
	cfg.Offline = true
	return engine.Teardown(ctx, cfg)
}
