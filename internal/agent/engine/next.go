package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/openberth/berth/internal/agentlink"
)

// Action is what a step does.
type Action string

// The actions.
const (
	Wait    Action = ""        // nothing now: wait for a message, or until Step.Wake
	Prepare Action = "prepare" // the task's volumes and limits
	Inspect Action = "inspect" // what is known of the container is in doubt
	Pull    Action = "pull"
	Create  Action = "create"
	Start   Action = "start"
	Stop    Action = "stop"
	// Cancel gives up a pull: the task is to stop.
	Cancel Action = "cancel"
	// Abandon makes a container that doesn't run stopped for good.
	Abandon Action = "abandon"
	// Fail stops the task for Reason: a container of it can never start.
	Fail Action = "fail"
)

// Step is one transition of one container, or of the task itself if Container is empty.
type Step struct {
	Action    Action
	Container string
	Reason    string
	Wake      time.Time // with Wait: look again no later than this; zero: on a message only
}

// Observed is what a decision depends on besides the record.
type Observed struct {
	Now time.Time
	// Available says that the runtime answers.
	Available bool
	// RetryAt holds back further calls after one that failed because the runtime didn't answer.
	RetryAt time.Time
	// Busy has the steps that are under way, by container; "" is the task itself.
	Busy map[string]Action
	// Unsure has the containers that something has happened to.
	Unsure map[string]bool
}

// Next decides the next step for t. It advances one container by exactly one transition; independent containers move at the
// same time, because a container that is busy is passed over. The zero Step waits.
//
// Starting follows dependsOn, links and volumesFrom; stopping follows them backwards: a container gets its signal when
// everything that depends on it has ended.
func Next(t *Task, o Observed) Step {
	if t.Stopped() {
		return Step{}
	}
	ready := o.Available && !o.Now.Before(o.RetryAt)
	if ready {
		for i := range t.Containers {
			c := &t.Containers[i]
			if _, busy := o.Busy[c.Name]; o.Unsure[c.Name] && !busy && c.Known != Stopped {
				return Step{Action: Inspect, Container: c.Name}
			}
		}
	}
	var step Step
	if t.Stopping() {
		step = nextStop(t, o, ready)
	} else {
		step = nextStart(t, o, ready)
	}
	if step.Action == Wait && o.Available && o.Now.Before(o.RetryAt) {
		step.Wake = earliest(step.Wake, o.RetryAt)
	}
	return step
}

func nextStart(t *Task, o Observed, ready bool) Step {
	if !t.Admitted || !ready {
		return Step{}
	}
	if t.Prepared == nil {
		if _, busy := o.Busy[""]; busy {
			return Step{}
		}
		return Step{Action: Prepare}
	}
	var wake time.Time
	for i := range t.Containers {
		c := &t.Containers[i]
		if _, busy := o.Busy[c.Name]; busy || o.Unsure[c.Name] {
			continue
		}
		switch c.Known {
		case None:
			v := dependencies(t, c, o.Now)
			if v.never != "" {
				return Step{Action: Fail, Container: c.Name, Reason: "TaskDependencyError: " + v.never}
			}
			if v.met {
				return Step{Action: Pull, Container: c.Name}
			}
			wake = earliest(wake, v.wake)
		case Pulled:
			return Step{Action: Create, Container: c.Name}
		case Created:
			return Step{Action: Start, Container: c.Name}
		}
	}
	return Step{Wake: wake}
}

func nextStop(t *Task, o Observed, ready bool) Step {
	for i := range t.Containers {
		c := &t.Containers[i]
		switch busy, isBusy := o.Busy[c.Name]; {
		case c.Known == Stopped:
		case busy == Pull:
			return Step{Action: Cancel, Container: c.Name}
		case isBusy || o.Unsure[c.Name]:
			// Whatever is under way, or in doubt, is known soon; then it can be decided what is left to stop. Without a
			// runtime a container in doubt stays so: it may be running.
		case c.Known != Running:
			return Step{Action: Abandon, Container: c.Name}
		case ready && !hasLiveDependents(t, c):
			return Step{Action: Stop, Container: c.Name}
		}
	}
	return Step{}
}

// verdict is what the dependencies of a container say about starting it: now, later (no later than wake, if set), or never
// and why.
type verdict struct {
	met   bool
	never string
	wake  time.Time
}

func dependencies(t *Task, c *Container, now time.Time) verdict {
	v := verdict{met: true}
	for _, d := range c.Spec.DependsOn {
		dep := t.Container(d.ContainerName) // there: validate saw to it
		met, never := satisfied(dep, d.Condition)
		if never != "" {
			return verdict{never: fmt.Sprintf("container %s depends on %s, which %s", c.Name, dep.Name, never)}
		}
		if met {
			continue
		}
		v.met = false
		// The startTimeout of the dependency bounds the wait for it, from its own start on.
		if timeout := dep.Spec.StartTimeout; timeout > 0 && d.Condition != agentlink.DependStart && dep.Started {
			deadline := dep.StartedAt.Add(time.Duration(timeout) * time.Second)
			if !now.Before(deadline) {
				return verdict{never: fmt.Sprintf("container %s depends on %s, which didn't reach %s within its startTimeout of %d s",
					c.Name, dep.Name, d.Condition, timeout)}
			}
			v.wake = earliest(v.wake, deadline)
		}
	}
	for _, from := range c.Spec.VolumesFrom {
		if t.Container(from.SourceContainer).Known < Created {
			v.met = false
		}
	}
	for _, link := range c.Spec.Links {
		dep := t.Container(linkTarget(link))
		if dep.Known == Stopped {
			return verdict{never: fmt.Sprintf("container %s links to %s, which has ended", c.Name, dep.Name)}
		}
		if !dep.up() {
			v.met = false
		}
	}
	return v
}

// satisfied tells whether dep meets the condition, and why it never will.
func satisfied(dep *Container, condition string) (met bool, never string) {
	ended := dep.Known == Stopped
	switch condition {
	case agentlink.DependStart:
		if ended && !dep.Started {
			return false, "didn't start"
		}
		return dep.up() || ended, ""
	case agentlink.DependComplete, agentlink.DependSuccess:
		switch {
		case !ended:
			return false, ""
		case dep.ExitCode == nil:
			return false, "didn't start"
		case condition == agentlink.DependSuccess && *dep.ExitCode != 0:
			return false, fmt.Sprintf("exited with code %d", *dep.ExitCode)
		}
		return true, ""
	default: // HEALTHY: validate knows no other
		if ended {
			return false, "ended before it was healthy"
		}
		return dep.Known == Running && dep.Health == agentlink.HealthHealthy, ""
	}
}

// hasLiveDependents tells whether a container that needs c hasn't ended yet.
func hasLiveDependents(t *Task, c *Container) bool {
	for i := range t.Containers {
		d := &t.Containers[i]
		if d.Known == Stopped || d == c {
			continue
		}
		for _, name := range needs(d.Spec) {
			if name == c.Name {
				return true
			}
		}
	}
	return false
}

// needs lists the containers that have to come before c.
func needs(c *agentlink.Container) []string {
	var names []string
	for _, d := range c.DependsOn {
		names = append(names, d.ContainerName)
	}
	for _, v := range c.VolumesFrom {
		names = append(names, v.SourceContainer)
	}
	for _, l := range c.Links {
		names = append(names, linkTarget(l))
	}
	return names
}

func linkTarget(link string) string {
	name, _, _ := strings.Cut(link, ":")
	return name
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
