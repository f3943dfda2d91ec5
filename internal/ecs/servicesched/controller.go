package servicesched

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/reconcile"
	"github.com/openberth/berth/internal/store"
)

// Config is what a Scheduler needs.
type Config struct {
	Store *store.Store
	Now   func() time.Time
	Log   *slog.Logger
	// HealthyAfter is how long a task without a health check must have been RUNNING to count as healthy.
	HealthyAfter time.Duration
	Workers      int                  // services looked at at once; default 4
	Observe      func(reconcile.Pass) // optional
}

// Scheduler is the service scheduler. All its state is in the store.
type Scheduler struct {
	cfg Config
}

// New makes a Scheduler; Run starts it.
func New(cfg Config) *Scheduler {
	if cfg.Workers == 0 {
		cfg.Workers = 4
	}
	return &Scheduler{cfg: cfg}
}

// Run looks after all services until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	return reconcile.New(reconcile.Options{
		Name: "services", Workers: s.cfg.Workers, Reconcile: s.Reconcile, Observe: s.cfg.Observe, Now: s.cfg.Now, Logger: s.cfg.Log,
		Feed: reconcile.Source{
			Store:  s.cfg.Store,
			Tables: []store.AnyTable{state.Services, state.Deployments, state.Tasks, state.Instances},
			All: func(r store.Reader, add func(...string)) {
				for service := range state.Services.All(r) {
					add(service.Key())
				}
			},
			Changed: changed,
		}.Feed,
	}).Run(ctx)
}

// changed finds the services that changes may matter to.
func changed(r store.Reader, changes []store.Change, add func(...string)) {
	freed := map[string]bool{} // clusters with more room than before
	for _, c := range changes {
		if before, after, ok := state.Tasks.Change(c); ok {
			taskChanged(r, before, after, freed, add)
		} else if before, after, ok := state.Instances.Change(c); ok {
			instanceChanged(r, before, after, freed, add)
		} else if _, after, ok := state.Services.Change(c); ok {
			if after != nil {
				add(c.Key)
			}
		} else if before, after, ok := state.Deployments.Change(c); ok {
			dep := after
			if dep == nil {
				dep = before
			}
			add(ecs.ServiceKey(dep.Cluster, dep.Service))
		}
	}
	for cluster := range freed { // those that found no room before
		for service := range state.Services.Prefix(r, cluster+"/") {
			if impaired(service, causePlacement) {
				add(service.Key())
			}
		}
	}
}

func taskChanged(r store.Reader, before, after *ecs.Task, freed map[string]bool, add func(...string)) {
	if after == nil {
		return // forgotten, long after it STOPPED
	}
	if after.Service != "" && (before == nil || taskOf(before) != taskOf(after)) {
		add(ecs.ServiceKey(after.Cluster, after.Service))
	}
	if before == nil || !before.HoldsResources() || after.HoldsResources() {
		return
	}
	freed[after.Cluster] = true
	// The daemons of a DRAINING instance go when everything else has.
	if ci, ok := state.Instances.Get(r, after.ContainerInstance); ok && ci.Status == ecs.InstanceDraining {
		servicesOn(r, ci.ID, add)
	}
}

func instanceChanged(r store.Reader, before, after *ecs.ContainerInstance, freed map[string]bool, add func(...string)) {
	if after == nil {
		return
	}
	if before != nil && before.Status == after.Status && before.AgentConnected == after.AgentConnected &&
		reflect.DeepEqual(before.Attributes, after.Attributes) && reflect.DeepEqual(before.Resources, after.Resources) {
		return
	}
	freed[after.Cluster] = true
	servicesOn(r, after.ID, add)
	for service := range state.Services.Prefix(r, after.Cluster+"/") {
		if service.SchedulingStrategy == ecs.SchedulingDaemon {
			add(service.Key())
		}
	}
}

// servicesOn adds the services that have tasks on an instance.
func servicesOn(r store.Reader, instance string, add func(...string)) {
	for t := range state.TasksByInstance.Each(r, instance) {
		if t.Service != "" {
			add(ecs.ServiceKey(t.Cluster, t.Service))
		}
	}
}
