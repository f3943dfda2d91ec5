package definition

import (
	"strings"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// Conditions of dependsOn.
const (
	conditionStart    = "START"
	conditionComplete = "COMPLETE"
	conditionSuccess  = "SUCCESS"
	conditionHealthy  = "HEALTHY"
)

// dependencies checks how containers refer to one another: dependsOn, links and volumesFrom. dependsOn and links each
// order the starts, so neither may have a cycle: a waits for b, b for c, c for a, and nothing would ever start.
func dependencies(td *ecs.TaskDefinition) error {
	dependsOn, links := map[string][]string{}, map[string][]string{}
	for i := range td.ContainerDefinitions {
		c := &td.ContainerDefinitions[i]
		for _, d := range c.DependsOn {
			if err := dependency(td, d); err != nil {
				return err
			}
			dependsOn[c.Name] = append(dependsOn[c.Name], d.ContainerName)
		}
		for _, l := range c.Links {
			target, _, _ := strings.Cut(l, ":")
			links[c.Name] = append(links[c.Name], target)
		}
		for _, v := range c.VolumesFrom {
			if _, ok := td.Container(v.SourceContainer); !ok {
				return fault.ClientError("Invalid 'volumesFrom' setting. Unknown container: '%s'", v.SourceContainer)
			}
		}
	}
	if cyclic(dependsOn) {
		return fault.ClientError("Container dependencies should not have a cycle")
	}
	if cyclic(links) {
		return fault.ClientError("Container links should not have a cycle")
	}
	return nil
}

func dependency(td *ecs.TaskDefinition, d ecs.ContainerDependency) error {
	target, ok := td.Container(d.ContainerName)
	if !ok {
		return fault.ClientError("Cannot depend on container + '%s' because it does not exist", d.ContainerName)
	}
	switch d.Condition {
	case conditionStart:
	case conditionComplete, conditionSuccess:
		// When an essential container ends, the task ends: there would be nothing left to start.
		if *target.Essential {
			return fault.ClientError("A dependency container with SUCCESS or COMPLETE condition cannot be an essential container")
		}
	case conditionHealthy:
		if !target.HasHealthCheck() {
			return fault.ClientError("A dependency container with HEALTHY condition must have health check configured")
		}
	default:
		return fault.ClientError("Invalid dependency condition '%s'. Valid values are START, COMPLETE, SUCCESS and HEALTHY.", d.Condition)
	}
	return nil
}

// cyclic tells whether some path comes back to where it began.
func cyclic(edges map[string][]string) bool {
	const visiting, done = 1, 2
	marks := map[string]int{}
	var visit func(string) bool
	visit = func(node string) bool {
		switch marks[node] {
		case visiting:
			return true
		case done:
			return false
		}
		marks[node] = visiting
		for _, next := range edges[node] {
			if visit(next) {
				return true
			}
		}
		marks[node] = done
		return false
	}
	for node := range edges {
		if visit(node) {
			return true
		}
	}
	return false
}
