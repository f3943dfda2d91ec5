package definition

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

const maxPort = 65535

var portNamePattern = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]{0,63}$`)

// portMappings checks the mappings of one container.
func portMappings(td *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	if len(c.PortMappings) > 0 && td.NetworkMode == ecs.NetworkNone {
		return fault.ClientError("Port mappings are not supported when networkMode=none.")
	}
	for _, p := range c.PortMappings {
		if p.ContainerPortRange != "" {
			if err := portRange(td, p); err != nil {
				return err
			}
		} else if p.ContainerPort == nil || *p.ContainerPort < 1 || *p.ContainerPort > maxPort {
			return fault.ClientError("Invalid 'containerPort' setting for container '%s'. It must be between 1 and %d.", c.Name, maxPort)
		}
		if p.HostPort != nil && (*p.HostPort < 0 || *p.HostPort > maxPort) {
			return fault.ClientError("Invalid 'hostPort' setting for container '%s'. It must be between 0 and %d.", c.Name, maxPort)
		}
		if sharesPortSpace(td.NetworkMode) && p.ContainerPort != nil && *p.HostPort != *p.ContainerPort {
			return fault.ClientError("When networkMode=%s, the host ports and container ports in port mappings must match.", td.NetworkMode)
		}
		if p.Name != "" && !portNamePattern.MatchString(p.Name) {
			return fault.ClientError("The port mapping name '%s' is invalid. It can have up to 64 lowercase letters, numbers, underscores and hyphens, and can't start with a hyphen.", p.Name)
		}
	}
	return nil
}

func portRange(td *ecs.TaskDefinition, p ecs.PortMapping) error {
	if p.ContainerPort != nil || p.HostPort != nil {
		return fault.ClientError("cannot specify both single port and port range")
	}
	if td.NetworkMode == ecs.NetworkHost {
		return fault.ClientError("containerPortRange is not supported when networkMode=host.")
	}
	if _, _, ok := ParsePortRange(p.ContainerPortRange); !ok {
		return fault.ClientError("Invalid 'containerPortRange' setting: '%s'", p.ContainerPortRange)
	}
	return nil
}

// ParsePortRange reads a containerPortRange: "8000-8010" is 8000 and 8010. The first must be below the last.
func ParsePortRange(s string) (first, last int, ok bool) {
	a, b, found := strings.Cut(s, "-")
	if !found {
		return 0, 0, false
	}
	first, errA := strconv.Atoi(a)
	last, errB := strconv.Atoi(b)
	return first, last, errA == nil && errB == nil && 1 <= first && first < last && last <= maxPort
}

// portsOfTask checks the mappings of all containers together: names are unique, and no two claims for a port exclude
// each other for ever. On a bridge only fixed host ports can clash (many containers may listen on their own port 80);
// where the containers share an interface, their ports clash too.
func portsOfTask(td *ecs.TaskDefinition) error {
	type claim struct {
		first, last int
		protocol    string
	}
	var hosts, ranges []claim
	names := map[string]bool{}
	for i := range td.ContainerDefinitions {
		for _, p := range td.ContainerDefinitions[i].PortMappings {
			if p.Name != "" {
				if names[p.Name] {
					return fault.ClientError("The port mapping name '%s' is invalid. The port mapping name is already used.", p.Name)
				}
				names[p.Name] = true
			}
			if first, last, ok := ParsePortRange(p.ContainerPortRange); ok {
				ranges = append(ranges, claim{first, last, p.Protocol})
			} else if td.NetworkMode == ecs.NetworkAwsvpc {
				ranges = append(ranges, claim{*p.ContainerPort, *p.ContainerPort, p.Protocol})
			} else if p.HostPort != nil && *p.HostPort > 0 {
				hosts = append(hosts, claim{*p.HostPort, *p.HostPort, p.Protocol})
			}
		}
	}
	for _, group := range []struct {
		what   string
		claims []claim
	}{{"host", hosts}, {"container", ranges}} {
		for i, a := range group.claims {
			for _, b := range group.claims[:i] {
				if a.protocol == b.protocol && a.first <= b.last && b.first <= a.last {
					return fault.ClientError("The %s port %s is used multiple times in task.", group.what, span(a.first, a.last))
				}
			}
		}
	}
	return nil
}

func span(first, last int) string {
	if first == last {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}
