package lifecycle

import (
	"slices"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// ContainerHealth is what an agent reports of a container's health check (TCS PublishHealth).
type ContainerHealth struct {
	Name   string
	Status string    // HEALTHY, UNHEALTHY or UNKNOWN
	Since  time.Time // when it took that status
}

// ApplyHealth returns t after a health report. A report that is older than what is known (by Since) is ignored, as is one
// about a task or a container that has stopped: the last word on a dead container is why it died.
func ApplyHealth(t ecs.Task, report []ContainerHealth) ecs.Task {
	if t.LastStatus == ecs.TaskStopped {
		return t
	}
	var containers []ecs.Container
	for _, h := range report {
		i := slices.IndexFunc(t.Containers, func(c ecs.Container) bool { return c.Name == h.Name })
		if i < 0 || !knownHealth(h.Status) {
			continue
		}
		c := t.Containers[i]
		if containers != nil {
			c = containers[i]
		}
		if c.LastStatus == ecs.TaskStopped || c.HealthStatus == h.Status || h.Since.Before(c.HealthSince) {
			continue
		}
		if containers == nil {
			containers = slices.Clone(t.Containers)
		}
		containers[i].HealthStatus, containers[i].HealthSince = h.Status, h.Since
	}
	if containers == nil {
		return t
	}
	t.Containers = containers
	t.Version++
	return t
}

func knownHealth(status string) bool {
	return status == ecs.Healthy || status == ecs.Unhealthy || status == ecs.HealthUnknown
}
