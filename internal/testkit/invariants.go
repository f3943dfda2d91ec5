package testkit

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// Invariants watches a cluster for what must never happen. Check it after everything that is done to the cluster; it
// compares with what it saw the last time.
//
//   - No host port of an instance is held twice, and no instance holds more than it has.
//   - A start never takes a service above its ceiling, and a stop of the scheduler's never takes it below its floor.
//   - A DAEMON has never two tasks on one instance.
//   - An ACTIVE service has exactly one PRIMARY deployment.
//   - Every task of a service is in exactly one "has started" event; events are numbered without gaps, and at most 100.
//   - A task never comes back: not to RUNNING from STOPPED, not from being forgotten.
type Invariants struct {
	c      *Cluster
	now    time.Time
	rev    store.Rev
	tasks  map[string]seen
	last   map[string]int64  // service -> sequence of the newest event
	said   map[string]bool   // tasks that an event has said were started
	gone   map[string]bool   // tasks that STOPPED
	bounds map[string][2]int // service -> floor and ceiling
	// Steady counts the steady states that services have said.
	Steady int
}

type seen struct {
	service string
	healthy bool
	desired string
}

// NewInvariants begins to watch.
func NewInvariants(c *Cluster) *Invariants {
	return &Invariants{c: c, tasks: map[string]seen{}, last: map[string]int64{}, said: map[string]bool{}, gone: map[string]bool{},
		bounds: map[string][2]int{}}
}

// Check returns what is wrong.
func (v *Invariants) Check() (wrong []string) {
	v.now = time.Now()
	v.c.View(func(r store.Reader) {
		if r.Rev() == v.rev {
			return // nothing has happened
		}
		v.rev = r.Rev()
		wrong = append(wrong, v.instances(r)...)
		wrong = append(wrong, v.events(r)...)
		current, lost := v.look(r)
		wrong = append(wrong, lost...)
		for service := range state.Services.All(r) {
			wrong = append(wrong, v.service(r, service, current)...)
		}
		v.tasks = current
	})
	return wrong
}

func (v *Invariants) instances(r store.Reader) (wrong []string) {
	for ci := range state.Instances.All(r) {
		var sum ecs.Resources
		ports := map[int]string{}
		daemons := map[string]string{}
		for _, p := range ci.Resources.Ports {
			ports[p] = "the host"
		}
		for t := range state.TasksByInstance.Each(r, ci.ID) {
			sum.CPU += t.Reserved.CPU
			sum.Memory += t.Reserved.Memory
			for _, p := range t.Reserved.Ports {
				if other, taken := ports[p]; taken {
					wrong = append(wrong, fmt.Sprintf("port %d of %s is held by %s and %s", p, ci.ID, other, t.ID))
				}
				ports[p] = t.ID
			}
			if svc, ok := state.Services.Get(r, ecs.ServiceKey(t.Cluster, t.Service)); ok && svc.SchedulingStrategy == ecs.SchedulingDaemon {
				if other, taken := daemons[t.Service]; taken {
					wrong = append(wrong, fmt.Sprintf("daemon %s has two tasks on %s: %s, %s", t.Service, ci.ID, other, t.ID))
				}
				daemons[t.Service] = t.ID
			}
		}
		if sum.CPU > ci.Resources.CPU || sum.Memory > ci.Resources.Memory {
			wrong = append(wrong, fmt.Sprintf("instance %s holds %+v of %+v", ci.ID, sum, ci.Resources))
		}
	}
	return wrong
}

// look reads all tasks of services.
func (v *Invariants) look(r store.Reader) (current map[string]seen, wrong []string) {
	current = map[string]seen{}
	for t := range state.Tasks.All(r) {
		if v.gone[t.ID] && !t.Stopped() {
			wrong = append(wrong, fmt.Sprintf("task %s was STOPPED and is %s again", t.ID, t.LastStatus))
		}
		if t.Stopped() {
			v.gone[t.ID] = true
		}
		if t.Service == "" {
			continue
		}
		if !v.said[t.ID] {
			wrong = append(wrong, fmt.Sprintf("no event says that task %s was started", t.ID))
		}
		current[t.ID] = seen{service: ecs.ServiceKey(t.Cluster, t.Service), healthy: v.healthy(t), desired: t.DesiredStatus}
	}
	for id, t := range v.tasks {
		if _, ok := current[id]; !ok && !v.gone[id] {
			wrong = append(wrong, fmt.Sprintf("task %s of %s is lost", id, t.service))
		}
	}
	return current, wrong
}

// healthy says anew what the scheduler counts as healthy.
func (v *Invariants) healthy(t *ecs.Task) bool {
	if t.DesiredStatus != ecs.TaskRunning || t.LastStatus != ecs.TaskRunning {
		return false
	}
	if t.HasHealthCheck() {
		return t.HealthStatus() == ecs.Healthy
	}
	return v.now.Sub(t.StartedAt) >= HealthyAfter
}

func (v *Invariants) service(r store.Reader, service *ecs.Service, current map[string]seen) (wrong []string) {
	complain := func(format string, args ...any) {
		wrong = append(wrong, service.Name+": "+fmt.Sprintf(format, args...))
	}
	primaries := 0
	for d := range state.DeploymentsByService.Each(r, service.Key()) {
		if d.Status == ecs.DeploymentPrimary {
			primaries++
		}
	}
	if service.Status != ecs.ServiceActive {
		return wrong
	}
	if primaries != 1 {
		complain("%d PRIMARY deployments", primaries)
	}
	total, created, well, stopped := 0, 0, 0, 0
	var story []string // what has changed
	for t := range state.TasksByService.Each(r, service.Key()) {
		before, known := v.tasks[t.ID]
		now := current[t.ID]
		if !t.Stopped() {
			total++
			if !known {
				created++
			}
		}
		if before != now {
			story = append(story, fmt.Sprintf("%.8s: %+v, now %+v %s %s", t.ID, before, now, t.LastStatus, t.StoppedReason))
		}
		if before.healthy || now.healthy {
			well++
			// A task that turned unhealthy since the last check may have been stopped for that.
			scheduler := t.StopCode == ecs.StopServiceSchedulerInitiated && t.HealthStatus() != ecs.Unhealthy
			if before.desired == ecs.TaskRunning && now.desired == ecs.TaskStopped && scheduler {
				stopped++
			}
		}
	}
	if service.SchedulingStrategy == ecs.SchedulingDaemon {
		return wrong // never two on an instance; and its desired count moves with the instances
	}
	conf := service.DeploymentConfiguration
	floor := (service.DesiredCount**conf.MinimumHealthyPercent + 99) / 100
	ceiling := max(service.DesiredCount, service.DesiredCount**conf.MaximumPercent/100)
	// The service may have been updated since the last check, after the scheduler acted on how it was.
	before, known := v.bounds[service.Key()]
	v.bounds[service.Key()] = [2]int{floor, ceiling}
	if known {
		floor, ceiling = min(floor, before[0]), max(ceiling, before[1])
	}
	if created > 0 && total > ceiling {
		complain("%d tasks were started, which makes %d of a ceiling of %d", created, total, ceiling)
	}
	// Tasks that ended by themselves between two checks still count as well here, so this never accuses wrongly.
	if stopped > 0 && well-stopped < floor {
		complain("%d healthy tasks were stopped, which leaves %d of a floor of %d (%s)", stopped, well-stopped, floor, strings.Join(story, "; "))
	}
	return wrong
}

var (
	startedEvent = regexp.MustCompile(`^\(service [\w-]+\) has started (\d+) tasks: (.*)\.$`)
	taskInEvent  = regexp.MustCompile(`\(task ([0-9a-f]{32})\)`)
	steadyEvent  = regexp.MustCompile(`^\(service [\w-]+\) has reached a steady state\.$`)
)

func (v *Invariants) events(r store.Reader) (wrong []string) {
	count := map[string]int{}
	for e := range state.ServiceEvents.All(r) {
		service := ecs.ServiceKey(e.Cluster, e.Service)
		count[service]++
		if e.Sequence <= v.last[service] {
			continue
		}
		if e.Sequence != v.last[service]+1 && v.last[service] != 0 {
			wrong = append(wrong, fmt.Sprintf("%s: event %d follows %d", service, e.Sequence, v.last[service]))
		}
		v.last[service] = e.Sequence
		if steadyEvent.MatchString(e.Message) {
			v.Steady++
		}
		m := startedEvent.FindStringSubmatch(e.Message)
		if m == nil {
			continue
		}
		tasks := taskInEvent.FindAllStringSubmatch(m[2], -1)
		if fmt.Sprint(len(tasks)) != m[1] {
			wrong = append(wrong, fmt.Sprintf("the event says %s and names %d: %s", m[1], len(tasks), e.Message))
		}
		for _, t := range tasks {
			if v.said[t[1]] {
				wrong = append(wrong, fmt.Sprintf("two events say that task %s was started", t[1]))
			}
			v.said[t[1]] = true
		}
	}
	for service, n := range count {
		if n > 100 {
			wrong = append(wrong, fmt.Sprintf("%s has %d events", service, n))
		}
	}
	return wrong
}

// Forget tells that a service was created anew under the same name: its events begin at 1 again.
func (v *Invariants) Forget(service string) { delete(v.last, service) }
