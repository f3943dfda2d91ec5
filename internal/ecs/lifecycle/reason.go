package lifecycle

import (
	"strings"

	"github.com/openberth/berth/internal/ecs"
)

// What Apply says of a task that ended by itself.
const (
	ReasonEssentialExited = "Essential container in task exited"
	ReasonFailedToStart   = "Task failed to start"
)

// derive finds the stop code and reason of a task that ends without having been asked to. taskReason is the agent's own
// word on the task: empty on ordinary ends, set when it could do nothing with the task at all.
//
//   - A task that was RUNNING, or whose essential container ran and exited before the others were up, has had an
//     essential container exit.
//   - Any other never started. If an essential container says what failed ("CannotPullContainerError: ..."), that is the
//     reason of the task too.
//
// A container's reason alone proves nothing: an agent that couldn't pull, but had the image, leaves the pull's error on
// a container that ran well (agent-protocol 8.5).
func derive(t *ecs.Task, taskReason string) (code, reason string) {
	if !t.StartedAt.IsZero() || essentialRan(t.Containers) {
		return ecs.StopEssentialContainerExited, or(taskReason, ReasonEssentialExited)
	}
	if taskReason != "" {
		return ecs.StopTaskFailedToStart, taskReason
	}
	for _, c := range t.Containers {
		if c.Essential && c.LastStatus == ecs.TaskStopped && startFailure(c.Reason) {
			return ecs.StopTaskFailedToStart, c.Reason
		}
	}
	return ecs.StopTaskFailedToStart, ReasonFailedToStart
}

// essentialRan tells whether an essential container has run to its end. One that could be created but not started has
// an exit code too (Docker sets 127 or 128), but a reason that tells it apart.
func essentialRan(containers []ecs.Container) bool {
	for _, c := range containers {
		if c.Essential && c.LastStatus == ecs.TaskStopped && c.ExitCode != nil &&
			!strings.HasPrefix(c.Reason, "CannotStart") && !strings.HasPrefix(c.Reason, "CannotCreate") {
			return true
		}
	}
	return false
}

// startFailure tells whether a container's reason names what kept it from starting. "TaskStoppedBeforePullBeginError" and
// "TaskDependencyError" are no causes: they say that something else had failed before.
func startFailure(reason string) bool {
	for _, prefix := range []string{"CannotPull", "CannotCreate", "CannotStart", "ResourceInitializationError",
		"ContainerNetworkingError", "HostConfigError", "DockerClientConfigError", "InvalidVolumeError", "DockerTimeoutError"} {
		if strings.HasPrefix(reason, prefix) {
			return true
		}
	}
	return false
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
