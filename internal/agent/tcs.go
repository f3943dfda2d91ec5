package agent

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openberth/berth/internal/agent/controlplane"
	"github.com/openberth/berth/internal/agent/engine"
	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/arn"
)

const (
	publishEvery = 20 * time.Second // metrics, health
	tcsWaitMin   = time.Second
	tcsWaitMax   = time.Minute
)

// telemetry is the agent's TCS side: it keeps a session open and publishes health, metrics and the instance's own status.
type telemetry struct {
	a       *Agent
	metrics *metrics

	mu sync.Mutex
	// changed has the tasks whose health has changed and wasn't published; a lost connection loses nothing, since a new one
	// begins with everything.
	changed map[string]bool
	status  agentlink.InstanceStatus
	drop    context.CancelFunc // ends the session

	healthWake, statusWake chan struct{}
}

func newTelemetry(a *Agent) *telemetry {
	now := agentlink.At(time.Now())
	return &telemetry{a: a, metrics: newMetrics(a.rt), changed: map[string]bool{},
		status: agentlink.InstanceStatus{Type: agentlink.InstanceContainerRuntime, Status: agentlink.InstanceInitializing, LastUpdated: now, LastStatusChange: now},
		drop:   func() {}, healthWake: make(chan struct{}, 1), statusWake: make(chan struct{}, 1)}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// healthChanged publishes the task's health soon.
func (t *telemetry) healthChanged(task string) {
	t.mu.Lock()
	t.changed[task] = true
	t.mu.Unlock()
	wake(t.healthWake)
}

// runtimeChanged publishes that the container runtime went away or came back.
func (t *telemetry) runtimeChanged(up bool, reason string) {
	t.mu.Lock()
	now := agentlink.At(time.Now())
	t.status.Status, t.status.StatusReason = agentlink.InstanceOK, ""
	if !up {
		t.status.Status, t.status.StatusReason = agentlink.InstanceImpaired, reason
	}
	t.status.LastUpdated, t.status.LastStatusChange = now, now
	t.mu.Unlock()
	wake(t.statusWake)
}

// heartbeat of ACS: the status is looked at again, and published.
func (t *telemetry) heartbeat() {
	t.mu.Lock()
	t.status.LastUpdated = agentlink.At(time.Now())
	t.mu.Unlock()
	wake(t.statusWake)
}

// disconnect ends the session; another one is tried as after any other end.
func (t *telemetry) disconnect() {
	t.mu.Lock()
	drop := t.drop
	t.mu.Unlock()
	drop()
}

// run keeps a session open until ctx ends.
func (t *telemetry) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if !t.a.cfg.DisableMetrics {
		g.Go(func() error { return t.metrics.run(ctx, t.a.engine.Snapshot) })
	}
	g.Go(func() error { return t.sessions(ctx) })
	return g.Wait()
}

func (t *telemetry) sessions(ctx context.Context) error {
	b := newBackoff(tcsWaitMin, tcsWaitMax, 2)
	for {
		began := time.Now()
		connected, err := t.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		lived := time.Since(began)
		if lived >= steadyAfter {
			b.reset()
		}
		var closed *controlplane.ClosedError
		wait := time.Duration(0)
		if connected && errors.As(err, &closed) && closed.Normal() && lived >= tooShort {
			b.reset()
		} else {
			wait = b.next()
		}
		t.a.log.Info("TCS session ended", "err", err, "again in", wait)
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

func (t *telemetry) session(ctx context.Context) (connected bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.mu.Lock()
	t.drop = cancel
	t.mu.Unlock()
	endpoints, err := t.a.discover(ctx)
	if err != nil {
		return false, err
	}
	conn, err := t.a.cp.DialTCS(ctx, endpoints.TCS, t.a.cfg.Cluster, t.a.arn)
	if err != nil {
		return false, err
	}
	out := newOutbox()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return runSession(ctx, t.a.log, conn, out, t.handle) })
	g.Go(func() error { return t.publish(ctx, out) })
	return true, g.Wait()
}

func (t *telemetry) handle(m agentlink.Message) {
	switch m.(type) {
	case *agentlink.AckPublishMetric, *agentlink.AckPublishHealth, *agentlink.AckPublishInstanceStatus, *agentlink.HeartbeatMessage:
	case *agentlink.StopTelemetrySessionMessage:
		t.disconnect()
	default:
		// The control plane complains; what it complains of is published again in 20 s, better or not.
		b, _ := json.Marshal(m)
		t.a.log.Warn("telemetry refused", "type", m.MessageType(), "message", string(b))
	}
}

// publish puts into out what is to be told: all of it now, changes of health and status at once, everything every 20 s.
func (t *telemetry) publish(ctx context.Context, out *outbox) error {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	t.publishStatus(out)
	t.publishHealth(out, nil)
	t.publishMetrics(out)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			t.publishHealth(out, nil)
			t.publishMetrics(out)
		case <-t.statusWake:
			t.publishStatus(out)
		case <-t.healthWake:
			t.mu.Lock()
			changed := t.changed
			t.changed = map[string]bool{}
			t.mu.Unlock()
			t.publishHealth(out, changed)
		}
	}
}

func (t *telemetry) publishStatus(out *outbox) {
	t.mu.Lock()
	status := t.status
	t.mu.Unlock()
	out.put(&agentlink.PublishInstanceStatusRequest{
		Metadata: &agentlink.InstanceStatusMetadata{Cluster: t.a.cfg.Cluster, ContainerInstance: t.a.arn, RequestID: arn.NewUUID()},
		Statuses: []agentlink.InstanceStatus{status}, Timestamp: agentlink.At(time.Now())})
}

// publishHealth publishes the health of the tasks in only, of all if that is nil.
func (t *telemetry) publishHealth(out *outbox, only map[string]bool) {
	var tasks []agentlink.TaskHealth
	for _, task := range t.a.engine.Snapshot() {
		if only != nil && !only[task.Spec.ARN] {
			continue
		}
		if h := healthOf(task); len(h.Containers) > 0 {
			tasks = append(tasks, h)
		}
	}
	id, now := arn.NewUUID(), agentlink.At(time.Now())
	for chunk := range slices.Chunk(tasks, agentlink.MaxTasksPerMessage) {
		last := &chunk[len(chunk)-1] == &tasks[len(tasks)-1]
		out.put(&agentlink.PublishHealthRequest{
			Metadata: &agentlink.HealthMetadata{Cluster: t.a.cfg.Cluster, ContainerInstance: t.a.arn, MessageID: id, Fin: last},
			Tasks:    chunk, Timestamp: now})
	}
}

// healthOf reports the containers that have a health check and run.
func healthOf(task *engine.Task) agentlink.TaskHealth {
	h := agentlink.TaskHealth{TaskARN: task.Spec.ARN, ClusterARN: task.Spec.TaskClusterARN, TaskDefinitionFamily: task.Spec.Family,
		TaskDefinitionVersion: task.Spec.Version}
	for i := range task.Containers {
		c := &task.Containers[i]
		if !c.HealthChecked() || c.Known != engine.Running {
			continue
		}
		status := c.Health
		if status == "" {
			status = agentlink.HealthUnknown
		}
		h.Containers = append(h.Containers, agentlink.ContainerHealth{ContainerName: c.Name, HealthStatus: status, StatusSince: agentlink.At(c.HealthSince)})
	}
	return h
}

func (t *telemetry) publishMetrics(out *outbox) {
	if t.a.cfg.DisableMetrics {
		return
	}
	tasks := t.metrics.flush(t.a.engine.Snapshot())
	id, now := arn.NewUUID(), agentlink.At(time.Now())
	meta := func(idle, fin bool) *agentlink.MetricsMetadata {
		return &agentlink.MetricsMetadata{Cluster: t.a.cfg.Cluster, ContainerInstance: t.a.arn, MessageID: id, Idle: idle, Fin: fin}
	}
	if len(tasks) == 0 {
		out.put(&agentlink.PublishMetricsRequest{Metadata: meta(true, true), Timestamp: now})
		return
	}
	for chunk := range slices.Chunk(tasks, agentlink.MaxTasksPerMessage) {
		last := &chunk[len(chunk)-1] == &tasks[len(tasks)-1]
		out.put(&agentlink.PublishMetricsRequest{Metadata: meta(false, last), TaskMetrics: chunk, Timestamp: now})
	}
}
