package operations

import (
	"context"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// maxStopReason is how long a stop reason may be.
const maxStopReason = 1024

// StopTask asks for a task to be stopped. Asking again changes nothing. The task's tags go, as AWS has it.
func (s *Service) StopTask(ctx context.Context, in *ecsapi.StopTaskInput) (*ecsapi.StopTaskOutput, error) {
	reason := deref(in.Reason)
	if len(reason) > maxStopReason {
		return nil, fault.InvalidParameter("reason must be at most %d characters.", maxStopReason)
	}
	if reason == "" {
		reason = lifecycle.ReasonStoppedByUser
	}
	var out *ecsapi.StopTaskOutput
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := s.activeCluster(tx, in.Cluster)
		if err != nil {
			return err
		}
		t, _, err := s.findTask(tx, cluster.Name, deref(in.Task))
		if err != nil {
			return err
		}
		if t == nil {
			return fault.InvalidParameter("The referenced task was not found.")
		}
		if t.DesiredStatus != ecs.TaskStopped {
			next := lifecycle.RequestStop(*t, ecs.StopUserInitiated, reason, s.now())
			next.Tags = nil
			state.Tasks.Put(tx, &next)
			t = &next
		}
		rendered := s.taskRenderer(tx, true).render(t)
		out = &ecsapi.StopTaskOutput{Task: &rendered}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// findTask returns the task that a request names, nil when there is none, and the id that it would have.
func (s *Service) findTask(r store.Reader, cluster, ref string) (t *ecs.Task, id string, err error) {
	id, here, err := s.resource(cluster, "task", ref)
	if err != nil || !here {
		return nil, id, err
	}
	if t, ok := state.Tasks.Get(r, id); ok && t.Cluster == cluster {
		return t, id, nil
	}
	return nil, id, nil
}
