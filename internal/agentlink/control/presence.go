package control

import (
	"context"
	"time"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// sequenceRoom is how many messages one connection may number. The next connection starts at least that much higher, so the
// numbers of an instance never go back, whatever the clock does and however often the server restarts: each start is
// durable before its first number is used. A million messages in half an hour are 580 a second; should an agent ever
// need more, its connection ends early and the next one has room again.
const sequenceRoom = 1 << 20

// connect records that an agent is here. What it says is checked in the same transaction, so that an instance that is
// being deregistered can't come back by a hair.
func (s *Server) connect(ctx context.Context, id string, h agentlink.ACSHandshake) (ci *ecs.ContainerInstance, refused *refusal, err error) {
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		var old *ecs.ContainerInstance
		if old, refused = s.identify(tx, h.Cluster, h.ContainerInstanceARN); refused != nil {
			return nil
		}
		next := *old
		next.AgentConnected, next.Session = true, id
		next.AgentVersion, next.AgentHash, next.DockerVersion = h.AgentVersion, h.AgentHash, h.DockerVersion
		// The clock only matters after a restore from an old backup: the agent may have seen more than the record knows.
		next.AgentSequence = max(old.AgentSequence+sequenceRoom, s.Now().UnixMilli())
		next.Version++
		state.Instances.Put(tx, &next)
		ci = &next
		return nil
	})
	return ci, refused, err
}

// goodbye takes AgentConnected back if it is still the session's. When the store refuses, the sweep does it later.
func (s *Server) goodbye(ctx context.Context, ci *ecs.ContainerInstance, session string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		disconnect(tx, ci.ID, session)
		return nil
	})
	if err != nil {
		s.Log.Warn("an agent's departure could not be recorded; trying again later", "containerInstance", ci.ID, "error", err)
	}
}

func disconnect(tx *store.Tx, instance, session string) {
	old, ok := state.Instances.Get(tx, instance)
	if !ok || !old.AgentConnected || old.Session != session {
		return
	}
	next := *old
	next.AgentConnected = false
	next.Version++
	state.Instances.Put(tx, &next)
}

// enterLive makes a session's id one that the sweep leaves alone; the function that it returns ends that.
func (s *Server) enterLive(session string) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[session] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.live, session)
	}
}

// sweepBatch is how many records one transaction of the sweep touches.
const sweepBatch = 200

// sweep repairs what a crash or a refused write left behind: agents that are marked as connected and have no session here,
// and tasks on instances that are deregistered, which nobody will ever report on.
func (s *Server) sweep(ctx context.Context) {
	type flag struct{ instance, session string }
	var (
		flags   []flag
		orphans []string
	)
	err := s.Store.View(func(r store.Reader) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for ci := range state.Instances.All(r) {
			if ci.AgentConnected && !s.live[ci.Session] {
				flags = append(flags, flag{ci.ID, ci.Session})
			}
			if deregistered(ci) {
				for t := range state.TasksByInstance.Each(r, ci.ID) {
					orphans = append(orphans, t.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		s.Log.Warn("the sweep over the container instances failed", "error", err)
		return
	}
	for batch := range chunks(flags, sweepBatch) {
		if _, err := s.Store.Update(ctx, func(tx *store.Tx) error {
			for _, f := range batch {
				disconnect(tx, f.instance, f.session)
			}
			return nil
		}); err != nil {
			s.Log.Warn("stale connections could not be cleared; trying again later", "error", err)
			return
		}
	}
	for batch := range chunks(orphans, sweepBatch) {
		if _, err := s.Store.Update(ctx, func(tx *store.Tx) error {
			for _, id := range batch {
				t, ok := state.Tasks.Get(tx, id)
				if !ok {
					continue
				}
				if ci, _ := state.Instances.Get(tx, t.ContainerInstance); !deregistered(ci) {
					continue
				}
				if next := lifecycle.InstanceGone(*t, lifecycle.ReasonDeregistrationForced, s.Now()); next.Version != t.Version {
					state.Tasks.Put(tx, &next)
				}
			}
			return nil
		}); err != nil {
			s.Log.Warn("tasks of deregistered instances could not be ended; trying again later", "error", err)
			return
		}
	}
}

// chunks yields list in pieces of at most n.
func chunks[T any](list []T, n int) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			k := min(n, len(list))
			if !yield(list[:k]) {
				return
			}
			list = list[k:]
		}
	}
}
