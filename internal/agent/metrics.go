package agent

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openberth/berth/internal/agent/engine"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

const (
	// sampleEvery gives two samples to each publication, as the Amazon agent does when it polls.
	sampleEvery = 10 * time.Second
	// sampleParallel bounds what the samples of many containers ask of the daemon at a time.
	sampleParallel = 2
)

// metrics samples the running containers and sums the samples up between two publications.
type metrics struct {
	rt runtime.Observer

	mu     sync.Mutex
	series map[string]*series // by container id
}

// series is what has been sampled of one container.
type series struct {
	last           runtime.Stats
	seen           bool // last is a sample
	cpu, memory    *agentlink.StatsSet
	rx, tx         traffic
	rxRate, txRate *agentlink.StatsSet
	read, wrote    *agentlink.ULongStatsSet
	networkSeen    bool
}

type traffic struct{ bytes, packets, errors, dropped *agentlink.ULongStatsSet }

func newMetrics(rt runtime.Observer) *metrics { return &metrics{rt: rt, series: map[string]*series{}} }

// run samples until ctx ends.
func (m *metrics) run(ctx context.Context, tasks func() []*engine.Task) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			m.sample(ctx, tasks())
		}
	}
}

func (m *metrics) sample(ctx context.Context, tasks []*engine.Task) {
	ctx, cancel := context.WithTimeout(ctx, sampleEvery)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(sampleParallel)
	live := map[string]bool{}
	for _, t := range tasks {
		for i := range t.Containers {
			c := &t.Containers[i]
			if c.Known != engine.Running || c.ID == "" {
				continue
			}
			live[c.ID] = true
			g.Go(func() error {
				s, err := m.rt.Stats(ctx, c.ID)
				if err == nil {
					m.add(c.ID, s)
				}
				return nil // one that can't be sampled (any more) has no sample
			})
		}
	}
	_ = g.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.series {
		if !live[id] {
			delete(m.series, id)
		}
	}
}

func (m *metrics) add(id string, s runtime.Stats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.series[id]
	if x == nil {
		x = &series{}
		m.series[id] = x
	}
	if x.seen && s.At.After(x.last.At) {
		elapsed := s.At.Sub(x.last.At)
		// A restart begins at zero again; it has no rate.
		if s.CPU >= x.last.CPU {
			note(&x.cpu, 100*float64(s.CPU-x.last.CPU)/float64(elapsed))
		}
		if s.NetworkSeen && s.Rx.Bytes >= x.last.Rx.Bytes && s.Tx.Bytes >= x.last.Tx.Bytes {
			note(&x.rxRate, float64(s.Rx.Bytes-x.last.Rx.Bytes)/elapsed.Seconds())
			note(&x.txRate, float64(s.Tx.Bytes-x.last.Tx.Bytes)/elapsed.Seconds())
		}
	}
	x.last, x.seen = s, true
	note(&x.memory, float64(s.Memory>>20))
	count(&x.read, s.Read)
	count(&x.wrote, s.Wrote)
	if s.NetworkSeen {
		x.networkSeen = true
		x.rx.add(s.Rx)
		x.tx.add(s.Tx)
	}
}

func (t *traffic) add(s runtime.Traffic) {
	count(&t.bytes, s.Bytes)
	count(&t.packets, s.Packets)
	count(&t.errors, s.Errors)
	count(&t.dropped, s.Dropped)
}

func note(set **agentlink.StatsSet, v float64) {
	if *set == nil {
		*set = &agentlink.StatsSet{Min: v, Max: v}
	}
	s := *set
	s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	s.Sum += v
	s.SampleCount++
}

func count(set **agentlink.ULongStatsSet, v int64) {
	if *set == nil {
		*set = &agentlink.ULongStatsSet{Min: v, Max: v}
	}
	s := *set
	s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	s.Sum += v
	s.SampleCount++
}

// flush returns what the tasks' containers have used since the last flush; containers without a sample aren't in it.
func (m *metrics) flush(tasks []*engine.Task) []agentlink.TaskMetric {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []agentlink.TaskMetric
	for _, t := range tasks {
		tm := agentlink.TaskMetric{TaskARN: t.Spec.ARN, ClusterARN: t.Spec.TaskClusterARN, TaskDefinitionFamily: t.Spec.Family,
			TaskDefinitionVersion: t.Spec.Version}
		for i := range t.Containers {
			c := &t.Containers[i]
			x := m.series[c.ID]
			if x == nil || x.memory == nil {
				continue
			}
			cm := agentlink.ContainerMetric{ContainerName: c.Name, ContainerARN: c.Spec.ContainerARN, CPUStatsSet: x.cpu, MemoryStatsSet: x.memory,
				StorageStatsSet: &agentlink.StorageStatsSet{ReadSizeBytes: x.read, WriteSizeBytes: x.wrote}}
			if x.networkSeen {
				cm.NetworkStatsSet = &agentlink.NetworkStatsSet{
					RxBytes: x.rx.bytes, RxPackets: x.rx.packets, RxErrors: x.rx.errors, RxDropped: x.rx.dropped, RxBytesPerSecond: x.rxRate,
					TxBytes: x.tx.bytes, TxPackets: x.tx.packets, TxErrors: x.tx.errors, TxDropped: x.tx.dropped, TxBytesPerSecond: x.txRate}
			}
			if p := c.Spec.RestartPolicy; p != nil && p.Enabled {
				cm.RestartStatsSet = &agentlink.RestartStatsSet{RestartCount: c.Restarts}
			}
			*x = series{last: x.last, seen: x.seen}
			tm.ContainerMetrics = append(tm.ContainerMetrics, cm)
		}
		if len(tm.ContainerMetrics) > 0 {
			out = append(out, tm)
		}
	}
	return out
}
