package placement

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openberth/berth/internal/ecs"
)

// aged makes a task that is n minutes old.
func aged(id string, n int) *ecs.Task {
	t := task(id, "g", 10, 10)
	t.CreatedAt = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).Add(-time.Duration(n) * time.Minute)
	return t
}

func TestScaleInOrder(t *testing.T) {
	spreadZone := []ecs.PlacementStrategy{{Type: ecs.StrategySpread, Field: zoneField}}
	binpack := []ecs.PlacementStrategy{{Type: ecs.StrategyBinpack, Field: "cpu"}}
	pending := aged("pending", 60)
	pending.LastStatus = ecs.TaskPending
	homeless := aged("homeless", 60)
	homeless.LastStatus = ecs.TaskProvisioning
	draining := machine("d", "z", 100, 100, aged("draining", 50))
	draining.Record.Status = ecs.InstanceDraining

	for _, c := range []struct {
		name      string
		instances []*Instance
		extra     []*ecs.Task
		strategy  []ecs.PlacementStrategy
		unhealthy map[string]bool
		n         int
		want      string
	}{
		{name: "not running, draining, unhealthy, then the rest",
			instances: []*Instance{machine("i", "a", 100, 100, aged("well", 1), aged("sick", 2), pending), draining},
			extra:     []*ecs.Task{homeless}, unhealthy: map[string]bool{"sick": true}, n: 4, want: "pending homeless draining sick"},
		{name: "the same, when all go",
			instances: []*Instance{machine("i", "a", 100, 100, aged("well", 1), aged("sick", 2), pending), draining},
			unhealthy: map[string]bool{"sick": true}, n: 9, want: "pending draining sick well"},
		{name: "no strategy: the fullest zone, in it the fullest instance, on it the newest",
			instances: []*Instance{
				machine("1", "a", 100, 100, aged("a1", 9)),
				machine("2", "a", 100, 100, aged("a2", 3), aged("a3", 2)),
				machine("3", "b", 100, 100, aged("b1", 1), aged("b2", 1))},
			// Zone a has 3, b 2: a3, newest on a's fuller instance. Now 2 and 2: b1 and b2 share an instance, b1 comes first by its id.
			// Then a has 2, one on each instance: a2, the newer. Then 1 and 1: b2, the newer.
			n: 4, want: "a3 b1 a2 b2"},
		{name: "spread over zones keeps the balance",
			instances: []*Instance{
				machine("1", "a", 100, 100, aged("a1", 5), aged("a2", 6), aged("a3", 7)),
				machine("2", "b", 100, 100, aged("b1", 1), aged("b2", 2), aged("b3", 3))},
			strategy: spreadZone, n: 2, want: "b1 a1"},
		{name: "binpack takes from the emptiest instance",
			instances: []*Instance{
				machine("1", "a", 100, 100, aged("full1", 1), aged("full2", 1), aged("full3", 1)),
				machine("2", "a", 100, 100, aged("lone", 9))},
			strategy: binpack, n: 1, want: "lone"},
		{name: "binpack by memory looks at memory",
			instances: []*Instance{machine("1", "a", 900, 100, aged("cpu", 1)), machine("2", "a", 100, 900, aged("memory", 9))},
			strategy:  []ecs.PlacementStrategy{{Type: ecs.StrategyBinpack, Field: "memory"}}, n: 1, want: "memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tasks := append(all(c.instances), c.extra...)
			var ids []string
			for _, gone := range ScaleIn(Surplus{Tasks: tasks, Strategy: c.strategy, Unhealthy: c.unhealthy}, c.instances, c.n) {
				ids = append(ids, gone.ID)
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if ScaleIn(Surplus{}, nil, 3) != nil {
		t.Error("nothing can't be scaled in")
	}
}

// What is left after a spread over instances is as even as it can be: no pick leaves one instance two above another that
// could have kept more.
func TestScaleInLeavesBestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		instances := cluster(rapid.IntRange(1, 5).Draw(t, "instances"), 2)
		for i, in := range instances {
			for j := range rapid.IntRange(0, 6).Draw(t, "held") {
				held := aged(fmt.Sprint(i, "-", j), rapid.IntRange(0, 9).Draw(t, "age"))
				held.ContainerInstance = in.Record.ID
				in.Add(held)
			}
		}
		tasks := all(instances)
		n := rapid.IntRange(0, len(tasks)).Draw(t, "n")
		gone := ScaleIn(Surplus{Tasks: tasks, Strategy: []ecs.PlacementStrategy{{Type: ecs.StrategySpread, Field: "instanceId"}}}, instances, n)
		if len(gone) != n {
			t.Fatalf("%d picked, %d wanted", len(gone), n)
		}
		if n == len(tasks) {
			return
		}
		picked := map[*ecs.Task]bool{}
		for _, g := range gone {
			if picked[g] {
				t.Fatalf("%s picked twice", g.ID)
			}
			picked[g] = true
		}
		// An instance that lost a task must not have ended up more than one below the fullest.
		most := 0
		left := make([]int, len(instances))
		for i, in := range instances {
			for _, held := range in.Tasks {
				if !picked[held] {
					left[i]++
				}
			}
			most = max(most, left[i])
		}
		for i, in := range instances {
			if left[i] < len(in.Tasks) && left[i] < most-1 {
				t.Fatalf("left %v of %d, %d picked", left, len(tasks), n)
			}
		}
	})
}
