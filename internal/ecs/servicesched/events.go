package servicesched

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// Causes of impairments. Placement's is followed by what was missing.
const (
	causeLaunch        = "launch"
	causeConfiguration = "configuration"
	causePlacement     = "placement: "
)

// repeat is how often a steady state, or an impairment that stands, is said again (ecs-semantics 6.5).
const repeat = 6 * time.Hour

func eventStarted(service string, tasks []string) string {
	return fmt.Sprintf("(service %s) has started %d tasks: %s.", service, len(tasks), taskList(tasks))
}

func eventStopped(service string, tasks []string) string {
	return fmt.Sprintf("(service %s) has stopped %d running tasks: %s.", service, len(tasks), taskList(tasks))
}

func eventUnhealthy(service, task string) string {
	return fmt.Sprintf("(service %s) (task %s) failed container health checks.", service, task)
}

func eventCompleted(service, deployment string) string {
	return fmt.Sprintf("(service %s) (deployment %s) deployment completed.", service, deployment)
}

func eventSteady(service string) string {
	return fmt.Sprintf("(service %s) has reached a steady state.", service)
}

func eventImpaired(service string) string {
	return fmt.Sprintf("(service %s) is unable to consistently start tasks successfully. "+
		"For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.", service)
}

func eventStuck(service string) string {
	return fmt.Sprintf("service (%s) was unable to stop or start tasks during a deployment because of the service deployment configuration. "+
		"Update the minimumHealthyPercent or maximumPercent value and try again.", service)
}

func eventUnplaceable(service, reason string) string {
	return fmt.Sprintf("(service %s) was unable to place a task. Reason: %s", service, reason)
}

func taskList(tasks []string) string {
	var b strings.Builder
	for i, id := range tasks {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("(task " + id + ")")
	}
	return b.String()
}

// Stopped reasons (ecs-semantics 3.2).

func whyScaling(deployment string) string {
	return "Scaling activity initiated by (deployment " + deployment + ")"
}

const whyUnhealthy = "Task failed container health checks"

// impair notes that cause stands, and tells whether to say so now.
func impair(s *ecs.Service, cause string, now time.Time) (say bool) {
	i := slices.IndexFunc(s.Impairments, func(im ecs.Impairment) bool { return im.Cause == cause })
	if i >= 0 && now.Sub(s.Impairments[i].SaidAt) < repeat {
		return false
	}
	next := slices.Clone(s.Impairments)
	if i >= 0 {
		next[i].SaidAt = now
	} else {
		next = append(next, ecs.Impairment{Cause: cause, SaidAt: now})
	}
	s.Impairments = next
	return true
}

// impaired tells whether an impairment stands whose cause has the prefix.
func impaired(s *ecs.Service, prefix string) bool {
	return slices.ContainsFunc(s.Impairments, func(im ecs.Impairment) bool { return strings.HasPrefix(im.Cause, prefix) })
}

// repair notes that nothing of the kind stands any more, except for cause (""): one cause replaces another of its kind.
func repair(s *ecs.Service, prefix, except string) (changed bool) {
	gone := func(im ecs.Impairment) bool { return strings.HasPrefix(im.Cause, prefix) && im.Cause != except }
	if !slices.ContainsFunc(s.Impairments, gone) {
		return false
	}
	s.Impairments = slices.DeleteFunc(slices.Clone(s.Impairments), gone)
	if len(s.Impairments) == 0 {
		s.Impairments = nil
	}
	return true
}
