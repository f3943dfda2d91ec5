package servicesched

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

// BenchmarkPass is one pass over a service, transaction included, in a cluster of 500 instances that hold 5,000 tasks of
// others: the writer is held for about as long. "start50" places a full batch, "look" finds nothing to do.
func BenchmarkPass(b *testing.B) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	st := store.Open(memory.New(), store.Options{ID: "bench", Logger: quiet}, state.Tables()...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { st.Run(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()
	<-st.Ready()
	update := func(fn func(tx *store.Tx)) {
		if _, err := st.Update(ctx, func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	update(func(tx *store.Tx) {
		essential, cpu, memory := true, 100, 100
		state.TaskDefinitions.Put(tx, &ecs.TaskDefinition{Family: "web", Revision: 1, Status: ecs.TaskDefinitionActive,
			ContainerDefinitions: []ecs.ContainerDefinition{{Name: "main", Image: "sample", Essential: &essential, CPU: &cpu, Memory: &memory}}})
		for i := range 500 {
			state.Instances.Put(tx, &ecs.ContainerInstance{ID: fmt.Sprintf("i%03d", i), Cluster: "default", Status: ecs.InstanceActive,
				AgentConnected: true, Resources: ecs.Resources{CPU: 1 << 20, Memory: 1 << 20},
				Attributes: []ecs.Attribute{{Name: "ecs.availability-zone", Value: string(rune('a' + i%3))}}})
		}
	})
	for from := 0; from < 5000; from += 1000 {
		update(func(tx *store.Tx) {
			for i := from; i < from+1000; i++ {
				state.Tasks.Put(tx, &ecs.Task{ID: fmt.Sprintf("other%05d", i), Cluster: "default", Group: "family:other",
					ContainerInstance: fmt.Sprintf("i%03d", i%500), DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskRunning,
					Reserved: ecs.Resources{CPU: 10, Memory: 10}})
			}
		})
	}
	s := New(Config{Store: st, Now: time.Now, Log: quiet, HealthyAfter: 40 * time.Second})
	n := 0
	service := func(desired int) string {
		n++
		name := fmt.Sprintf("web%d", n)
		update(func(tx *store.Tx) {
			state.Services.Put(tx, &ecs.Service{Name: name, Cluster: "default", Status: ecs.ServiceActive, SchedulingStrategy: ecs.SchedulingReplica,
				DesiredCount: desired, TaskDefinition: ecs.TaskDefinitionID{Family: "web", Revision: 1}})
			state.Deployments.Put(tx, &ecs.Deployment{ID: "d" + name, Service: name, Cluster: "default", Status: ecs.DeploymentPrimary,
				TaskDefinition: ecs.TaskDefinitionID{Family: "web", Revision: 1}, RolloutState: ecs.RolloutInProgress})
		})
		return ecs.ServiceKey("default", name)
	}
	pass := func(key string) {
		if _, err := s.Reconcile(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
	for _, size := range []int{1, 50} {
		b.Run(fmt.Sprintf("start%d", size), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				key := service(size)
				b.StartTimer()
				pass(key)
			}
		})
	}
	b.Run("look100", func(b *testing.B) {
		key := service(100)
		pass(key)
		for b.Loop() {
			pass(key)
		}
	})
}
