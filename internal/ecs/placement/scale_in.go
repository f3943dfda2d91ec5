package placement

import (
	"cmp"
	"slices"
	"strings"

	"github.com/openberth/berth/internal/ecs"
)

// Surplus are tasks of one service of which some are to stop.
type Surplus struct {
	Tasks     []*ecs.Task // those that may be stopped
	Strategy  []ecs.PlacementStrategy
	Unhealthy map[string]bool // ids of the tasks that count as unhealthy
}

// ScaleIn picks n of the tasks to stop, in the order in which they should go (ecs-semantics 4.5):
//
//  1. tasks that don't run yet, then those on instances that aren't ACTIVE, then unhealthy ones;
//  2. by the strategy: the one whose going leaves the best spread, or the most room on one instance (binpack); with no
//     strategy from the zone, then from the instance, that has most tasks of the service;
//  3. the newest, so that what has proved itself stays.
//
// Each pick sees the ones before it: of 3 tasks in zone a and 3 in zone b, two picks leave 2 and 2. The instances are those
// of the cluster, with their tasks.
func ScaleIn(s Surplus, instances []*Instance, n int) []*ecs.Task {
	left := slices.Clone(s.Tasks)
	if n = min(n, len(left)); n <= 0 {
		return nil
	}
	strategy := s.Strategy
	if len(strategy) == 0 {
		strategy = []ecs.PlacementStrategy{
			{Type: ecs.StrategySpread, Field: zoneField},
			{Type: ecs.StrategySpread, Field: "instanceId"},
		}
	}
	room := newRoom(instances, s.Tasks[0].Group)
	rank := make(map[string]int, len(left))
	for _, t := range left {
		rank[t.ID] = standing(t, room.byID[t.ContainerInstance], s.Unhealthy)
	}
	if n == len(left) { // everything goes: only the first rule and the last matter
		strategy = nil
	}
	picked := make([]*ecs.Task, 0, n)
	for range n {
		scores := room.scores(strategy)
		next := slices.MinFunc(left, func(a, b *ecs.Task) int {
			if c := cmp.Compare(rank[a.ID], rank[b.ID]); c != 0 {
				return c
			}
			for _, score := range scores {
				if c := cmp.Compare(score(a), score(b)); c != 0 {
					return c
				}
			}
			if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
				return c
			}
			return strings.Compare(a.ID, b.ID)
		})
		picked = append(picked, next)
		left = slices.DeleteFunc(left, func(t *ecs.Task) bool { return t == next })
		room.remove(next)
	}
	return picked
}

// standing: the less, the sooner the task goes.
func standing(t *ecs.Task, in *Instance, unhealthy map[string]bool) int {
	switch {
	case t.LastStatus != ecs.TaskRunning:
		return 0
	case in == nil || !in.active():
		return 1
	case unhealthy[t.ID]:
		return 2
	}
	return 3
}

// room is what the instances have and hold, as tasks are taken away one by one.
type room struct {
	byID  map[string]*Instance
	count map[string]int // instance -> tasks of the service
	cpu   map[string]int // instance -> free
	mem   map[string]int
}

func newRoom(instances []*Instance, group string) *room {
	r := &room{byID: map[string]*Instance{}, count: map[string]int{}, cpu: map[string]int{}, mem: map[string]int{}}
	for _, in := range instances {
		id := in.Record.ID
		r.byID[id], r.count[id], r.cpu[id], r.mem[id] = in, in.inGroup(group), in.freeCPU(), in.freeMemory()
	}
	return r
}

func (r *room) remove(t *ecs.Task) {
	id := t.ContainerInstance
	if r.byID[id] == nil {
		return
	}
	r.count[id]--
	r.cpu[id] += t.Reserved.CPU
	r.mem[id] += t.Reserved.Memory
}

// scores turns the strategies round: less is better to lose.
func (r *room) scores(strategy []ecs.PlacementStrategy) []func(*ecs.Task) int {
	var all []func(*ecs.Task) int
	for _, s := range strategy {
		switch s.Type {
		case ecs.StrategySpread:
			counts := map[string]int{}
			for id, in := range r.byID {
				if in.active() {
					counts[groupOf(in, s.Field)] += r.count[id]
				}
			}
			all = append(all, func(t *ecs.Task) int {
				in := r.byID[t.ContainerInstance]
				if in == nil {
					return 0
				}
				return -counts[groupOf(in, s.Field)]
			})
		case ecs.StrategyBinpack:
			if strings.EqualFold(s.Field, "memory") {
				all = append(all, func(t *ecs.Task) int { return -(r.mem[t.ContainerInstance] + t.Reserved.Memory) })
			} else {
				all = append(all, func(t *ecs.Task) int { return -(r.cpu[t.ContainerInstance] + t.Reserved.CPU) })
			}
		}
	}
	return all
}
