package servicesched

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/placement"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// One pass starts and stops at most so many tasks, then looks again at once: a transaction holds up all other writers
// (placing a task among 500 instances takes 0.4 ms, so a batch of 50 takes 20 ms), and the store bounds its size.
const (
	maxStarts = 50
	maxStops  = 100
)

// maxEvents is how many events of a service are kept.
const maxEvents = 100

// placementRetry is how soon a launch is tried again that found no instance. Most causes end with a change that wakes the
// scheduler; this is for those that don't.
const placementRetry = 30 * time.Second

// Reconcile decides about one service, named by its ecs.ServiceKey, and carries the decision out. It is a reconcile.Func.
func (s *Scheduler) Reconcile(ctx context.Context, key string) (wake time.Time, err error) {
	now := s.cfg.Now().UTC().Round(0)
	// Most looks find nothing to do, and a look at the snapshot holds nobody up.
	var plan Plan
	err = s.cfg.Store.View(func(r store.Reader) error {
		if w, ok := s.world(r, key, now); ok {
			plan = Decide(w)
		}
		return nil
	})
	if err != nil || plan.Empty() {
		return plan.Wake, err
	}
	_, err = s.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		wake = time.Time{}
		w, ok := s.world(tx, key, now)
		if !ok {
			return nil
		}
		a := applier{tx: tx, world: w, service: w.Service}
		err := a.apply(Decide(w))
		wake = a.wake
		return err
	})
	return wake, err
}

// world reads everything that the decision depends on.
func (s *Scheduler) world(r store.Reader, key string, now time.Time) (World, bool) {
	service, ok := state.Services.Get(r, key)
	if !ok || service.Status == ecs.ServiceInactive {
		return World{}, false
	}
	w := World{Service: *service, Now: now, HealthyAfter: s.cfg.HealthyAfter}
	for dep := range state.DeploymentsByService.Each(r, key) {
		if dep.Status != ecs.DeploymentInactive {
			w.Deployments = append(w.Deployments, *dep)
		}
	}
	w.Tasks = make([]Task, 0, state.TasksByService.Count(r, key))
	on := map[string]bool{}
	for t := range state.TasksByService.Each(r, key) {
		w.Tasks = append(w.Tasks, taskOf(t))
		if t.HoldsResources() {
			on[t.ContainerInstance] = true
		}
	}
	if service.SchedulingStrategy == ecs.SchedulingDaemon {
		w.Instances = daemonInstances(r, service, w.Deployments)
		return w, true
	}
	for id := range on {
		if ci, ok := state.Instances.Get(r, id); ok {
			w.Instances = append(w.Instances, Instance{ID: id, Status: ci.Status, Connected: ci.AgentConnected})
		}
	}
	return w, true
}

// daemonInstances are all instances of the cluster.
func daemonInstances(r store.Reader, service *ecs.Service, deployments []ecs.Deployment) (all []Instance) {
	req, ok := daemonRequest(r, service, deployments)
	for ci := range state.InstancesByCluster.Each(r, service.Cluster) {
		if ci.Status == ecs.InstanceInactive {
			continue
		}
		in := Instance{ID: ci.ID, Status: ci.Status, Connected: ci.AgentConnected}
		in.Matches = ok && placement.Matches(req, &placement.Instance{Record: ci})
		if ci.Status == ecs.InstanceDraining {
			in.Busy = busy(r, ci)
		}
		all = append(all, in)
	}
	return all
}

// daemonRequest is what the PRIMARY's tasks ask of an instance.
func daemonRequest(r store.Reader, service *ecs.Service, deployments []ecs.Deployment) (req placement.Request, ok bool) {
	for _, dep := range deployments {
		if dep.Status != ecs.DeploymentPrimary {
			continue
		}
		if td, found := state.TaskDefinitions.Get(r, dep.TaskDefinition.Key()); found {
			launch := ecs.Launch{Cluster: service.Cluster, Definition: td, Service: service.Name, LaunchType: dep.LaunchType}
			return request(ecs.NewTask(launch), service, td), true
		}
	}
	return req, false
}

// busy tells whether tasks hold the instance that aren't a DAEMON service's.
func busy(r store.Reader, ci *ecs.ContainerInstance) bool {
	for t := range state.TasksByInstance.Each(r, ci.ID) {
		if !isDaemonTask(r, t) {
			return true
		}
	}
	return false
}

func isDaemonTask(r store.Reader, t *ecs.Task) bool {
	service, ok := state.Services.Get(r, ecs.ServiceKey(t.Cluster, t.Service))
	return t.Service != "" && ok && service.SchedulingStrategy == ecs.SchedulingDaemon
}

func request(t *ecs.Task, service *ecs.Service, td *ecs.TaskDefinition) placement.Request {
	return placement.Request{
		Task:               t,
		RequiresAttributes: td.RequiresAttributes,
		Platform:           td.RuntimePlatform,
		Constraints:        slices.Concat(td.PlacementConstraints, service.PlacementConstraints),
		Strategy:           service.PlacementStrategy,
	}
}

// applier carries one plan out in one transaction.
type applier struct {
	tx      *store.Tx
	world   World
	service ecs.Service // as it will be put, if it changed
	changed bool
	wake    time.Time

	cluster []*placement.Instance // nil: not read yet
	events  []string
}

func (a *applier) apply(p Plan) error {
	a.wake = p.Wake
	if p.Service != nil {
		a.service, a.changed = *p.Service, true
	}
	// Stops come first: a task that is asked to stop doesn't count for distinctInstance and spread any more.
	stopped := a.stop(p)
	started, err := a.start(p.Start)
	if err != nil {
		return err
	}
	for _, dep := range p.Deployments {
		state.Deployments.Put(a.tx, &dep)
	}
	if a.changed {
		state.Services.Put(a.tx, &a.service)
	}
	events := p.Events
	if len(started) > 0 {
		events = append(events, eventStarted(a.service.Name, started))
	}
	events = append(events, a.events...)
	if len(stopped) > 0 {
		events = append(events, eventStopped(a.service.Name, stopped))
	}
	a.write(events)
	return nil
}

// stop asks for tasks to be stopped, and returns their ids.
func (a *applier) stop(p Plan) (ids []string) {
	stops := slices.Clone(p.Stop)
	for _, some := range p.StopSome {
		if len(stops) < maxStops {
			stops = append(stops, a.choose(some, maxStops-len(stops))...)
		}
	}
	total := len(p.Stop)
	for _, some := range p.StopSome {
		total += some.Count
	}
	if total > maxStops {
		stops = stops[:min(len(stops), maxStops)]
		a.wake = a.world.Now
	}
	for _, stop := range stops {
		t, ok := state.Tasks.Get(a.tx, stop.Task)
		if !ok {
			continue
		}
		next := lifecycle.RequestStop(*t, stop.Code, stop.Why, a.world.Now)
		if next.Version == t.Version {
			continue
		}
		state.Tasks.Put(a.tx, &next)
		ids = append(ids, stop.Task)
	}
	if len(ids) > 0 {
		a.cluster = nil // it holds the tasks as they were
	}
	return ids
}

// choose lets placement say which of several equal tasks go.
func (a *applier) choose(some StopSome, most int) (stops []StopTask) {
	surplus := placement.Surplus{Strategy: a.service.PlacementStrategy}
	for _, id := range some.Tasks {
		if t, ok := state.Tasks.Get(a.tx, id); ok {
			surplus.Tasks = append(surplus.Tasks, t)
		}
	}
	for _, t := range placement.ScaleIn(surplus, a.instances(), min(some.Count, most)) {
		stops = append(stops, StopTask{Task: t.ID, Code: some.Code, Why: some.Why})
	}
	return stops
}

// instances are the cluster's, with the tasks that they hold.
func (a *applier) instances() []*placement.Instance {
	if a.cluster != nil {
		return a.cluster
	}
	a.cluster = []*placement.Instance{}
	for ci := range state.InstancesByCluster.Each(a.tx, a.service.Cluster) {
		if ci.Status == ecs.InstanceInactive {
			continue
		}
		in := &placement.Instance{Record: ci}
		for t := range state.TasksByInstance.Each(a.tx, ci.ID) {
			in.Add(t)
		}
		a.cluster = append(a.cluster, in)
	}
	return a.cluster
}

// start places and creates tasks, and returns their ids.
func (a *applier) start(starts []StartTasks) (ids []string, err error) {
	var refusal placement.Decision
	refused := false
	for _, want := range starts {
		dep, ok := state.Deployments.Get(a.tx, want.Deployment)
		if !ok {
			return nil, fmt.Errorf("deployment %s is gone", want.Deployment)
		}
		td, ok := state.TaskDefinitions.Get(a.tx, dep.TaskDefinition.Key())
		if !ok {
			why := fmt.Sprintf("The task definition %s does not exist.", dep.TaskDefinition)
			a.impaired(causePlacement+why, eventUnplaceable(a.service.Name, why))
			return ids, nil
		}
		for range want.Count {
			if len(ids) >= maxStarts {
				a.wake = a.world.Now
				break
			}
			t := a.launch(dep, td)
			decision := a.place(want.Instance, request(t, &a.service, td))
			if decision.Instance == "" {
				refused, refusal = true, decision
				break // the others are its equals
			}
			in := a.instance(decision.Instance)
			t = t.On(in.Record)
			state.Tasks.Put(a.tx, t)
			in.Add(t)
			ids = append(ids, t.ID)
		}
	}
	if refused { // what clears it again is that nothing is missing any more, which Decide notes
		a.impaired(cause(refusal), refusal.Event(a.service.Name))
		a.wakeAt(a.world.Now.Add(placementRetry))
	}
	return ids, nil
}

// launch makes a task of the deployment.
func (a *applier) launch(dep *ecs.Deployment, td *ecs.TaskDefinition) *ecs.Task {
	return ecs.NewTask(ecs.Launch{
		ID: arn.NewID(), Cluster: a.service.Cluster, Definition: td, StartedBy: dep.ID, Service: a.service.Name,
		LaunchType: dep.LaunchType, PlatformVersion: dep.PlatformVersion,
		EnableExecuteCommand: a.service.EnableExecuteCommand, Tags: ecs.ServiceTaskTags(&a.service, td), Now: a.world.Now,
	})
}

// place finds an instance: the one given (DAEMON), or any.
func (a *applier) place(instance string, req placement.Request) placement.Decision {
	if instance == "" {
		return placement.Place(req, a.instances())
	}
	in := a.instance(instance)
	if in == nil {
		return placement.Decision{}
	}
	rejection, ok := placement.Check(req, in)
	if !ok {
		return placement.Decision{Rejections: []placement.Rejection{rejection}}
	}
	return placement.Decision{Instance: instance}
}

func (a *applier) instance(id string) *placement.Instance {
	for _, in := range a.instances() {
		if in.Record.ID == id {
			return in
		}
	}
	return nil
}

// cause names why nothing fits, without the instance that came closest: another instance with the same want isn't news.
func cause(refusal placement.Decision) string {
	why := refusal.Explain()
	if _, want, ok := strings.Cut(why, ") "); ok {
		why = want
	}
	return causePlacement + why
}

// impaired notes and, unless it was said before, says that no task can be placed.
func (a *applier) impaired(cause, event string) {
	a.changed = repair(&a.service, causePlacement, cause) || a.changed
	if impair(&a.service, cause, a.world.Now) {
		a.changed = true
		a.events = append(a.events, event)
	}
}

func (a *applier) wakeAt(at time.Time) {
	if a.wake.IsZero() || at.Before(a.wake) {
		a.wake = at
	}
}

// write appends events to the service's history, and forgets the oldest beyond maxEvents.
func (a *applier) write(messages []string) {
	if len(messages) == 0 {
		return
	}
	var kept []int64
	for e := range state.ServiceEvents.Prefix(a.tx, a.service.Key()+"/") {
		kept = append(kept, e.Sequence)
	}
	next := int64(1)
	if len(kept) > 0 {
		next = kept[len(kept)-1] + 1
	}
	for _, message := range messages {
		state.ServiceEvents.Put(a.tx, &ecs.ServiceEvent{
			ID: arn.NewUUID(), Service: a.service.Name, Cluster: a.service.Cluster, Sequence: next,
			CreatedAt: a.world.Now, Message: message,
		})
		kept = append(kept, next)
		next++
	}
	for _, sequence := range kept[:max(0, len(kept)-maxEvents)] {
		state.ServiceEvents.Delete(a.tx, state.EventKey(a.service.Cluster, a.service.Name, sequence))
	}
}
