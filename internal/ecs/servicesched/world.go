package servicesched

import (
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// World is everything that a decision about one service depends on.
type World struct {
	Service     ecs.Service
	Deployments []ecs.Deployment // those that aren't INACTIVE
	Tasks       []Task           // all of the service, recently STOPPED ones included
	Instances   []Instance       // REPLICA: those that hold tasks of the service; DAEMON: all of the cluster
	Now         time.Time
	// HealthyAfter is how long a task without a health check must have been RUNNING to count as healthy: 40 s.
	HealthyAfter time.Duration
}

// Task is what matters of a task.
type Task struct {
	ID            string
	Deployment    string // id
	Instance      string // id
	DesiredStatus string
	LastStatus    string
	StopCode      string
	// Health is "" for a task whose essential containers have no health check; else UNHEALTHY if one of them says so,
	// HEALTHY if all that have a check pass it, UNKNOWN before that.
	Health    string
	CreatedAt time.Time
	StartedAt time.Time // zero: it never was RUNNING
	EndedAt   time.Time // when it was asked to stop, or stopped; zero before
}

// Instance is what matters of a container instance.
type Instance struct {
	ID        string
	Status    string
	Connected bool // its agent is
	Matches   bool // DAEMON: the placement constraints of the service and the definition are satisfied there
	Busy      bool // DAEMON: tasks that aren't a DAEMON service's run there; asked of DRAINING instances only
}

// Plan is what to do. The zero value is nothing.
type Plan struct {
	Start       []StartTasks
	Stop        []StopTask
	StopSome    []StopSome
	Deployments []ecs.Deployment // to be put
	Service     *ecs.Service     // to be put; nil: unchanged
	Events      []string
	// Wake is when to decide again even if nothing changes; zero: never.
	Wake time.Time
}

// StartTasks asks for tasks of a deployment.
type StartTasks struct {
	Deployment string
	Count      int
	Instance   string // DAEMON: where; "": wherever placement puts them
}

// StopTask asks for a task to be stopped. Code and Why become its stopCode and stoppedReason.
type StopTask struct {
	Task, Code, Why string
}

// StopSome asks for some of several tasks to be stopped that are equals, but for where they run: placement chooses.
type StopSome struct {
	Tasks     []string // ids, sorted
	Count     int      // less than len(Tasks)
	Code, Why string
}

// Empty tells whether the plan changes nothing.
func (p *Plan) Empty() bool {
	return len(p.Start) == 0 && len(p.Stop) == 0 && len(p.StopSome) == 0 &&
		len(p.Deployments) == 0 && p.Service == nil && len(p.Events) == 0
}

// taskOf takes out of a record what matters.
func taskOf(t *ecs.Task) Task {
	ended := t.StoppingAt
	if ended.IsZero() {
		ended = t.StoppedAt
	}
	return Task{
		ID: t.ID, Deployment: t.StartedBy, Instance: t.ContainerInstance,
		DesiredStatus: t.DesiredStatus, LastStatus: t.LastStatus, StopCode: t.StopCode, Health: checkedHealth(t),
		CreatedAt: t.CreatedAt, StartedAt: t.StartedAt, EndedAt: ended,
	}
}

// checkedHealth looks only at the essential containers that have a health check. DescribeTasks calls a task UNKNOWN when
// one of two essential containers has none; such a task would never be healthy.
func checkedHealth(t *ecs.Task) string {
	health := ""
	for i := range t.Containers {
		c := &t.Containers[i]
		switch {
		case !c.Essential || !c.HealthChecked:
		case c.HealthStatus == ecs.Unhealthy:
			return ecs.Unhealthy
		case c.HealthStatus != ecs.Healthy:
			health = ecs.HealthUnknown
		case health == "":
			health = ecs.Healthy
		}
	}
	return health
}
