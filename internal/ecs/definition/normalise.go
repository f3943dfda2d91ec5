package definition

import (
	"math"
	"strconv"
	"strings"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// Normalise fills in what AWS fills in, in place. Clients (Terraform, ecspresso) compare the document that they sent
// with the one that comes back, so what is not listed here must stay as it was: absent stays absent, empty stays empty.
//
//   - task cpu and memory become numbers: "1 vCPU" is "1024", ".5 GB" is "512";
//   - a container's cpu is 0, essential true, and environment, mountPoints, volumesFrom, portMappings and
//     systemControls are empty lists;
//   - a port mapping is tcp; its hostPort is the containerPort in awsvpc and host mode, 0 (dynamic) on a bridge;
//   - a health check has interval 30, timeout 5, retries 3; a Docker volume has the scope task.
//
// Normalising twice is the same as normalising once.
func Normalise(td *ecs.TaskDefinition) error {
	var err error
	if td.CPU, err = units(td.CPU, "cpu", cpuUnits); err != nil {
		return err
	}
	if td.Memory, err = units(td.Memory, "memory", memoryUnits); err != nil {
		return err
	}
	if td.Volumes == nil {
		td.Volumes = []ecs.Volume{}
	}
	for i := range td.Volumes {
		if docker := td.Volumes[i].DockerVolumeConfiguration; docker != nil && docker.Scope == "" {
			docker.Scope = scopeTask
		}
	}
	if td.PlacementConstraints == nil {
		td.PlacementConstraints = []ecs.PlacementConstraint{}
	}
	for i := range td.ContainerDefinitions {
		normaliseContainer(td.NetworkMode, &td.ContainerDefinitions[i])
	}
	return nil
}

func normaliseContainer(networkMode string, c *ecs.ContainerDefinition) {
	if c.CPU == nil {
		c.CPU = new(int)
	}
	if c.Essential == nil {
		essential := true
		c.Essential = &essential
	}
	if c.Environment == nil {
		c.Environment = []ecs.KeyValuePair{}
	}
	if c.MountPoints == nil {
		c.MountPoints = []ecs.MountPoint{}
	}
	if c.VolumesFrom == nil {
		c.VolumesFrom = []ecs.VolumeFrom{}
	}
	if c.SystemControls == nil {
		c.SystemControls = []ecs.SystemControl{}
	}
	if c.PortMappings == nil {
		c.PortMappings = []ecs.PortMapping{}
	}
	for i := range c.PortMappings {
		p := &c.PortMappings[i]
		if p.Protocol == "" {
			p.Protocol = "tcp"
		}
		if p.HostPort != nil || p.ContainerPort == nil || p.ContainerPortRange != "" {
			continue
		}
		port := 0
		if sharesPortSpace(networkMode) {
			port = *p.ContainerPort
		}
		p.HostPort = &port
	}
	if h := c.HealthCheck; h != nil {
		h.Interval = orDefault(h.Interval, 30)
		h.Timeout = orDefault(h.Timeout, 5)
		h.Retries = orDefault(h.Retries, 3)
	}
}

// sharesPortSpace tells the modes in which a container's ports are the ports of its network interface, so that nothing
// is mapped.
func sharesPortSpace(networkMode string) bool {
	return networkMode == ecs.NetworkAwsvpc || networkMode == ecs.NetworkHost
}

func orDefault(p *int, def int) *int {
	if p == nil {
		return &def
	}
	return p
}

// What may follow the number of a task's size, in lower case, and how much it multiplies by.
var (
	cpuUnits    = map[string]float64{"": 1, "vcpu": 1024, "vcpus": 1024}
	memoryUnits = map[string]float64{"": 1, "mb": 1, "gb": 1024, "mib": 1, "gib": 1024}
)

// units reads a task's cpu or memory: "1024", "1 vCPU", ".5 GB".
func units(s, setting string, factors map[string]float64) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	invalid := fault.ClientError("Invalid '%s' setting for task. For more information, see the Troubleshooting section of "+
		"the Amazon ECS Developer Guide.", setting)
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	number, unit := s, ""
	if end >= 0 {
		number, unit = s[:end], strings.ToLower(strings.TrimSpace(s[end:]))
	}
	factor, ok := factors[unit]
	if !ok {
		return "", invalid
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return "", invalid
	}
	n *= factor
	if n < 1 || n > math.MaxInt32 || n != math.Trunc(n) {
		return "", invalid
	}
	return strconv.Itoa(int(n)), nil
}
