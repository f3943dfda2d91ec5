package retention

import (
	"cmp"
	"slices"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// World is what has ended, and when.
type World struct {
	Tasks       []Ended // STOPPED, by id
	Instances   []Ended // INACTIVE, by id
	Services    []Ended // INACTIVE, by ecs.ServiceKey
	Deployments []Deployment
	Now         time.Time

	KeepTasks    time.Duration // how long tasks are kept
	KeepInactive time.Duration // how long all else is kept
}

// Ended is a record that has ended.
type Ended struct {
	Key string
	At  time.Time
}

// Deployment is an INACTIVE deployment of a service that isn't INACTIVE itself.
type Deployment struct {
	Ended
	Service   string // ecs.ServiceKey
	Rollout   string // its rolloutState
	CreatedAt time.Time
}

// Plan is what to forget.
type Plan struct {
	Tasks, Instances, Services, Deployments []string
	Wake                                    time.Time // when to look again; never zero
}

// Empty tells whether the plan changes nothing.
func (p *Plan) Empty() bool {
	return len(p.Tasks)+len(p.Instances)+len(p.Services)+len(p.Deployments) == 0
}

// pace is the least time between two looks, so that what ends one by one is forgotten in batches.
const pace = time.Second

// Decide says what to forget now, and when to look again: when the next thing is due, or when something that ends right after
// this look would be.
func Decide(w World) Plan {
	p := Plan{Wake: w.Now.Add(min(w.KeepTasks, w.KeepInactive))}
	due := func(e Ended, keep time.Duration) bool {
		at := e.At.Add(keep)
		if !at.After(w.Now) {
			return true
		}
		if at.Before(p.Wake) {
			p.Wake = at
		}
		return false
	}
	collect := func(all []Ended, keep time.Duration) (keys []string) {
		for _, e := range all {
			if due(e, keep) {
				keys = append(keys, e.Key)
			}
		}
		slices.Sort(keys)
		return keys
	}
	p.Tasks = collect(w.Tasks, w.KeepTasks)
	p.Instances = collect(w.Instances, w.KeepInactive)
	p.Services = collect(w.Services, w.KeepInactive)
	p.Deployments = collect(w.forgettable(), w.KeepInactive)
	if soon := w.Now.Add(pace); p.Wake.Before(soon) {
		p.Wake = soon
	}
	return p
}

// forgettable leaves out, of each service, the newest deployment that was COMPLETED: it is where a failing one is rolled
// back to (ecs-semantics 7.3), however long ago it was replaced.
func (w *World) forgettable() (all []Ended) {
	newest := map[string]Deployment{}
	for _, d := range w.Deployments {
		if n, ok := newest[d.Service]; d.Rollout == ecs.RolloutCompleted &&
			(!ok || cmp.Or(d.CreatedAt.Compare(n.CreatedAt), cmp.Compare(d.Key, n.Key)) > 0) {
			newest[d.Service] = d
		}
	}
	for _, d := range w.Deployments {
		if newest[d.Service].Key != d.Key {
			all = append(all, d.Ended)
		}
	}
	return all
}
