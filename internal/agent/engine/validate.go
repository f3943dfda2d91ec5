package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/openberth/berth/internal/agentlink"
)

// validate says why a task can't be run by this agent; nil: it can be tried. What the agent can't honour is refused aloud,
// never left out.
func validate(t *agentlink.Task) error {
	if err := unsupported(t); err != nil {
		return fmt.Errorf("ResourceInitializationError: %w", err)
	}
	if err := dangling(t); err != nil {
		return fmt.Errorf("TaskDependencyError: %w", err)
	}
	return nil
}

func unsupported(t *agentlink.Task) error {
	if !slices.Contains([]string{"", "bridge", "host", "none"}, t.NetworkMode) {
		return fmt.Errorf("this agent doesn't support network mode %q", t.NetworkMode)
	}
	if !slices.Contains([]string{"", "host"}, t.PIDMode) {
		return fmt.Errorf("this agent doesn't support pidMode %q", t.PIDMode)
	}
	if !slices.Contains([]string{"", "host", "none"}, t.IPCMode) {
		return fmt.Errorf("this agent doesn't support ipcMode %q", t.IPCMode)
	}
	if t.ProxyConfiguration != nil {
		return errors.New("this agent doesn't support proxyConfiguration")
	}
	if len(t.ElasticNetworkInterfaces) > 0 {
		return errors.New("this agent doesn't support elastic network interfaces")
	}
	for _, a := range t.Associations {
		return fmt.Errorf("this agent doesn't support associations of type %q", a.Type)
	}
	for _, a := range t.Attachments {
		return fmt.Errorf("this agent doesn't support attachments of type %q", a.Type)
	}
	for _, v := range t.Volumes {
		if v.Type != "" && v.Type != agentlink.VolumeHost && v.Type != agentlink.VolumeDocker {
			return fmt.Errorf("this agent doesn't support volumes of type %q (volume %s)", v.Type, v.Name)
		}
		if v.Type == agentlink.VolumeDocker && v.DockerVolumeConfiguration == nil {
			return fmt.Errorf("volume %s has no dockerVolumeConfiguration", v.Name)
		}
	}
	for i := range t.Containers {
		c := &t.Containers[i]
		for what, there := range map[string]bool{
			"secrets":                c.Secrets != nil,
			"environmentFiles":       c.EnvironmentFiles != nil,
			"firelensConfiguration":  c.FirelensConfiguration != nil,
			"credentialSpecs":        c.CredentialSpecs != nil,
			"managedAgents":          c.ManagedAgents != nil,
			"registryAuthentication": c.RegistryAuthentication != nil,
			"logsAuthStrategy":       c.LogsAuthStrategy != "",
		} {
			if there {
				return fmt.Errorf("this agent doesn't support %s (container %s)", what, c.Name)
			}
		}
		for _, p := range c.PortMappings {
			if p.ContainerPortRange != "" {
				return fmt.Errorf("this agent doesn't support containerPortRange (container %s)", c.Name)
			}
		}
	}
	return nil
}

// dangling finds names that don't exist and circles that nothing could ever start in.
func dangling(t *agentlink.Task) error {
	byName := map[string]*agentlink.Container{}
	for i := range t.Containers {
		c := &t.Containers[i]
		if c.Name == "" {
			return errors.New("a container has no name")
		}
		if byName[c.Name] != nil {
			return fmt.Errorf("two containers are called %s", c.Name)
		}
		byName[c.Name] = c
	}
	for _, c := range byName {
		for _, d := range c.DependsOn {
			dep := byName[d.ContainerName]
			if dep == nil {
				return fmt.Errorf("container %s depends on %s, which isn't in the task", c.Name, d.ContainerName)
			}
			switch d.Condition {
			case agentlink.DependStart, agentlink.DependComplete, agentlink.DependSuccess:
			case agentlink.DependHealthy:
				if dep.HealthCheckType != "docker" {
					return fmt.Errorf("container %s waits for the health of %s, which has no health check", c.Name, dep.Name)
				}
			default:
				return fmt.Errorf("container %s has an unknown dependency condition %q", c.Name, d.Condition)
			}
		}
		for _, v := range c.VolumesFrom {
			if byName[v.SourceContainer] == nil {
				return fmt.Errorf("container %s mounts the volumes of %s, which isn't in the task", c.Name, v.SourceContainer)
			}
		}
		for _, l := range c.Links {
			if byName[linkTarget(l)] == nil {
				return fmt.Errorf("container %s links to %s, which isn't in the task", c.Name, linkTarget(l))
			}
		}
		for _, m := range c.MountPoints {
			if !slices.ContainsFunc(t.Volumes, func(v agentlink.Volume) bool { return v.Name == m.SourceVolume }) {
				return fmt.Errorf("container %s mounts volume %s, which isn't in the task", c.Name, m.SourceVolume)
			}
		}
	}

	const (
		visiting = 1
		done     = 2
	)
	mark := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch mark[name] {
		case done:
			return nil
		case visiting:
			return fmt.Errorf("container %s depends on itself", name)
		}
		mark[name] = visiting
		for _, n := range needs(byName[name]) {
			if err := visit(n); err != nil {
				return err
			}
		}
		mark[name] = done
		return nil
	}
	for i := range t.Containers {
		if err := visit(t.Containers[i].Name); err != nil {
			return err
		}
	}
	return nil
}
