package servicesched

import (
	"fmt"
	"testing"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// bigWorld is a service of n running tasks; rolling, half of them are of an older deployment.
func bigWorld(n int, rolling bool) World {
	w := World{Now: epoch, HealthyAfter: 40 * time.Second, Service: ecs.Service{
		Name: "web", Cluster: "default", Status: ecs.ServiceActive, SchedulingStrategy: ecs.SchedulingReplica, DesiredCount: n,
		SteadyAt: epoch,
	}}
	w.Deployments = []ecs.Deployment{
		{ID: "A", Status: ecs.DeploymentActive, RolloutState: ecs.RolloutCompleted, CreatedAt: epoch.Add(-2 * time.Hour)},
		{ID: "B", Status: ecs.DeploymentPrimary, RolloutState: ecs.RolloutInProgress, CreatedAt: epoch.Add(-time.Hour)},
	}
	if !rolling {
		w.Deployments = w.Deployments[1:]
		w.Deployments[0].RolloutState = ecs.RolloutCompleted
	}
	for i := range n {
		t := Task{ID: fmt.Sprintf("%032x", i*7919), Deployment: "B", Instance: fmt.Sprintf("i%d", i%500),
			DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskRunning, CreatedAt: epoch.Add(-time.Hour), StartedAt: epoch.Add(-time.Hour)}
		if rolling && i%2 == 0 {
			t.Deployment = "A"
		}
		w.Tasks = append(w.Tasks, t)
	}
	for i := range 500 {
		w.Instances = append(w.Instances, Instance{ID: fmt.Sprintf("i%d", i), Status: ecs.InstanceActive, Connected: true})
	}
	return w
}

func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name    string
		n       int
		rolling bool
	}{{"steady5000", 5000, false}, {"rolling5000", 5000, true}, {"steady100", 100, false}} {
		b.Run(c.name, func(b *testing.B) {
			w := bigWorld(c.n, c.rolling)
			b.ReportAllocs()
			for b.Loop() {
				p := Decide(w)
				if p.Empty() == c.rolling {
					b.Fatal(p)
				}
			}
		})
	}
}

// BenchmarkTenThousandServices is one look at each of 10,000 services of 100 tasks.
func BenchmarkTenThousandServices(b *testing.B) {
	w := bigWorld(100, true)
	for b.Loop() {
		for range 10_000 {
			Decide(w)
		}
	}
}
