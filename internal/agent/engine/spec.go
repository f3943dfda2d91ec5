package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/arn"
)

// objectName names a container or volume as ECS does, ecs-<family>-<revision>-<name>-<20 hex digits>. The digits come from
// the task's ARN, so that the name is the same after a crash and what was made before it can be found.
func objectName(t *agentlink.Task, kind, name string) string {
	sum := sha256.Sum256([]byte(t.ARN + "\x00" + kind + "\x00" + name))
	return strings.Join([]string{"ecs", alphanumeric(t.Family, true), alphanumeric(t.Version, false), alphanumeric(name, false),
		hex.EncodeToString(sum[:10])}, "-")
}

func containerName(t *agentlink.Task, name string) string { return objectName(t, "container", name) }

// alphanumeric drops what the runtime wouldn't take in a name.
func alphanumeric(s string, alsoDash bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', alsoDash && (r == '-' || r == '_'):
			return r
		}
		return -1
	}, s)
}

// taskSpec says what the containers of the task share.
func taskSpec(t *agentlink.Task, owner string) runtime.TaskSpec {
	spec := runtime.TaskSpec{ID: arn.Last(t.ARN), Owner: owner, CPU: t.CPU, Memory: t.Memory}
	for i := range t.Volumes {
		v := &t.Volumes[i]
		if d := v.DockerVolumeConfiguration; d != nil {
			spec.Volumes = append(spec.Volumes, runtime.Volume{Name: volumeSource(t, v), Driver: d.Driver, Options: d.DriverOpts,
				Labels: d.Labels, Shared: d.Scope == "shared", Provision: d.Autoprovision})
		} else if v.Host == nil || v.Host.SourcePath == "" {
			spec.Volumes = append(spec.Volumes, runtime.Volume{Name: volumeSource(t, v)})
		}
	}
	return spec
}

// volumeSource is what a mount of the volume binds: a host path or the name of a volume of the runtime's.
func volumeSource(t *agentlink.Task, v *agentlink.Volume) string {
	switch d := v.DockerVolumeConfiguration; {
	case d != nil && d.Scope == "shared":
		return v.Name
	case d == nil && v.Host != nil && v.Host.SourcePath != "":
		return v.Host.SourcePath
	}
	return objectName(t, "volume", v.Name)
}

// containerSpec says how to create a container of the task.
func containerSpec(t *Task, c *Container, owner string) *runtime.ContainerSpec {
	task := t.Spec
	spec := &runtime.ContainerSpec{
		Name: containerName(task, c.Name), Image: c.Spec.Image, Command: c.Spec.Command, EntryPoint: c.Spec.EntryPoint,
		Environment: c.Spec.Environment, CPUShares: c.Spec.CPU, MemoryLimit: c.Spec.Memory, Privileged: c.Spec.Privileged,
		HealthChecked: c.HealthChecked(),
		NetworkMode:   task.NetworkMode, PIDMode: task.PIDMode, IPCMode: task.IPCMode,
		CgroupParent: t.Prepared.CgroupParent,
		Labels: map[string]string{
			runtime.LabelTask: task.ARN, runtime.LabelContainer: c.Name, runtime.LabelFamily: task.Family,
			runtime.LabelVersion: task.Version, runtime.LabelCluster: task.TaskClusterARN, runtime.LabelOwner: owner,
		},
	}
	if spec.CgroupParent == "" {
		spec.CPU, spec.Memory = task.CPU, task.Memory
	}
	if o := c.Spec.Overrides; o != "" {
		var overrides agentlink.ContainerOverrides
		if json.Unmarshal([]byte(o), &overrides) == nil && len(overrides.Command) > 0 {
			spec.Command = overrides.Command
		}
	}
	if d := c.Spec.DockerConfig; d != nil {
		if d.Config != nil {
			spec.Config = *d.Config
		}
		if d.HostConfig != nil {
			spec.HostConfig = *d.HostConfig
		}
	}
	for _, p := range c.Spec.PortMappings {
		spec.Publish = append(spec.Publish, runtime.Published{ContainerPort: p.ContainerPort, HostPort: p.HostPort, Protocol: p.Protocol})
	}
	for _, m := range c.Spec.MountPoints {
		for i := range task.Volumes {
			if v := &task.Volumes[i]; v.Name == m.SourceVolume {
				spec.Mounts = append(spec.Mounts, runtime.Mount{Source: volumeSource(task, v), Target: m.ContainerPath, ReadOnly: m.ReadOnly})
			}
		}
	}
	for _, v := range c.Spec.VolumesFrom {
		spec.VolumesFrom = append(spec.VolumesFrom, runtime.VolumesFrom{Container: containerName(task, v.SourceContainer), ReadOnly: v.ReadOnly})
	}
	for _, l := range c.Spec.Links {
		name, alias, ok := strings.Cut(l, ":")
		if !ok {
			alias = name
		}
		spec.Links = append(spec.Links, containerName(task, name)+":"+alias)
	}
	return spec
}

// withoutCredentials is what of a task may be written to disk.
func withoutCredentials(t *agentlink.Task) *agentlink.Task {
	c := *t
	c.RoleCredentials, c.ExecutionRoleCredentials = nil, nil
	return &c
}
