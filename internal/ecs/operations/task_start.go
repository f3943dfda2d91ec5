package operations

import (
	"context"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/placement"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// maxStartTaskInstances is how many instances one StartTask may name.
const maxStartTaskInstances = 10

// StartTask starts one copy of a task definition on each of the instances that it names: no constraint and no strategy
// is asked, only whether there is room.
func (s *Service) StartTask(ctx context.Context, in *ecsapi.StartTaskInput) (*ecsapi.StartTaskOutput, error) {
	req := &taskRequest{}
	if len(in.ContainerInstances) == 0 {
		return nil, fault.ClientError("Container Instances cannot be empty.")
	}
	if len(in.ContainerInstances) > maxStartTaskInstances {
		return nil, fault.InvalidParameter("Container Instances cannot have more than %d elements.", maxStartTaskInstances)
	}
	if err := firstError(
		refuse(len(in.VolumeConfigurations) > 0, "volumeConfigurations"),
		refuse(deref(in.EnableExecuteCommand), "enableExecuteCommand"),
		s.readLaunch(req, in.Overrides, in.Group, in.StartedBy, in.Tags, in.PropagateTags, in.EnableECSManagedTags),
	); err != nil {
		return nil, err
	}
	var out *ecsapi.StartTaskOutput
	_, err := s.Store.Update(ctx, func(tx *store.Tx) (err error) {
		out, err = s.startTask(tx, in, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// startTask is StartTask's transaction.
func (s *Service) startTask(tx *store.Tx, in *ecsapi.StartTaskInput, req *taskRequest) (*ecsapi.StartTaskOutput, error) {
	cluster, err := s.activeCluster(tx, in.Cluster)
	if err != nil {
		return nil, err
	}
	td, err := s.launchable(tx, in.TaskDefinition, in.NetworkConfiguration, req)
	if err != nil {
		return nil, err
	}
	out := &ecsapi.StartTaskOutput{Failures: []ecsapi.Failure{}, Tasks: []ecsapi.Task{}}
	tr := s.taskRenderer(tx, true)
	for _, ref := range in.ContainerInstances {
		ci, id, err := s.findInstance(tx, cluster.Name, ref)
		if err != nil {
			return nil, err
		}
		fail := func(reason string) {
			out.Failures = append(out.Failures, ecsapi.Failure{Arn: ptr(s.instanceARN(cluster.Name, id, ref)), Reason: &reason})
		}
		if ci == nil {
			fail(reasonMissing)
			continue
		}
		// The instance says whether the task is launched on EC2 or externally.
		req.launch.LaunchType = ecs.LaunchTypeEC2
		if placement.External(ci) {
			req.launch.LaunchType = ecs.LaunchTypeExternal
		}
		task := s.newTask(cluster, td, req)
		// Tasks that this request has put there already are in the transaction, so the instance has them.
		place := placement.Request{Task: task, RequiresAttributes: td.RequiresAttributes, Platform: td.RuntimePlatform}
		if r, ok := placement.Fits(place, instance(tx, ci)); !ok {
			fail(r.Reason)
			continue
		}
		task = task.On(ci)
		state.Tasks.Put(tx, task)
		out.Tasks = append(out.Tasks, tr.render(task))
	}
	return out, nil
}
