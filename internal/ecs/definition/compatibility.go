package definition

import (
	"slices"
	"strings"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// Compatibilities are the launch types that the definition is fit for, whether or not it asked for them. The order is
// the one that AWS answers with.
func Compatibilities(td *ecs.TaskDefinition) []string {
	all := []string{}
	for _, launchType := range []string{external, ec2, fargate, managedInstances} {
		if fits(td, launchType) == nil {
			all = append(all, launchType)
		}
	}
	return all
}

// compatible refuses a definition that is not fit for what it says that it requires.
func compatible(td *ecs.TaskDefinition) error {
	for _, required := range td.RequiresCompatibilities {
		if err := fits(td, required); err != nil {
			return err
		}
	}
	return nil
}

func fits(td *ecs.TaskDefinition, launchType string) error {
	switch launchType {
	case ec2:
		return fitsEC2(td)
	case external:
		return fitsExternal(td)
	case fargate:
		return fitsFargate(td)
	case managedInstances:
		return fitsManagedInstances(td)
	}
	return fault.ClientError("Invalid compatibility '%s'. Valid values are EC2, FARGATE, EXTERNAL and MANAGED_INSTANCES.", launchType)
}

func fitsEC2(td *ecs.TaskDefinition) error {
	if td.EphemeralStorage != nil && !slices.Contains(td.RequiresCompatibilities, fargate) {
		return fault.ClientError("Tasks using the EC2 launch type do not support EphemeralStorage.")
	}
	return nil
}

// fitsExternal: machines outside AWS have no interfaces and none of AWS's file systems to give to a task.
func fitsExternal(td *ecs.TaskDefinition) error {
	if td.NetworkMode == ecs.NetworkAwsvpc {
		return fault.ClientError("External launch type does not support network mode 'awsvpc'.")
	}
	for _, v := range td.Volumes {
		if v.EFSVolumeConfiguration != nil || v.FSxWindowsFileServerVolumeConfiguration != nil ||
			v.S3FilesVolumeConfiguration != nil || isTrue(v.ConfiguredAtLaunch) {
			return fault.ClientError("External launch type does not support the volume '%s'.", v.Name)
		}
	}
	if td.EphemeralStorage != nil {
		return fault.ClientError("Tasks using the EXTERNAL launch type do not support EphemeralStorage.")
	}
	return nil
}

// fitsManagedInstances: Linux, with an interface of the task's own or the host's network.
func fitsManagedInstances(td *ecs.TaskDefinition) error {
	if td.NetworkMode != ecs.NetworkAwsvpc && !(td.NetworkMode == ecs.NetworkHost && slices.Contains(td.RequiresCompatibilities, managedInstances)) {
		return fault.ClientError("Managed Instances only supports network modes 'awsvpc' and 'host'.")
	}
	if windows(td) {
		return fault.ClientError("Managed Instances does not support the operating system family '%s'.", td.RuntimePlatform.OperatingSystemFamily)
	}
	return nil
}

func windows(td *ecs.TaskDefinition) bool {
	return td.RuntimePlatform != nil && strings.HasPrefix(td.RuntimePlatform.OperatingSystemFamily, "WINDOWS")
}

// fargateMemory lists, for each cpu, the smallest and greatest memory and the step between (MiB).
var fargateMemory = map[int]struct{ min, max, step int }{
	256:   {512, 2048, 512}, // but not 1536, see fargateSize
	512:   {1024, 4096, 1024},
	1024:  {2048, 8192, 1024},
	2048:  {4096, 16384, 1024},
	4096:  {8192, 30720, 1024},
	8192:  {16384, 61440, 4096},
	16384: {32768, 122880, 8192},
}

// fargateSize tells whether Fargate has the size. 0.25 vCPU goes with 0.5, 1 or 2 GB; 1 vCPU with 2 to 8 GB; 32 vCPU with
// 60, 120 or 244 GB.
func fargateSize(cpu, memory int) bool {
	if cpu == 32768 {
		return memory == 61440 || memory == 122880 || memory == 249856
	}
	m, ok := fargateMemory[cpu]
	return ok && memory >= m.min && memory <= m.max && (memory-m.min)%m.step == 0 && !(cpu == 256 && memory == 1536)
}

func fitsFargate(td *ecs.TaskDefinition) error {
	if td.NetworkMode != ecs.NetworkAwsvpc {
		return fault.ClientError("Fargate only supports network mode ‘awsvpc’.")
	}
	cpu, ok := number(td.CPU)
	if !ok {
		return fault.ClientError("Fargate requires that 'cpu' be defined at the task level.")
	}
	memory, ok := number(td.Memory)
	if !ok {
		return fault.ClientError("Fargate requires that 'memory' be defined at the task level.")
	}
	if !fargateSize(cpu, memory) || windows(td) && (cpu < 1024 || cpu > 4096) {
		return fault.ClientError("No Fargate configuration exists for given values: %d CPU, %d memory. See the Amazon ECS documentation for the valid values.", cpu, memory)
	}
	switch {
	case td.PIDMode != "" && td.PIDMode != "task":
		return fault.ClientError("Tasks using the Fargate launch type do not support pidMode '%s'. The supported value for pidMode is 'task'.", td.PIDMode)
	case td.IPCMode != "":
		return notOnFargate("ipcMode")
	case len(td.PlacementConstraints) > 0:
		return notOnFargate("constraints")
	}
	for _, v := range td.Volumes {
		switch {
		case v.Host != nil && v.Host.SourcePath != "":
			return notOnFargate("sourcePath")
		case v.DockerVolumeConfiguration != nil:
			return notOnFargate("dockerVolumeConfiguration")
		case v.FSxWindowsFileServerVolumeConfiguration != nil:
			return notOnFargate("fsxWindowsFileServerVolumeConfiguration")
		}
	}
	for i := range td.ContainerDefinitions {
		if err := containerFitsFargate(td, &td.ContainerDefinitions[i]); err != nil {
			return err
		}
	}
	return nil
}

func notOnFargate(setting string) error {
	return fault.ClientError("Fargate compatible task definitions do not support %s", setting)
}

func containerFitsFargate(td *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	if isTrue(c.Privileged) {
		return fault.ClientError("Fargate requires that the 'privileged' setting be 'false'.")
	}
	if len(c.DockerSecurityOptions) > 0 {
		return notOnFargate("dockerSecurityOptions")
	}
	for _, r := range c.ResourceRequirements {
		if r.Type == "GPU" {
			return fault.ClientError("Tasks using the Fargate launch type do not support GPU resource requirements.")
		}
	}
	if c.StopTimeout != nil && *c.StopTimeout > 120 {
		return fault.ClientError("Tasks using the Fargate launch type must have a container stop timeout of less than 120 seconds.")
	}
	if l := c.LinuxParameters; l != nil {
		switch {
		case len(l.Devices) > 0:
			return notOnFargate("devices")
		case l.SharedMemorySize != nil:
			return notOnFargate("sharedMemorySize")
		case len(l.Tmpfs) > 0:
			return notOnFargate("tmpfs")
		case l.MaxSwap != nil:
			return notOnFargate("maxSwap")
		case l.Swappiness != nil:
			return notOnFargate("swappiness")
		}
		if l.Capabilities != nil {
			for _, capability := range l.Capabilities.Add {
				if capability != "SYS_PTRACE" {
					return fault.ClientError("%s is not allowed on Fargate.", capability)
				}
			}
		}
	}
	if f := c.FirelensConfiguration; f != nil && f.Options["config-file-type"] == "s3" {
		return fault.ClientError("Fargate launch type does not support FirelensConfiguration config file from 's3'")
	}
	if td.ExecutionRoleARN == "" && ecrImage(c.Image) {
		return fault.ClientError("Fargate requires task definition to have execution role ARN to support ECR images.")
	}
	return logsOnFargate(td, c.LogConfiguration)
}

func logsOnFargate(td *ecs.TaskDefinition, l *ecs.LogConfiguration) error {
	if l == nil {
		return nil
	}
	switch l.LogDriver {
	case "awslogs":
		if td.ExecutionRoleARN == "" {
			return fault.ClientError("Fargate requires task definition to have execution role ARN to support log driver awslogs.")
		}
		if l.Options["awslogs-stream-prefix"] == "" {
			return fault.ClientError("Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs.")
		}
	case "splunk", "awsfirelens":
	default:
		return fault.ClientError("%s is not a valid log driver. Must be one of [awslogs, splunk, awsfirelens]", l.LogDriver)
	}
	return nil
}
