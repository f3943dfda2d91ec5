package lifecycle

import (
	"slices"
	"time"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
)

// TaskChange is what an agent reports of a task (SubmitTaskStateChange, SubmitContainerStateChange). What is empty or zero
// is not spoken about.
type TaskChange struct {
	Status             string // PENDING, RUNNING or STOPPED; empty when only containers or attachments are reported
	Reason             string // empty on ordinary ends
	Containers         []ContainerChange
	Attachments        []AttachmentChange
	PullStartedAt      time.Time
	PullStoppedAt      time.Time
	ExecutionStoppedAt time.Time
}

// ContainerChange is what an agent reports of one container. One message can hold several of the same container, oldest
// first: agents batch them until the task itself has news (agent-protocol 4.1).
type ContainerChange struct {
	Name            string
	RuntimeID       string
	Status          string // PENDING, RUNNING or STOPPED
	ExitCode        *int
	Reason          string // "<ErrorName>: <detail>"
	ImageDigest     string
	NetworkBindings []ecs.NetworkBinding
}

// AttachmentChange is what an agent reports of a network interface or volume.
type AttachmentChange struct {
	ARN    string
	Status string // ATTACHED
}

// Apply returns t after an agent's report. A report about containers or attachments that t doesn't have is ignored, as
// is everything that is older than what t says.
//
// The agent doesn't say why a task stopped; Apply derives the stop code and the stopped reason, unless the task was
// asked to stop before (see derive). When an essential container has ended while others still run, the task is on its
// way down already: DesiredStatus becomes STOPPED without waiting for the task's own report.
func Apply(t ecs.Task, change TaskChange, now time.Time) ecs.Task {
	a := applier{task: t, now: now}
	a.task.Containers = slices.Clone(t.Containers)
	for _, c := range change.Containers {
		a.container(c)
	}
	a.attachments(change.Attachments)
	a.moment(&a.task.PullStartedAt, change.PullStartedAt)
	a.moment(&a.task.PullStoppedAt, change.PullStoppedAt)
	a.moment(&a.task.ExecutionStoppedAt, change.ExecutionStoppedAt)
	a.status(change)
	if !a.changed {
		return t
	}
	// The first sign of life from the agent is when the task became CONNECTED.
	if a.task.ConnectivityAt.IsZero() {
		a.task.ConnectivityAt = now
	}
	a.task.Version++
	return a.task
}

type applier struct {
	task    ecs.Task // its Containers are the applier's own
	now     time.Time
	changed bool
}

// container applies one container's report. A newer status replaces what an older one said; otherwise the first word
// stands, and a report only fills in what nobody has said yet. That makes copies harmless, however late they come: what a
// copy says has been said.
//
//	RUNNING{runtimeId A, reason X}   runtimeId A, reason X
//	STOPPED{exitCode 1, reason Y}    reason Y, and exit code 1 joins them
//	RUNNING{runtimeId A, reason X}   again, late: nothing is missing, nothing changes
func (a *applier) container(change ContainerChange) {
	i := slices.IndexFunc(a.task.Containers, func(c ecs.Container) bool { return c.Name == change.Name })
	if i < 0 || statusOrder[change.Status] == 0 {
		return
	}
	c := &a.task.Containers[i]
	forward := after(change.Status, c.LastStatus)
	if forward {
		c.LastStatus = change.Status
		a.changed = true
	}
	replaces := func(had, have bool) bool {
		use := have && (forward || !had)
		a.changed = a.changed || use
		return use
	}
	if replaces(c.RuntimeID != "", change.RuntimeID != "") {
		c.RuntimeID = change.RuntimeID
	}
	if replaces(c.Reason != "", change.Reason != "") {
		c.Reason = change.Reason
	}
	if replaces(c.ImageDigest != "", change.ImageDigest != "") {
		c.ImageDigest = change.ImageDigest
	}
	if replaces(c.ExitCode != nil, change.ExitCode != nil) {
		code := *change.ExitCode
		c.ExitCode = &code
	}
	if replaces(len(c.NetworkBindings) > 0, len(change.NetworkBindings) > 0) {
		c.NetworkBindings = slices.Clone(change.NetworkBindings)
	}
}

// attachmentOrder is the order of an attachment's statuses.
var attachmentOrder = map[string]int{
	"PRECREATED": 1, "CREATED": 2, "ATTACHING": 3, "ATTACHED": 4, "DETACHING": 5, "DETACHED": 6, "DELETED": 7,
}

func (a *applier) attachments(changes []AttachmentChange) {
	if len(changes) == 0 {
		return
	}
	a.task.Attachments = slices.Clone(a.task.Attachments)
	for _, change := range changes {
		for i := range a.task.Attachments {
			at := &a.task.Attachments[i]
			if at.ID == arn.Last(change.ARN) && attachmentOrder[change.Status] > attachmentOrder[at.Status] {
				at.Status = change.Status
				a.changed = true
			}
		}
	}
}

// moment sets a timestamp that isn't known yet.
func (a *applier) moment(t *time.Time, reported time.Time) {
	if t.IsZero() && !reported.IsZero() {
		*t = reported
		a.changed = true
	}
}

// status moves the task forward and finds out why it ends.
func (a *applier) status(change TaskChange) {
	t := &a.task
	if t.LastStatus == ecs.TaskStopped {
		return
	}
	forward := after(change.Status, t.LastStatus)
	if forward && change.Status == ecs.TaskRunning {
		t.StartedAt = a.now // before derive, which asks whether the task ever ran
	}
	stopped := change.Status == ecs.TaskStopped
	if t.DesiredStatus != ecs.TaskStopped && (stopped || essentialEnded(t.Containers)) {
		code, reason := derive(t, change.Reason)
		requestStop(t, code, reason, a.now)
		a.changed = true
	}
	switch {
	case !forward:
	case stopped:
		if t.ExecutionStoppedAt.IsZero() && anyRan(t.Containers) {
			t.ExecutionStoppedAt = a.now // the agent didn't say when
		}
		end(t, a.now)
		a.changed = true
	default:
		t.LastStatus = change.Status
		a.changed = true
	}
}

func essentialEnded(containers []ecs.Container) bool {
	return slices.ContainsFunc(containers, func(c ecs.Container) bool {
		return c.Essential && c.LastStatus == ecs.TaskStopped
	})
}

func anyRan(containers []ecs.Container) bool {
	return slices.ContainsFunc(containers, func(c ecs.Container) bool { return c.ExitCode != nil })
}
