package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(key string, d time.Duration) Ended { return Ended{key, now.Add(-d)} }

func TestDecide(t *testing.T) {
	deployment := func(key string, d time.Duration, rollout string) Deployment {
		return Deployment{Ended: ago(key, d), Service: "default/web", Rollout: rollout, CreatedAt: now.Add(-2 * d)}
	}
	w := World{Now: now, KeepTasks: time.Hour, KeepInactive: 2 * time.Hour}
	for _, c := range []struct {
		name  string
		world func(*World)
		want  Plan
	}{
		{"nothing has ended: what ends now is due in an hour", func(w *World) {}, Plan{Wake: now.Add(time.Hour)}},
		{"due at the moment, not before", func(w *World) {
			w.Tasks = []Ended{ago("c", 30*time.Minute), ago("b", time.Hour), ago("a", 2*time.Hour)}
			w.Instances = []Ended{ago("i1", 2*time.Hour), ago("i2", 100*time.Minute)}
			w.Services = []Ended{ago("default/old", 3*time.Hour)}
		}, Plan{Tasks: []string{"a", "b"}, Instances: []string{"i1"}, Services: []string{"default/old"}, Wake: now.Add(20 * time.Minute)}},
		{"the pace holds", func(w *World) { w.Tasks = []Ended{ago("a", time.Hour-time.Millisecond)} }, Plan{Wake: now.Add(time.Second)}},
		{"what a failing deployment is rolled back to stays", func(w *World) {
			w.Deployments = []Deployment{
				deployment("d1", 5*time.Hour, ecs.RolloutCompleted), deployment("d2", 4*time.Hour, ecs.RolloutCompleted),
				deployment("d3", 3*time.Hour, ecs.RolloutFailed), deployment("d4", time.Hour, ecs.RolloutInProgress),
			}
		}, Plan{Deployments: []string{"d1", "d3"}, Wake: now.Add(time.Hour)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w
			c.world(&w)
			if got := Decide(w); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// TestSweep runs the loop over hours of virtual time.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
		st := store.Open(memory.New(), store.Options{ID: "test", Logger: quiet, CheckMutation: true}, state.Tables()...)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer func() { cancel(); running.Wait() }()
		running.Go(func() { st.Run(ctx) })
		<-st.Ready()
		update := func(fn func(tx *store.Tx)) {
			t.Helper()
			if _, err := st.Update(ctx, func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		event := func(tx *store.Tx, service string) {
			state.ServiceEvents.Put(tx, &ecs.ServiceEvent{ID: service, Service: service, Cluster: "default", Sequence: 1})
		}
		update(func(tx *store.Tx) {
			state.Clusters.Put(tx, &ecs.Cluster{Name: "default", Status: ecs.ClusterActive})
			for i := range 1203 {
				state.Tasks.Put(tx, &ecs.Task{ID: fmt.Sprintf("stopped%04d", i), Cluster: "default", DesiredStatus: ecs.TaskStopped,
					LastStatus: ecs.TaskStopped, StoppedAt: start})
			}
			state.Tasks.Put(tx, &ecs.Task{ID: "stopping", Cluster: "default", DesiredStatus: ecs.TaskStopped, LastStatus: ecs.TaskRunning})
			state.Tasks.Put(tx, &ecs.Task{ID: "running", Cluster: "default", DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskRunning})
			state.Instances.Put(tx, &ecs.ContainerInstance{ID: "gone", Cluster: "default", Status: ecs.InstanceInactive, DeregisteredAt: start})
			state.Instances.Put(tx, &ecs.ContainerInstance{ID: "here", Cluster: "default", Status: ecs.InstanceActive})
			for name, status := range map[string]string{"old": ecs.ServiceInactive, "web": ecs.ServiceActive} {
				state.Services.Put(tx, &ecs.Service{Name: name, Cluster: "default", Status: status, CreatedAt: start.Add(-time.Hour)})
				state.Deployments.Put(tx, &ecs.Deployment{ID: name + "1", Service: name, Cluster: "default", Status: ecs.DeploymentInactive,
					RolloutState: ecs.RolloutFailed, UpdatedAt: start})
				event(tx, name)
			}
			state.Deployments.Put(tx, &ecs.Deployment{ID: "web2", Service: "web", Cluster: "default", Status: ecs.DeploymentPrimary, UpdatedAt: start})
		})
		counts := func() string {
			out := ""
			st.View(func(r store.Reader) error {
				out = fmt.Sprintf("tasks %d instances %d services %d deployments %d events %d", state.Tasks.Len(r), state.Instances.Len(r),
					state.Services.Len(r), state.Deployments.Len(r), state.ServiceEvents.Len(r))
				return nil
			})
			return out
		}
		want := func(after time.Duration, s string) {
			t.Helper()
			time.Sleep(time.Until(start.Add(after)))
			synctest.Wait()
			if got := counts(); got != s {
				t.Errorf("after %v: %s, want %s", after, got, s)
			}
		}
		collected := 0
		keeper := New(Config{Store: st, Now: time.Now, Log: quiet, StoppedTasks: time.Hour, Inactive: 90 * time.Minute,
			Collectors: []func(context.Context) error{func(context.Context) error {
				if collected++; collected == 1 {
					return errors.New("not yet")
				}
				return nil
			}}})
		running.Go(func() {
			if err := keeper.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		want(59*time.Minute, "tasks 1205 instances 2 services 2 deployments 3 events 2")
		want(61*time.Minute, "tasks 2 instances 2 services 2 deployments 3 events 2")
		want(80*time.Minute, "tasks 2 instances 2 services 2 deployments 3 events 2")
		update(func(tx *store.Tx) {
			state.Tasks.Put(tx, &ecs.Task{ID: "stopping", Cluster: "default", DesiredStatus: ecs.TaskStopped, LastStatus: ecs.TaskStopped, StoppedAt: time.Now()})
		})
		want(91*time.Minute, "tasks 2 instances 1 services 1 deployments 1 events 1")
		want(139*time.Minute, "tasks 2 instances 1 services 1 deployments 1 events 1")
		want(141*time.Minute, "tasks 1 instances 1 services 1 deployments 1 events 1")
		if collected < 3 || collected > 12 {
			t.Errorf("the collector ran %d times", collected)
		}
	})
}
