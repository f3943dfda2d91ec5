package control

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openberth/berth/internal/ecs"
)

// TestOutboxDeliversEverything: however tasks change and messages and acks get lost or late, in the end the agent has
// been told the last word on every task, the outbox has nothing more to send, and it has told nothing that the store
// didn't want at that moment.
func TestOutboxDeliversEverything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := newOutbox(5 * time.Second)
		now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
		tasks := map[string]*ecs.Task{} // the store
		agent := map[string]string{}    // what it was told last, forward only
		flying := map[string]bool{}     // acks on their way
		ids := 0
		newID := func() string { ids++; return fmt.Sprint("m", ids) }
		deliver := func(lost bool) {
			for {
				p, ok := o.next(now, newID)
				if !ok {
					return
				}
				if len(p.tasks) == 0 || len(p.tasks) > maxTasksPerPayload {
					rt.Fatalf("message with %d tasks", len(p.tasks))
				}
				for _, id := range p.tasks {
					want := wanted(tasks[id])
					if want == "" {
						rt.Fatalf("%s needs no telling", id)
					}
					if !lost && agent[id] != ecs.TaskStopped {
						agent[id] = want
					}
				}
				if !lost {
					flying[p.id] = true
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			id := fmt.Sprint("t", rapid.IntRange(0, 30).Draw(rt, "task"))
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				if tasks[id] == nil {
					tasks[id] = &ecs.Task{ID: id, DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskPending}
				}
			case 2:
				if old := tasks[id]; old != nil {
					next := *old
					next.DesiredStatus = ecs.TaskStopped
					tasks[id] = &next
				}
			case 3: // the agent reports
				if old := tasks[id]; old != nil && agent[id] != "" {
					next := *old
					if agent[id] == ecs.TaskStopped {
						next.LastStatus = ecs.TaskStopped
					} else {
						next.LastStatus = ecs.TaskRunning
					}
					tasks[id] = &next
				}
			case 4:
				for m := range flying {
					delete(flying, m)
					o.ack(m)
					break
				}
			case 5:
				now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "seconds")) * time.Second)
			case 6:
				clear(flying)
			}
			if tasks[id] != nil {
				o.look(id, tasks[id])
			}
			if rapid.Bool().Draw(rt, "flush") {
				deliver(rapid.Bool().Draw(rt, "lost"))
			}
		}
		// The network is mended.
		for range 3 {
			deliver(false)
			for m := range flying {
				delete(flying, m)
				o.ack(m)
			}
			now = now.Add(2 * maxRedelivery)
		}
		if p, ok := o.next(now, newID); ok {
			rt.Fatalf("there is still %v to send", p.tasks)
		}
		if due := o.due(); !due.IsZero() {
			rt.Fatalf("it still wants to wake at %v", due)
		}
		for id, task := range tasks {
			if want := wanted(task); want != "" && agent[id] != want {
				rt.Fatalf("%s: told %q, want %q", id, agent[id], want)
			}
		}
	})
}
