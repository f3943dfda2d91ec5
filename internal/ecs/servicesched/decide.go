package servicesched

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// Decide says what the service needs now. It is a pure function, and the order of w's lists doesn't matter. Applying the
// plan and deciding again at the same moment gives an empty plan.
func Decide(w World) Plan {
	d := newDecision(w)
	switch {
	case d.service.DeploymentController != "" && d.service.DeploymentController != "ECS":
		return Plan{} // somebody else's task sets
	case d.service.Status == ecs.ServiceDraining:
		d.drain()
	case d.service.Status != ecs.ServiceActive || d.primary == nil:
		return Plan{}
	default:
		d.countFailures()
		if d.service.SchedulingStrategy == ecs.SchedulingDaemon {
			d.daemon()
		} else {
			d.replica()
		}
		d.accountDeployments()
	}
	return d.finish()
}

// condition is where a task is on its way to being of use; see the package comment.
type condition int

const (
	stopping condition = iota
	comingUp
	unhealthy
	warming
	healthy
)

// task is a task that hasn't STOPPED, classified.
type task struct {
	*Task
	condition condition
	age       int // of its deployment: 0 is the PRIMARY, greater is older
	draining  bool
}

// decision is the working state of one Decide.
type decision struct {
	World
	tasks   []Task // sorted
	service ecs.Service
	primary *ecs.Deployment // a copy, nil if there is none
	older   []ecs.Deployment
	held    map[string]int // deployment -> its tasks that haven't STOPPED

	live     []task // that are to run, oldest first
	stopping []task // asked to stop
	healthy  int    // of live, less those that the plan stops
	stops    int    // that the plan has

	plan Plan
}

func newDecision(w World) *decision {
	d := &decision{World: w, service: w.Service, tasks: slices.Clone(w.Tasks), held: map[string]int{}}
	slices.SortFunc(d.tasks, func(a, b Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	deployments := slices.Clone(w.Deployments)
	slices.SortFunc(deployments, func(a, b ecs.Deployment) int { // newest first
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.ID, a.ID))
	})
	age := map[string]int{}
	for i, dep := range deployments {
		if d.primary == nil && dep.Status == ecs.DeploymentPrimary {
			d.primary = &dep
			age[dep.ID] = 0
			continue
		}
		age[dep.ID] = i + 1
		d.older = append(d.older, dep)
	}
	draining := map[string]bool{}
	for _, in := range w.Instances {
		if in.Status == ecs.InstanceDraining {
			draining[in.ID] = true
		}
	}
	for i := range d.tasks {
		t := &d.tasks[i]
		if t.LastStatus == ecs.TaskStopped {
			continue
		}
		d.held[t.Deployment]++
		a, known := age[t.Deployment]
		if !known {
			a = len(deployments) + 1 // of a deployment that is forgotten already
		}
		c := task{Task: t, condition: d.condition(t), age: a, draining: draining[t.Instance]}
		if c.condition == stopping {
			d.stopping = append(d.stopping, c)
			continue
		}
		if c.condition == healthy {
			d.healthy++
		}
		d.live = append(d.live, c)
	}
	return d
}

// condition classifies a task that hasn't STOPPED, and arranges to look again when time alone will change the answer.
func (d *decision) condition(t *Task) condition {
	switch {
	case t.DesiredStatus == ecs.TaskStopped:
		return stopping
	case t.LastStatus != ecs.TaskRunning:
		return comingUp
	case t.Health == ecs.Healthy:
		return healthy
	case t.Health == ecs.Unhealthy:
		if grace := d.service.HealthCheckGracePeriodSeconds; grace != nil {
			if end := t.StartedAt.Add(time.Duration(*grace) * time.Second); d.Now.Before(end) {
				d.wakeAt(end)
				return warming
			}
		}
		return unhealthy
	case t.Health == "":
		if at := t.StartedAt.Add(d.HealthyAfter); d.Now.Before(at) {
			d.wakeAt(at)
			return warming
		}
		return healthy
	}
	return warming
}

// floor and ceiling bound the service while tasks are replaced. minimumHealthyPercent rounds up, maximumPercent down, but
// never below the desired count, which could not be reached otherwise: 3 tasks, 50 % and 150 %: floor 2, ceiling 4.
func (d *decision) bounds(desired, defaultMin, defaultMax int) (floor, ceiling int) {
	percent := func(p *int, otherwise int) int {
		if p == nil {
			return otherwise
		}
		return *p
	}
	conf := d.service.DeploymentConfiguration
	floor = (desired*percent(conf.MinimumHealthyPercent, defaultMin) + 99) / 100
	ceiling = desired * percent(conf.MaximumPercent, defaultMax) / 100
	return min(floor, desired), max(ceiling, desired)
}

// wakeAt asks for another decision no later than at.
func (d *decision) wakeAt(at time.Time) {
	if d.plan.Wake.IsZero() || at.Before(d.plan.Wake) {
		d.plan.Wake = at
	}
}

func (d *decision) say(event string) { d.plan.Events = append(d.plan.Events, event) }

// stop asks for t to be stopped.
func (d *decision) stop(t *task, why string) {
	d.plan.Stop = append(d.plan.Stop, StopTask{Task: t.ID, Code: ecs.StopServiceSchedulerInitiated, Why: why})
	d.stopped(t.condition)
}

// stopped counts one stop.
func (d *decision) stopped(c condition) {
	d.stops++
	if c == healthy {
		d.healthy--
	}
}

// stopScaling stops t because it is one too many, or has been replaced.
func (d *decision) stopScaling(t *task) { d.stop(t, whyScaling(t.Deployment)) }

// stopSick stops t because its health check fails.
func (d *decision) stopSick(t *task) {
	d.say(eventUnhealthy(d.service.Name, t.ID))
	d.stop(t, whyUnhealthy)
}

// stopSome stops n of the tasks, which are of one condition and one deployment; which ones is for placement to choose.
func (d *decision) stopSome(tasks []task, n int) {
	if n >= len(tasks) {
		for i := range tasks {
			d.stopScaling(&tasks[i])
		}
		return
	}
	if n <= 0 {
		return
	}
	some := StopSome{Count: n, Code: ecs.StopServiceSchedulerInitiated, Why: whyScaling(tasks[0].Deployment)}
	for i := range tasks {
		some.Tasks = append(some.Tasks, tasks[i].ID)
	}
	slices.Sort(some.Tasks)
	d.plan.StopSome = append(d.plan.StopSome, some)
	for range n {
		d.stopped(tasks[0].condition)
	}
}

// start asks for n tasks of the PRIMARY deployment.
func (d *decision) start(n int, instance string) {
	if n > 0 {
		d.plan.Start = append(d.plan.Start, StartTasks{Deployment: d.primary.ID, Count: n, Instance: instance})
	}
}

// drain winds up a deleted service: everything stops, whatever the percentages say, and then it is INACTIVE.
func (d *decision) drain() {
	for i := range d.live {
		d.stopScaling(&d.live[i])
	}
	d.service.SteadyAt = time.Time{}
	d.service.Impairments = nil
	d.service.LaunchBackoff = ecs.LaunchBackoff{}
	if len(d.live)+len(d.stopping) > 0 {
		return
	}
	d.service.Status = ecs.ServiceInactive
	d.service.DesiredCount = 0
	for _, dep := range d.Deployments {
		d.retire(dep)
	}
	d.plan.Wake = time.Time{}
}

// retire makes a deployment INACTIVE: it isn't shown any more.
func (d *decision) retire(dep ecs.Deployment) {
	dep.Status, dep.UpdatedAt = ecs.DeploymentInactive, d.Now
	d.plan.Deployments = append(d.plan.Deployments, dep)
}

// accountDeployments retires older deployments as soon as they have no tasks, not later: clients wait for a service to
// have exactly one deployment. It completes the PRIMARY when everything is as wanted, and says so.
func (d *decision) accountDeployments() {
	for _, dep := range d.older {
		if d.held[dep.ID] == 0 {
			d.retire(dep)
		}
	}
	before := *d.primary
	if d.primary.RolloutState == ecs.RolloutInProgress {
		d.primary.FailedTasks = max(d.primary.FailedTasks, d.failedTasks())
	}
	steady := d.steady()
	if steady && d.primary.RolloutState == ecs.RolloutInProgress {
		d.primary.RolloutState = ecs.RolloutCompleted
		d.primary.RolloutStateReason = fmt.Sprintf("ECS deployment %s completed.", d.primary.ID)
		d.say(eventCompleted(d.service.Name, d.primary.ID))
		d.service.SteadyAt = time.Time{} // a completed deployment is a new steady state
	}
	if !reflect.DeepEqual(before, *d.primary) {
		d.primary.UpdatedAt = d.Now
		d.plan.Deployments = append(d.plan.Deployments, *d.primary)
	}
	switch {
	case !steady:
		d.service.SteadyAt = time.Time{}
		return
	case d.service.SteadyAt.IsZero() || d.Now.Sub(d.service.SteadyAt) >= repeat:
		d.service.SteadyAt = d.Now
		d.say(eventSteady(d.service.Name))
	}
	d.wakeAt(d.service.SteadyAt.Add(repeat))
}

// steady tells whether the service has what it wants and nothing else: as many tasks as desired, all of the PRIMARY and
// healthy, none on its way down.
func (d *decision) steady() bool {
	if d.stops > 0 || len(d.plan.Start) > 0 || len(d.stopping) > 0 || len(d.live) != d.service.DesiredCount {
		return false
	}
	for i := range d.live {
		t := &d.live[i]
		if t.age != 0 || t.draining || t.condition != healthy {
			return false
		}
	}
	return true
}

// failedTasks counts the tasks of the PRIMARY that failed to start, as far back as they are kept.
func (d *decision) failedTasks() (n int) {
	for i := range d.tasks {
		if t := &d.tasks[i]; t.Deployment == d.primary.ID && failedToStart(t) {
			n++
		}
	}
	return n
}

// stuck says, once, that the percentages leave no way forward: something is to be replaced, nothing may be started or
// stopped, and nothing is in motion that will change that.
func (d *decision) stuck(is bool) {
	if !is || d.inMotion() || !d.mayLaunch() {
		repair(&d.service, causeConfiguration, "")
		return
	}
	if impair(&d.service, causeConfiguration, d.Now) {
		d.say(eventStuck(d.service.Name))
	}
	for _, im := range d.service.Impairments {
		if im.Cause == causeConfiguration {
			d.wakeAt(im.SaidAt.Add(repeat))
		}
	}
}

// finish puts the service into the plan if it changed.
func (d *decision) finish() Plan {
	if !reflect.DeepEqual(d.service, d.Service) {
		d.plan.Service = &d.service
	}
	return d.plan
}
