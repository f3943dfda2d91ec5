package operations

import (
	"context"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/placement"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// UpdateService changes a service. What is absent stays as it is; an empty list clears. Some changes start a deployment
// (ecs-semantics 6.2):
//
//	another task definition, forceNewDeployment                                 a new deployment
//	desiredCount, deploymentConfiguration, placement, grace period, tag options  the service alone
//
// Naming the task definition that the service has already starts none.
func (s *Service) UpdateService(ctx context.Context, in *ecsapi.UpdateServiceInput) (*ecsapi.UpdateServiceOutput, error) {
	if err := firstError(
		serviceRefusals(&ecsapi.CreateServiceInput{
			AvailabilityZoneRebalancing: in.AvailabilityZoneRebalancing, DeploymentConfiguration: in.DeploymentConfiguration,
			DeploymentController: in.DeploymentController, EnableExecuteCommand: in.EnableExecuteCommand,
			LoadBalancers: in.LoadBalancers, ServiceConnectConfiguration: in.ServiceConnectConfiguration,
			ServiceRegistries: in.ServiceRegistries, VolumeConfigurations: in.VolumeConfigurations,
			VpcLatticeConfigurations: in.VpcLatticeConfigurations,
		}),
		checkPlatform(in.PlatformVersion),
		checkGracePeriod(in.HealthCheckGracePeriodSeconds),
	); err != nil {
		return nil, err
	}
	var out *ecsapi.UpdateServiceOutput
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		updated, err := s.updateService(tx, in)
		if err != nil {
			return err
		}
		out = &ecsapi.UpdateServiceOutput{Service: s.renderService(tx, updated, true)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// updateService is UpdateService's transaction.
func (s *Service) updateService(tx *store.Tx, in *ecsapi.UpdateServiceInput) (*ecs.Service, error) {
	cluster, err := s.activeCluster(tx, in.Cluster)
	if err != nil {
		return nil, err
	}
	svc, err := s.activeService(tx, cluster.Name, deref(in.Service))
	if err != nil {
		return nil, err
	}
	next := *svc
	if err := changeService(&next, in); err != nil {
		return nil, err
	}
	deploy := deref(in.ForceNewDeployment)
	if deref(in.TaskDefinition) != "" {
		td, err := s.taskDefinition(tx, *in.TaskDefinition)
		if err != nil {
			return nil, err
		}
		if _, err := launchType(cluster, td, &next.LaunchType, nil); err != nil {
			return nil, err
		}
		if err := checkServiceDefinition(td, in.NetworkConfiguration, next.PlacementConstraints); err != nil {
			return nil, err
		}
		deploy = deploy || td.ID() != svc.TaskDefinition
		next.TaskDefinition = td.ID()
	} else if td, ok := state.TaskDefinitions.Get(tx, svc.TaskDefinition.Key()); ok {
		// The definition may be INACTIVE by now: a service that has it already goes on with it.
		if err := checkServiceDefinition(td, in.NetworkConfiguration, next.PlacementConstraints); err != nil {
			return nil, err
		}
	}
	if len(in.CapacityProviderStrategy) > 0 {
		if _, err := launchType(cluster, &ecs.TaskDefinition{}, nil, in.CapacityProviderStrategy); err != nil {
			return nil, err
		}
	}
	now := s.now()
	// Whatever was wrong, the user has acted: launches are tried again at once, and failures counted afresh.
	next.LaunchBackoff = ecs.LaunchBackoff{Since: now}
	if deploy {
		for d := range state.DeploymentsByService.Each(tx, svc.Key()) {
			if d.Status == ecs.DeploymentPrimary { // superseded, whether or not it was done
				older := *d
				older.Status, older.UpdatedAt = ecs.DeploymentActive, now
				state.Deployments.Put(tx, &older)
			}
		}
		next.LaunchBackoff = ecs.LaunchBackoff{}
		state.Deployments.Put(tx, newDeployment(&next, now))
	}
	state.Services.Put(tx, &next)
	return &next, nil
}

// changeService applies what a request says of the service alone.
func changeService(svc *ecs.Service, in *ecsapi.UpdateServiceInput) (err error) {
	if err := checkScheduling(svc.SchedulingStrategy, in.DesiredCount, len(in.PlacementStrategy)); err != nil {
		return err
	}
	if in.DesiredCount != nil {
		svc.DesiredCount = int(*in.DesiredCount)
	}
	if svc.DeploymentConfiguration, err = deploymentConfiguration(svc.DeploymentConfiguration, in.DeploymentConfiguration); err != nil {
		return err
	}
	if in.PlacementConstraints != nil {
		if svc.PlacementConstraints, err = convert[[]ecs.PlacementConstraint](in.PlacementConstraints); err != nil {
			return err
		}
	}
	if in.PlacementStrategy != nil {
		if svc.PlacementStrategy, err = convert[[]ecs.PlacementStrategy](in.PlacementStrategy); err != nil {
			return err
		}
	}
	if in.HealthCheckGracePeriodSeconds != nil {
		svc.HealthCheckGracePeriodSeconds = intOf(in.HealthCheckGracePeriodSeconds)
	}
	if in.EnableECSManagedTags != nil {
		svc.EnableECSManagedTags = *in.EnableECSManagedTags
	}
	if deref(in.PropagateTags) != "" {
		svc.PropagateTags = *in.PropagateTags
	}
	return firstError(
		checkDeploymentConfiguration(svc.DeploymentConfiguration, svc.SchedulingStrategy),
		placement.CheckConstraints(svc.PlacementConstraints),
		placement.CheckStrategy(svc.PlacementStrategy),
	)
}
