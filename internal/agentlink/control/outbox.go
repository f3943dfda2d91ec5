package control

import (
	"slices"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

// maxTasksPerPayload bounds a PayloadMessage: enough for 100 tasks to go out in five frames, and few enough that one bad
// task, which costs its whole message the ack, doesn't hold up many.
const maxTasksPerPayload = 20

// maxRedelivery is the longest pause between two deliveries of one message.
const maxRedelivery = time.Minute

// outbox knows what the agent of one instance has been told in this session and what it has acknowledged. It does no I/O
// and reads no clock.
type outbox struct {
	first    time.Duration        // pause before the first redelivery
	told     map[string]*delivery // by task id; a task that needs no telling isn't here
	pending  []string             // ids of tasks in told that aren't in any message yet, in the order in which they came
	messages map[string]*parcel   // by message id: those that have no ack yet
}

// delivery is what the agent is told of one task.
type delivery struct {
	desired string // RUNNING or STOPPED
	message string // empty: pending, or acknowledged
	acked   bool
}

// parcel is a message on its way.
type parcel struct {
	id    string
	tasks []string // ids
	due   time.Time
	pause time.Duration
}

func newOutbox(first time.Duration) *outbox {
	return &outbox{first: first, told: map[string]*delivery{}, messages: map[string]*parcel{}}
}

// wanted is what the agent has to be told of a task, empty when nothing; t is nil when its record is gone.
func wanted(t *ecs.Task) string {
	switch {
	case t == nil || t.Stopped():
		return ""
	case t.DesiredStatus == ecs.TaskStopped:
		return ecs.TaskStopped
	case t.LastStatus == ecs.TaskPending:
		return ecs.TaskRunning
	}
	// RUNNING, and what leads there from PENDING: the agent has said so, hence has it. PROVISIONING: it isn't ready.
	return ""
}

// look takes notice of a task as the store has it now.
func (o *outbox) look(id string, t *ecs.Task) {
	want := wanted(t)
	d := o.told[id]
	switch {
	case want == "":
		delete(o.told, id)
	case d == nil:
		o.told[id] = &delivery{desired: want}
		o.pending = append(o.pending, id)
	case d.desired != want: // RUNNING before, STOPPED now; an ack of the old word means nothing any more
		if d.message != "" || d.acked {
			o.pending = append(o.pending, id)
		}
		*d = delivery{desired: want}
	}
}

// next returns the message to send now, if there is one: first what has not been said yet, then what wasn't acknowledged in
// time. A message that is sent again keeps its id: an ack of either copy counts, however slow the agent is. It may have
// fewer tasks than the first time, because some need no telling any more; that changes nothing of what an ack means for the
// others.
func (o *outbox) next(now time.Time, newID func() string) (p *parcel, ok bool) {
	var batch []string
	for len(o.pending) > 0 && len(batch) < maxTasksPerPayload {
		id := o.pending[0]
		o.pending = o.pending[1:]
		if d := o.told[id]; d != nil && d.message == "" && !d.acked && !slices.Contains(batch, id) {
			batch = append(batch, id)
		}
	}
	if len(batch) > 0 {
		p := &parcel{id: newID(), tasks: batch, pause: o.first, due: now.Add(o.first)}
		for _, id := range batch {
			o.told[id].message = p.id
		}
		o.messages[p.id] = p
		return p, true
	}
	for _, p := range o.messages {
		if p.due.After(now) {
			continue
		}
		p.tasks = slices.DeleteFunc(p.tasks, func(id string) bool {
			d := o.told[id]
			return d == nil || d.message != p.id
		})
		if len(p.tasks) == 0 {
			delete(o.messages, p.id)
			continue
		}
		p.pause = min(2*p.pause, maxRedelivery)
		p.due = now.Add(p.pause)
		return p, true
	}
	return nil, false
}

// ack takes notice of an acknowledgement; one of an unknown message (of another session, or repeated) is ignored.
func (o *outbox) ack(message string) {
	p := o.messages[message]
	if p == nil {
		return
	}
	delete(o.messages, message)
	for _, id := range p.tasks {
		if d := o.told[id]; d != nil && d.message == message {
			d.message, d.acked = "", true
		}
	}
}

// due is when next has something to send again; zero: never.
func (o *outbox) due() (t time.Time) {
	for _, p := range o.messages {
		if t.IsZero() || p.due.Before(t) {
			t = p.due
		}
	}
	return t
}
