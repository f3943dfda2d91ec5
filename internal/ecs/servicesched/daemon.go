package servicesched

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// place is one instance as a DAEMON service sees it.
type place struct {
	Instance
	live     []task
	stopping int
}

// daemon decides for a DAEMON service: exactly one task on each ACTIVE instance that matches. The desired count is
// computed, and shown.
func (d *decision) daemon() {
	places := d.places()
	d.service.DesiredCount = len(places)
	floor, _ := d.bounds(len(places), 0, 100)

	// First what needs no thought: tasks that serve nobody. What is left keeps the place from the new task.
	var waiting []*task
	d.healthy = 0
	for _, p := range places {
		slices.SortStableFunc(p.live, func(a, b task) int { // the best first
			return cmp.Or(compareBool(b.wanted(), a.wanted()), cmp.Compare(b.condition, a.condition))
		})
		d.healthy += len(only(p.live, healthy))
		for i := range p.live {
			switch t := &p.live[i]; {
			case i == 0 && t.wanted():
			case t.condition != comingUp:
				waiting = append(waiting, t)
			case d.windingDown(t):
				d.stopScaling(t)
			}
		}
	}
	free := 0
	for _, p := range places {
		if len(p.live) > 0 || p.stopping > 0 || !p.Connected {
			continue // never two on one instance; without its agent, an instance can't take a task
		}
		free++
		if d.mayLaunch() && !d.crashLoop(p.ID) {
			d.start(1, p.ID)
		}
	}
	if free == 0 {
		repair(&d.service, causePlacement, "")
	}
	d.stopWaiting(waiting, floor)
	d.stuck(len(waiting) > 0)
}

// wanted tells whether the task is one to keep.
func (t *task) wanted() bool { return t.age == 0 && t.condition != unhealthy }

// places are the instances that are to have a task, by id. The tasks on all others are stopped, but not before the work that they
// serve: on a DRAINING instance, a daemon's task is the last to go.
func (d *decision) places() []*place {
	var places []*place
	byID, busy := map[string]*place{}, map[string]bool{}
	for _, in := range d.Instances {
		if in.Status == ecs.InstanceActive && in.Matches {
			p := &place{Instance: in}
			places, byID[in.ID] = append(places, p), p
		}
		busy[in.ID] = in.Status == ecs.InstanceDraining && in.Busy
	}
	slices.SortFunc(places, func(a, b *place) int { return strings.Compare(a.ID, b.ID) })
	for i := range d.live {
		t := &d.live[i]
		if p := byID[t.Instance]; p != nil {
			p.live = append(p.live, *t)
		} else if !busy[t.Instance] || t.condition == comingUp {
			d.stopScaling(t)
		}
	}
	for _, t := range d.stopping {
		if p := byID[t.Instance]; p != nil {
			p.stopping++
		}
	}
	return places
}

// stopWaiting makes room for new tasks, as far as the floor allows.
func (d *decision) stopWaiting(waiting []*task, floor int) {
	stop := func(t *task) {
		if t.age == 0 && t.condition == unhealthy {
			d.stopSick(t)
		} else {
			d.stopScaling(t)
		}
	}
	enough := d.healthy >= floor
	for _, t := range waiting {
		switch {
		case !d.mayLaunch(): // what still works stays while the new one doesn't start
		case t.condition == healthy && d.healthy > floor:
			stop(t)
		case t.condition == healthy:
		case enough || !d.inMotion(): // else unhealthy ones one at a time
			stop(t)
		}
	}
}

// crashLoop holds the restart of a task back that has crashed twice on the instance within a minute; see heldBack.
func (d *decision) crashLoop(instance string) bool {
	var crashes []time.Time
	for i := range d.tasks {
		t := &d.tasks[i]
		if t.Deployment == d.primary.ID && t.Instance == instance && d.crashedLately(t) {
			crashes = append(crashes, t.EndedAt)
		}
	}
	if len(crashes) < 2 {
		return false
	}
	slices.SortFunc(crashes, time.Time.Compare)
	d.wakeAt(crashes[len(crashes)-2].Add(crashWindow))
	return true
}
