package operations

import (
	"context"
	"iter"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// ListTasks lists the tasks of a cluster that are meant to run, or those that are meant to be stopped.
func (s *Service) ListTasks(ctx context.Context, in *ecsapi.ListTasksInput) (*ecsapi.ListTasksOutput, error) {
	if in.StartedBy != nil && (in.ContainerInstance != nil || in.Family != nil || in.ServiceName != nil || in.LaunchType != nil) {
		return nil, fault.InvalidParameter("startedBy cannot be used together with other filters.")
	}
	if err := refuse(in.DaemonName != nil, "daemonName"); err != nil {
		return nil, err
	}
	out := &ecsapi.ListTasksOutput{}
	err := s.Store.View(func(r store.Reader) error {
		from, err := s.tasksOfFilter(r, in)
		if err != nil {
			return err
		}
		out.TaskArns, out.NextToken, err = page(in.NextToken, in.MaxResults, 100, 100, func(after string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				for t := range from(after) {
					if !yield(t.ID, s.Scope.Task(t.Cluster, t.ID)) {
						return
					}
				}
			}
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// tasksOfFilter returns the tasks that the request asks for, in the order of their ids, from the narrowest index.
func (s *Service) tasksOfFilter(r store.Reader, in *ecsapi.ListTasksInput) (func(after string) iter.Seq[*ecs.Task], error) {
	cluster, err := s.activeCluster(r, in.Cluster)
	if err != nil {
		return nil, err
	}
	desired := ecs.TaskRunning
	if in.DesiredStatus != nil {
		desired = string(*in.DesiredStatus) // PENDING is legal, and no task is ever meant to be that
	}
	index, value := state.TasksByCluster, cluster.Name+"/"+desired
	var service, instance string
	if in.ServiceName != nil {
		svc, err := s.findService(r, cluster.Name, *in.ServiceName)
		if err != nil {
			return nil, err
		}
		service = svc.Name
		index, value = state.TasksByService, svc.Key()
	}
	if in.ContainerInstance != nil {
		ci, _, err := s.findInstance(r, cluster.Name, *in.ContainerInstance)
		if err != nil {
			return nil, err
		}
		if ci == nil {
			return nil, errInstanceNotFound()
		}
		instance = ci.ID
		// This index doesn't hold tasks that have stopped.
		if desired == ecs.TaskRunning {
			index, value = state.TasksByInstance, ci.ID
		}
	}
	if in.StartedBy != nil {
		index, value = state.TasksByStartedBy, cluster.Name+"/"+*in.StartedBy
	}
	match := func(t *ecs.Task) bool {
		return t.DesiredStatus == desired &&
			(service == "" || t.Service == service) &&
			(instance == "" || t.ContainerInstance == instance) &&
			(in.Family == nil || t.TaskDefinition.Family == *in.Family) &&
			(in.StartedBy == nil || t.StartedBy == *in.StartedBy) &&
			(in.LaunchType == nil || t.LaunchType == string(*in.LaunchType))
	}
	return func(after string) iter.Seq[*ecs.Task] {
		return func(yield func(*ecs.Task) bool) {
			for t := range index.After(r, value, after) {
				if match(t) && !yield(t) {
					return
				}
			}
		}
	}, nil
}
