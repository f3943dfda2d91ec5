package placement

import (
	"slices"
	"testing"

	"github.com/openberth/berth/internal/ecs"
)

func TestCheckStrategy(t *testing.T) {
	for _, c := range []struct {
		strategy ecs.PlacementStrategy
		ok       bool
	}{
		{ecs.PlacementStrategy{Type: "random"}, true},
		{ecs.PlacementStrategy{Type: "random", Field: "cpu"}, false},
		{ecs.PlacementStrategy{Type: "spread", Field: "instanceId"}, true},
		{ecs.PlacementStrategy{Type: "spread", Field: "host"}, true},
		{ecs.PlacementStrategy{Type: "spread", Field: "attribute:ecs.availability-zone"}, true},
		{ecs.PlacementStrategy{Type: "spread", Field: "attribute:"}, false},
		{ecs.PlacementStrategy{Type: "spread", Field: "cpu"}, false},
		{ecs.PlacementStrategy{Type: "spread"}, false},
		{ecs.PlacementStrategy{Type: "binpack", Field: "cpu"}, true},
		{ecs.PlacementStrategy{Type: "binpack", Field: "MEMORY"}, true},
		{ecs.PlacementStrategy{Type: "binpack", Field: "host"}, false},
		{ecs.PlacementStrategy{Type: "nearest"}, false},
	} {
		if err := CheckStrategy([]ecs.PlacementStrategy{c.strategy}); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.strategy, err)
		}
	}
	if err := CheckStrategy(slices.Repeat([]ecs.PlacementStrategy{{Type: "random"}}, 6)); err == nil {
		t.Error("six strategies are accepted")
	}
}

func TestCheckConstraints(t *testing.T) {
	member := ecs.PlacementConstraint{Type: "memberOf", Expression: "attribute:a exists"}
	for _, c := range []struct {
		constraints []ecs.PlacementConstraint
		ok          bool
	}{
		{slices.Repeat([]ecs.PlacementConstraint{member}, 10), true},
		{slices.Repeat([]ecs.PlacementConstraint{member}, 11), false},
		{[]ecs.PlacementConstraint{{Type: "distinctInstance"}}, true},
		{[]ecs.PlacementConstraint{{Type: "distinctInstance", Expression: "attribute:a exists"}}, false},
		{[]ecs.PlacementConstraint{{Type: "memberOf"}}, false},
		{[]ecs.PlacementConstraint{{Type: "memberOf", Expression: "a"}}, false},
		{[]ecs.PlacementConstraint{{Type: "near"}}, false},
	} {
		if err := CheckConstraints(c.constraints); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.constraints, err)
		}
	}
}

func TestTaskCounts(t *testing.T) {
	running, coming, leaving, stopped := task("1", "g", 0, 0), task("2", "g", 0, 0), task("3", "g", 0, 0), task("4", "g", 0, 0)
	coming.LastStatus = ecs.TaskPending
	leaving.DesiredStatus = ecs.TaskStopped
	stopped.DesiredStatus, stopped.LastStatus = ecs.TaskStopped, ecs.TaskStopped
	in := Lazy(machine("i", "a", 1, 1).Record, func() []*ecs.Task { return []*ecs.Task{running, coming, leaving} })
	in.Add(stopped)
	if in.RunningTasks() != 1 || in.PendingTasks() != 1 || len(in.Tasks) != 4 {
		t.Errorf("%d running, %d pending of %d", in.RunningTasks(), in.PendingTasks(), len(in.Tasks))
	}
}
