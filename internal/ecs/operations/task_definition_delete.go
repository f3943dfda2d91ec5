package operations

import (
	"context"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

const maxDeletions = 10

// Reasons why a revision can't be deleted.
const (
	deleteInvalid  = "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."
	deleteNotFound = "The specified task definition does not exist. Specify a valid account, family, revision and try again."
	deleteActive   = "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
)

// DeleteTaskDefinitions asks for INACTIVE revisions to be deleted. They are DELETE_IN_PROGRESS from now on, and gone when
// nothing refers to them any more (see CollectTaskDefinitions). Each revision succeeds or fails for itself.
func (s *Service) DeleteTaskDefinitions(ctx context.Context, in *ecsapi.DeleteTaskDefinitionsInput) (*ecsapi.DeleteTaskDefinitionsOutput, error) {
	if len(in.TaskDefinitions) == 0 {
		return nil, fault.InvalidParameter("size of TaskDefinition references list must be greater than 0")
	}
	if len(in.TaskDefinitions) > maxDeletions {
		return nil, fault.InvalidParameter("Size of TaskDefinition references list cannot exceed %d", maxDeletions)
	}
	var deleting []*ecs.TaskDefinition
	var failures []ecsapi.Failure
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		deleting, failures = nil, []ecsapi.Failure{}
		for _, ref := range in.TaskDefinitions {
			td, why := s.deleteTaskDefinition(tx, ref)
			if why != "" {
				failures = append(failures, ecsapi.Failure{Arn: ptr(s.taskDefinitionARN(ref)), Reason: ptr(why)})
				continue
			}
			deleting = append(deleting, td)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &ecsapi.DeleteTaskDefinitionsOutput{TaskDefinitions: []ecsapi.TaskDefinition{}, Failures: failures}
	for _, td := range deleting {
		w, err := s.renderTaskDefinition(td)
		if err != nil {
			return nil, err
		}
		out.TaskDefinitions = append(out.TaskDefinitions, *w)
	}
	return out, nil
}

func (s *Service) deleteTaskDefinition(tx *store.Tx, ref string) (td *ecs.TaskDefinition, why string) {
	id, here, err := s.taskDefinitionID(ref)
	if err != nil || here && (id.Revision == 0 || !namePattern.MatchString(id.Family)) {
		return nil, deleteInvalid
	}
	td, ok := state.TaskDefinitions.Get(tx, id.Key())
	switch {
	case !here || !ok:
		return nil, deleteNotFound
	case td.Status == ecs.TaskDefinitionActive:
		return nil, deleteActive
	case td.Status == ecs.TaskDefinitionDeleteInProgress:
		return td, ""
	}
	next := *td
	next.Status = ecs.TaskDefinitionDeleteInProgress
	next.DeleteRequestedAt = s.Now()
	state.TaskDefinitions.Put(tx, &next)
	return &next, ""
}

// taskDefinitionARN is the ARN that a reference would have; the reference as it is when that can't be said.
func (s *Service) taskDefinitionARN(ref string) string {
	id, here, err := s.taskDefinitionID(ref)
	if arn.IsARN(ref) || !here || err != nil || id.Revision == 0 {
		return ref
	}
	return s.Scope.TaskDefinition(id.Family, id.Revision)
}

// CollectTaskDefinitions removes the revisions that are to be deleted and that no task, service or deployment refers to. Tasks that have
// stopped refer to their definition for as long as they can be described. Their families remember the last revision, so
// that its number is never used again.
func (s *Service) CollectTaskDefinitions(ctx context.Context) error {
	waiting := 0
	if err := s.Store.View(func(r store.Reader) error {
		waiting = state.TaskDefinitionsByStatus.Count(r, ecs.TaskDefinitionDeleteInProgress)
		return nil
	}); err != nil || waiting == 0 {
		return err
	}
	for after, more := "", true; more; {
		var last string
		_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
			last, more = after, false
			looked := 0
			for td := range state.TaskDefinitionsByStatus.After(tx, ecs.TaskDefinitionDeleteInProgress, after) {
				if looked == collectBatch {
					more = true
					break
				}
				looked++
				last = td.ID().Key()
				if !referredTo(tx, td) {
					state.TaskDefinitions.Delete(tx, last)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		after = last
	}
	return nil
}

// collectBatch is how many definitions one transaction looks at, so that it neither holds up other writers for long nor
// grows larger than the store takes.
const collectBatch = 500

// referredTo tells whether something still needs the definition. An INACTIVE service and an INACTIVE deployment don't:
// they are history.
func referredTo(r store.Reader, td *ecs.TaskDefinition) bool {
	key := td.ID().Key()
	if state.TasksByDefinition.Count(r, key) > 0 {
		return true
	}
	for svc := range state.ServicesByDefinition.Each(r, key) {
		if svc.Status != ecs.ServiceInactive {
			return true
		}
	}
	for d := range state.DeploymentsByDefinition.Each(r, key) {
		if d.Status != ecs.DeploymentInactive {
			return true
		}
	}
	return false
}

// zero is the time that a record doesn't have.
var zero time.Time
