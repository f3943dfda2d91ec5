package operations

import (
	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// serviceRefusals refuses aloud what Berth can't honour of a service. CreateService and UpdateService share the members.
func serviceRefusals(in *ecsapi.CreateServiceInput) error {
	if c := in.DeploymentController; c != nil && deref(c.Type) != ecsapi.DeploymentControllerTypeECS {
		return fault.Unsupported("Berth doesn't support deploymentController %s yet. Use ECS.", deref(c.Type))
	}
	return firstError(
		refuse(len(in.LoadBalancers) > 0, "loadBalancers"),
		refuse(len(in.ServiceRegistries) > 0, "serviceRegistries"),
		refuse(in.ServiceConnectConfiguration != nil && deref(in.ServiceConnectConfiguration.Enabled), "serviceConnectConfiguration"),
		refuse(len(in.VolumeConfigurations) > 0, "volumeConfigurations"),
		refuse(len(in.VpcLatticeConfigurations) > 0, "vpcLatticeConfigurations"),
		refuse(deref(in.AvailabilityZoneRebalancing) == ecsapi.AvailabilityZoneRebalancingEnabled, "availabilityZoneRebalancing ENABLED"),
		refuse(deref(in.EnableExecuteCommand), "enableExecuteCommand"),
		refuse(deref(in.Role) != "", "role"),
		deploymentRefusals(in.DeploymentConfiguration),
	)
}

func deploymentRefusals(c *ecsapi.DeploymentConfiguration) error {
	if c == nil {
		return nil
	}
	if strategy := deref(c.Strategy); strategy != "" && strategy != ecsapi.DeploymentStrategyRolling {
		return fault.Unsupported("Berth doesn't support deploymentConfiguration.strategy %s yet. Use ROLLING.", strategy)
	}
	return firstError(
		refuse(c.DeploymentCircuitBreaker != nil && deref(c.DeploymentCircuitBreaker.Enable), "deploymentConfiguration.deploymentCircuitBreaker.enable"),
		refuse(c.Alarms != nil && deref(c.Alarms.Enable), "deploymentConfiguration.alarms.enable"),
		refuse(len(c.LifecycleHooks) > 0, "deploymentConfiguration.lifecycleHooks"),
		refuse(deref(c.BakeTimeInMinutes) != 0, "deploymentConfiguration.bakeTimeInMinutes"),
		refuse(c.LinearConfiguration != nil, "deploymentConfiguration.linearConfiguration"),
		refuse(c.CanaryConfiguration != nil, "deploymentConfiguration.canaryConfiguration"),
	)
}

// deploymentConfiguration lays what a request gives over what stands; a member that is absent keeps what it was.
func deploymentConfiguration(current ecs.DeploymentConfiguration, given *ecsapi.DeploymentConfiguration) (ecs.DeploymentConfiguration, error) {
	if given == nil {
		return current, nil
	}
	next, err := convert[ecs.DeploymentConfiguration](given)
	if err != nil {
		return current, err
	}
	if next.MinimumHealthyPercent != nil {
		current.MinimumHealthyPercent = next.MinimumHealthyPercent
	}
	if next.MaximumPercent != nil {
		current.MaximumPercent = next.MaximumPercent
	}
	if next.DeploymentCircuitBreaker != nil {
		current.DeploymentCircuitBreaker = next.DeploymentCircuitBreaker
		if current.DeploymentCircuitBreaker.ResetOnHealthyTask == nil {
			current.DeploymentCircuitBreaker.ResetOnHealthyTask = ptr(true)
		}
		if current.DeploymentCircuitBreaker.ThresholdConfiguration == nil {
			current.DeploymentCircuitBreaker.ThresholdConfiguration = defaultThreshold()
		}
	}
	if next.Alarms != nil {
		current.Alarms = next.Alarms
	}
	return current, nil
}

// defaultDeploymentConfiguration is what ECS shows of a service that says nothing of it (ecs-semantics 6.1).
func defaultDeploymentConfiguration(scheduling string) ecs.DeploymentConfiguration {
	c := ecs.DeploymentConfiguration{
		Strategy:              ecsapi.DeploymentStrategyRolling,
		MinimumHealthyPercent: ptr(100),
		MaximumPercent:        ptr(200),
		BakeTimeInMinutes:     ptr(0),
		DeploymentCircuitBreaker: &ecs.DeploymentCircuitBreaker{ResetOnHealthyTask: ptr(true),
			ThresholdConfiguration: defaultThreshold()},
	}
	if scheduling == ecs.SchedulingDaemon {
		c.MinimumHealthyPercent, c.MaximumPercent = ptr(0), ptr(100)
	}
	return c
}

func defaultThreshold() *ecs.CircuitBreakerThreshold {
	return &ecs.CircuitBreakerThreshold{Type: "BOUNDED_PERCENT", Value: 50}
}

// checkDeploymentConfiguration refuses percentages that make no sense, or that would block every deployment: with a
// minimum and a maximum of 100 no task may stop before another has started, and none may start before one has stopped.
func checkDeploymentConfiguration(c ecs.DeploymentConfiguration, scheduling string) error {
	min, max := deref(c.MinimumHealthyPercent), deref(c.MaximumPercent)
	switch {
	case min < 0 || min > 100:
		return fault.InvalidParameter("minimumHealthyPercent must be between 0 and 100, but was %d", min)
	case scheduling == ecs.SchedulingDaemon && max != 100:
		return fault.InvalidParameter("The daemon scheduling strategy supports only a maximumPercent of 100, but it was %d", max)
	case max < 100:
		return fault.InvalidParameter("maximumPercent must be at least 100, but was %d", max)
	case min == 100 && max == 100:
		return fault.InvalidParameter("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
	}
	return nil
}

// checkScheduling refuses what doesn't go with the scheduling strategy.
func checkScheduling(scheduling string, desiredCount *int32, strategies int) error {
	if scheduling == ecs.SchedulingDaemon {
		switch {
		case desiredCount != nil:
			return fault.InvalidParameter("The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again")
		case strategies > 0:
			return fault.InvalidParameter("The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try again")
		}
	}
	if deref(desiredCount) < 0 {
		return fault.InvalidParameter("desiredCount must not be negative, but was %d", *desiredCount)
	}
	return nil
}

func checkGracePeriod(seconds *int32) error {
	if deref(seconds) < 0 {
		return fault.InvalidParameter("healthCheckGracePeriodSeconds must be between 0 and 2147483647, but was %d", *seconds)
	}
	return nil
}

// intOf widens an amount, keeping absent absent.
func intOf(p *int32) *int {
	if p == nil {
		return nil
	}
	return ptr(int(*p))
}
