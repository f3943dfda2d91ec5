package ecs

import (
	"fmt"
	"time"
)

// TaskDefinition statuses.
const (
	TaskDefinitionActive           = "ACTIVE"
	TaskDefinitionInactive         = "INACTIVE"
	TaskDefinitionDeleteInProgress = "DELETE_IN_PROGRESS"
)

// TaskDefinition is one immutable revision of a family. Written by the API only; after registration nothing changes but
// Status, its timestamps and Tags. The json tags spell the members as AWS does, so that the document comes back as sent.
type TaskDefinition struct {
	Family   string `json:"family"`
	Revision int    `json:"revision"`
	Status   string `json:"status"`

	ContainerDefinitions    []ContainerDefinition  `json:"containerDefinitions"`
	Volumes                 []Volume               `json:"volumes"`
	PlacementConstraints    []PlacementConstraint  `json:"placementConstraints"`
	CPU                     string                 `json:"cpu,omitzero"`    // units as a decimal string: "1 vCPU" was normalised to "1024"
	Memory                  string                 `json:"memory,omitzero"` // MiB as a decimal string
	NetworkMode             string                 `json:"networkMode,omitzero"`
	TaskRoleARN             string                 `json:"taskRoleArn,omitzero"`
	ExecutionRoleARN        string                 `json:"executionRoleArn,omitzero"`
	RequiresCompatibilities []string               `json:"requiresCompatibilities,omitzero"`
	PIDMode                 string                 `json:"pidMode,omitzero"`
	IPCMode                 string                 `json:"ipcMode,omitzero"`
	ProxyConfiguration      *ProxyConfiguration    `json:"proxyConfiguration,omitzero"`
	InferenceAccelerators   []InferenceAccelerator `json:"inferenceAccelerators,omitzero"`
	EphemeralStorage        *EphemeralStorage      `json:"ephemeralStorage,omitzero"`
	RuntimePlatform         *RuntimePlatform       `json:"runtimePlatform,omitzero"`
	EnableFaultInjection    *bool                  `json:"enableFaultInjection,omitzero"`

	// Computed at registration.
	Compatibilities    []string    `json:"compatibilities,omitzero"`
	RequiresAttributes []Attribute `json:"requiresAttributes,omitzero"`
	RegisteredBy       string      `json:"registeredBy,omitzero"`
	RegisteredAt       time.Time   `json:"registeredAt,omitzero"`
	DeregisteredAt     time.Time   `json:"deregisteredAt,omitzero"`
	DeleteRequestedAt  time.Time   `json:"deleteRequestedAt,omitzero"`

	Tags []Tag `json:"tags,omitzero"` // beside the definition on the wire, not inside
}

// TaskDefinitionID names a revision.
type TaskDefinitionID struct {
	Family   string `json:"family"`
	Revision int    `json:"revision"`
}

func (id TaskDefinitionID) String() string { return fmt.Sprintf("%s:%d", id.Family, id.Revision) }

// Key is the store key: revisions of a family sort by number ("web:0000000012"; a family has at most 1,000,000).
func (id TaskDefinitionID) Key() string { return fmt.Sprintf("%s:%010d", id.Family, id.Revision) }

// ID names the revision.
func (td *TaskDefinition) ID() TaskDefinitionID { return TaskDefinitionID{td.Family, td.Revision} }

// Container returns the definition of the container called name.
func (td *TaskDefinition) Container(name string) (*ContainerDefinition, bool) {
	for i := range td.ContainerDefinitions {
		if td.ContainerDefinitions[i].Name == name {
			return &td.ContainerDefinitions[i], true
		}
	}
	return nil, false
}

// Family counts the revisions of a task definition family that were ever registered: numbers are never used twice, not
// even after deregistration and deletion (ecs-semantics 2.1).
type Family struct {
	Name         string `json:"name"`
	LastRevision int    `json:"lastRevision"`
}
