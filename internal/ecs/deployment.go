package ecs

import "time"

// Deployment statuses: the newest is PRIMARY, older ones with tasks are ACTIVE, finished ones INACTIVE (and not shown).
const (
	DeploymentPrimary  = "PRIMARY"
	DeploymentActive   = "ACTIVE"
	DeploymentInactive = "INACTIVE"
)

// Rollout states.
const (
	RolloutInProgress = "IN_PROGRESS"
	RolloutCompleted  = "COMPLETED"
	RolloutFailed     = "FAILED"
)

// Deployment is one revision of a service being, or having been, rolled out. The API creates it (and makes the one
// before it ACTIVE); from then on only the service scheduler writes it.
type Deployment struct {
	ID                       string                         `json:"id"` // "ecs-svc/" and 19 digits
	Service                  string                         `json:"service"`
	Cluster                  string                         `json:"cluster"`
	Status                   string                         `json:"status"`
	TaskDefinition           TaskDefinitionID               `json:"taskDefinition"`
	LaunchType               string                         `json:"launchType,omitzero"`
	CapacityProviderStrategy []CapacityProviderStrategyItem `json:"capacityProviderStrategy,omitzero"`
	PlatformVersion          string                         `json:"platformVersion,omitzero"`
	PlatformFamily           string                         `json:"platformFamily,omitzero"`
	NetworkConfiguration     *NetworkConfiguration          `json:"networkConfiguration,omitzero"`
	RolloutState             string                         `json:"rolloutState"`
	RolloutStateReason       string                         `json:"rolloutStateReason,omitzero"`
	FailedTasks              int                            `json:"failedTasks"`
	CreatedAt                time.Time                      `json:"createdAt,omitzero"`
	UpdatedAt                time.Time                      `json:"updatedAt,omitzero"`
}

// ServiceEvent is a message of the service's history: the newest 100 of a service are shown (ecs-semantics 6.5).
type ServiceEvent struct {
	ID        string    `json:"id"` // UUID
	Service   string    `json:"service"`
	Cluster   string    `json:"cluster"`
	Sequence  int64     `json:"sequence"` // orders the events of a service; grows by one
	CreatedAt time.Time `json:"createdAt"`
	Message   string    `json:"message"`
}

// AccountSetting is a setting of the account or of one principal, explicitly made.
type AccountSetting struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Principal string `json:"principal"` // ARN; the root's for the account's default
}
