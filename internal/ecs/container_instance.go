package ecs

import (
	"slices"
	"time"
)

// ContainerInstance statuses (ecs-semantics 5).
const (
	InstanceActive             = "ACTIVE"
	InstanceDraining           = "DRAINING"
	InstanceInactive           = "INACTIVE"
	InstanceRegistering        = "REGISTERING"
	InstanceDeregistering      = "DEREGISTERING"
	InstanceRegistrationFailed = "REGISTRATION_FAILED"
)

// ContainerInstance is a machine that runs tasks. Registration writes Resources, Attributes and versions; the API writes
// Status, custom Attributes and Tags; the agent link writes AgentConnected and Health. What remains free is derived from the
// tasks placed on it, never stored.
type ContainerInstance struct {
	ID             string `json:"id"`
	Cluster        string `json:"cluster"`
	EC2InstanceID  string `json:"ec2InstanceId,omitzero"`
	Status         string `json:"status"`
	StatusReason   string `json:"statusReason,omitzero"`
	AgentConnected bool   `json:"agentConnected"`
	// Session names the agent session that set AgentConnected, so that a late goodbye of an old connection can't
	// mark a reconnected agent as gone.
	Session string `json:"session,omitzero"`
	// AgentSequence is where the session began to number its messages; the next one begins well above it, because an agent
	// drops manifests that aren't newer than all it has seen, also from before a restart of the server.
	AgentSequence     int64                 `json:"agentSequence,omitzero"`
	Attributes        []Attribute           `json:"attributes,omitzero"`
	Resources         Resources             `json:"resources"` // registered, host-reserved ports included
	AgentVersion      string                `json:"agentVersion,omitzero"`
	AgentHash         string                `json:"agentHash,omitzero"`
	DockerVersion     string                `json:"dockerVersion,omitzero"`
	AgentUpdateStatus string                `json:"agentUpdateStatus,omitzero"`
	CapacityProvider  string                `json:"capacityProvider,omitzero"`
	Health            []InstanceHealthCheck `json:"health,omitzero"`
	ClientToken       string                `json:"clientToken,omitzero"` // of the registration, for its idempotency
	RegisteredAt      time.Time             `json:"registeredAt,omitzero"`
	DeregisteredAt    time.Time             `json:"deregisteredAt,omitzero"`
	Version           int64                 `json:"version"` // grows with every change that emits an event
	Tags              []Tag                 `json:"tags,omitzero"`
}

// InstanceHealthCheck is what the agent last reported of one part of the machine.
type InstanceHealthCheck struct {
	Type             string    `json:"type"`   // "CONTAINER_RUNTIME"
	Status           string    `json:"status"` // "OK" | "IMPAIRED" | "INITIALIZING" | "INSUFFICIENT_DATA"
	StatusReason     string    `json:"statusReason,omitzero"`
	LastUpdated      time.Time `json:"lastUpdated,omitzero"`
	LastStatusChange time.Time `json:"lastStatusChange,omitzero"`
}

// Attribute returns the value of the attribute called name.
func (ci *ContainerInstance) Attribute(name string) (value string, ok bool) {
	for _, a := range ci.Attributes {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// AvailabilityZone is the zone that the instance said it is in.
func (ci *ContainerInstance) AvailabilityZone() string {
	az, _ := ci.Attribute("ecs.availability-zone")
	return az
}

// Resources are amounts that an instance has or a task takes: CPU in units of 1/1024 vCPU, Memory in MiB, ports by number.
type Resources struct {
	CPU      int      `json:"cpu"`
	Memory   int      `json:"memory"`
	Ports    []int    `json:"ports,omitzero"` // TCP; on an instance: those that the host itself keeps
	PortsUDP []int    `json:"portsUdp,omitzero"`
	GPUs     []string `json:"gpus,omitzero"`
}

// Add returns r and o together; ports sorted.
func (r Resources) Add(o Resources) Resources {
	return Resources{
		CPU: r.CPU + o.CPU, Memory: r.Memory + o.Memory,
		Ports: union(r.Ports, o.Ports), PortsUDP: union(r.PortsUDP, o.PortsUDP),
		GPUs: append(slices.Clone(r.GPUs), o.GPUs...),
	}
}

func union(a, b []int) []int {
	if len(b) == 0 {
		return a
	}
	out := append(slices.Clone(a), b...)
	slices.Sort(out)
	return slices.Compact(out)
}
