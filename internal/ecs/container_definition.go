package ecs

// ContainerDefinition is one container of a task definition, field for field as AWS's document has it. Pointers and nil
// lists keep "absent" apart from "zero" and "empty", because clients compare what they sent with what comes back.
// Source: the RegisterTaskDefinition API reference.
type ContainerDefinition struct {
	Command                []string                `json:"command,omitzero"`
	CPU                    *int                    `json:"cpu,omitzero"`
	CredentialSpecs        []string                `json:"credentialSpecs,omitzero"`
	DependsOn              []ContainerDependency   `json:"dependsOn,omitzero"`
	DisableNetworking      *bool                   `json:"disableNetworking,omitzero"`
	DNSSearchDomains       []string                `json:"dnsSearchDomains,omitzero"`
	DNSServers             []string                `json:"dnsServers,omitzero"`
	DockerLabels           map[string]string       `json:"dockerLabels,omitzero"`
	DockerSecurityOptions  []string                `json:"dockerSecurityOptions,omitzero"`
	EntryPoint             []string                `json:"entryPoint,omitzero"`
	Environment            []KeyValuePair          `json:"environment,omitzero"`
	EnvironmentFiles       []EnvironmentFile       `json:"environmentFiles,omitzero"`
	Essential              *bool                   `json:"essential,omitzero"`
	ExtraHosts             []HostEntry             `json:"extraHosts,omitzero"`
	FirelensConfiguration  *FirelensConfiguration  `json:"firelensConfiguration,omitzero"`
	HealthCheck            *HealthCheck            `json:"healthCheck,omitzero"`
	Hostname               string                  `json:"hostname,omitzero"`
	Image                  string                  `json:"image"`
	Interactive            *bool                   `json:"interactive,omitzero"`
	Links                  []string                `json:"links,omitzero"`
	LinuxParameters        *LinuxParameters        `json:"linuxParameters,omitzero"`
	LogConfiguration       *LogConfiguration       `json:"logConfiguration,omitzero"`
	Memory                 *int                    `json:"memory,omitzero"`
	MemoryReservation      *int                    `json:"memoryReservation,omitzero"`
	MountPoints            []MountPoint            `json:"mountPoints,omitzero"`
	Name                   string                  `json:"name"`
	PortMappings           []PortMapping           `json:"portMappings,omitzero"`
	Privileged             *bool                   `json:"privileged,omitzero"`
	PseudoTerminal         *bool                   `json:"pseudoTerminal,omitzero"`
	ReadonlyRootFilesystem *bool                   `json:"readonlyRootFilesystem,omitzero"`
	RepositoryCredentials  *RepositoryCredentials  `json:"repositoryCredentials,omitzero"`
	ResourceRequirements   []ResourceRequirement   `json:"resourceRequirements,omitzero"`
	RestartPolicy          *ContainerRestartPolicy `json:"restartPolicy,omitzero"`
	Secrets                []Secret                `json:"secrets,omitzero"`
	StartTimeout           *int                    `json:"startTimeout,omitzero"`
	StopTimeout            *int                    `json:"stopTimeout,omitzero"`
	SystemControls         []SystemControl         `json:"systemControls,omitzero"`
	Ulimits                []Ulimit                `json:"ulimits,omitzero"`
	User                   string                  `json:"user,omitzero"`
	VersionConsistency     string                  `json:"versionConsistency,omitzero"`
	VolumesFrom            []VolumeFrom            `json:"volumesFrom,omitzero"`
	WorkingDirectory       string                  `json:"workingDirectory,omitzero"`
}

// ContainerDependency orders containers: this one starts once the other has reached the condition.
type ContainerDependency struct {
	Condition     string `json:"condition"`
	ContainerName string `json:"containerName"`
}

// KeyValuePair is an environment variable, or a detail of an attachment.
type KeyValuePair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// EnvironmentFile names an object that holds environment variables, a line each.
type EnvironmentFile struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// HostEntry is a line of the container's hosts file.
type HostEntry struct {
	Hostname  string `json:"hostname"`
	IPAddress string `json:"ipAddress"`
}

// FirelensConfiguration makes the container the task's log router.
type FirelensConfiguration struct {
	Options map[string]string `json:"options,omitzero"`
	Type    string            `json:"type"`
}

// HealthCheck is the container health check; interval, timeout and startPeriod are seconds.
type HealthCheck struct {
	Command     []string `json:"command"`
	Interval    *int     `json:"interval,omitzero"`
	Retries     *int     `json:"retries,omitzero"`
	StartPeriod *int     `json:"startPeriod,omitzero"`
	Timeout     *int     `json:"timeout,omitzero"`
}

// LinuxParameters are kernel-level options; sharedMemorySize and maxSwap are MiB.
type LinuxParameters struct {
	Capabilities       *KernelCapabilities `json:"capabilities,omitzero"`
	Devices            []Device            `json:"devices,omitzero"`
	InitProcessEnabled *bool               `json:"initProcessEnabled,omitzero"`
	MaxSwap            *int                `json:"maxSwap,omitzero"`
	SharedMemorySize   *int                `json:"sharedMemorySize,omitzero"`
	Swappiness         *int                `json:"swappiness,omitzero"`
	Tmpfs              []Tmpfs             `json:"tmpfs,omitzero"`
}

// KernelCapabilities are added to and dropped from Docker's default set.
type KernelCapabilities struct {
	Add  []string `json:"add,omitzero"`
	Drop []string `json:"drop,omitzero"`
}

// Device exposes a host device.
type Device struct {
	ContainerPath string   `json:"containerPath,omitzero"`
	HostPath      string   `json:"hostPath"`
	Permissions   []string `json:"permissions,omitzero"`
}

// Tmpfs is a memory file system; size is MiB.
type Tmpfs struct {
	ContainerPath string   `json:"containerPath"`
	MountOptions  []string `json:"mountOptions,omitzero"`
	Size          int      `json:"size"`
}

// LogConfiguration chooses the log driver and its options.
type LogConfiguration struct {
	LogDriver     string            `json:"logDriver"`
	Options       map[string]string `json:"options,omitzero"`
	SecretOptions []Secret          `json:"secretOptions,omitzero"`
}

// Secret is a value that the agent reads from a secret store at start.
type Secret struct {
	Name      string `json:"name"`
	ValueFrom string `json:"valueFrom"`
}

// MountPoint mounts a volume of the task into the container.
type MountPoint struct {
	ContainerPath string `json:"containerPath,omitzero"`
	ReadOnly      *bool  `json:"readOnly,omitzero"`
	SourceVolume  string `json:"sourceVolume,omitzero"`
}

// PortMapping publishes a container port; hostPort 0 or absent means dynamic on a bridge.
type PortMapping struct {
	AppProtocol        string `json:"appProtocol,omitzero"`
	ContainerPort      *int   `json:"containerPort,omitzero"`
	ContainerPortRange string `json:"containerPortRange,omitzero"`
	HostPort           *int   `json:"hostPort,omitzero"`
	Name               string `json:"name,omitzero"`
	Protocol           string `json:"protocol,omitzero"`
}

// RepositoryCredentials names the secret that holds a private registry's credentials.
type RepositoryCredentials struct {
	CredentialsParameter string `json:"credentialsParameter"`
}

// ResourceRequirement asks for GPUs or accelerators.
type ResourceRequirement struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// ContainerRestartPolicy restarts the container in place; restartAttemptPeriod is seconds.
type ContainerRestartPolicy struct {
	Enabled              bool  `json:"enabled"`
	IgnoredExitCodes     []int `json:"ignoredExitCodes,omitzero"`
	RestartAttemptPeriod *int  `json:"restartAttemptPeriod,omitzero"`
}

// SystemControl is a namespaced sysctl.
type SystemControl struct {
	Namespace string `json:"namespace,omitzero"`
	Value     string `json:"value,omitzero"`
}

// Ulimit is a resource limit of the container.
type Ulimit struct {
	HardLimit int    `json:"hardLimit"`
	Name      string `json:"name"`
	SoftLimit int    `json:"softLimit"`
}

// VolumeFrom mounts another container's volumes.
type VolumeFrom struct {
	ReadOnly        *bool  `json:"readOnly,omitzero"`
	SourceContainer string `json:"sourceContainer,omitzero"`
}
