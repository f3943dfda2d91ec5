package lifecycle

import (
	"slices"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// Stopped reasons that more than one caller writes (ecs-semantics 3.2).
const (
	ReasonStoppedByUser        = "Task stopped by user"
	ReasonDeregistrationForced = "Container instance deregistration forced by user"
)

// RequestStop asks for the task to be stopped. The first request wins: a task that is already asked to stop keeps its
// code, reason and StoppingAt.
//
// LastStatus stays as it is until the agent reports STOPPED, with one exception: a task without a container instance is
// STOPPED at once. That is the only safe case. A task is placed and made visible to the agent's outbox in the same
// commit, so a task with an instance may be on the wire already, even if it is PENDING and the agent has acknowledged
// nothing: if its record said STOPPED now, the agent would start containers that nobody would ever stop. Such a task
// takes the way through the agent, which answers STOPPED at once for a task that it hasn't started.
func RequestStop(t ecs.Task, code, reason string, now time.Time) ecs.Task {
	if t.DesiredStatus == ecs.TaskStopped {
		return t
	}
	t.Version++
	requestStop(&t, code, reason, now)
	if t.ContainerInstance == "" {
		t.Containers = slices.Clone(t.Containers)
		end(&t, now)
	}
	return t
}

// InstanceGone ends a task whose container instance was deregistered by force: nobody will report on it any more, so the
// record says STOPPED, although the containers may go on running on the machine. A task that was asked to stop before
// keeps that reason. There is no stop code: AWS documents none for this case.
func InstanceGone(t ecs.Task, reason string, now time.Time) ecs.Task {
	if t.LastStatus == ecs.TaskStopped {
		return t
	}
	t.Version++
	if t.DesiredStatus != ecs.TaskStopped {
		requestStop(&t, "", reason, now)
	}
	t.Containers = slices.Clone(t.Containers)
	end(&t, now)
	return t
}

func requestStop(t *ecs.Task, code, reason string, now time.Time) {
	t.DesiredStatus = ecs.TaskStopped
	t.StopCode, t.StoppedReason = code, reason
	t.StoppingAt = now
}

// end makes t STOPPED, with all its containers, whose slice must be t's own. A container that never reported an end has no
// exit code.
func end(t *ecs.Task, now time.Time) {
	t.LastStatus = ecs.TaskStopped
	t.StoppedAt = now
	for i := range t.Containers {
		t.Containers[i].LastStatus = ecs.TaskStopped
	}
}
