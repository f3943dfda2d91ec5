package docker

import (
	"context"
	"sync"
	"time"
)

const (
	// killed is the exit code of a process that SIGKILL ended: 128 + 9.
	killed = 137
	// oomWait is how much later than the end of a container the news may come that the kernel killed it for its memory. It
	// is a few milliseconds; on a machine that is busy, more.
	oomWait = 300 * time.Millisecond
)

// oomNews makes up for a race in Docker: the end of a container and the news that it ran out of memory reach the daemon on
// different ways, and when the end is faster, the container's state never says why. The daemon's "oom" event always does.
type oomNews struct {
	mu       sync.Mutex
	died     map[string]bool // ids that ran out of memory
	expected map[string]bool // ids that we stop ourselves: being killed says nothing then
	news     chan struct{}   // closed with the next one
}

func (o *oomNews) happened(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.died == nil {
		o.died = map[string]bool{}
	}
	o.died[id] = true
	if o.news != nil {
		close(o.news)
		o.news = nil
	}
}

func (o *oomNews) expectKill(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.expected == nil {
		o.expected = map[string]bool{}
	}
	o.expected[id] = true
}

func (o *oomNews) forget(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.died, id)
	delete(o.expected, id)
}

// killed tells whether the container, which SIGKILL ended, had run out of memory; if it has only just ended, it waits for
// the news.
func (o *oomNews) killed(ctx context.Context, id string, finished time.Time) bool {
	timeout := time.NewTimer(min(oomWait, time.Until(finished.Add(oomWait))))
	defer timeout.Stop()
	for {
		o.mu.Lock()
		died, expected := o.died[id], o.expected[id]
		if o.news == nil {
			o.news = make(chan struct{})
		}
		news := o.news
		o.mu.Unlock()
		if died || expected {
			return died
		}
		select {
		case <-news:
		case <-timeout.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
