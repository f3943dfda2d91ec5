package control

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// telemetry is one TCS connection. Agents take it for dead unless something is acknowledged, or a heartbeat comes, every
// minute; so everything is acknowledged, except what couldn't be stored: the agent says it again 20 s later.
type telemetry struct {
	server   *Server
	instance string // id
	conn     *connection
	log      *slog.Logger
}

// serveTCS takes one connection from handshake to goodbye.
func (s *Server) serveTCS(w http.ResponseWriter, r *http.Request) {
	term, ok := s.enter()
	if !ok {
		s.refuse(w, r, refuseNotLeading)
		return
	}
	defer s.running.Done()
	h := agentlink.ParseTCSHandshake(r.URL.Query())
	var (
		ci      *ecs.ContainerInstance
		refused *refusal
	)
	if err := s.Store.View(func(r store.Reader) error {
		ci, refused = s.identify(r, h.Cluster, h.ContainerInstanceARN)
		return nil
	}); err != nil {
		refused = refuseNotLeading
	}
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.Log.Info("agent's websocket handshake failed", "containerInstance", ci.ID, "error", err)
		return
	}
	t := &telemetry{server: s, instance: ci.ID, conn: newConnection(ws),
		log: s.Log.With("containerInstance", ci.ID, "cluster", ci.Cluster)}
	how := t.run(term)
	t.log.Debug("telemetry ended", "reason", how.reason)
}

func (t *telemetry) run(term context.Context) (how closing) {
	done := make(chan struct{})
	frames := t.conn.frames(done)
	defer func() {
		close(done)
		t.conn.close(how, frames)
	}()
	timing := t.server.Timing
	expired := time.NewTimer(timing.life())
	defer expired.Stop()
	heartbeat := time.NewTicker(timing.Heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case <-term.Done():
			return closeNotLeading
		case <-expired.C:
			return closeExpired
		case <-heartbeat.C:
			// There is no ack to heartbeats here, and an idle agent may send nothing: a dead peer shows by the write.
			if err := t.conn.send(&agentlink.HeartbeatMessage{Healthy: true}); err != nil {
				return closeFailed
			}
		case frame, ok := <-frames:
			if !ok {
				return t.conn.left()
			}
			answer := t.receive(term, frame)
			if answer == nil {
				continue
			}
			if err := t.conn.send(answer); err != nil {
				return closeFailed
			}
		}
	}
}

// receive handles a frame and returns the answer, nil when there is none.
func (t *telemetry) receive(ctx context.Context, frame []byte) agentlink.Message {
	// The header repeats the signature of the handshake, which was verified, over this frame. It isn't verified again:
	// nobody else can write into this connection.
	_, body, err := agentlink.SplitSigned(frame)
	var m agentlink.Message
	if err == nil {
		m, err = agentlink.Decode(body)
	}
	if err != nil {
		t.log.Warn("a message of the agent can't be read; it is ignored", "error", err)
		return nil
	}
	switch m := m.(type) {
	case *agentlink.PublishMetricsRequest:
		t.metrics(m)
		return &agentlink.AckPublishMetric{Message: "ok"}
	case *agentlink.PublishHealthRequest:
		if err := t.health(ctx, m); err != nil {
			t.log.Warn("the health of containers could not be stored; the agent says it again", "error", err)
			return nil
		}
		return &agentlink.AckPublishHealth{Message: "ok"}
	case *agentlink.PublishInstanceStatusRequest:
		if err := t.instanceStatus(ctx, m); err != nil {
			t.log.Warn("the status of an instance could not be stored; the agent says it again", "error", err)
			return nil
		}
		return &agentlink.AckPublishInstanceStatus{Message: "ok"}
	}
	t.log.Warn("the agent sent what only a server sends; it is ignored", "type", m.MessageType())
	return nil
}

// own returns the task that arn names, if it is on this instance: an agent has no say about others.
func (t *telemetry) own(r store.Reader, taskARN string) (*ecs.Task, bool) {
	task, ok := state.Tasks.Get(r, arn.Last(taskARN))
	return task, ok && task.ContainerInstance == t.instance
}

func (t *telemetry) metrics(m *agentlink.PublishMetricsRequest) {
	at := m.Timestamp.Time
	if at.IsZero() {
		at = t.server.Now()
	}
	// An error means that nothing is loaded; the measurements are lost, the next come in 20 s.
	_ = t.server.Store.View(func(r store.Reader) error {
		for _, tm := range m.TaskMetrics {
			if task, ok := t.own(r, tm.TaskARN); ok && !task.Stopped() {
				t.server.Metrics.Record(Sample{Instance: t.instance, Task: task.ID, At: at, Metrics: tm})
			}
		}
		return nil
	})
}

// health writes only what changed: a report of 10 healthy tasks every 20 s costs no write.
func (t *telemetry) health(ctx context.Context, m *agentlink.PublishHealthRequest) error {
	apply := func(r store.Reader, put func(*ecs.Task)) {
		for _, th := range m.Tasks {
			task, ok := t.own(r, th.TaskARN)
			if !ok {
				continue
			}
			report := make([]lifecycle.ContainerHealth, 0, len(th.Containers))
			for _, c := range th.Containers {
				report = append(report, lifecycle.ContainerHealth{Name: c.ContainerName, Status: c.HealthStatus, Since: c.StatusSince.Time})
			}
			if next := lifecycle.ApplyHealth(*task, report); next.Version != task.Version {
				put(&next)
			}
		}
	}
	changed := false
	if err := t.server.Store.View(func(r store.Reader) error {
		apply(r, func(*ecs.Task) { changed = true })
		return nil
	}); err != nil || !changed {
		return err
	}
	_, err := t.server.Store.Update(ctx, func(tx *store.Tx) error {
		apply(tx, func(next *ecs.Task) { state.Tasks.Put(tx, next) })
		return nil
	})
	return err
}

// instanceStatusTypes are the API's names for what agents report; it has none for the agent's own status.
var instanceStatusTypes = map[string]string{
	agentlink.InstanceContainerRuntime: "CONTAINER_RUNTIME",
	"ACCELERATED_COMPUTE":              "ACCELERATED_COMPUTE",
	"EBSDaemon":                        "DAEMON",
}

// instanceStatus writes only a status that changed: agents repeat theirs with every heartbeat.
func (t *telemetry) instanceStatus(ctx context.Context, m *agentlink.PublishInstanceStatusRequest) error {
	merge := func(r store.Reader) (next *ecs.ContainerInstance) {
		old, ok := state.Instances.Get(r, t.instance)
		if !ok || deregistered(old) {
			return nil
		}
		for _, st := range m.Statuses {
			kind, ok := instanceStatusTypes[st.Type]
			if !ok {
				continue
			}
			check := ecs.InstanceHealthCheck{Type: kind, Status: st.Status, StatusReason: st.StatusReason,
				LastUpdated: st.LastUpdated.Time, LastStatusChange: st.LastStatusChange.Time}
			base := old
			if next != nil {
				base = next
			}
			i := slices.IndexFunc(base.Health, func(c ecs.InstanceHealthCheck) bool { return c.Type == kind })
			if i >= 0 && base.Health[i].Status == check.Status && base.Health[i].StatusReason == check.StatusReason {
				continue
			}
			if next == nil {
				copied := *old
				copied.Health = slices.Clone(old.Health)
				copied.Version++
				next = &copied
			}
			if i < 0 {
				next.Health = append(next.Health, check)
			} else {
				next.Health[i] = check
			}
		}
		return next
	}
	changed := false
	if err := t.server.Store.View(func(r store.Reader) error {
		changed = merge(r) != nil
		return nil
	}); err != nil || !changed {
		return err
	}
	_, err := t.server.Store.Update(ctx, func(tx *store.Tx) error {
		if next := merge(tx); next != nil {
			state.Instances.Put(tx, next)
		}
		return nil
	})
	return err
}
