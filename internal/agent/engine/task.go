// Package engine runs tasks: it takes them as the control plane sent them, moves each one transition at a time towards what
// is wanted of it, and reports what became of it.
//
// What to do next is decided by Next, which is pure. A worker per task carries the steps out through a runtime.Runtime,
// writes what it learns into the task's record, and hands the record to the checkpoint. A sender per task reports what the
// control plane doesn't know yet. All of it is level-triggered: after a crash the records are read, the containers looked
// at, and every worker goes on from what it sees.
package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

// Status is how far a container has come; it only grows, but for a restart under a restart policy.
type Status int

// The statuses of a container.
const (
	None    Status = iota
	Pulled         // its image is there
	Created        // or ended and about to be restarted, if Started
	Running
	Stopped // for good
)

var statusNames = [...]string{"NONE", "PULLED", "CREATED", "RUNNING", "STOPPED"}

func (s Status) String() string { return statusNames[s] }

// MarshalText writes the status as ECS spells it.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads it.
func (s *Status) UnmarshalText(b []byte) error {
	i := slices.Index(statusNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown container status %q", b)
	}
	*s = Status(i)
	return nil
}

// Task is the record of a task: what is wanted, what is known, and what the control plane has been told. Its worker changes
// it and hands out copies; Spec is shared and never changes.
type Task struct {
	Spec *agentlink.Task `json:"spec"`
	// Order is the order of acceptance, in which tasks wait for the host's resources.
	Order uint64 `json:"order"`
	// Desired is agentlink.StatusRunning or StatusStopped; it never goes back.
	Desired string `json:"desired"`
	// Admitted says that the host's resources are the task's until it is stopped.
	Admitted bool `json:"admitted,omitempty"`
	// Prepared is what its containers share; nil as long as it isn't there.
	Prepared   *runtime.Prepared `json:"prepared,omitempty"`
	Containers []Container       `json:"containers,omitempty"`
	// Ran says that the task was RUNNING as a whole at some time.
	Ran    bool   `json:"ran,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Sent is the status that the control plane has accepted: empty, RUNNING or STOPPED.
	Sent string `json:"sent,omitempty"`

	PullStartedAt      time.Time `json:"pullStartedAt,omitzero"`
	PullStoppedAt      time.Time `json:"pullStoppedAt,omitzero"`
	ExecutionStoppedAt time.Time `json:"executionStoppedAt,omitzero"`
	StoppedAt          time.Time `json:"stoppedAt,omitzero"`
}

// Container is what is known of one container of a task.
type Container struct {
	Spec *agentlink.Container `json:"-"` // in the task's Spec

	Name  string `json:"name"`
	Known Status `json:"known"`
	ID    string `json:"id,omitempty"`
	// Started says that it has run at least once; StartedAt is the last time that it was started.
	Started     bool                       `json:"started,omitempty"`
	StartedAt   time.Time                  `json:"startedAt,omitzero"`
	FinishedAt  time.Time                  `json:"finishedAt,omitzero"`
	ExitCode    *int                       `json:"exitCode,omitempty"`
	Reason      string                     `json:"reason,omitempty"`
	ImageDigest string                     `json:"imageDigest,omitempty"`
	Bindings    []agentlink.NetworkBinding `json:"bindings,omitempty"`
	Health      string                     `json:"health,omitempty"`
	HealthSince time.Time                  `json:"healthSince,omitzero"`
	Restarts    int64                      `json:"restarts,omitempty"`
	// Sent is the status that the control plane has accepted: empty, RUNNING or STOPPED.
	Sent string `json:"sent,omitempty"`
}

// NewTask makes the record of a task that has just arrived. A task that can't be run at all comes out stopped, with the
// reason; so does one that arrives with a desired status of STOPPED.
func NewTask(spec *agentlink.Task, order uint64, now time.Time) *Task {
	t := &Task{Spec: spec, Order: order, Desired: spec.DesiredStatus}
	for i := range spec.Containers {
		t.Containers = append(t.Containers, Container{Spec: &spec.Containers[i], Name: spec.Containers[i].Name})
	}
	if t.Desired == agentlink.StatusRunning {
		if err := validate(spec); err != nil {
			t.fail(err.Error(), now)
		}
	} else {
		t.fail("", now)
	}
	return t
}

// bind connects the containers of a record that was read from the checkpoint with their specifications.
func (t *Task) bind() error {
	for i := range t.Containers {
		c := &t.Containers[i]
		j := slices.IndexFunc(t.Spec.Containers, func(s agentlink.Container) bool { return s.Name == c.Name })
		if j < 0 {
			return fmt.Errorf("task %s has no container %q", t.Spec.ARN, c.Name)
		}
		c.Spec = &t.Spec.Containers[j]
	}
	return nil
}

// clone copies t so far as its worker changes it.
func (t *Task) clone() *Task {
	c := *t
	c.Containers = slices.Clone(t.Containers)
	return &c
}

// Container returns the container called name, or nil.
func (t *Task) Container(name string) *Container {
	for i := range t.Containers {
		if t.Containers[i].Name == name {
			return &t.Containers[i]
		}
	}
	return nil
}

// Stopped tells whether all containers have ended for good.
func (t *Task) Stopped() bool {
	return !slices.ContainsFunc(t.Containers, func(c Container) bool { return c.Known != Stopped })
}

// Known is the task's status as the control plane sees it.
func (t *Task) Known() string {
	switch {
	case t.Stopped():
		return agentlink.StatusStopped
	case t.Ran:
		return agentlink.StatusRunning
	default:
		return agentlink.StatusPending
	}
}

// Stopping tells whether the containers that are left have to end: because that is wanted, or because an essential one has
// ended.
func (t *Task) Stopping() bool {
	return t.Desired == agentlink.StatusStopped ||
		slices.ContainsFunc(t.Containers, func(c Container) bool { return c.Spec.Essential && c.Known == Stopped })
}

// up tells whether the container runs, or has ended and is being restarted, which nobody outside notices.
func (c *Container) up() bool { return c.Known == Running || c.Known == Created && c.Started }

// HealthChecked tells whether the container's health is to be reported.
func (c *Container) HealthChecked() bool { return c.Spec.HealthCheckType == "docker" }
