package definition

import (
	"strings"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// networking checks what a container may not have in some network modes. A missing mode means bridge.
func networking(td *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	if len(c.Links) > 0 && td.NetworkMode != "" && td.NetworkMode != ecs.NetworkBridge {
		return fault.ClientError("Links are not supported when networkMode=%s.", td.NetworkMode)
	}
	for _, l := range c.Links {
		target, _, _ := strings.Cut(l, ":")
		if _, ok := td.Container(target); !ok {
			return fault.ClientError("Invalid 'links' setting. Unknown container: '%s'", target)
		}
	}
	if td.NetworkMode != ecs.NetworkAwsvpc {
		return nil
	}
	for _, m := range []struct {
		what string
		set  bool
	}{
		{"hostname is", c.Hostname != ""},
		{"DNS servers are", len(c.DNSServers) > 0},
		{"DNS search domains are", len(c.DNSSearchDomains) > 0},
		{"Extra hosts are", len(c.ExtraHosts) > 0},
		{"Disable Networking is", isTrue(c.DisableNetworking)},
	} {
		if m.set {
			return fault.ClientError("%s not supported on container when networkMode=awsvpc.", m.what)
		}
	}
	return nil
}

// environment checks environment variables, secrets (which become variables too) and environment files.
func environment(td *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	used := map[string]bool{}
	for _, kv := range c.Environment {
		if kv.Name == "" {
			return fault.ClientError("Environment variable name should not be null or empty.")
		}
		used[kv.Name] = true
	}
	for _, s := range c.Secrets {
		if used[s.Name] {
			return fault.ClientError("The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '%s'.", s.Name)
		}
		used[s.Name] = true
	}
	needsRole := len(c.Secrets) > 0 || c.LogConfiguration != nil && len(c.LogConfiguration.SecretOptions) > 0
	if needsRole && td.ExecutionRoleARN == "" {
		return fault.ClientError("When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.")
	}
	if len(c.EnvironmentFiles) > maxEnvironmentFiles {
		return fault.ClientError("The maximum number of environment files was exceeded. Specify ten or less and try again.")
	}
	for _, f := range c.EnvironmentFiles {
		if !isARN(f.Value, "s3") {
			return fault.ClientError("Invalid arn syntax.")
		}
		if !strings.HasSuffix(f.Value, ".env") {
			return fault.ClientError("The environment file '%s' must have the file extension .env.", f.Value)
		}
	}
	return nil
}

func timeouts(_ *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	for _, t := range []struct {
		which   string
		seconds *int
	}{{"start", c.StartTimeout}, {"stop", c.StopTimeout}} {
		if t.seconds != nil && *t.seconds < 2 {
			return fault.ClientError("Granular %s timeout on container '%s' must be at least 2 seconds.", t.which, c.Name)
		}
	}
	return nil
}

func healthCheck(_ *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	h := c.HealthCheck
	if h == nil {
		return nil
	}
	switch {
	case len(h.Command) == 0:
		return fault.ClientError("Health check command for container '%s' should not be empty.", c.Name)
	case h.Command[0] == "NONE": // switches the image's own check off
		if len(h.Command) > 1 {
			return fault.ClientError("Health check command for container '%s' should have nothing after NONE.", c.Name)
		}
	case h.Command[0] != "CMD" && h.Command[0] != "CMD-SHELL":
		return fault.ClientError("Health check command for container '%s' should start with CMD or CMD-SHELL.", c.Name)
	case len(h.Command) == 1 || h.Command[0] == "CMD-SHELL" && strings.TrimSpace(h.Command[1]) == "":
		return fault.ClientError("Health check command for container '%s' should have something after %s.", c.Name, h.Command[0])
	}
	for _, s := range []struct {
		setting  string
		value    *int
		min, max int
	}{
		{"interval", h.Interval, 5, 300}, {"timeout", h.Timeout, 2, 60},
		{"retries", h.Retries, 1, 10}, {"startPeriod", h.StartPeriod, 0, 300},
	} {
		if err := within(c, s.setting, s.value, s.min, s.max); err != nil {
			return err
		}
	}
	return nil
}

func restartPolicy(_ *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	p := c.RestartPolicy
	if p == nil {
		return nil
	}
	if len(p.IgnoredExitCodes) > maxIgnoredExitCodes {
		return fault.ClientError("Invalid setting for container '%s'. 'ignoredExitCodes' can have at most %d values.", c.Name, maxIgnoredExitCodes)
	}
	return within(c, "restartAttemptPeriod", p.RestartAttemptPeriod, 60, 1800)
}

func linuxParameters(_ *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	if len(c.CredentialSpecs) > 1 {
		return fault.ClientError("Invalid setting for container '%s'. 'credentialSpecs' can have at most one value.", c.Name)
	}
	l := c.LinuxParameters
	if l == nil {
		return nil
	}
	if l.MaxSwap != nil && *l.MaxSwap < 0 {
		return fault.ClientError("Invalid setting for container '%s'. 'maxSwap' must be 0 or a positive number.", c.Name)
	}
	if l.SharedMemorySize != nil && *l.SharedMemorySize < 1 {
		return fault.ClientError("Invalid setting for container '%s'. 'sharedMemorySize' must be a positive number.", c.Name)
	}
	for _, t := range l.Tmpfs {
		if t.ContainerPath == "" || t.Size < 1 {
			return fault.ClientError("Invalid setting for container '%s'. A 'tmpfs' must have a containerPath and a positive size.", c.Name)
		}
	}
	for _, d := range l.Devices {
		if d.HostPath == "" {
			return fault.ClientError("Invalid setting for container '%s'. A 'device' must have a hostPath.", c.Name)
		}
	}
	return within(c, "swappiness", l.Swappiness, 0, 100)
}

// within checks a setting of a container that has a least and a greatest value.
func within(c *ecs.ContainerDefinition, setting string, value *int, min, max int) error {
	if value != nil && (*value < min || *value > max) {
		return fault.ClientError("The '%s' setting for container '%s' must be between %d and %d.", setting, c.Name, min, max)
	}
	return nil
}

// awslogsOptions are those that the awslogs driver can't do without.
var awslogsOptions = []string{"awslogs-region", "awslogs-group"}

func logging(td *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	l := c.LogConfiguration
	if l == nil {
		return nil
	}
	switch l.LogDriver {
	case "":
		return fault.ClientError("Log driver should not be null or empty.")
	case "awslogs":
		var missing []string
		for _, o := range awslogsOptions {
			if l.Options[o] == "" {
				missing = append(missing, o)
			}
		}
		if len(missing) > 0 {
			return fault.ClientError("Log driver awslogs requires options: %s", strings.Join(missing, ", "))
		}
	case "awsfirelens":
		for i := range td.ContainerDefinitions {
			if td.ContainerDefinitions[i].FirelensConfiguration != nil {
				return nil
			}
		}
		return fault.ClientError("When awsfirelens log driver is specified in log configuration, a firelens configuration object must be specified.")
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }
