package servicesched

import (
	"cmp"
	"slices"

	"github.com/openberth/berth/internal/ecs"
)

// replica decides for a REPLICA service; the package comment has the rules.
func (d *decision) replica() {
	desired := d.service.DesiredCount
	floor, ceiling := d.bounds(desired, 100, 200)
	keepers, sick, leaving := d.sort()
	room := ceiling - len(d.live) - len(d.stopping)

	kept := min(len(keepers), desired)
	d.stopLeavingAtOnce(leaving)
	d.stopSurplus(keepers, len(keepers)-kept)
	d.stopReplaced(leaving, floor)
	d.stopReplacedSick(keepers, sick, desired)
	need := desired - kept
	if need > 0 && room <= 0 {
		d.makeRoom(keepers, sick, leaving)
	}

	if need > 0 && d.mayLaunch() {
		d.start(min(need-d.heldBack(desired), room), "")
	}
	if need == 0 {
		repair(&d.service, causePlacement, "")
	}
	d.stuck(need > 0 && room <= 0)
}

// sort divides the live tasks.
func (d *decision) sort() (keepers, sick, leaving []task) {
	for _, t := range d.live {
		switch {
		case t.age != 0 || t.draining:
			leaving = append(leaving, t)
		case t.condition == unhealthy:
			sick = append(sick, t)
		default:
			keepers = append(keepers, t)
		}
	}
	return keepers, sick, leaving
}

// stopLeavingAtOnce stops leaving tasks that don't run yet.
func (d *decision) stopLeavingAtOnce(leaving []task) {
	for i := range leaving {
		if t := &leaving[i]; t.condition == comingUp && d.windingDown(t) {
			d.stopScaling(t)
		}
	}
}

// windingDown is false for the older tasks of a failed deployment: what still works stays, since nothing will replace it.
func (d *decision) windingDown(t *task) bool {
	return t.draining || d.primary.RolloutState != ecs.RolloutFailed
}

// stopSurplus stops n keepers: those that come up, then those that warm up, each newest first, then healthy ones. Healthy
// ones go only when more than the desired count are healthy, so the floor holds by itself.
func (d *decision) stopSurplus(keepers []task, n int) {
	for _, c := range []condition{comingUp, warming} {
		for i := len(keepers) - 1; i >= 0 && n > 0; i-- {
			if t := &keepers[i]; t.condition == c {
				d.stopScaling(t)
				n--
			}
		}
	}
	d.stopSome(only(keepers, healthy), n)
}

// stopReplaced stops leaving tasks that run, as far as the healthy tasks of all deployments stay at the floor. Unhealthy
// and warming ones don't count towards it; but they may serve somebody all the same, so they stay until the floor is held by
// others. Then tasks on DRAINING instances go first, then those of the oldest deployment.
func (d *decision) stopReplaced(leaving []task, floor int) {
	if d.healthy >= floor {
		for i := range leaving {
			if t := &leaving[i]; (t.condition == unhealthy || t.condition == warming) && d.windingDown(t) {
				d.stopScaling(t)
			}
		}
	}
	well := only(leaving, healthy)
	slices.SortStableFunc(well, func(a, b task) int {
		return cmp.Or(compareBool(b.draining, a.draining), cmp.Compare(b.age, a.age))
	})
	for len(well) > 0 {
		same := 1
		for same < len(well) && well[same].draining == well[0].draining && well[same].Deployment == well[0].Deployment {
			same++
		}
		if d.windingDown(&well[0]) {
			d.stopSome(well[:same], min(same, d.healthy-floor))
		}
		well = well[same:]
	}
}

// stopReplacedSick stops sick tasks whose replacements have come up. The tasks beyond the desired count are the
// replacements; those of them that aren't healthy yet hold one sick task each.
//
//	2 desired: 1 healthy, 1 coming up, 1 sick     1 beyond, 1 not up yet: wait
//	           2 healthy, 1 sick                  1 beyond: the sick one goes
//	           1 healthy, 2 sick                  the replacement is sick too: one of them goes, and the next one starts
func (d *decision) stopReplacedSick(keepers, sick []task, desired int) {
	n := len(keepers) + len(sick) - desired
	for i := range keepers {
		if keepers[i].condition != healthy {
			n--
		}
	}
	for i := 0; i < min(n, len(sick)); i++ {
		d.stopSick(&sick[i])
	}
}

// makeRoom stops one unhealthy task when the ceiling leaves no room for its replacement, and nothing else is in motion
// that might make room.
func (d *decision) makeRoom(keepers, sick, leaving []task) {
	if d.inMotion() || !d.mayLaunch() {
		return
	}
	if old := only(leaving, unhealthy); len(old) > 0 && d.windingDown(&old[0]) {
		d.stopScaling(&old[0])
	} else if len(sick) > 0 {
		d.stopSick(&sick[0])
	}
}

// inMotion tells whether something is under way that will change the picture without the scheduler.
func (d *decision) inMotion() bool {
	return d.stops > 0 || len(d.plan.Start) > 0 || len(d.stopping) > 0 || slices.ContainsFunc(d.live, func(t task) bool {
		return t.condition == comingUp || t.condition == warming
	})
}

func only(tasks []task, c condition) (some []task) {
	for _, t := range tasks {
		if t.condition == c {
			some = append(some, t)
		}
	}
	return some
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
