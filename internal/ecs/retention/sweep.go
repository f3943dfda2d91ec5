package retention

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/reconcile"
	"github.com/openberth/berth/internal/store"
)

// Config is what a Retention needs.
type Config struct {
	Store        *store.Store
	Now          func() time.Time
	Log          *slog.Logger
	StoppedTasks time.Duration // how long STOPPED tasks are kept; default 1 h
	Inactive     time.Duration // how long INACTIVE services, instances and deployments are kept; default 1 h
	// Collectors run after each sweep: what else may be gone once nothing refers to it any more (task definitions).
	Collectors []func(ctx context.Context) error
}

// Retention forgets what has ended. All its state is in the store.
type Retention struct {
	cfg Config
}

// New makes a Retention; Run starts it.
func New(cfg Config) *Retention {
	if cfg.StoppedTasks == 0 {
		cfg.StoppedTasks = time.Hour
	}
	if cfg.Inactive == 0 {
		cfg.Inactive = time.Hour
	}
	return &Retention{cfg: cfg}
}

// Run sweeps until ctx ends.
func (s *Retention) Run(ctx context.Context) error {
	loop := reconcile.New(reconcile.Options{Name: "retention", Now: s.cfg.Now, Logger: s.cfg.Log, Reconcile: s.sweep})
	loop.Add("everything") // nothing has to watch: what ends after a sweep isn't due before the next
	return loop.Run(ctx)
}

// One transaction deletes at most so many records; a service takes its events, at most 100, with it.
const (
	batch         = 500
	batchServices = 10
)

func (s *Retention) sweep(ctx context.Context, _ string) (wake time.Time, err error) {
	var plan Plan
	err = s.cfg.Store.View(func(r store.Reader) error {
		plan = Decide(s.world(r))
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	if err := s.apply(ctx, plan); err != nil {
		return time.Time{}, err
	}
	for _, collect := range s.cfg.Collectors {
		if err := collect(ctx); err != nil {
			return time.Time{}, err
		}
	}
	return plan.Wake, nil
}

// world reads what has ended.
func (s *Retention) world(r store.Reader) World {
	w := World{Now: s.cfg.Now().UTC(), KeepTasks: s.cfg.StoppedTasks, KeepInactive: s.cfg.Inactive}
	for c := range state.Clusters.All(r) {
		for t := range state.TasksByCluster.Each(r, c.Name+"/"+ecs.TaskStopped) {
			if t.Stopped() {
				w.Tasks = append(w.Tasks, Ended{t.ID, t.StoppedAt})
			}
		}
		for ci := range state.InstancesByCluster.Each(r, c.Name) {
			if ci.Status == ecs.InstanceInactive {
				w.Instances = append(w.Instances, Ended{ci.ID, ci.DeregisteredAt})
			}
		}
	}
	for service := range state.Services.All(r) {
		w.service(r, service)
	}
	return w
}

func (w *World) service(r store.Reader, service *ecs.Service) {
	ended := service.CreatedAt
	for d := range state.DeploymentsByService.Each(r, service.Key()) {
		if d.Status != ecs.DeploymentInactive {
			continue
		}
		// The service scheduler makes the last deployments INACTIVE together with the service.
		if d.UpdatedAt.After(ended) {
			ended = d.UpdatedAt
		}
		if service.Status != ecs.ServiceInactive {
			w.Deployments = append(w.Deployments, Deployment{
				Ended: Ended{d.ID, d.UpdatedAt}, Service: service.Key(), Rollout: d.RolloutState, CreatedAt: d.CreatedAt,
			})
		}
	}
	if service.Status == ecs.ServiceInactive {
		w.Services = append(w.Services, Ended{service.Key(), ended})
	}
}

// apply deletes in batches. Between the look and the deed a record can only have been replaced by one that lives (a
// service that was created anew), which each deletion checks.
func (s *Retention) apply(ctx context.Context, p Plan) error {
	for _, part := range []struct {
		keys   []string
		batch  int
		forget func(tx *store.Tx, key string)
	}{
		{p.Tasks, batch, forgetTask}, {p.Instances, batch, forgetInstance}, {p.Deployments, batch, forgetDeployment},
		{p.Services, batchServices, forgetService},
	} {
		for keys := range slices.Chunk(part.keys, part.batch) {
			_, err := s.cfg.Store.Update(ctx, func(tx *store.Tx) error {
				for _, key := range keys {
					part.forget(tx, key)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func forgetTask(tx *store.Tx, id string) {
	if t, ok := state.Tasks.Get(tx, id); ok && t.Stopped() {
		state.Tasks.Delete(tx, id)
	}
}

func forgetInstance(tx *store.Tx, id string) {
	if ci, ok := state.Instances.Get(tx, id); ok && ci.Status == ecs.InstanceInactive {
		state.Instances.Delete(tx, id)
	}
}

func forgetDeployment(tx *store.Tx, id string) {
	if d, ok := state.Deployments.Get(tx, id); ok && d.Status == ecs.DeploymentInactive {
		state.Deployments.Delete(tx, id)
	}
}

func forgetService(tx *store.Tx, key string) {
	service, ok := state.Services.Get(tx, key)
	if !ok || service.Status != ecs.ServiceInactive {
		return
	}
	for d := range state.DeploymentsByService.Each(tx, key) {
		state.Deployments.Delete(tx, d.ID)
	}
	for e := range state.ServiceEvents.Prefix(tx, key+"/") {
		state.ServiceEvents.Delete(tx, state.EventKey(e.Cluster, e.Service, e.Sequence))
	}
	state.Services.Delete(tx, key)
}
