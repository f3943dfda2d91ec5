// Package lifecycle holds the pure transitions of a task: what a stop request, an agent's report or the loss of the
// instance make of its record. Every function takes a task by value and returns the next one, without touching what the
// old one points to, so a record from the store can be passed as it is.
//
// # Laws
//
//   - Forward only: LastStatus, a container's LastStatus and DesiredStatus never move back; timestamps, the stop code and
//     the stopped reason are written once.
//   - Idempotent: what was applied before changes nothing, however much later it comes again. The agent repeats a report
//     until it is acknowledged, so a report can arrive twice, and its first copy can arrive after newer reports.
//   - Version grows by one with every call that changes something, and only then: an unchanged Version means an unchanged
//     task, which needs no write.
package lifecycle

import "github.com/openberth/berth/internal/ecs"

// statusOrder is the order in which a task passes through its statuses (ecs-semantics 3.1); an unknown status is 0, so
// that it never counts as progress.
var statusOrder = map[string]int{
	ecs.TaskProvisioning:   1,
	ecs.TaskPending:        2,
	ecs.TaskActivating:     3,
	ecs.TaskRunning:        4,
	ecs.TaskDeactivating:   5,
	ecs.TaskStopping:       6,
	ecs.TaskDeprovisioning: 7,
	ecs.TaskStopped:        8,
}

// after tells whether status a comes later in a task's life than b.
func after(a, b string) bool { return statusOrder[a] > statusOrder[b] }
