package operations

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// ListTaskDefinitions answers the ARNs of revisions of one status (ACTIVE unless another is given), of all families or of
// one (familyPrefix is the whole name here), oldest first; with the sort DESC, newest first.
func (s *Service) ListTaskDefinitions(ctx context.Context, in *ecsapi.ListTaskDefinitionsInput) (*ecsapi.ListTaskDefinitionsOutput, error) {
	which := ecs.TaskDefinitionActive
	if in.Status != nil {
		which = *in.Status
	}
	if family := deref(in.FamilyPrefix); family != "" {
		which += "/" + family
	}
	out := &ecsapi.ListTaskDefinitionsOutput{}
	return out, s.Store.View(func(r store.Reader) (err error) {
		from := func(after string) iter.Seq[*ecs.TaskDefinition] {
			return state.TaskDefinitionsByStatus.After(r, which, after)
		}
		if deref(in.Sort) == ecsapi.SortOrderDesc {
			from = func(before string) iter.Seq[*ecs.TaskDefinition] { return taskDefinitionsBefore(r, which, before) }
		}
		out.TaskDefinitionArns, out.NextToken, err = page(in.NextToken, in.MaxResults, 100, 100, func(after string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				for td := range from(after) {
					if !yield(td.ID().Key(), s.Scope.TaskDefinition(td.Family, td.Revision)) {
						return
					}
				}
			}
		})
		return err
	})
}

// taskDefinitionsBefore yields the definitions of an index value whose keys are less than before, backwards; from the end
// when before is empty. The index only goes forwards, so that all are collected first: pointers, not documents.
func taskDefinitionsBefore(r store.Reader, which, before string) iter.Seq[*ecs.TaskDefinition] {
	return func(yield func(*ecs.TaskDefinition) bool) {
		var all []*ecs.TaskDefinition
		for td := range state.TaskDefinitionsByStatus.Each(r, which) {
			if before != "" && td.ID().Key() >= before {
				break
			}
			all = append(all, td)
		}
		for _, td := range slices.Backward(all) {
			if !yield(td) {
				return
			}
		}
	}
}

// ListTaskDefinitionFamilies answers the names of the families that start with familyPrefix: those with an ACTIVE revision
// (ACTIVE), those that have revisions but none of them ACTIVE (INACTIVE), or both (ALL, which is the default).
func (s *Service) ListTaskDefinitionFamilies(ctx context.Context, in *ecsapi.ListTaskDefinitionFamiliesInput) (*ecsapi.ListTaskDefinitionFamiliesOutput, error) {
	out := &ecsapi.ListTaskDefinitionFamiliesOutput{}
	prefix, status := deref(in.FamilyPrefix), deref(in.Status)
	return out, s.Store.View(func(r store.Reader) (err error) {
		out.Families, out.NextToken, err = page(in.NextToken, in.MaxResults, 100, 100, func(after string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				families := state.Families.Prefix(r, prefix)
				if after != "" {
					families = state.Families.After(r, after)
				}
				for f := range families {
					if !strings.HasPrefix(f.Name, prefix) {
						return // names come in order: no other has the prefix
					}
					if familyHasStatus(r, f.Name, status) && !yield(f.Name, f.Name) {
						return
					}
				}
			}
		})
		return err
	})
}

func familyHasStatus(r store.Reader, family, status string) bool {
	has := func(status string) bool { return state.TaskDefinitionsByStatus.Count(r, status+"/"+family) > 0 }
	active, others := has(ecs.TaskDefinitionActive), has(ecs.TaskDefinitionInactive) || has(ecs.TaskDefinitionDeleteInProgress)
	switch status {
	case ecsapi.TaskDefinitionFamilyStatusActive:
		return active
	case ecsapi.TaskDefinitionFamilyStatusInactive:
		return !active && others
	default:
		return active || others
	}
}
