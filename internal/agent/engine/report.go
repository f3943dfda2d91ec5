package engine

import (
	"strings"

	"github.com/openberth/berth/internal/agentlink"
)

// Lengths that the control plane accepts.
const (
	maxReason    = 1024
	maxRuntimeID = 255
)

// Report is what the control plane hasn't been told yet about t: one call's worth, nil if nothing. It is built from what is
// known and what was accepted, so that nothing is lost by a crash and sending twice does no harm. In the order in which
// the stages of a task's life happen: RUNNING is reported even of a task that has ended meanwhile.
//
// Urgent is false when only containers have changed: that may wait for a while, for what else changes to go with it.
func (t *Task) Report(cluster string) (r *agentlink.TaskStateChange, urgent bool) {
	r = &agentlink.TaskStateChange{Cluster: cluster, Task: t.Spec.ARN, PullStartedAt: agentlink.At(t.PullStartedAt),
		PullStoppedAt: agentlink.At(t.PullStoppedAt)}
	known := t.Known()
	switch {
	case t.Ran && t.Sent == "":
		r.Status = agentlink.StatusRunning
	case known == agentlink.StatusStopped && t.Sent != agentlink.StatusStopped:
		r.Status = agentlink.StatusStopped
		r.Reason = limit(t.Reason, maxReason)
		r.ExecutionStoppedAt = agentlink.At(t.ExecutionStoppedAt)
	}
	for i := range t.Containers {
		c := &t.Containers[i]
		if c.Started && c.Sent == "" {
			r.Containers = append(r.Containers, c.change(agentlink.StatusRunning))
		}
		// The end of a container isn't told with the task's RUNNING if the task has ended too: that comes with its STOPPED.
		early := r.Status == agentlink.StatusRunning && known == agentlink.StatusStopped
		if c.Known == Stopped && c.Sent != agentlink.StatusStopped && !early {
			r.Containers = append(r.Containers, c.change(agentlink.StatusStopped))
		}
	}
	if r.Status != "" {
		return r, true
	}
	if len(r.Containers) == 0 {
		return nil, false
	}
	r.Status = known // a container changed, the task as a whole did not
	return r, false
}

func (c *Container) change(status string) agentlink.ContainerStateChange {
	s := agentlink.ContainerStateChange{ContainerName: c.Name, RuntimeID: limit(c.ID, maxRuntimeID), Status: status,
		ImageDigest: limit(c.ImageDigest, maxRuntimeID), NetworkBindings: c.Bindings}
	if status == agentlink.StatusStopped {
		s.ExitCode = c.ExitCode
		s.Reason = limit(c.Reason, maxReason)
	}
	return s
}

// accepted notes what the control plane has taken in.
func (t *Task) accepted(r *agentlink.TaskStateChange) {
	if r.Status == agentlink.StatusStopped || t.Sent == "" && r.Status == agentlink.StatusRunning {
		t.Sent = r.Status
	}
	for _, s := range r.Containers {
		c := t.Container(s.ContainerName)
		if c.Sent != agentlink.StatusStopped && sameBindings(c, s) {
			c.Sent = s.Status
		}
	}
}

// sameBindings tells whether what was sent still holds: a restart in between may have moved the ports.
func sameBindings(c *Container, s agentlink.ContainerStateChange) bool {
	if s.Status == agentlink.StatusStopped {
		return true
	}
	if len(c.Bindings) != len(s.NetworkBindings) {
		return false
	}
	for i := range c.Bindings {
		if c.Bindings[i] != s.NetworkBindings[i] {
			return false
		}
	}
	return true
}

// again makes the end of the task unreported: the control plane asks for a task that has ended, so it hasn't heard of that.
func (t *Task) again() {
	if t.Sent != agentlink.StatusStopped {
		return
	}
	t.Sent = ""
	if t.Ran {
		t.Sent = agentlink.StatusRunning
	}
	for i := range t.Containers {
		if c := &t.Containers[i]; c.Sent == agentlink.StatusStopped {
			c.Sent = ""
			if c.Started {
				c.Sent = agentlink.StatusRunning
			}
		}
	}
}

func limit(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "?")
}
