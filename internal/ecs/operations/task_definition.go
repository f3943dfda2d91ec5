package operations

import (
	"context"
	"slices"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/definition"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

func (s *Service) taskDefinitionHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.RegisterTaskDefinition, s.RegisterTaskDefinition),
		wire.Handle(ecsapi.DescribeTaskDefinition, s.DescribeTaskDefinition),
		wire.Handle(ecsapi.ListTaskDefinitions, s.ListTaskDefinitions),
		wire.Handle(ecsapi.ListTaskDefinitionFamilies, s.ListTaskDefinitionFamilies),
		wire.Handle(ecsapi.DeregisterTaskDefinition, s.DeregisterTaskDefinition),
		wire.Handle(ecsapi.DeleteTaskDefinitions, s.DeleteTaskDefinitions),
	}
}

// maxRevisions is how many revisions a family may ever have, deregistered and deleted ones included.
const maxRevisions = 1_000_000

// RegisterTaskDefinition stores a document as the next revision of its family, even when nothing is new in it.
func (s *Service) RegisterTaskDefinition(ctx context.Context, in *ecsapi.RegisterTaskDefinitionInput) (*ecsapi.RegisterTaskDefinitionOutput, error) {
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	td, err := convert[ecs.TaskDefinition](in)
	if err != nil {
		return nil, err
	}
	if err := definition.Prepare(&td); err != nil {
		return nil, err
	}
	td.Tags = tags
	td.Status = ecs.TaskDefinitionActive
	td.RegisteredAt = s.Now()
	td.RegisteredBy = wire.CallerOf(ctx).ARN
	registered := new(ecs.TaskDefinition)
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		next := ecs.Family{Name: td.Family}
		if f, ok := state.Families.Get(tx, td.Family); ok {
			next = *f
		}
		if next.LastRevision >= maxRevisions {
			return fault.New("LimitExceededException", "The family %s has had %d revisions, which is the limit. Register under another family.", td.Family, maxRevisions)
		}
		next.LastRevision++
		state.Families.Put(tx, &next)
		td := td
		td.Revision = next.LastRevision
		state.TaskDefinitions.Put(tx, &td)
		registered = &td
		return nil
	})
	if err != nil {
		return nil, err
	}
	w, err := s.renderTaskDefinition(registered)
	if err != nil {
		return nil, err
	}
	out := &ecsapi.RegisterTaskDefinitionOutput{TaskDefinition: w}
	if len(tags) > 0 {
		out.Tags = renderTags(tags)
	}
	return out, nil
}

// DescribeTaskDefinition answers one revision, of any status; for a bare family the latest ACTIVE one.
func (s *Service) DescribeTaskDefinition(ctx context.Context, in *ecsapi.DescribeTaskDefinitionInput) (*ecsapi.DescribeTaskDefinitionOutput, error) {
	out := &ecsapi.DescribeTaskDefinitionOutput{Tags: []ecsapi.Tag{}}
	return out, s.Store.View(func(r store.Reader) error {
		td, err := s.findTaskDefinition(r, deref(in.TaskDefinition))
		if err != nil {
			return err
		}
		if td == nil {
			return errNoTaskDefinition()
		}
		if slices.Contains(in.Include, ecsapi.TaskDefinitionFieldTags) {
			out.Tags = renderTags(td.Tags)
		}
		out.TaskDefinition, err = s.renderTaskDefinition(td)
		return err
	})
}

func errNoTaskDefinition() error { return fault.ClientError("Unable to describe task definition.") }

// DeregisterTaskDefinition makes a revision INACTIVE: what runs of it goes on running and scaling, but nothing new can be
// made of it. It can't be undone; repeating it is harmless.
func (s *Service) DeregisterTaskDefinition(ctx context.Context, in *ecsapi.DeregisterTaskDefinitionInput) (*ecsapi.DeregisterTaskDefinitionOutput, error) {
	id, here, err := s.taskDefinitionID(deref(in.TaskDefinition))
	if err != nil {
		return nil, err
	}
	if here && id.Revision == 0 {
		return nil, fault.ClientError("Revision is missing.")
	}
	var deregistered *ecs.TaskDefinition
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		td, ok := state.TaskDefinitions.Get(tx, id.Key())
		if !ok || !here {
			return errNoTaskDefinition()
		}
		deregistered = td
		if td.Status != ecs.TaskDefinitionActive {
			return nil
		}
		next := *td
		next.Status = ecs.TaskDefinitionInactive
		next.DeregisteredAt = s.Now()
		state.TaskDefinitions.Put(tx, &next)
		deregistered = &next
		return nil
	})
	if err != nil {
		return nil, err
	}
	w, err := s.renderTaskDefinition(deregistered)
	if err != nil {
		return nil, err
	}
	return &ecsapi.DeregisterTaskDefinitionOutput{TaskDefinition: w}, nil
}

// renderTaskDefinition renders a revision; tags stand beside it in an answer, not inside.
func (s *Service) renderTaskDefinition(td *ecs.TaskDefinition) (*ecsapi.TaskDefinition, error) {
	document := *td
	// What is wire-shaped differently is rendered by hand below.
	document.RegisteredAt, document.DeregisteredAt, document.DeleteRequestedAt = zero, zero, zero
	document.Tags = nil
	w, err := convert[ecsapi.TaskDefinition](&document)
	if err != nil {
		return nil, err
	}
	w.TaskDefinitionArn = ptr(s.Scope.TaskDefinition(td.Family, td.Revision))
	w.RegisteredAt, w.DeregisteredAt, w.DeleteRequestedAt = timestamp(td.RegisteredAt), timestamp(td.DeregisteredAt), timestamp(td.DeleteRequestedAt)
	return &w, nil
}
