package ecs

import (
	"crypto/sha1"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/openberth/berth/internal/fault"
)

// Launch is everything that a new task is made from. RunTask, StartTask and the service scheduler fill it in.
type Launch struct {
	ID                   string // 32 hex digits, fresh: never used before
	Cluster              string
	Definition           *TaskDefinition
	Overrides            TaskOverride
	Group                string // default: "service:<Service>", or "family:<family>" for a standalone task
	StartedBy            string
	Service              string // name; empty for a standalone task
	LaunchType           string // default: EC2
	PlatformVersion      string
	EnableExecuteCommand bool
	Tags                 []Tag
	ClientToken          string
	RequestHash          string
	Now                  time.Time
}

// Launch types.
const (
	LaunchTypeEC2              = "EC2"
	LaunchTypeExternal         = "EXTERNAL"
	LaunchTypeFargate          = "FARGATE"
	LaunchTypeManagedInstances = "MANAGED_INSTANCES"
)

// Values of propagateTags.
const (
	PropagateTaskDefinition = "TASK_DEFINITION"
	PropagateService        = "SERVICE"
	PropagateNone           = "NONE"
)

// Network modes; a definition without one means bridge.
const (
	NetworkBridge = "bridge"
	NetworkHost   = "host"
	NetworkAwsvpc = "awsvpc"
	NetworkNone   = "none"
)

// NewTask makes the record of a task that is to run: desired RUNNING, last PENDING, on no instance yet (see Task.On).
// It is a pure function: the same Launch makes the same task, the containers' ids included.
func NewTask(l Launch) *Task {
	td := l.Definition
	group := l.Group
	if group == "" {
		group = "family:" + td.Family
		if l.Service != "" {
			group = "service:" + l.Service
		}
	}
	launchType := l.LaunchType
	if launchType == "" {
		launchType = LaunchTypeEC2
	}
	reserved := Requirements(td, l.Overrides)
	t := &Task{
		ID: l.ID, Cluster: l.Cluster, TaskDefinition: td.ID(), Group: group, StartedBy: l.StartedBy, Service: l.Service,
		LaunchType: launchType, PlatformVersion: l.PlatformVersion,
		CPU: strconv.Itoa(reserved.CPU), Memory: strconv.Itoa(reserved.Memory), Reserved: reserved,
		Overrides: completeOverrides(td, l.Overrides), EnableExecuteCommand: l.EnableExecuteCommand,
		ClientToken: l.ClientToken, RequestHash: l.RequestHash, Tags: slices.Clone(l.Tags),
		DesiredStatus: TaskRunning, LastStatus: TaskPending, CreatedAt: l.Now, Version: 1,
		Containers: make([]Container, 0, len(td.ContainerDefinitions)),
	}
	for i := range td.ContainerDefinitions {
		cd := &td.ContainerDefinitions[i]
		o := l.Overrides.container(cd.Name)
		cpu, memory, reservation := cd.CPU, override(o.Memory, cd.Memory), override(o.MemoryReservation, cd.MemoryReservation)
		if cpu = override(o.CPU, cpu); cpu == nil {
			cpu = new(int) // AWS shows a container's cpu always, "0" when it has none
		}
		t.Containers = append(t.Containers, Container{
			ID: containerID(l.ID, cd.Name), Name: cd.Name, Image: cd.Image, LastStatus: TaskPending,
			Essential:    cd.Essential == nil || *cd.Essential,
			HealthStatus: HealthUnknown, HealthChecked: cd.HasHealthCheck(),
			CPU: decimal(cpu), Memory: decimal(memory), MemoryReservation: decimal(reservation),
		})
	}
	return t
}

// On returns a copy of the task as placed on an instance.
func (t *Task) On(ci *ContainerInstance) *Task {
	placed := *t
	placed.ContainerInstance, placed.AvailabilityZone = ci.ID, ci.AvailabilityZone()
	if arch, ok := ci.Attribute("ecs.cpu-architecture"); ok {
		placed.Attributes = append(slices.Clone(t.Attributes), Attribute{Name: "ecs.cpu-architecture", Value: arch})
	}
	return &placed
}

// Requirements are what placement counts for a task: the task-level cpu and memory where they are given, else the sums
// over the containers of cpu and of the soft memory limit (the hard one where there is no soft one); and the host ports
// that are fixed in advance. Dynamic ports are the agent's business.
//
// Two containers, {cpu 100, memory 300, memoryReservation 200} and {cpu 50, memory 128}, with no task-level size, take
// 150 CPU units and 328 MiB; with a task-level memory of "512" they take 150 and 512.
func Requirements(td *TaskDefinition, o TaskOverride) Resources {
	var r Resources
	for i := range td.ContainerDefinitions {
		cd := &td.ContainerDefinitions[i]
		co := o.container(cd.Name)
		r.CPU += value(override(co.CPU, cd.CPU))
		memory := override(co.MemoryReservation, cd.MemoryReservation)
		if memory == nil {
			memory = override(co.Memory, cd.Memory)
		}
		r.Memory += value(memory)
		for _, p := range cd.PortMappings {
			port := staticHostPort(td.NetworkMode, p)
			switch {
			case port == 0:
			case p.Protocol == "udp":
				r.PortsUDP = append(r.PortsUDP, port)
			default:
				r.Ports = append(r.Ports, port)
			}
		}
	}
	if n, ok := size(o.CPU, td.CPU); ok {
		r.CPU = n
	}
	if n, ok := size(o.Memory, td.Memory); ok {
		r.Memory = n
	}
	slices.Sort(r.Ports)
	slices.Sort(r.PortsUDP)
	r.Ports, r.PortsUDP = slices.Compact(r.Ports), slices.Compact(r.PortsUDP)
	return r
}

// staticHostPort is the host port that a mapping is sure to take, 0 when there is none: on a bridge the hostPort that is
// written down, in host mode the container's own port; a task with its own interface (awsvpc) or none takes no host port.
func staticHostPort(mode string, p PortMapping) int {
	switch mode {
	case "", NetworkBridge:
		return value(p.HostPort)
	case NetworkHost:
		return value(p.ContainerPort)
	}
	return 0
}

// CheckOverrides refuses overrides of containers that the definition doesn't have.
func CheckOverrides(td *TaskDefinition, o TaskOverride) error {
	for _, co := range o.ContainerOverrides {
		if _, ok := td.Container(co.Name); !ok {
			return fault.InvalidParameter("Override for container named %s is not a container in the TaskDefinition.", co.Name)
		}
	}
	return nil
}

// TaskTags are the tags of a new task: those that it is given, then what propagateTags copies (from the definition or
// from the service, whose tags come as source), then the managed ones. A key that is given wins over a copied one.
// service is "" for a standalone task.
func TaskTags(given, source []Tag, managed bool, cluster, service string) []Tag {
	tags := slices.Clone(given)
	has := func(key string) bool {
		return slices.ContainsFunc(tags, func(t Tag) bool { return t.Key == key })
	}
	if managed {
		source = append(slices.Clone(source), Tag{Key: "aws:ecs:clusterName", Value: cluster})
		if service != "" {
			source = append(source, Tag{Key: "aws:ecs:serviceName", Value: service})
		}
	}
	for _, t := range source {
		if !has(t.Key) {
			tags = append(tags, t)
		}
	}
	return tags
}

// ServiceTaskTags are the tags of a new task of the service.
func ServiceTaskTags(s *Service, td *TaskDefinition) []Tag {
	var source []Tag
	switch s.PropagateTags {
	case PropagateService:
		source = s.Tags
	case PropagateTaskDefinition:
		source = td.Tags
	}
	return TaskTags(nil, source, s.EnableECSManagedTags, s.Cluster, s.Name)
}

// HasHealthCheck tells whether the container has a health check of its own; "NONE" switches the image's off.
func (cd *ContainerDefinition) HasHealthCheck() bool {
	return cd.HealthCheck != nil && len(cd.HealthCheck.Command) > 0 && cd.HealthCheck.Command[0] != "NONE"
}

// completeOverrides adds an entry for every container that has none: AWS echoes one for each.
func completeOverrides(td *TaskDefinition, o TaskOverride) TaskOverride {
	all := make([]ContainerOverride, len(td.ContainerDefinitions))
	for i := range td.ContainerDefinitions {
		all[i] = o.container(td.ContainerDefinitions[i].Name)
	}
	o.ContainerOverrides = all
	return o
}

// container is the override of one container: its name alone when there is none.
func (o TaskOverride) container(name string) ContainerOverride {
	for _, co := range o.ContainerOverrides {
		if co.Name == name {
			return co
		}
	}
	return ContainerOverride{Name: name}
}

// containerID is a UUID (version 5: by name) made of the task's id and the container's name. Task ids are random and never
// used twice, so container ids are as unique, and a task that is made again in a retried transaction has the same ones.
func containerID(task, container string) string {
	sum := sha1.Sum([]byte(task + "/" + container))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x50
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// size reads a task-level amount: the override's, else the definition's. Registration has normalised the definition's to
// a decimal number; an override that isn't one was refused before.
func size(override, definition string) (int, bool) {
	for _, s := range []string{override, definition} {
		if n, err := strconv.Atoi(s); err == nil && s != "" {
			return n, true
		}
	}
	return 0, false
}

func override(o, definition *int) *int {
	if o != nil {
		return o
	}
	return definition
}

func value(p *int) int {
	if p == nil {
		return 0
	}
	return *p
}

func decimal(p *int) string {
	if p == nil {
		return ""
	}
	return strconv.Itoa(*p)
}
