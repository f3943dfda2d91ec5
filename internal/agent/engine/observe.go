package engine

import (
	"slices"
	"time"

	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

const (
	reasonOOM = "OutOfMemoryError: Container killed due to memory usage"
	// defaultRestartPeriod is how long a container must have run to be restarted, if its restartPolicy doesn't say.
	defaultRestartPeriod = 300 * time.Second
)

// observe takes in how a container is. Seeing the same state again changes nothing.
func (t *Task) observe(c *Container, st runtime.State, now time.Time) {
	if c.Known == Stopped {
		return
	}
	c.ID = st.ID
	switch st.Phase {
	case runtime.Created:
		c.Known = max(c.Known, Created)
	case runtime.Running:
		c.started(st)
		c.Known, c.ExitCode = Running, nil
		c.observeHealth(st.Health, now)
	case runtime.Exited:
		if c.Known == Created && c.Started && st.StartedAt.Equal(c.StartedAt) {
			return // its end is known; it waits for its restart
		}
		c.started(st)
		t.exited(c, st.ExitCode, st.OOMKilled, st.FinishedAt, now)
	}
	t.settle(now)
}

func (c *Container) started(st runtime.State) {
	c.Started = true
	if !st.StartedAt.IsZero() {
		c.StartedAt = st.StartedAt
	}
	if len(st.Ports) == 0 {
		return // none, or it has ended and the runtime has taken them down
	}
	bindings := bindings(st.Ports)
	if c.Sent != "" && !slices.Equal(bindings, c.Bindings) {
		c.Sent = "" // restarted on other ports: the control plane has to hear of them
	}
	c.Bindings = bindings
}

// bindings drops the IPv6 half of a binding, as ECS does (ECS_EXCLUDE_IPV6_PORTBINDING).
func bindings(ports []runtime.Port) []agentlink.NetworkBinding {
	var out []agentlink.NetworkBinding
	for _, p := range ports {
		if p.HostIP == "::" {
			continue
		}
		if p.HostIP == "" {
			p.HostIP = "0.0.0.0"
		}
		out = append(out, agentlink.NetworkBinding{BindIP: p.HostIP, ContainerPort: p.ContainerPort, HostPort: p.HostPort,
			Protocol: p.Protocol})
	}
	return out
}

// observeHealth takes in the health of a running container and tells whether it changed.
func (c *Container) observeHealth(health string, at time.Time) bool {
	if !c.HealthChecked() {
		return false
	}
	if health == "" {
		health = agentlink.HealthUnknown
	}
	if c.Health == health {
		return false
	}
	c.Health, c.HealthSince = health, at
	return true
}

// exited takes in that a container has ended: for good, or to be restarted under its restart policy.
func (t *Task) exited(c *Container, code int, oom bool, finished, now time.Time) {
	if finished.IsZero() {
		finished = now
	}
	c.FinishedAt, c.ExitCode = finished, &code
	if t.restarts(c, code) {
		c.Known = Created
		c.Restarts++
		return
	}
	c.Known = Stopped
	if oom {
		c.Reason = reasonOOM
	}
	if c.HealthChecked() {
		c.observeHealth(agentlink.HealthUnknown, now)
	}
	if c.Spec.Essential && t.ExecutionStoppedAt.IsZero() {
		t.ExecutionStoppedAt = finished
	}
}

// restarts applies the restart policy: with restartAttemptPeriod 60, a container that ended 59 s after its start stays down,
// one that lasted 60 s comes back.
func (t *Task) restarts(c *Container, code int) bool {
	p := c.Spec.RestartPolicy
	if p == nil || !p.Enabled || t.Stopping() || slices.Contains(p.IgnoredExitCodes, code) {
		return false
	}
	period := defaultRestartPeriod
	if p.RestartAttemptPeriod > 0 {
		period = time.Duration(p.RestartAttemptPeriod) * time.Second
	}
	return c.FinishedAt.Sub(c.StartedAt) >= period
}

// missing takes in that the runtime doesn't have the container. Code is what the runtime said of its end before it was
// removed, if it did.
func (t *Task) missing(c *Container, code *int, now time.Time) {
	switch {
	case c.Known == Stopped:
	case c.Started:
		t.vanished(c, code, now)
	case c.Known == Created:
		c.Known, c.ID = Pulled, "" // never ran: it can be made again
	}
	t.settle(now)
}

func (t *Task) vanished(c *Container, code *int, now time.Time) {
	c.Known, c.FinishedAt, c.ExitCode = Stopped, now, code
	if code == nil {
		c.Reason = "ContainerVanishedError: The container was removed behind the agent's back"
	}
	if c.Spec.Essential && t.ExecutionStoppedAt.IsZero() {
		t.ExecutionStoppedAt = now
	}
}

// abandon makes a container that doesn't run stopped for good.
func (t *Task) abandon(c *Container, reason string, now time.Time) {
	if c.Known == Stopped {
		return
	}
	c.Known = Stopped
	if reason != "" {
		c.Reason = reason
	}
	if c.Spec.Essential && t.ExecutionStoppedAt.IsZero() {
		t.ExecutionStoppedAt = now
	}
	t.settle(now)
}

// stop makes stopped what is wanted of the task.
func (t *Task) stop(now time.Time) {
	t.Desired = agentlink.StatusStopped
	if t.ExecutionStoppedAt.IsZero() {
		t.ExecutionStoppedAt = now
	}
	t.settle(now)
}

// fail stops the whole task before any of its containers ran.
func (t *Task) fail(reason string, now time.Time) {
	t.Desired = agentlink.StatusStopped
	t.Reason = reason
	for i := range t.Containers {
		if c := &t.Containers[i]; c.Known < Running && !c.Started {
			c.Known = Stopped
		}
	}
	t.settle(now)
}

// settle derives what follows for the task as a whole.
func (t *Task) settle(now time.Time) {
	allStarted, allPast, anyStarted := len(t.Containers) > 0, true, false
	for i := range t.Containers {
		c := &t.Containers[i]
		allStarted = allStarted && c.Started
		allPast = allPast && (c.up() || c.Known == Stopped)
		anyStarted = anyStarted || c.Started
	}
	// A container that isn't essential and couldn't start doesn't keep the task from RUNNING.
	if allStarted || allPast && anyStarted && !t.Stopping() {
		t.Ran = true
	}
	if t.Stopped() && t.StoppedAt.IsZero() {
		t.StoppedAt = now
		if t.ExecutionStoppedAt.IsZero() {
			t.ExecutionStoppedAt = now
		}
	}
}
