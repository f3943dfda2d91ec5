package engine

import (
	"encoding/json"
	"math"
	"slices"
	"sync"

	"github.com/openberth/berth/internal/agentlink"
)

// Resources are amounts of what the host has or a task takes: CPU in units of 1/1024 vCPU, Memory in MiB, ports by number.
type Resources struct {
	CPU, Memory int64
	TCP, UDP    []int
}

// demand is what a task takes of the host, as the control plane's placement counts it: the task's own limits, or else the
// sum over its containers, a memory reservation counting before a memory limit.
func demand(t *agentlink.Task) Resources {
	r := Resources{CPU: int64(math.Round(t.CPU * 1024)), Memory: t.Memory}
	if t.LaunchType == "FARGATE" {
		return Resources{}
	}
	for i := range t.Containers {
		c := &t.Containers[i]
		if t.CPU == 0 {
			r.CPU += c.CPU
		}
		if t.Memory == 0 {
			r.Memory += memoryOf(c)
		}
		for _, p := range c.PortMappings {
			port := p.HostPort
			if port == 0 && t.NetworkMode == "host" {
				port = p.ContainerPort
			}
			if port == 0 || t.NetworkMode == "none" {
				continue
			}
			if p.Protocol == "udp" {
				r.UDP = append(r.UDP, port)
			} else {
				r.TCP = append(r.TCP, port)
			}
		}
	}
	return r
}

func memoryOf(c *agentlink.Container) int64 {
	if c.DockerConfig != nil && c.DockerConfig.HostConfig != nil {
		var h struct{ MemoryReservation int64 }
		if json.Unmarshal([]byte(*c.DockerConfig.HostConfig), &h) == nil && h.MemoryReservation > 0 {
			return h.MemoryReservation >> 20
		}
	}
	return c.Memory
}

// ledger gives the host's resources to tasks in the order in which they arrived. A task keeps its share until it is stopped,
// so a replacement that the control plane places early waits for what it replaces.
type ledger struct {
	mu      sync.Mutex
	total   Resources
	free    Resources // what is left of CPU and Memory; the ports that are taken
	held    map[string]Resources
	waiting []claim
}

type claim struct {
	arn    string
	order  uint64
	demand Resources
	grant  func()
}

func newLedger(total Resources) *ledger {
	return &ledger{total: total, held: map[string]Resources{}, free: Resources{CPU: total.CPU, Memory: total.Memory}}
}

// hold gives r to the task at once, fitting or not: its containers run already.
func (l *ledger) hold(arn string, r Resources) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(arn, r)
}

// request queues for r; grant is called (with the ledger locked: it must not call back) as soon as it is the task's.
func (l *ledger) request(arn string, order uint64, r Resources, grant func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, has := l.held[arn]; has {
		grant()
		return
	}
	i, _ := slices.BinarySearchFunc(l.waiting, order, func(c claim, o uint64) int {
		if c.order < o {
			return -1
		}
		return 1
	})
	l.waiting = slices.Insert(l.waiting, i, claim{arn, order, r, grant})
	l.serve()
}

// release gives back what the task holds, or takes it out of the queue.
func (l *ledger) release(arn string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(c claim) bool { return c.arn == arn })
	if r, has := l.held[arn]; has {
		delete(l.held, arn)
		l.free.CPU += r.CPU
		l.free.Memory += r.Memory
		l.free.TCP = without(l.free.TCP, r.TCP)
		l.free.UDP = without(l.free.UDP, r.UDP)
	}
	l.serve()
}

func (l *ledger) serve() {
	for len(l.waiting) > 0 {
		c := l.waiting[0]
		if c.demand.CPU > l.free.CPU || c.demand.Memory > l.free.Memory ||
			overlap(c.demand.TCP, l.free.TCP) || overlap(c.demand.UDP, l.free.UDP) {
			return // strictly in order: a small task never overtakes, or a big one would starve
		}
		l.waiting = l.waiting[1:]
		l.take(c.arn, c.demand)
		c.grant()
	}
}

func (l *ledger) take(arn string, r Resources) {
	l.held[arn] = r
	l.free.CPU -= r.CPU
	l.free.Memory -= r.Memory
	l.free.TCP = append(l.free.TCP, r.TCP...)
	l.free.UDP = append(l.free.UDP, r.UDP...)
}

func overlap(a, b []int) bool {
	return slices.ContainsFunc(a, func(p int) bool { return slices.Contains(b, p) })
}

// without removes each of the ports once: two tasks that were adopted may hold the same one.
func without(from, ports []int) []int {
	for _, p := range ports {
		if i := slices.Index(from, p); i >= 0 {
			from = slices.Delete(from, i, i+1)
		}
	}
	return from
}
