package definition

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/openberth/berth/internal/ecs"
)

// Prefixes of the capabilities that agents register as attributes of their instance.
const (
	legacy     = "com.amazonaws.ecs.capability."
	capability = "ecs.capability."
	dockerAPI  = legacy + "docker-remote-api."
)

// RequiredAttributes are the capabilities that an instance must have registered to be given a task of the definition,
// sorted by name; nil when any instance will do. They are computed as answers of the API show that AWS does (the cases
// are in the tests). docker-remote-api.1.17 to 1.25, 1.28, 1.29, 1.30 and 1.32 are the Docker versions that agents
// register; none but these may be required, or the task could run nowhere.
func RequiredAttributes(td *ecs.TaskDefinition) []ecs.Attribute {
	names := map[string]bool{}
	add := func(required ...string) {
		for _, n := range required {
			names[n] = true
		}
	}
	taskAttributes(td, add)
	for i := range td.Volumes {
		volumeAttributes(&td.Volumes[i], add)
	}
	for i := range td.ContainerDefinitions {
		containerAttributes(td, &td.ContainerDefinitions[i], add)
	}
	if len(names) == 0 {
		return nil
	}
	var attributes []ecs.Attribute
	for _, n := range slices.Sorted(maps.Keys(names)) {
		attributes = append(attributes, ecs.Attribute{Name: n})
	}
	return attributes
}

func taskAttributes(td *ecs.TaskDefinition, add func(...string)) {
	if td.NetworkMode == ecs.NetworkAwsvpc {
		add(capability+"task-eni", dockerAPI+"1.18")
	}
	if td.TaskRoleARN != "" {
		if td.NetworkMode == ecs.NetworkHost {
			add(legacy + "task-iam-role-network-host")
		} else {
			add(legacy + "task-iam-role")
		}
	}
	if td.PIDMode != "" || td.IPCMode != "" {
		add(capability + "pid-ipc-namespace-sharing")
	}
	if td.ProxyConfiguration != nil {
		add(capability + "aws-appmesh")
	}
	if td.EphemeralStorage != nil {
		add(capability + "extensible-ephemeral-storage")
	}
	if isTrue(td.EnableFaultInjection) {
		add(capability + "fault-injection")
	}
	if cpu, ok := number(td.CPU); ok && cpu > 10*1024 {
		add(capability + "increased-task-cpu-limit")
	}
}

func volumeAttributes(v *ecs.Volume, add func(...string)) {
	if d := v.DockerVolumeConfiguration; d != nil {
		driver := d.Driver
		if driver == "" {
			driver = "local"
		}
		add(capability+"docker-plugin."+driver, dockerAPI+"1.25")
	}
	if v.EFSVolumeConfiguration != nil {
		add(capability+"efs", capability+"efsAuth", dockerAPI+"1.25")
	}
	if v.FSxWindowsFileServerVolumeConfiguration != nil {
		add(capability + "fsxWindowsFileServer")
	}
	if v.S3FilesVolumeConfiguration != nil {
		add(capability + "storage.s3-files")
	}
	if isTrue(v.ConfiguredAtLaunch) {
		add(capability + "storage.ebs-task-volume-attach")
	}
}

func containerAttributes(td *ecs.TaskDefinition, c *ecs.ContainerDefinition, add func(...string)) {
	if ecrImage(c.Image) {
		add(legacy + "ecr-auth")
		if td.ExecutionRoleARN != "" {
			add(capability + "execution-role-ecr-pull")
		}
	}
	if c.RepositoryCredentials != nil {
		add(capability + "private-registry-authentication.secretsmanager")
	}
	if isTrue(c.Privileged) {
		add(legacy + "privileged-container")
	}
	if c.MemoryReservation != nil {
		add(dockerAPI + "1.21")
	}
	if c.DockerLabels != nil || c.Ulimits != nil {
		add(dockerAPI + "1.18")
	}
	// Docker has had these from its first versions on; AWS asks for the oldest version that agents know.
	if c.User != "" || c.WorkingDirectory != "" || c.Hostname != "" || isTrue(c.DisableNetworking) || isTrue(c.ReadonlyRootFilesystem) ||
		c.DNSServers != nil || c.DNSSearchDomains != nil || c.ExtraHosts != nil || c.DockerSecurityOptions != nil {
		add(dockerAPI + "1.17")
	}
	if len(c.ExtraHosts) > 0 && td.NetworkMode == ecs.NetworkHost {
		add(dockerAPI + "1.24")
	}
	for _, o := range c.DockerSecurityOptions {
		switch {
		case strings.HasPrefix(o, "label:") || strings.HasPrefix(o, "label="):
			add(legacy + "selinux")
		case strings.HasPrefix(o, "apparmor:") || strings.HasPrefix(o, "apparmor="):
			add(legacy + "apparmor")
		}
	}
	if len(c.SystemControls) > 0 {
		add(dockerAPI + "1.24")
	}
	if h := c.HealthCheck; h != nil {
		add(capability + "container-health-check")
		if h.StartPeriod != nil {
			add(dockerAPI + "1.29")
		} else {
			add(dockerAPI + "1.24")
		}
	}
	if len(c.DependsOn) > 0 || c.StartTimeout != nil || c.StopTimeout != nil {
		add(capability + "container-ordering")
	}
	if c.RestartPolicy != nil && c.RestartPolicy.Enabled {
		add(capability + "container-restart-policy")
	}
	for _, p := range c.PortMappings {
		if p.ContainerPortRange != "" {
			add(capability + "network.container-port-range")
		}
	}
	linuxAttributes(c.LinuxParameters, add)
	secretAttributes(c.Secrets, "environment-variables", add)
	if len(c.EnvironmentFiles) > 0 {
		add(capability + "env-files.s3")
	}
	for _, spec := range c.CredentialSpecs {
		if strings.HasPrefix(spec, "credentialspecdomainless:") {
			add(capability + "gmsa-domainless")
		} else {
			add(capability + "gmsa")
		}
	}
	if f := c.FirelensConfiguration; f != nil {
		add(capability + "firelens." + f.Type)
		if from := f.Options["config-file-type"]; from != "" {
			add(capability + "firelens.options.config." + from)
		}
	}
	logAttributes(td, c.LogConfiguration, add)
}

func linuxAttributes(l *ecs.LinuxParameters, add func(...string)) {
	if l == nil {
		return
	}
	if isTrue(l.InitProcessEnabled) {
		add(dockerAPI + "1.25")
	}
	if l.SharedMemorySize != nil || len(l.Tmpfs) > 0 {
		add(dockerAPI + "1.22")
	}
	if l.MaxSwap != nil || l.Swappiness != nil {
		add(dockerAPI + "1.20")
	}
	if l.Capabilities != nil || len(l.Devices) > 0 {
		add(dockerAPI + "1.17")
	}
}

// secretAttributes: an ARN of Secrets Manager names a secret of its; anything else is a parameter of SSM.
func secretAttributes(secrets []ecs.Secret, use string, add func(...string)) {
	for _, s := range secrets {
		store := "ssm"
		if p := strings.SplitN(s.ValueFrom, ":", 4); len(p) > 3 && p[0] == "arn" && p[2] == "secretsmanager" {
			store = "asm"
		}
		add(capability + "secrets." + store + "." + use)
	}
}

// awslogsSince are the options that the awslogs driver learned in later versions of Docker.
var awslogsSince = map[string]string{
	"awslogs-create-group":      "1.29",
	"awslogs-datetime-format":   "1.29",
	"awslogs-multiline-pattern": "1.29",
	"mode":                      "1.28",
	"max-buffer-size":           "1.28",
}

func logAttributes(td *ecs.TaskDefinition, l *ecs.LogConfiguration, add func(...string)) {
	if l == nil {
		return
	}
	add(legacy + "logging-driver." + l.LogDriver)
	switch l.LogDriver {
	case "json-file", "syslog", "journald", "none":
		add(dockerAPI + "1.18")
	default:
		add(dockerAPI + "1.19")
	}
	switch l.LogDriver {
	case "awslogs":
		if td.ExecutionRoleARN != "" {
			add(capability + "execution-role-awslogs")
		}
		for option, version := range awslogsSince {
			if _, ok := l.Options[option]; ok {
				add(dockerAPI + version)
			}
		}
	case "awsfirelens":
		if _, ok := l.Options["log-driver-buffer-limit"]; ok {
			add(capability + "logging-driver.awsfirelens.log-driver-buffer-limit")
		}
	}
	secretAttributes(l.SecretOptions, "bootstrap.log-driver", add)
}

var ecrPattern = regexp.MustCompile(`^\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)/`)

// ecrImage tells whether an image is in a private repository of ECR (public.ecr.aws needs no authorisation).
func ecrImage(image string) bool { return ecrPattern.MatchString(image) }
