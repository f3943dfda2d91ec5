package ecs

import "time"

// Service statuses.
const (
	ServiceActive   = "ACTIVE"
	ServiceDraining = "DRAINING"
	ServiceInactive = "INACTIVE"
)

// Scheduling strategies.
const (
	SchedulingReplica = "REPLICA"
	SchedulingDaemon  = "DAEMON"
)

// Service keeps a number of tasks of one definition running. The API writes it; the service scheduler writes only
// Status (DRAINING to INACTIVE), SteadyAt, LaunchBackoff and Impairments; for a DAEMON, also DesiredCount. UpdateService
// resets LaunchBackoff.
type Service struct {
	Name               string           `json:"name"`
	Cluster            string           `json:"cluster"`
	Status             string           `json:"status"`
	SchedulingStrategy string           `json:"schedulingStrategy"`
	DesiredCount       int              `json:"desiredCount"`
	TaskDefinition     TaskDefinitionID `json:"taskDefinition"`

	LaunchType                    string                         `json:"launchType,omitzero"`
	CapacityProviderStrategy      []CapacityProviderStrategyItem `json:"capacityProviderStrategy,omitzero"`
	PlatformVersion               string                         `json:"platformVersion,omitzero"`
	PlatformFamily                string                         `json:"platformFamily,omitzero"`
	DeploymentController          string                         `json:"deploymentController"` // "ECS"
	DeploymentConfiguration       DeploymentConfiguration        `json:"deploymentConfiguration"`
	PlacementConstraints          []PlacementConstraint          `json:"placementConstraints,omitzero"`
	PlacementStrategy             []PlacementStrategy            `json:"placementStrategy,omitzero"`
	NetworkConfiguration          *NetworkConfiguration          `json:"networkConfiguration,omitzero"`
	HealthCheckGracePeriodSeconds *int                           `json:"healthCheckGracePeriodSeconds,omitzero"`
	EnableECSManagedTags          bool                           `json:"enableECSManagedTags"`
	EnableExecuteCommand          bool                           `json:"enableExecuteCommand"`
	PropagateTags                 string                         `json:"propagateTags,omitzero"`
	AvailabilityZoneRebalancing   string                         `json:"availabilityZoneRebalancing,omitzero"`
	CreatedBy                     string                         `json:"createdBy,omitzero"`
	CreatedAt                     time.Time                      `json:"createdAt,omitzero"`
	ClientToken                   string                         `json:"clientToken,omitzero"`
	RequestHash                   string                         `json:"requestHash,omitzero"`
	Tags                          []Tag                          `json:"tags,omitzero"`

	// Written by the service scheduler.
	SteadyAt      time.Time     `json:"steadyAt,omitzero"` // when "has reached a steady state" was last said; zero while not steady
	LaunchBackoff LaunchBackoff `json:"launchBackoff,omitzero"`
	Impairments   []Impairment  `json:"impairments,omitzero"`
}

// LaunchBackoff delays the launches of a service whose tasks stop before they ever ran (ecs-semantics 6.6).
type LaunchBackoff struct {
	Failures int       `json:"failures,omitzero"` // launch attempts in a row of which a task stopped without ever RUNNING
	Since    time.Time `json:"since,omitzero"`    // what became of tasks that were created up to here is counted already
	Until    time.Time `json:"until,omitzero"`    // no launch before
}

// Impairment is something that keeps the service from its goal, and that an event has been written about. It is not said
// again while it stands, for six hours (ecs-semantics 6.5).
type Impairment struct {
	Cause  string    `json:"cause"`
	SaidAt time.Time `json:"saidAt"`
}

// Key is the service's store key: its name is unique in its cluster.
func (s *Service) Key() string { return ServiceKey(s.Cluster, s.Name) }

// ServiceKey is the store key of a service.
func ServiceKey(cluster, name string) string { return cluster + "/" + name }

// DeploymentConfiguration says how one revision replaces another. minimumHealthyPercent is rounded up, maximumPercent
// down: 10 tasks, 50 % and 150 %: never below 5 healthy, never above 15 in all.
type DeploymentConfiguration struct {
	Strategy                 string                    `json:"strategy,omitzero"` // "ROLLING"
	MinimumHealthyPercent    *int                      `json:"minimumHealthyPercent,omitzero"`
	MaximumPercent           *int                      `json:"maximumPercent,omitzero"`
	BakeTimeInMinutes        *int                      `json:"bakeTimeInMinutes,omitzero"`
	DeploymentCircuitBreaker *DeploymentCircuitBreaker `json:"deploymentCircuitBreaker,omitzero"`
	Alarms                   *DeploymentAlarms         `json:"alarms,omitzero"`
}

// DeploymentCircuitBreaker fails a deployment whose tasks don't start.
type DeploymentCircuitBreaker struct {
	Enable                 bool                     `json:"enable"`
	Rollback               bool                     `json:"rollback"`
	ResetOnHealthyTask     *bool                    `json:"resetOnHealthyTask,omitzero"`
	ThresholdConfiguration *CircuitBreakerThreshold `json:"thresholdConfiguration,omitzero"`
}

// CircuitBreakerThreshold is BOUNDED_PERCENT, UNBOUNDED_PERCENT or COUNT, with its value.
type CircuitBreakerThreshold struct {
	Type  string `json:"type"`
	Value int    `json:"value"`
}

// DeploymentAlarms fail a deployment while one of them is in ALARM.
type DeploymentAlarms struct {
	AlarmNames []string `json:"alarmNames"`
	Enable     bool     `json:"enable"`
	Rollback   bool     `json:"rollback"`
}
