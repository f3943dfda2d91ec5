package operations

import (
	"strconv"
	"strings"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// taskDefinition resolves what RunTask, StartTask, CreateService or UpdateService name: "family" (its latest ACTIVE
// revision), "family:revision" or an ARN. Only an ACTIVE revision will do. Ask definition.Refuse before a task of
// it starts.
func (s *Service) taskDefinition(r store.Reader, ref string) (*ecs.TaskDefinition, error) {
	td, err := s.findTaskDefinition(r, ref)
	if err != nil {
		return nil, err
	}
	switch {
	case td == nil:
		return nil, fault.ClientError("TaskDefinition not found.")
	case td.Status != ecs.TaskDefinitionActive:
		return nil, fault.InvalidParameter("TaskDefinition is inactive")
	}
	return td, nil
}

// findTaskDefinition resolves a reference to a revision of any status; nil when there is none. A bare family means its
// latest ACTIVE revision.
func (s *Service) findTaskDefinition(r store.Reader, ref string) (*ecs.TaskDefinition, error) {
	id, here, err := s.taskDefinitionID(ref)
	if err != nil || !here {
		return nil, err
	}
	if id.Revision == 0 {
		return latestActive(r, id.Family), nil
	}
	td, _ := state.TaskDefinitions.Get(r, id.Key())
	return td, nil
}

// taskDefinitionID parses a reference; Revision is 0 when it names none. here is false for an ARN of another account,
// region or resource type, which can't be found in this server.
func (s *Service) taskDefinitionID(ref string) (id ecs.TaskDefinitionID, here bool, err error) {
	if arn.IsARN(ref) {
		a, ok := arn.Parse(ref)
		if !ok || a.Service != "ecs" || a.Type != "task-definition" || a.Scope != s.Scope {
			return id, false, nil
		}
		ref = a.Resource
	}
	family, revision, hasRevision := strings.Cut(ref, ":")
	id.Family = family
	if !hasRevision {
		return id, true, nil
	}
	// A revision is at most 1,000,000; ParseUint refuses signs and spaces.
	n, err := strconv.ParseUint(revision, 10, 31)
	if err != nil || n == 0 {
		return id, false, fault.InvalidParameter("Invalid revision number. Number: %s", revision)
	}
	id.Revision = int(n)
	return id, true, nil
}

// latestActive returns the newest ACTIVE revision of a family, or nil.
func latestActive(r store.Reader, family string) *ecs.TaskDefinition {
	if state.TaskDefinitionsByStatus.Count(r, ecs.TaskDefinitionActive+"/"+family) == 0 {
		return nil
	}
	f, ok := state.Families.Get(r, family)
	if !ok {
		return nil
	}
	// Nearly always the first look hits: what is deregistered are the old revisions.
	for id := (ecs.TaskDefinitionID{Family: family, Revision: f.LastRevision}); id.Revision > 0; id.Revision-- {
		if td, ok := state.TaskDefinitions.Get(r, id.Key()); ok && td.Status == ecs.TaskDefinitionActive {
			return td
		}
	}
	return nil
}
