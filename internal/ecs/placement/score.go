package placement

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/openberth/berth/internal/ecs"
)

// scorer ranks instances: less is better. The scorers of a strategy are asked in order, each breaking the ties of those
// before it; the seed breaks what ties remain.
type scorer func(*Instance) int64

// DefaultStrategy is what a task without a strategy is placed by: a service's tasks over the zones, then over the
// instances; a standalone one at random.
func DefaultStrategy(t *ecs.Task) []ecs.PlacementStrategy {
	if t.Service == "" {
		return []ecs.PlacementStrategy{{Type: ecs.StrategyRandom}}
	}
	return []ecs.PlacementStrategy{
		{Type: ecs.StrategySpread, Field: zoneField},
		{Type: ecs.StrategySpread, Field: "instanceId"},
	}
}

const (
	attributePrefix = "attribute:"
	zoneField       = attributePrefix + "ecs.availability-zone"
)

// choose returns the best of the instances that fit; all are those whose tasks count.
func choose(r *request, fit, all []*Instance) *Instance {
	for _, s := range r.Strategy {
		if len(fit) <= 1 {
			break
		}
		fit = best(fit, newScorer(r, s, all))
	}
	if len(fit) == 0 {
		return nil
	}
	return r.byLot(fit)[0]
}

// byLot returns the instances in the order of their lots.
func (r *request) byLot(instances []*Instance) []*Instance {
	type lot struct {
		in *Instance
		n  uint64
	}
	lots := make([]lot, len(instances))
	for i, in := range instances {
		lots[i] = lot{in, r.draw(in)}
	}
	slices.SortFunc(lots, func(a, b lot) int {
		return cmp.Or(cmp.Compare(a.n, b.n), strings.Compare(a.in.Record.ID, b.in.Record.ID))
	})
	ordered := make([]*Instance, len(lots))
	for i, l := range lots {
		ordered[i] = l.in
	}
	return ordered
}

// best keeps the instances with the least score.
func best(fit []*Instance, score scorer) []*Instance {
	var kept []*Instance
	var least int64
	for i, in := range fit {
		n := score(in)
		if i == 0 || n < least {
			kept, least = kept[:0], n
		}
		if n == least {
			kept = append(kept, in)
		}
	}
	return kept
}

func newScorer(r *request, s ecs.PlacementStrategy, all []*Instance) scorer {
	switch s.Type {
	case ecs.StrategyBinpack:
		if strings.EqualFold(s.Field, "memory") {
			return func(in *Instance) int64 { return int64(in.freeMemory()) }
		}
		return func(in *Instance) int64 { return int64(in.freeCPU()) }
	case ecs.StrategySpread:
		if !strings.HasPrefix(s.Field, attributePrefix) { // over instances
			return func(in *Instance) int64 { return int64(in.inGroup(r.Task.Group)) }
		}
		// Every task of the group counts, on instances that are full too; not those on draining instances, which are
		// about to move.
		counts := map[string]int64{}
		for _, in := range all {
			if in.active() {
				counts[groupOf(in, s.Field)] += int64(in.inGroup(r.Task.Group))
			}
		}
		return func(in *Instance) int64 { return counts[groupOf(in, s.Field)] }
	default: // random: the draw decides
		return func(in *Instance) int64 { return int64(r.draw(in) >> 1) }
	}
}

// groupOf is the group of instances that a spread counts together: those with the same value of the attribute (those
// without it are one group too), or the instance alone.
func groupOf(in *Instance, field string) string {
	if name, ok := strings.CutPrefix(field, attributePrefix); ok {
		value, _ := in.Record.Attribute(name)
		return value
	}
	return in.Record.ID
}

// draw is the instance's lot: the same for the same seed, task and instance, and as good as random between them.
func (r *request) draw(in *Instance) uint64 {
	h := fnv.New64a()
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], r.Seed)
	h.Write(seed[:])
	h.Write([]byte(r.Task.ID))
	h.Write([]byte{'/'})
	h.Write([]byte(in.Record.ID))
	// FNV's high bits change little with the last characters; this spreads them (splitmix64's finaliser).
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
