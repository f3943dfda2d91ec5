package operations

import (
	"context"
	"strconv"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// maxStateInstances is how many instances one UpdateContainerInstancesState may name.
const maxStateInstances = 10

// UpdateContainerInstancesState starts and ends the draining of instances. The service scheduler moves the tasks away.
func (s *Service) UpdateContainerInstancesState(ctx context.Context, in *ecsapi.UpdateContainerInstancesStateInput) (*ecsapi.UpdateContainerInstancesStateOutput, error) {
	status := string(deref(in.Status))
	switch {
	case len(in.ContainerInstances) == 0:
		return nil, fault.ClientError("Container Instances cannot be empty.")
	case len(in.ContainerInstances) > maxStateInstances:
		return nil, fault.InvalidParameter("Container Instances cannot have more than %d elements.", maxStateInstances)
	case status != ecs.InstanceActive && status != ecs.InstanceDraining:
		return nil, fault.InvalidParameter("Container instance status should be one of [ACTIVE, DRAINING]")
	}
	var out *ecsapi.UpdateContainerInstancesStateOutput
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		out = &ecsapi.UpdateContainerInstancesStateOutput{ContainerInstances: []ecsapi.ContainerInstance{}, Failures: []ecsapi.Failure{}}
		cluster, err := s.activeCluster(tx, in.Cluster)
		if err != nil {
			return err
		}
		for _, ref := range in.ContainerInstances {
			ci, id, err := s.findInstance(tx, cluster.Name, ref)
			if err != nil {
				return err
			}
			fail := func(reason string) {
				out.Failures = append(out.Failures, ecsapi.Failure{Arn: ptr(s.instanceARN(cluster.Name, id, ref)), Reason: &reason})
			}
			switch {
			case ci == nil:
				fail(reasonMissing)
				continue
			case ci.Status != ecs.InstanceActive && ci.Status != ecs.InstanceDraining:
				fail(ci.Status) // INACTIVE, for one: only these two lead into each other
				continue
			case ci.Status != status:
				next := *ci
				next.Status = status
				next.Version++
				state.Instances.Put(tx, &next)
				ci = &next
			}
			out.ContainerInstances = append(out.ContainerInstances, s.renderInstance(instance(tx, ci), true))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeregisterContainerInstance takes an instance out of its cluster. With force also when tasks run there: their records
// become STOPPED, so that services replace them, while the containers may go on running on the machine.
func (s *Service) DeregisterContainerInstance(ctx context.Context, in *ecsapi.DeregisterContainerInstanceInput) (*ecsapi.DeregisterContainerInstanceOutput, error) {
	var out *ecsapi.DeregisterContainerInstanceOutput
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := s.activeCluster(tx, in.Cluster)
		if err != nil {
			return err
		}
		ci, id, err := s.findInstance(tx, cluster.Name, deref(in.ContainerInstance))
		switch {
		case err != nil:
			return err
		case ci == nil:
			return errInstanceNotFound()
		case ci.Status == ecs.InstanceInactive:
			return fault.InvalidParameter("Container instance %s is inactive.", id)
		}
		tasks := instance(tx, ci).Tasks
		if len(tasks) > 0 && !deref(in.Force) {
			return fault.InvalidParameter("Found running tasks on the instance.")
		}
		now := s.now()
		for _, t := range tasks {
			stopped := lifecycle.InstanceGone(*t, lifecycle.ReasonDeregistrationForced, now)
			state.Tasks.Put(tx, &stopped)
		}
		next := *ci
		next.Status, next.AgentConnected, next.DeregisteredAt = ecs.InstanceInactive, false, now
		next.Version++
		state.Instances.Put(tx, &next)
		w := s.renderInstance(instance(tx, &next), true)
		out = &ecsapi.DeregisterContainerInstanceOutput{ContainerInstance: &w}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// decimals writes ports as ECS does; never nil, so that an empty set is shown.
func decimals(list []int) []string {
	w := make([]string, len(list))
	for i, n := range list {
		w[i] = strconv.Itoa(n)
	}
	return w
}
