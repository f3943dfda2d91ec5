package ecs

import (
	"time"
)

// Task statuses, in the order in which a task passes through them (ecs-semantics 3.1). DesiredStatus is RUNNING or STOPPED.
const (
	TaskProvisioning   = "PROVISIONING"
	TaskPending        = "PENDING"
	TaskActivating     = "ACTIVATING"
	TaskRunning        = "RUNNING"
	TaskDeactivating   = "DEACTIVATING"
	TaskStopping       = "STOPPING"
	TaskDeprovisioning = "DEPROVISIONING"
	TaskStopped        = "STOPPED"
)

// Stop codes (ecs-semantics 3.2).
const (
	StopTaskFailedToStart         = "TaskFailedToStart"
	StopEssentialContainerExited  = "EssentialContainerExited"
	StopUserInitiated             = "UserInitiated"
	StopServiceSchedulerInitiated = "ServiceSchedulerInitiated"
	StopSpotInterruption          = "SpotInterruption"
	StopTerminationNotice         = "TerminationNotice"
)

// Health statuses of containers and tasks.
const (
	Healthy       = "HEALTHY"
	Unhealthy     = "UNHEALTHY"
	HealthUnknown = "UNKNOWN"
)

// Task is one running copy of a task definition. Who writes what:
//   - RunTask, StartTask and the service scheduler create it, with everything down to Overrides;
//   - DesiredStatus, StopCode and StoppedReason: StopTask, the schedulers and (for exits) the agent link, whoever is first;
//   - LastStatus, Containers, Attachments and the timestamps: the agent link (lifecycle package) only.
type Task struct {
	ID                   string           `json:"id"` // 32 hex digits
	Cluster              string           `json:"cluster"`
	TaskDefinition       TaskDefinitionID `json:"taskDefinition"`
	Group                string           `json:"group,omitzero"`
	StartedBy            string           `json:"startedBy,omitzero"` // the deployment's id for a service's task
	Service              string           `json:"service,omitzero"`   // name; empty for a standalone task
	LaunchType           string           `json:"launchType,omitzero"`
	CapacityProvider     string           `json:"capacityProvider,omitzero"`
	PlatformVersion      string           `json:"platformVersion,omitzero"`
	PlatformFamily       string           `json:"platformFamily,omitzero"`
	ContainerInstance    string           `json:"containerInstance,omitzero"` // id
	AvailabilityZone     string           `json:"availabilityZone,omitzero"`
	CPU                  string           `json:"cpu,omitzero"`
	Memory               string           `json:"memory,omitzero"`
	Reserved             Resources        `json:"reserved"` // what placement counts: static host ports included
	Overrides            TaskOverride     `json:"overrides,omitzero"`
	EnableExecuteCommand bool             `json:"enableExecuteCommand,omitzero"`
	ClientToken          string           `json:"clientToken,omitzero"` // of the RunTask call, for its idempotency
	RequestHash          string           `json:"requestHash,omitzero"` // of that call's parameters
	Tags                 []Tag            `json:"tags,omitzero"`

	DesiredStatus string       `json:"desiredStatus"`
	LastStatus    string       `json:"lastStatus"`
	StopCode      string       `json:"stopCode,omitzero"`
	StoppedReason string       `json:"stoppedReason,omitzero"`
	Containers    []Container  `json:"containers"`
	Attachments   []Attachment `json:"attachments,omitzero"`
	Attributes    []Attribute  `json:"attributes,omitzero"`

	CreatedAt          time.Time `json:"createdAt,omitzero"`
	PullStartedAt      time.Time `json:"pullStartedAt,omitzero"`
	PullStoppedAt      time.Time `json:"pullStoppedAt,omitzero"`
	ConnectivityAt     time.Time `json:"connectivityAt,omitzero"`
	StartedAt          time.Time `json:"startedAt,omitzero"`
	StoppingAt         time.Time `json:"stoppingAt,omitzero"`
	ExecutionStoppedAt time.Time `json:"executionStoppedAt,omitzero"`
	StoppedAt          time.Time `json:"stoppedAt,omitzero"`

	Version int64 `json:"version"` // grows with every change that emits an event
}

// Container is one container of a task, as the agent last reported it.
type Container struct {
	ID                string           `json:"id"` // UUID, the last element of its ARN
	Name              string           `json:"name"`
	Image             string           `json:"image,omitzero"`
	ImageDigest       string           `json:"imageDigest,omitzero"`
	RuntimeID         string           `json:"runtimeId,omitzero"`
	LastStatus        string           `json:"lastStatus"`
	ExitCode          *int             `json:"exitCode,omitzero"` // absent: it never started
	Reason            string           `json:"reason,omitzero"`
	HealthStatus      string           `json:"healthStatus,omitzero"`
	HealthSince       time.Time        `json:"healthSince,omitzero"`
	Essential         bool             `json:"essential"`
	HealthChecked     bool             `json:"healthChecked,omitzero"` // the definition has a health check
	NetworkBindings   []NetworkBinding `json:"networkBindings,omitzero"`
	CPU               string           `json:"cpu,omitzero"`
	Memory            string           `json:"memory,omitzero"`
	MemoryReservation string           `json:"memoryReservation,omitzero"`
	GPUIDs            []string         `json:"gpuIds,omitzero"`
}

// NetworkBinding is a port of the container as published on the host.
type NetworkBinding struct {
	BindIP             string `json:"bindIP,omitzero"`
	ContainerPort      int    `json:"containerPort,omitzero"`
	HostPort           int    `json:"hostPort,omitzero"`
	Protocol           string `json:"protocol,omitzero"`
	ContainerPortRange string `json:"containerPortRange,omitzero"`
	HostPortRange      string `json:"hostPortRange,omitzero"`
}

// Attachment is a network interface or volume of the task.
type Attachment struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	Status  string         `json:"status"`
	Details []KeyValuePair `json:"details,omitzero"`
}

// TaskOverride is what RunTask changes of the definition for this task alone.
type TaskOverride struct {
	ContainerOverrides            []ContainerOverride            `json:"containerOverrides,omitzero"`
	CPU                           string                         `json:"cpu,omitzero"`
	Memory                        string                         `json:"memory,omitzero"`
	TaskRoleARN                   string                         `json:"taskRoleArn,omitzero"`
	ExecutionRoleARN              string                         `json:"executionRoleArn,omitzero"`
	EphemeralStorage              *EphemeralStorage              `json:"ephemeralStorage,omitzero"`
	InferenceAcceleratorOverrides []InferenceAcceleratorOverride `json:"inferenceAcceleratorOverrides,omitzero"`
}

// ContainerOverride is what RunTask changes of one container.
type ContainerOverride struct {
	Name                 string                `json:"name,omitzero"`
	Command              []string              `json:"command,omitzero"`
	Environment          []KeyValuePair        `json:"environment,omitzero"`
	EnvironmentFiles     []EnvironmentFile     `json:"environmentFiles,omitzero"`
	CPU                  *int                  `json:"cpu,omitzero"`
	Memory               *int                  `json:"memory,omitzero"`
	MemoryReservation    *int                  `json:"memoryReservation,omitzero"`
	ResourceRequirements []ResourceRequirement `json:"resourceRequirements,omitzero"`
}

// InferenceAcceleratorOverride is a retired AWS feature, kept for fidelity.
type InferenceAcceleratorOverride struct {
	DeviceName string `json:"deviceName,omitzero"`
	DeviceType string `json:"deviceType,omitzero"`
}

// Stopped tells whether the task has ended for good.
func (t *Task) Stopped() bool { return t.LastStatus == TaskStopped }

// HoldsResources tells whether the task counts against its instance: until STOPPED, not only until asked to stop.
func (t *Task) HoldsResources() bool { return t.ContainerInstance != "" && !t.Stopped() }

// HealthStatus derives the task's health from its essential containers: UNHEALTHY if one is, else UNKNOWN if one has no
// check or hasn't answered yet, else HEALTHY (ecs-semantics 3.1).
func (t *Task) HealthStatus() string {
	health := Healthy
	for _, c := range t.Containers {
		if !c.Essential {
			continue
		}
		switch {
		case c.HealthStatus == Unhealthy:
			return Unhealthy
		case !c.HealthChecked || c.HealthStatus != Healthy:
			health = HealthUnknown
		}
	}
	return health
}

// HasHealthCheck tells whether an essential container of the task has a health check.
func (t *Task) HasHealthCheck() bool {
	for _, c := range t.Containers {
		if c.Essential && c.HealthChecked {
			return true
		}
	}
	return false
}
