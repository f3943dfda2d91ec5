// Package runtime says what the agent needs of whatever runs containers: docker/ is the real one, fake/ lives in memory,
// and runtimetest/ is the suite that both pass. It knows containers, not tasks' lives: what to do next is the engine's.
package runtime

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrNotFound: there is no such container.
	ErrNotFound = errors.New("no such container")
	// ErrUnavailable: the runtime didn't answer, so what was asked of it may or may not have been done. The caller
	// looks again once it answers; it never takes this for a failure of the container.
	ErrUnavailable = errors.New("container runtime unavailable")
)

// Runtime runs containers. Every call may be repeated: what is done already is not an error.
type Runtime interface {
	Images
	Tasks
	Containers
	Observer
}

// Images makes images available.
type Images interface {
	// PullImage makes sure that the image is there. Pulled tells whether a registry had to be asked.
	PullImage(ctx context.Context, image string, behaviour PullBehaviour) (Image, error)
}

// PullBehaviour says when to ask a registry (ECS_IMAGE_PULL_BEHAVIOR).
type PullBehaviour string

// The pull behaviours.
const (
	PullDefault      PullBehaviour = "default"       // always; the local image when that fails
	PullAlways       PullBehaviour = "always"        // always; failing is failing
	PullOnce         PullBehaviour = "once"          // unless this agent has pulled the name before
	PullPreferCached PullBehaviour = "prefer-cached" // unless an image of that name is there
)

// Image is an image that is available.
type Image struct {
	ID     string
	Digest string // of its manifest, when it came from a registry
	// PullStarted and PullStopped are zero when no registry was asked.
	PullStarted, PullStopped time.Time
	// Warning is why the registry didn't give it, when the local image stands in.
	Warning string
}

// Tasks prepares what the containers of one task share.
type Tasks interface {
	// PrepareTask makes the task's volumes and resource limits.
	PrepareTask(ctx context.Context, spec TaskSpec) (Prepared, error)
	// RemoveTask removes them again, shared volumes excepted.
	RemoveTask(ctx context.Context, spec TaskSpec) error
}

// TaskSpec is what the containers of one task share.
type TaskSpec struct {
	ID      string // last element of the ARN
	Owner   string // of the volumes; see LabelOwner
	Volumes []Volume
	CPU     float64 // vCPUs for all containers together; 0: no limit
	Memory  int64   // MiB for all containers together; 0: no limit
}

// Volume is a volume of the runtime's.
type Volume struct {
	Name    string
	Driver  string
	Options map[string]string
	Labels  map[string]string
	// Shared volumes outlive the task. They are made if they are missing only with Provision.
	Shared    bool
	Provision bool
}

// Prepared is what PrepareTask made.
type Prepared struct {
	// CgroupParent limits all containers together; empty when that can't be had here: then each container gets the
	// task's limits as its own.
	CgroupParent string
	// Warning is why, if that isn't how this machine is but went wrong.
	Warning string
}

// Containers is the life of a container.
type Containers interface {
	// CreateContainer makes the container, or adopts the one of that name if it carries the same labels, which is what a
	// crash between creating and remembering leaves behind.
	CreateContainer(ctx context.Context, spec *ContainerSpec) (id string, err error)
	// StartContainer starts it (again) and tells how it is right after.
	StartContainer(ctx context.Context, id string) (State, error)
	// StopContainer sends the stop signal and, when timeout has passed, SIGKILL; it returns when the container has ended.
	StopContainer(ctx context.Context, id string, timeout time.Duration) error
	// InspectContainer takes an id or a name.
	InspectContainer(ctx context.Context, id string) (State, error)
	// RemoveContainer removes it, killing it first if it must; takes an id or a name.
	RemoveContainer(ctx context.Context, id string) error
	// ListContainers lists all containers of the owner, ended ones too. The states have no ports and no exit codes.
	ListContainers(ctx context.Context, owner string) ([]State, error)
}

// Labels that every container of a task carries.
const (
	LabelCluster   = "com.amazonaws.ecs.cluster"
	LabelContainer = "com.amazonaws.ecs.container-name"
	LabelTask      = "com.amazonaws.ecs.task-arn"
	LabelFamily    = "com.amazonaws.ecs.task-definition-family"
	LabelVersion   = "com.amazonaws.ecs.task-definition-version"
	// LabelOwner holds the id of the agent's data directory: what belongs to which of several agents on a machine.
	LabelOwner = "io.openberth.agent"
)

// ContainerSpec describes a container to create.
type ContainerSpec struct {
	Name                string
	Labels              map[string]string // set over the user's
	Image               string
	Command, EntryPoint []string // the image's, if empty
	Environment         map[string]string
	CPUShares           int64
	MemoryLimit         int64 // MiB; 0: none
	Privileged          bool
	Publish             []Published
	HealthChecked       bool // Config has a Healthcheck
	// Config and HostConfig are JSON texts of Docker's types of these names: what they set goes over everything else here.
	Config, HostConfig string
	// NetworkMode, PIDMode and IPCMode are the task's.
	NetworkMode, PIDMode, IPCMode string
	Mounts                        []Mount
	VolumesFrom                   []VolumesFrom
	Links                         []string // "name of the container:alias"
	CgroupParent                  string
	// CPU and Memory are the task's limits, for the container alone where no CgroupParent limits the task as a whole.
	CPU    float64 // vCPUs
	Memory int64   // MiB
}

// Published is a port to publish; HostPort 0 asks for a free one.
type Published struct {
	ContainerPort, HostPort int
	Protocol                string // tcp | udp; empty: tcp
}

// Mount mounts a host path or a volume.
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

// VolumesFrom mounts all volumes of another container.
type VolumesFrom struct {
	Container string // name
	ReadOnly  bool
}

// Phase is where a container is in its life.
type Phase string

// The phases of a container.
const (
	Created Phase = "created"
	Running Phase = "running" // paused and restarting too
	Exited  Phase = "exited"
)

// What a health check says, as ECS spells it.
const (
	Healthy       = "HEALTHY"
	Unhealthy     = "UNHEALTHY"
	HealthUnknown = "UNKNOWN"
)

// State is how a container is.
type State struct {
	ID, Name   string
	Labels     map[string]string
	Phase      Phase
	ExitCode   int // of an exited one
	OOMKilled  bool
	Error      string // the runtime's, about starting it
	StartedAt  time.Time
	FinishedAt time.Time
	Health     string // Healthy, Unhealthy or HealthUnknown; empty without a health check
	HealthLog  string // output of the last check
	Ports      []Port
}

// Port is a published port.
type Port struct {
	HostIP        string
	HostPort      int
	ContainerPort int
	Protocol      string
}

// Observer watches containers.
type Observer interface {
	// Watch calls ready once it is watching, then event for everything that happens to the owner's containers. It
	// returns when ctx ends or the runtime goes away; whoever calls it again inspects everything once it is ready.
	Watch(ctx context.Context, owner string, ready func(), event func(Event)) error
	// Stats samples what a running container has used.
	Stats(ctx context.Context, id string) (Stats, error)
	// Info describes the runtime; an error says that it doesn't answer.
	Info(ctx context.Context) (Info, error)
}

// EventKind says what happened to a container.
type EventKind string

// The kinds of events.
const (
	Died          EventKind = "die"
	Destroyed     EventKind = "destroy"
	HealthChanged EventKind = "health"
)

// Event says that something happened to a container. Only Died's exit code and HealthChanged's health are told; for
// everything else inspect the container.
type Event struct {
	Kind          EventKind
	ContainerID   string
	TaskARN       string
	ContainerName string // in the task definition
	ExitCode      int
	Health        string
	Time          time.Time
}

// Info describes a runtime.
type Info struct {
	Version    string // "20.10.24"
	APIVersion string // "1.41"
	LogDrivers []string
	Security   []string // what confines containers: "apparmor", "selinux", "seccomp"
	CPUs       int
	Memory     int64 // bytes
	TaskLimits bool  // limits on a task as a whole can be had
}

// Stats is one sample of what a container has used so far.
type Stats struct {
	At          time.Time
	CPU         time.Duration
	Memory      int64 // bytes, page cache excluded
	NetworkSeen bool  // false with host networking
	Rx, Tx      Traffic
	Read, Wrote int64 // bytes of block devices
}

// Traffic counts one direction of a container's network.
type Traffic struct{ Bytes, Packets, Errors, Dropped int64 }
