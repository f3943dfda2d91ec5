package control

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

func (w *world) connectTCS() *agent {
	w.t.Helper()
	a, refused := w.dial("/tcs/ws", agentlink.TCSHandshake{AgentVersion: "1.105.1", Cluster: "default",
		ContainerInstanceARN: instanceARN, DockerVersion: "20.10.24"}.Query())
	if refused != "" {
		w.t.Fatal(refused)
	}
	return a
}

// publish sends as agents do: behind a block of headers.
func (a *agent) publish(m agentlink.Message) {
	a.t.Helper()
	body, err := agentlink.Encode(m)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(agentlink.EncodeSigned(http.Header{"Authorization": {"AWS4-HMAC-SHA256 x"}, "Host": {"berth"}}, body))
}

func TestHealthReports(t *testing.T) {
	bubble(t, func(w *world) {
		w.run("t1")
		w.update(func(tx *store.Tx) {
			state.Tasks.Put(tx, &ecs.Task{ID: "foreign", Cluster: "default", ContainerInstance: "other", LastStatus: ecs.TaskRunning,
				DesiredStatus: ecs.TaskRunning, Version: 1, Containers: []ecs.Container{{Name: "app", LastStatus: ecs.TaskRunning}}})
		})
		a := w.connectTCS()
		report := func(status string, since time.Time) {
			t.Helper()
			m := &agentlink.PublishHealthRequest{Metadata: &agentlink.HealthMetadata{MessageID: "m", Fin: true}, Timestamp: agentlink.At(time.Now())}
			for _, id := range []string{"t1", "foreign", "unknown"} {
				m.Tasks = append(m.Tasks, agentlink.TaskHealth{TaskARN: taskARN(id), Containers: []agentlink.ContainerHealth{
					{ContainerName: "app", HealthStatus: status, StatusSince: agentlink.At(since)}}})
			}
			a.publish(m)
			next[*agentlink.AckPublishHealth](a)
		}
		start := time.Now()
		report("HEALTHY", start)
		if task := w.task("t1"); task.Containers[0].HealthStatus != "HEALTHY" || task.Version != 2 || !task.Containers[0].HealthSince.Equal(start) {
			t.Errorf("after the first report: %+v", task)
		}
		before := w.revision()
		report("HEALTHY", start)
		if w.revision() != before {
			t.Error("a report without news was written")
		}
		report("UNHEALTHY", start.Add(time.Second))
		if task := w.task("t1"); task.Containers[0].HealthStatus != "UNHEALTHY" {
			t.Errorf("after the second report: %+v", task)
		}
		if task := w.task("foreign"); task.Version != 1 {
			t.Error("an agent changed the task of another instance")
		}
	})
}

func TestInstanceStatus(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connectTCS()
		report := func(status string) int64 {
			t.Helper()
			now := agentlink.At(time.Now())
			a.publish(&agentlink.PublishInstanceStatusRequest{Metadata: &agentlink.InstanceStatusMetadata{RequestID: "r"}, Timestamp: now,
				Statuses: []agentlink.InstanceStatus{{Type: agentlink.InstanceContainerRuntime, Status: status, LastUpdated: now, LastStatusChange: now},
					{Type: "Unheard-of", Status: "OK"}}})
			next[*agentlink.AckPublishInstanceStatus](a)
			ci := w.instance()
			if len(ci.Health) != 1 || ci.Health[0].Type != "CONTAINER_RUNTIME" || ci.Health[0].Status != status {
				t.Errorf("health: %+v", ci.Health)
			}
			return ci.Version
		}
		v := report("INITIALIZING")
		if got := report("OK"); got != v+1 {
			t.Errorf("version %d, want %d", got, v+1)
		}
		<-time.After(20 * time.Second)
		before := w.revision()
		if report("OK"); w.revision() != before {
			t.Error("a report without news was written")
		}
	})
}

func TestMetrics(t *testing.T) {
	bubble(t, func(w *world) {
		w.run("t1")
		a := w.connectTCS()
		publish := func(cpu float64) {
			t.Helper()
			m := &agentlink.PublishMetricsRequest{Metadata: &agentlink.MetricsMetadata{MessageID: "m", Fin: true}, Timestamp: agentlink.At(time.Now())}
			for _, id := range []string{"t1", "unknown"} {
				m.TaskMetrics = append(m.TaskMetrics, agentlink.TaskMetric{TaskARN: taskARN(id), ContainerMetrics: []agentlink.ContainerMetric{
					{ContainerName: "app", CPUStatsSet: &agentlink.StatsSet{Sum: cpu, SampleCount: 1}}}})
			}
			a.publish(m)
			next[*agentlink.AckPublishMetric](a)
		}
		samples := w.server.Metrics.(*LastSamples)
		publish(1)
		publish(2)
		got, ok := samples.Last("t1")
		if !ok || got.Instance != "ci" || !got.At.Equal(time.Now()) || got.Metrics.ContainerMetrics[0].CPUStatsSet.Sum != 2 {
			t.Errorf("sample: %+v %v", got, ok)
		}
		if _, ok := samples.Last("unknown"); ok {
			t.Error("a sample of a task that isn't there")
		}
		w.set("t1", func(t *ecs.Task) { t.LastStatus, t.DesiredStatus = ecs.TaskStopped, ecs.TaskStopped })
		synctest.Wait()
		if _, ok := samples.Last("t1"); ok {
			t.Error("a stopped task's sample is kept")
		}
		publish(3)
		if _, ok := samples.Last("t1"); ok {
			t.Error("a stopped task's sample came back")
		}
	})
}

// TestTelemetryStaysAlive: agents count acks and heartbeats as signs of life, and an idle one has nothing to ack.
func TestTelemetryStaysAlive(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connectTCS()
		a.write([]byte("no header and no JSON"))
		a.publish(&agentlink.HeartbeatMessage{})
		last := time.Now()
		for range 5 {
			next[*agentlink.HeartbeatMessage](a)
			if d := time.Since(last); d > 30*time.Second {
				t.Errorf("heartbeat after %v", d)
			}
			last = time.Now()
		}
		if err := a.closed(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("ended with %v", err)
		}
		b := w.connectTCS()
		w.cancel()
		if err := b.closed(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestLastSamplesAreBounded(t *testing.T) {
	l := NewLastSamples(2)
	for _, task := range []string{"a", "b", "a", "c"} { // b is the one measured longest ago
		l.Record(Sample{Task: task})
	}
	for task, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, ok := l.Last(task); ok != want {
			t.Errorf("%s: %v", task, ok)
		}
	}
	l.Forget("a")
	l.Forget("a")
	if _, ok := l.Last("a"); ok || l.order.Len() != 1 {
		t.Error("a is still there")
	}
}
