package control

import (
	"slices"
	"strconv"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
)

// BuildTask makes a payload's task: the definition with the task's overrides merged in, spelled so that both our agent
// and the Amazon ECS agent can run it. It is a pure function of its arguments.
//
// A task that is to stop is described completely too. An agent that has never heard of it (its first payload was lost)
// can then report all of its containers STOPPED, which ends the task; a bare "stop it" would leave it hanging.
//
// Registration accepts more than a payload can carry; what it can't is refused before a task is made
// (definition.Unhonoured), so nothing is dropped here.
func BuildTask(scope arn.Scope, t *ecs.Task, td *ecs.TaskDefinition) *agentlink.Task {
	mode := td.NetworkMode
	if mode == "" {
		mode = ecs.NetworkBridge
	}
	out := &agentlink.Task{
		ARN:                     scope.Task(t.Cluster, t.ID),
		TaskClusterARN:          scope.Cluster(t.Cluster),
		DesiredStatus:           t.DesiredStatus,
		Family:                  td.Family,
		Version:                 strconv.Itoa(td.Revision),
		TaskDefinitionAccountID: scope.Account,
		Zone:                    t.AvailabilityZone,
		Group:                   t.Group,
		ServiceName:             t.Service,
		LaunchType:              t.LaunchType,
		NetworkMode:             mode,
		CPU:                     float64(amount(t.Overrides.CPU, td.CPU)) / 1024, // 256 units are 0.25 vCPU
		Memory:                  amount(t.Overrides.Memory, td.Memory),
		PIDMode:                 td.PIDMode,
		IPCMode:                 td.IPCMode,
		EnableFaultInjection:    isTrue(td.EnableFaultInjection),
	}
	for i := range td.ContainerDefinitions {
		out.Containers = append(out.Containers, buildContainer(scope, t, td, &td.ContainerDefinitions[i], mode))
	}
	for _, v := range td.Volumes {
		out.Volumes = append(out.Volumes, buildVolume(v))
	}
	return out
}

func buildContainer(scope arn.Scope, t *ecs.Task, td *ecs.TaskDefinition, cd *ecs.ContainerDefinition, mode string) agentlink.Container {
	o := containerOverride(t, cd.Name)
	memory := firstOf(o.Memory, cd.Memory)
	c := agentlink.Container{
		Name:        cd.Name,
		Image:       cd.Image,
		Essential:   cd.Essential == nil || *cd.Essential,
		CPU:         int64(firstOf(o.CPU, cd.CPU)),
		Memory:      int64(memory),
		Command:     cd.Command,
		EntryPoint:  cd.EntryPoint,
		Environment: environment(cd.Environment, o.Environment),
		Links:       cd.Links,
		Privileged:  isTrue(cd.Privileged),
	}
	if o.Command != nil {
		c.Command = o.Command
	}
	if i := slices.IndexFunc(t.Containers, func(c ecs.Container) bool { return c.Name == cd.Name }); i >= 0 {
		c.ContainerARN = scope.Container(t.Cluster, t.ID, t.Containers[i].ID)
	}
	for _, p := range cd.PortMappings {
		c.PortMappings = append(c.PortMappings, buildPort(p, mode))
	}
	for _, m := range cd.MountPoints {
		c.MountPoints = append(c.MountPoints, agentlink.MountPoint{
			SourceVolume: m.SourceVolume, ContainerPath: m.ContainerPath, ReadOnly: isTrue(m.ReadOnly)})
	}
	for _, v := range cd.VolumesFrom {
		c.VolumesFrom = append(c.VolumesFrom, agentlink.VolumeFrom{
			SourceContainer: v.SourceContainer, ReadOnly: isTrue(v.ReadOnly)})
	}
	for _, d := range cd.DependsOn {
		c.DependsOn = append(c.DependsOn, agentlink.ContainerDependency{ContainerName: d.ContainerName, Condition: d.Condition})
	}
	if cd.StartTimeout != nil {
		c.StartTimeout = int64(*cd.StartTimeout)
	}
	if cd.StopTimeout != nil {
		c.StopTimeout = int64(*cd.StopTimeout)
	}
	if p := cd.RestartPolicy; p != nil {
		c.RestartPolicy = &agentlink.RestartPolicy{Enabled: p.Enabled, IgnoredExitCodes: p.IgnoredExitCodes}
		if p.RestartAttemptPeriod != nil {
			c.RestartPolicy.RestartAttemptPeriod = int64(*p.RestartAttemptPeriod)
		}
	}
	// "docker" promises the agent a Healthcheck in the Docker configuration and turns health reports on; a check of NONE
	// only switches the image's own off, and has no health to report.
	if cd.HasHealthCheck() {
		c.HealthCheckType = "docker"
	}
	c.DockerConfig = dockerConfig(td, cd, mode, memory, firstOf(o.MemoryReservation, cd.MemoryReservation))
	return c
}

func buildPort(p ecs.PortMapping, mode string) agentlink.PortMapping {
	out := agentlink.PortMapping{
		ContainerPort: firstOf(p.ContainerPort), HostPort: firstOf(p.HostPort),
		Protocol: p.Protocol, ContainerPortRange: p.ContainerPortRange,
	}
	if out.Protocol == "" {
		out.Protocol = "tcp"
	}
	if mode == ecs.NetworkHost && out.HostPort == 0 {
		out.HostPort = out.ContainerPort // the container shares the host's ports; there is nothing to choose
	}
	return out
}

func buildVolume(v ecs.Volume) agentlink.Volume {
	out := agentlink.Volume{Name: v.Name}
	switch {
	case v.DockerVolumeConfiguration != nil:
		d := v.DockerVolumeConfiguration
		out.Type = agentlink.VolumeDocker
		out.DockerVolumeConfiguration = &agentlink.DockerVolumeConfiguration{
			Scope: d.Scope, Autoprovision: isTrue(d.Autoprovision), Driver: d.Driver, DriverOpts: d.DriverOpts, Labels: d.Labels}
		if d.Scope == "" {
			out.DockerVolumeConfiguration.Scope = "task" // AWS's default
		}
	case v.EFSVolumeConfiguration != nil:
		e := v.EFSVolumeConfiguration
		out.Type = agentlink.VolumeEFS
		out.EFSVolumeConfiguration = &agentlink.EFSVolumeConfiguration{FileSystemID: e.FileSystemID,
			RootDirectory: e.RootDirectory, TransitEncryption: e.TransitEncryption,
			TransitEncryptionPort: firstOf(e.TransitEncryptionPort)}
		if a := e.AuthorizationConfig; a != nil {
			out.EFSVolumeConfiguration.AuthorizationConfig = &agentlink.EFSAuthorizationConfig{
				AccessPointID: a.AccessPointID, IAM: a.IAM}
		}
	default: // an absent path is a volume that lives as long as the task
		out.Type = agentlink.VolumeHost
		out.Host = &agentlink.HostVolume{}
		if v.Host != nil {
			out.Host.SourcePath = v.Host.SourcePath
		}
	}
	return out
}

// environment turns lists into the map that agents want; the override wins, name by name.
func environment(definition, override []ecs.KeyValuePair) map[string]string {
	all := make(map[string]string, len(definition)+len(override))
	for _, list := range [][]ecs.KeyValuePair{definition, override} {
		for _, v := range list {
			all[v.Name] = v.Value
		}
	}
	return all
}

func containerOverride(t *ecs.Task, name string) ecs.ContainerOverride {
	for _, o := range t.Overrides.ContainerOverrides {
		if o.Name == name {
			return o
		}
	}
	return ecs.ContainerOverride{}
}

// amount reads the first of the decimal texts that holds a number; 0 means that there is none.
func amount(texts ...string) int64 {
	for _, s := range texts {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// firstOf is the first of the values that is given, else 0.
func firstOf(values ...*int) int {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	return 0
}

func isTrue(p *bool) bool { return p != nil && *p }
