package control

import (
	"container/list"
	"sync"
	"time"

	"github.com/openberth/berth/internal/agentlink"
)

// Sample is what an agent last measured of a task.
type Sample struct {
	Instance string // container instance id
	Task     string // task id
	At       time.Time
	Metrics  agentlink.TaskMetric
}

// MetricsSink takes what agents measure. Its methods are called by many connections at once and must not block.
type MetricsSink interface {
	Record(Sample)
	Forget(task string)
}

// DefaultSamples is how many tasks' samples are kept.
const DefaultSamples = 20_000

// LastSamples keeps the newest sample of each task in memory, of the most recently measured tasks.
type LastSamples struct {
	limit int

	mu     sync.Mutex
	byTask map[string]*list.Element // of Sample
	order  *list.List               // newest first
}

// NewLastSamples makes a LastSamples for at most limit tasks.
func NewLastSamples(limit int) *LastSamples {
	return &LastSamples{limit: limit, byTask: map[string]*list.Element{}, order: list.New()}
}

// Record implements MetricsSink.
func (l *LastSamples) Record(s Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byTask[s.Task]; e != nil {
		e.Value = s
		l.order.MoveToFront(e)
		return
	}
	l.byTask[s.Task] = l.order.PushFront(s)
	if l.order.Len() > l.limit {
		oldest := l.order.Back()
		delete(l.byTask, l.order.Remove(oldest).(Sample).Task)
	}
}

// Forget implements MetricsSink.
func (l *LastSamples) Forget(task string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byTask[task]; e != nil {
		delete(l.byTask, task)
		l.order.Remove(e)
	}
}

// Last returns the newest sample of a task.
func (l *LastSamples) Last(task string) (s Sample, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byTask[task]
	if e == nil {
		return Sample{}, false
	}
	return e.Value.(Sample), true
}
