package operations

import (
	"context"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/definition"
	"github.com/openberth/berth/internal/ecs/placement"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

// CreateService writes down a service and its first deployment; the service scheduler starts the tasks.
func (s *Service) CreateService(ctx context.Context, in *ecsapi.CreateServiceInput) (*ecsapi.CreateServiceOutput, error) {
	svc, err := s.newService(ctx, in)
	if err != nil {
		return nil, err
	}
	var out *ecsapi.CreateServiceOutput
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		created, err := s.createService(tx, in, *svc)
		if err != nil {
			return err
		}
		out = &ecsapi.CreateServiceOutput{Service: s.renderService(tx, created, true)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// newService reads and checks a request as far as that needs no store.
func (s *Service) newService(ctx context.Context, in *ecsapi.CreateServiceInput) (*ecs.Service, error) {
	if err := checkName("Service name", deref(in.ServiceName)); err != nil {
		return nil, err
	}
	if deref(in.TaskDefinition) == "" {
		return nil, fault.InvalidParameter("TaskDefinition can not be blank.")
	}
	svc := &ecs.Service{
		Name: *in.ServiceName, Status: ecs.ServiceActive, SchedulingStrategy: ecs.SchedulingReplica,
		DesiredCount: int(deref(in.DesiredCount)), DeploymentController: ecsapi.DeploymentControllerTypeECS,
		HealthCheckGracePeriodSeconds: intOf(in.HealthCheckGracePeriodSeconds),
		EnableECSManagedTags:          deref(in.EnableECSManagedTags),
		PropagateTags:                 ecs.PropagateNone,
		AvailabilityZoneRebalancing:   ecsapi.AvailabilityZoneRebalancingDisabled,
		CreatedBy:                     wire.CallerOf(ctx).ARN, CreatedAt: s.now(), ClientToken: deref(in.ClientToken),
	}
	if in.SchedulingStrategy != nil {
		svc.SchedulingStrategy = *in.SchedulingStrategy
	}
	if deref(in.PropagateTags) != "" {
		svc.PropagateTags = *in.PropagateTags
	}
	if svc.SchedulingStrategy == ecs.SchedulingReplica && in.DesiredCount == nil {
		return nil, fault.InvalidParameter("desiredCount is required when schedulingStrategy is REPLICA or isn't specified.")
	}
	if err := firstError(
		serviceRefusals(in),
		checkScheduling(svc.SchedulingStrategy, in.DesiredCount, len(in.PlacementStrategy)),
		checkClientToken(in.ClientToken, maxCreateServiceToken),
		checkPlatform(in.PlatformVersion),
		checkGracePeriod(in.HealthCheckGracePeriodSeconds),
	); err != nil {
		return nil, err
	}
	var err error
	if svc.DeploymentConfiguration, err = deploymentConfiguration(defaultDeploymentConfiguration(svc.SchedulingStrategy), in.DeploymentConfiguration); err != nil {
		return nil, err
	}
	if svc.PlacementConstraints, err = convert[[]ecs.PlacementConstraint](in.PlacementConstraints); err != nil {
		return nil, err
	}
	if svc.PlacementStrategy, err = convert[[]ecs.PlacementStrategy](in.PlacementStrategy); err != nil {
		return nil, err
	}
	if svc.Tags, err = newTags(in.Tags); err != nil {
		return nil, err
	}
	same := *in
	same.ClientToken = nil
	if svc.RequestHash, err = requestHash(&same); err != nil {
		return nil, err
	}
	return svc, firstError(
		checkDeploymentConfiguration(svc.DeploymentConfiguration, svc.SchedulingStrategy),
		placement.CheckConstraints(svc.PlacementConstraints),
		placement.CheckStrategy(svc.PlacementStrategy),
	)
}

// createService is CreateService's transaction.
func (s *Service) createService(tx *store.Tx, in *ecsapi.CreateServiceInput, svc ecs.Service) (*ecs.Service, error) {
	cluster, err := s.activeCluster(tx, in.Cluster)
	if err != nil {
		return nil, err
	}
	svc.Cluster = cluster.Name
	if old, ok := state.Services.Get(tx, svc.Key()); ok {
		switch {
		case old.Status == ecs.ServiceInactive:
			forgetService(tx, svc.Key())
		case old.Status == ecs.ServiceDraining:
			return nil, fault.InvalidParameter("Unable to Start a service that is still Draining.")
		case svc.ClientToken != "" && svc.ClientToken == old.ClientToken && svc.RequestHash == old.RequestHash:
			return old, nil
		default:
			return nil, fault.InvalidParameter("Creation of service was not idempotent.")
		}
	}
	td, err := s.taskDefinition(tx, *in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	if svc.LaunchType, err = launchType(cluster, td, in.LaunchType, in.CapacityProviderStrategy); err != nil {
		return nil, err
	}
	if err := checkServiceDefinition(td, in.NetworkConfiguration, svc.PlacementConstraints); err != nil {
		return nil, err
	}
	svc.TaskDefinition = td.ID()
	state.Services.Put(tx, &svc)
	state.Deployments.Put(tx, newDeployment(&svc, svc.CreatedAt))
	return &svc, nil
}

// checkServiceDefinition refuses a definition that the service can't run.
func checkServiceDefinition(td *ecs.TaskDefinition, network *ecsapi.NetworkConfiguration, constraints []ecs.PlacementConstraint) error {
	if len(td.PlacementConstraints)+len(constraints) > placement.MaxConstraints {
		return fault.InvalidParameter("The number of placement constraints cannot exceed %d.", placement.MaxConstraints)
	}
	return firstError(checkNetwork(td, network), definition.Refuse(td))
}

// newDeployment makes the PRIMARY deployment of a service as it is now.
func newDeployment(svc *ecs.Service, now time.Time) *ecs.Deployment {
	id := arn.NewDeploymentID()
	return &ecs.Deployment{
		ID: id, Service: svc.Name, Cluster: svc.Cluster, Status: ecs.DeploymentPrimary, TaskDefinition: svc.TaskDefinition,
		LaunchType: svc.LaunchType, CapacityProviderStrategy: svc.CapacityProviderStrategy,
		PlatformVersion: svc.PlatformVersion, PlatformFamily: svc.PlatformFamily, NetworkConfiguration: svc.NetworkConfiguration,
		RolloutState: ecs.RolloutInProgress, RolloutStateReason: "ECS deployment " + id + " in progress.",
		CreatedAt: now, UpdatedAt: now,
	}
}

// forgetService removes what an INACTIVE service left behind, so that one of the same name starts with a clean history.
// Its last tasks keep their own deployment's id, which the new service's tasks don't have.
func forgetService(tx *store.Tx, key string) {
	for d := range state.DeploymentsByService.Each(tx, key) {
		state.Deployments.Delete(tx, d.ID)
	}
	for e := range state.ServiceEvents.Prefix(tx, key+"/") {
		state.ServiceEvents.Delete(tx, state.EventKey(e.Cluster, e.Service, e.Sequence))
	}
	state.Services.Delete(tx, key)
}
