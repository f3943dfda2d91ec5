package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/openberth/berth/internal/agent/runtime"
)

const (
	minShares = 2      // of the kernel's: fewer are taken for 2
	maxShares = 262144 // more are refused
	minMemory = 4 << 20
)

// build turns a specification into what Docker is told: from the typed fields first, then with the JSON of
// Config and HostConfig over it, so that whatever a container definition can say arrives.
func build(spec *runtime.ContainerSpec) (*container.Config, *container.HostConfig, error) {
	cfg := &container.Config{Image: spec.Image, Cmd: spec.Command, Entrypoint: spec.EntryPoint}
	for _, name := range slices.Sorted(maps.Keys(spec.Environment)) {
		cfg.Env = append(cfg.Env, name+"="+spec.Environment[name])
	}
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(spec.NetworkMode),
		PidMode:     container.PidMode(spec.PIDMode),
		IpcMode:     container.IpcMode(spec.IPCMode),
		Privileged:  spec.Privileged,
		Links:       spec.Links,
		Resources:   container.Resources{CPUShares: min(max(spec.CPUShares, minShares), maxShares), CgroupParent: spec.CgroupParent},
	}
	if spec.NetworkMode == "" {
		host.NetworkMode = "bridge"
	}
	if spec.MemoryLimit > 0 {
		host.Memory = max(spec.MemoryLimit<<20, minMemory)
	}
	if err := publish(spec.Publish, cfg, host); err != nil {
		return nil, nil, err
	}
	for _, m := range spec.Mounts {
		bind := m.Source + ":" + m.Target
		if m.ReadOnly {
			bind += ":ro"
		}
		host.Binds = append(host.Binds, bind)
	}
	for _, v := range spec.VolumesFrom {
		from := v.Container
		if v.ReadOnly {
			from += ":ro"
		}
		host.VolumesFrom = append(host.VolumesFrom, from)
	}
	if err := overlay(spec, cfg, host); err != nil {
		return nil, nil, err
	}
	if spec.HealthChecked && cfg.Healthcheck == nil {
		return nil, nil, errors.New("DockerClientConfigError: the container has a health check of type docker but no Healthcheck")
	}
	if host.NetworkMode.IsHost() || host.NetworkMode.IsNone() {
		host.PortBindings = nil
	}

	// The task's limits, when no cgroup of the task's own sets them. A container limited below them stays so.
	if spec.CPU > 0 && host.NanoCPUs == 0 && host.CPUQuota == 0 {
		host.NanoCPUs = int64(spec.CPU * 1e9)
	}
	if limit := spec.Memory << 20; limit > 0 && (host.Memory == 0 || host.Memory > limit) {
		host.Memory = limit
	}
	if host.Memory > 0 && host.MemoryReservation > host.Memory {
		return nil, nil, fmt.Errorf("HostConfigError: memory reservation %d is above the memory limit %d", host.MemoryReservation, host.Memory)
	}

	labels := map[string]string{}
	maps.Copy(labels, cfg.Labels)
	maps.Copy(labels, spec.Labels)
	cfg.Labels = labels
	return cfg, host, nil
}

// publish exposes and publishes the ports. Host port 0 lets Docker pick, and is left out for it.
func publish(mappings []runtime.Published, cfg *container.Config, host *container.HostConfig) error {
	for _, m := range mappings {
		protocol := strings.ToLower(m.Protocol)
		if protocol == "" {
			protocol = "tcp"
		}
		port, err := network.ParsePort(strconv.Itoa(m.ContainerPort) + "/" + protocol)
		if err != nil {
			return fmt.Errorf("HostConfigError: %w", err)
		}
		if cfg.ExposedPorts == nil {
			cfg.ExposedPorts, host.PortBindings = network.PortSet{}, network.PortMap{}
		}
		cfg.ExposedPorts[port] = struct{}{}
		var binding network.PortBinding
		if m.HostPort != 0 {
			binding.HostPort = strconv.Itoa(m.HostPort)
		}
		host.PortBindings[port] = append(host.PortBindings[port], binding)
	}
	return nil
}

func overlay(spec *runtime.ContainerSpec, cfg *container.Config, host *container.HostConfig) error {
	if spec.Config != "" {
		if err := json.Unmarshal([]byte(spec.Config), cfg); err != nil {
			return fmt.Errorf("DockerClientConfigError: unable to decode config: %w", err)
		}
	}
	if spec.HostConfig != "" {
		if err := json.Unmarshal([]byte(spec.HostConfig), host); err != nil {
			return fmt.Errorf("HostConfigError: unable to decode host config: %w", err)
		}
	}
	return nil
}
