package servicesched

import (
	"time"

	"github.com/openberth/berth/internal/ecs"
)

const (
	backoffBase = 10 * time.Second
	backoffCap  = 15 * time.Minute
	// impairedAfter is how many launch attempts in a row must fail before the service is said to be unable to start
	// tasks; from then on the pauses grow.
	impairedAfter = 3
)

// backoffPause is the pause after the nth failed attempt in a row: 10 s, 10 s, 20 s, 40 s, 80 s, 160 s, 320 s, 640 s, then
// 15 minutes. AWS publishes the cap alone.
func backoffPause(failures int) time.Duration {
	n := max(0, failures-impairedAfter+1)
	if n >= 7 { // 10 s << 7 = 1,280 s
		return backoffCap
	}
	return backoffBase << n
}

// countFailures brings the launch back-off up to date (ecs-semantics 6.6).
//
// What counts are attempts, not tasks: of 100 tasks that start together and all fail to, the first failure begins the pause,
// and the other 99 say nothing new. LaunchBackoff.Since is the moment of the last count. Since nothing is launched during the pause,
// every task that was created after Since belongs to a later attempt.
//
//	12:00:00  attempt 1: 100 tasks
//	12:00:03  the first of them fails: failures 1, since 12:00:03, until 12:00:13
//	12:00:05  the others fail: created before 12:00:03, so they are counted already
//	12:00:13  attempt 2
//	12:00:15  a task of attempt 2 is RUNNING: failures 0
func (d *decision) countFailures() {
	b := d.service.LaunchBackoff
	since := b.Since
	if d.primary.CreatedAt.After(since) { // a new deployment starts afresh
		b, since = ecs.LaunchBackoff{}, d.primary.CreatedAt.Add(-1)
	}
	failed, ran := false, false
	for i := range d.tasks {
		t := &d.tasks[i]
		if t.Deployment != d.primary.ID || !t.CreatedAt.After(since) {
			continue
		}
		switch {
		case failedToStart(t):
			failed = true
		case !t.StartedAt.IsZero():
			ran = true
		}
	}
	if ran && b.Failures > 0 {
		b = ecs.LaunchBackoff{Since: since}
	}
	if failed {
		b.Failures++
		b.Since, b.Until = d.Now, d.Now.Add(backoffPause(b.Failures))
	}
	if b.Failures > 0 || d.service.LaunchBackoff.Failures > 0 { // else what Since says doesn't matter
		d.service.LaunchBackoff = b
	}
	switch {
	case b.Failures < impairedAfter:
		repair(&d.service, causeLaunch, "")
	case impair(&d.service, causeLaunch, d.Now):
		d.say(eventImpaired(d.service.Name))
	}
}

// failedToStart tells a task that has STOPPED without ever RUNNING, of its own accord.
func failedToStart(t *Task) bool {
	return t.LastStatus == ecs.TaskStopped && t.StartedAt.IsZero() &&
		(t.StopCode == ecs.StopTaskFailedToStart || t.StopCode == ecs.StopEssentialContainerExited)
}

// mayLaunch tells whether launches are allowed now.
func (d *decision) mayLaunch() bool {
	if d.primary.RolloutState == ecs.RolloutFailed {
		return false
	}
	if until := d.service.LaunchBackoff.Until; d.service.LaunchBackoff.Failures > 0 && d.Now.Before(until) {
		d.wakeAt(until)
		return false
	}
	return true
}

// A task that exits right after it was RUNNING isn't the launch back-off's business: ECS starts another at once. It can
// afford to, because each launch takes AWS some ten seconds. Here it takes a fifth of one, and a container that exits right away
// would be started four times a second, for ever.
const (
	shortLife   = 10 * time.Second
	crashWindow = time.Minute
)

// crashedLately tells whether the task ran for less than 10 s and ended, of its own accord, less than a minute ago.
func (d *decision) crashedLately(t *Task) bool {
	return !t.StartedAt.IsZero() && t.StopCode == ecs.StopEssentialContainerExited && !t.EndedAt.IsZero() &&
		t.EndedAt.Sub(t.StartedAt) < shortLife && d.Now.Before(t.EndedAt.Add(crashWindow))
}

// heldBack is how many places stay empty for now, given those that crashed lately: each task that the service wants has one
// restart a minute free, each further one waits for a crash to be a minute past. 3 tasks wanted: of 5 crashes in a minute,
// 3 are replaced at once, 2 when the first 2 crashes are a minute old. A container that keeps exiting is so started about
// twice a minute.
func (d *decision) heldBack(wanted int) int {
	crashes, first := 0, time.Time{}
	for i := range d.tasks {
		t := &d.tasks[i]
		if t.Deployment == d.primary.ID && d.crashedLately(t) {
			crashes++
			if first.IsZero() || t.EndedAt.Before(first) {
				first = t.EndedAt
			}
		}
	}
	if crashes <= wanted {
		return 0
	}
	d.wakeAt(first.Add(crashWindow))
	return crashes - wanted
}
