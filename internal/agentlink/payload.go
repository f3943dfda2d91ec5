package agentlink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Volume types of a payload's task; an absent type means VolumeHost.
const (
	VolumeHost            = "host"
	VolumeDocker          = "docker"
	VolumeEFS             = "efs"
	VolumeFSxWindows      = "fsxWindowsFileServer"
	VolumeEBS             = "ebs"
	VolumeS3Files         = "s3files"
	VolumeLogDriverOutput = "logDriverOutput"
)

// Conditions of ContainerDependency.
const (
	DependStart    = "START"
	DependComplete = "COMPLETE"
	DependSuccess  = "SUCCESS"
	DependHealthy  = "HEALTHY"
)

// Task is a task as a payload carries it. A stop needs ARN and DesiredStatus only.
type Task struct {
	ARN                           string                    `json:"arn"`
	TaskClusterARN                string                    `json:"taskClusterArn,omitempty"`
	DesiredStatus                 string                    `json:"desiredStatus"` // RUNNING | STOPPED
	Family                        string                    `json:"family,omitempty"`
	Version                       string                    `json:"version,omitempty"` // the revision, as a string
	TaskDefinitionAccountID       string                    `json:"taskDefinitionAccountId,omitempty"`
	Zone                          string                    `json:"zone,omitempty"`
	Group                         string                    `json:"group,omitempty"`
	ServiceName                   string                    `json:"serviceName,omitempty"`
	LaunchType                    string                    `json:"launchType,omitempty"`  // EC2 | EXTERNAL | FARGATE
	NetworkMode                   string                    `json:"networkMode,omitempty"` // bridge | host | awsvpc | none; empty: bridge
	CPU                           float64                   `json:"cpu,omitempty"`         // vCPUs: 0.25
	Memory                        int64                     `json:"memory,omitempty"`      // MiB
	Overrides                     JSONText                  `json:"overrides,omitempty"`
	PIDMode                       string                    `json:"pidMode,omitempty"`
	IPCMode                       string                    `json:"ipcMode,omitempty"`
	Containers                    []Container               `json:"containers,omitempty"`
	Volumes                       []Volume                  `json:"volumes,omitempty"`
	RoleCredentials               *IAMRoleCredentials       `json:"roleCredentials,omitempty"`
	ExecutionRoleCredentials      *IAMRoleCredentials       `json:"executionRoleCredentials,omitempty"`
	ElasticNetworkInterfaces      []ElasticNetworkInterface `json:"elasticNetworkInterfaces,omitempty"`
	Attachments                   []Attachment              `json:"attachments,omitempty"`
	Associations                  []Association             `json:"associations,omitempty"`
	ProxyConfiguration            *ProxyConfiguration       `json:"proxyConfiguration,omitempty"`
	AgentConfiguration            string                    `json:"agentConfiguration,omitempty"`
	EnableFaultInjection          bool                      `json:"enableFaultInjection,omitempty"`
	TrustedExecutionConfiguration json.RawMessage           `json:"trustedExecutionConfiguration,omitempty"`
}

// Container is a container of a payload's task.
type Container struct {
	Name         string `json:"name"`
	Image        string `json:"image"`
	Essential    bool   `json:"essential"`
	ContainerARN string `json:"containerArn,omitempty"`
	CPU          int64  `json:"cpu"`    // shares
	Memory       int64  `json:"memory"` // MiB, hard limit; 0: none
	// Command and EntryPoint replace the image's when they aren't empty.
	Command          []string          `json:"command,omitempty"`
	EntryPoint       []string          `json:"entryPoint,omitempty"`
	Environment      map[string]string `json:"environment,omitempty"`
	EnvironmentFiles []EnvironmentFile `json:"environmentFiles,omitempty"`
	// Overrides is JSON of ContainerOverrides, the only override that agents honour: everything else is merged already.
	Overrides              JSONText                `json:"overrides,omitempty"`
	PortMappings           []PortMapping           `json:"portMappings,omitempty"`
	MountPoints            []MountPoint            `json:"mountPoints,omitempty"`
	VolumesFrom            []VolumeFrom            `json:"volumesFrom,omitempty"`
	Links                  []string                `json:"links,omitempty"`
	DockerConfig           *DockerConfig           `json:"dockerConfig,omitempty"`
	HealthCheckType        string                  `json:"healthCheckType,omitempty"` // "docker": DockerConfig.Config has a Healthcheck
	RegistryAuthentication *RegistryAuthentication `json:"registryAuthentication,omitempty"`
	LogsAuthStrategy       string                  `json:"logsAuthStrategy,omitempty"`
	Secrets                []Secret                `json:"secrets,omitempty"`
	DependsOn              []ContainerDependency   `json:"dependsOn,omitempty"`
	StartTimeout           int64                   `json:"startTimeout,omitempty"` // seconds
	StopTimeout            int64                   `json:"stopTimeout,omitempty"`  // seconds
	FirelensConfiguration  *FirelensConfiguration  `json:"firelensConfiguration,omitempty"`
	RestartPolicy          *RestartPolicy          `json:"restartPolicy,omitempty"`
	LinuxParameters        *LinuxParameters        `json:"linuxParameters,omitempty"`
	ManagedAgents          []ManagedAgent          `json:"managedAgents,omitempty"`
	Privileged             bool                    `json:"privileged,omitempty"`
	NetworkInterfaceNames  []string                `json:"networkInterfaceNames,omitempty"`
	CredentialSpecs        []string                `json:"credentialSpecs,omitempty"`
}

// DockerConfig carries everything of a container definition that has no field of its own: JSON texts of Docker's Config
// and HostConfig, with Docker's names (Pascal case), durations in nanoseconds and memory in bytes. The agent unmarshals
// them over what it built from the typed fields.
type DockerConfig struct {
	Version    string  `json:"version,omitempty"`
	Config     *string `json:"config,omitempty"`
	HostConfig *string `json:"hostConfig,omitempty"`
}

// ContainerOverrides is what Container.Overrides holds.
type ContainerOverrides struct {
	Command []string `json:"command,omitempty"`
}

// EnvironmentFile is a file of variables in S3.
type EnvironmentFile struct {
	Value string `json:"value"`
	Type  string `json:"type"`
}

// PortMapping publishes a port; HostPort 0 asks for a free one.
type PortMapping struct {
	ContainerPort      int    `json:"containerPort,omitempty"`
	HostPort           int    `json:"hostPort"`
	Protocol           string `json:"protocol,omitempty"` // tcp | udp; empty: tcp
	ContainerPortRange string `json:"containerPortRange,omitempty"`
}

// MountPoint mounts a volume of the task.
type MountPoint struct {
	SourceVolume  string `json:"sourceVolume"`
	ContainerPath string `json:"containerPath"`
	ReadOnly      bool   `json:"readOnly,omitempty"`
}

// VolumeFrom mounts all volumes of another container of the task.
type VolumeFrom struct {
	SourceContainer string `json:"sourceContainer"`
	ReadOnly        bool   `json:"readOnly,omitempty"`
}

// RegistryAuthentication says how to log in to the image's registry.
type RegistryAuthentication struct {
	Type        string       `json:"type"` // ecr | asm
	ECRAuthData *ECRAuthData `json:"ecrAuthData,omitempty"`
	ASMAuthData *ASMAuthData `json:"asmAuthData,omitempty"`
}

// ECRAuthData is for an ECR registry.
type ECRAuthData struct {
	RegistryID       string `json:"registryId,omitempty"`
	Region           string `json:"region,omitempty"`
	EndpointOverride string `json:"endpointOverride,omitempty"`
	UseExecutionRole bool   `json:"useExecutionRole,omitempty"`
}

// ASMAuthData is for user name and password kept in Secrets Manager.
type ASMAuthData struct {
	CredentialsParameter string `json:"credentialsParameter"`
	Region               string `json:"region,omitempty"`
}

// Secret is a value that the agent fetches with the execution role.
type Secret struct {
	Name          string `json:"name"`
	ValueFrom     string `json:"valueFrom"`
	Region        string `json:"region,omitempty"`
	Provider      string `json:"provider"` // ssm | asm
	Type          string `json:"type,omitempty"`
	Target        string `json:"target,omitempty"` // CONTAINER | LOG_DRIVER
	ContainerPath string `json:"containerPath,omitempty"`
}

// ContainerDependency makes a container wait for another.
type ContainerDependency struct {
	ContainerName string `json:"containerName"`
	Condition     string `json:"condition"` // DependStart ...
}

// FirelensConfiguration makes a container the task's log router.
type FirelensConfiguration struct {
	Type    string            `json:"type"`
	Options map[string]string `json:"options,omitempty"`
}

// RestartPolicy makes the agent restart a container in place when it exits.
type RestartPolicy struct {
	Enabled              bool  `json:"enabled"`
	IgnoredExitCodes     []int `json:"ignoredExitCodes,omitempty"`
	RestartAttemptPeriod int64 `json:"restartAttemptPeriod,omitempty"` // seconds
}

// LinuxParameters stands in the model; agents that run Docker take these from DockerConfig.HostConfig.
type LinuxParameters struct {
	Capabilities       *KernelCapabilities `json:"capabilities,omitempty"`
	Devices            []Device            `json:"devices,omitempty"`
	InitProcessEnabled bool                `json:"initProcessEnabled,omitempty"`
	SharedMemorySize   int64               `json:"sharedMemorySize,omitempty"` // MiB
}

// KernelCapabilities are added to or dropped from Docker's default set.
type KernelCapabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}

// Device is a host device that the container sees.
type Device struct {
	HostPath      string   `json:"hostPath"`
	ContainerPath string   `json:"containerPath,omitempty"`
	Permissions   []string `json:"permissions,omitempty"`
}

// ManagedAgent is a helper that runs inside a container: "ExecuteCommandAgent".
type ManagedAgent struct {
	Name       string            `json:"name"`
	Properties map[string]string `json:"properties,omitempty"`
}

// Volume is a volume of a task; which of the configurations is set follows from Type.
type Volume struct {
	Name                      string                     `json:"name"`
	Type                      string                     `json:"type,omitempty"` // VolumeHost ...; empty: VolumeHost
	Host                      *HostVolume                `json:"host,omitempty"`
	DockerVolumeConfiguration *DockerVolumeConfiguration `json:"dockerVolumeConfiguration,omitempty"`
	EFSVolumeConfiguration    *EFSVolumeConfiguration    `json:"efsVolumeConfiguration,omitempty"`
}

// HostVolume binds a path of the host; an empty path is a volume that lives as long as the task.
type HostVolume struct {
	SourcePath string `json:"sourcePath,omitempty"`
}

// DockerVolumeConfiguration is a volume of a Docker volume driver.
type DockerVolumeConfiguration struct {
	Scope         string            `json:"scope,omitempty"` // task | shared
	Autoprovision bool              `json:"autoprovision,omitempty"`
	Driver        string            `json:"driver,omitempty"`
	DriverOpts    map[string]string `json:"driverOpts,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
}

// EFSVolumeConfiguration is a network file system.
type EFSVolumeConfiguration struct {
	FileSystemID          string                  `json:"fileSystemId"`
	RootDirectory         string                  `json:"rootDirectory,omitempty"`
	TransitEncryption     string                  `json:"transitEncryption,omitempty"`
	TransitEncryptionPort int                     `json:"transitEncryptionPort,omitempty"`
	AuthorizationConfig   *EFSAuthorizationConfig `json:"authorizationConfig,omitempty"`
}

// EFSAuthorizationConfig says how the file system authorises the mount.
type EFSAuthorizationConfig struct {
	AccessPointID string `json:"accessPointId,omitempty"`
	IAM           string `json:"iam,omitempty"`
}

// Attachment is something that the control plane attached for a task: Service Connect configuration, a volume.
type Attachment struct {
	ARN        string               `json:"attachmentArn,omitempty"`
	Type       string               `json:"attachmentType,omitempty"`
	Properties []AttachmentProperty `json:"attachmentProperties,omitempty"`
}

// AttachmentProperty is one detail of an Attachment.
type AttachmentProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Association gives containers of the task something of the host's, a GPU for one.
type Association struct {
	Name       string              `json:"name"`
	Type       string              `json:"type"`
	Containers []string            `json:"containers,omitempty"`
	Content    *AssociationContent `json:"content,omitempty"`
}

// AssociationContent is what the association says, as it is or in base64.
type AssociationContent struct {
	Value    string `json:"value,omitempty"`
	Encoding string `json:"encoding,omitempty"`
}

// ProxyConfiguration is the App Mesh proxy of the task.
type ProxyConfiguration struct {
	Type          string            `json:"type,omitempty"`
	ContainerName string            `json:"containerName,omitempty"`
	Properties    map[string]string `json:"properties,omitempty"`
}

// ElasticNetworkInterface is a network interface of a task (awsvpc) or of the instance.
type ElasticNetworkInterface struct {
	EC2ID                        string           `json:"ec2Id,omitempty"`
	MACAddress                   string           `json:"macAddress,omitempty"`
	AttachmentARN                string           `json:"attachmentArn,omitempty"`
	Name                         string           `json:"name,omitempty"`
	Index                        int64            `json:"index,omitempty"`
	InterfaceAssociationProtocol string           `json:"interfaceAssociationProtocol,omitempty"`
	IPv4Addresses                []IPv4Address    `json:"ipv4Addresses,omitempty"`
	IPv6Addresses                []IPv6Address    `json:"ipv6Addresses,omitempty"`
	SubnetGatewayIPv4Address     string           `json:"subnetGatewayIpv4Address,omitempty"` // CIDR: "10.0.0.1/24"
	SubnetGatewayIPv6Address     string           `json:"subnetGatewayIpv6Address,omitempty"`
	DomainName                   []string         `json:"domainName,omitempty"`
	DomainNameServers            []string         `json:"domainNameServers,omitempty"`
	PrivateDNSName               string           `json:"privateDnsName,omitempty"`
	InterfaceVlanProperties      *InterfaceVlan   `json:"interfaceVlanProperties,omitempty"`
	InterfaceVethProperties      *InterfaceVeth   `json:"interfaceVethProperties,omitempty"`
	InterfaceTunnelProperties    *InterfaceTunnel `json:"interfaceTunnelProperties,omitempty"`
}

// IPv4Address is an address of a network interface.
type IPv4Address struct {
	PrivateAddress string `json:"privateAddress"`
	Primary        bool   `json:"primary,omitempty"`
}

// IPv6Address is an address of a network interface.
type IPv6Address struct {
	Address string `json:"address"`
	Primary bool   `json:"primary,omitempty"`
}

// InterfaceVlan is a branch interface's place on its trunk.
type InterfaceVlan struct {
	VlanID                   string `json:"vlanId"`
	TrunkInterfaceMACAddress string `json:"trunkInterfaceMacAddress"`
}

// InterfaceVeth names the other half of a veth pair.
type InterfaceVeth struct {
	PeerInterface string `json:"peerInterface"`
}

// InterfaceTunnel is a tunnel's id and address.
type InterfaceTunnel struct {
	TunnelID           string `json:"tunnelId"`
	InterfaceIPAddress string `json:"interfaceIpAddress"`
}

// JSONText is JSON that travels as a string. Some control planes send the object itself: both are read.
type JSONText string

// UnmarshalJSON reads a string or, as it stands, an object.
func (t *JSONText) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		*t = JSONText(bytes.Clone(b))
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*t = JSONText(s)
	return nil
}

// EncodeTasks makes PayloadMessage.Tasks.
func EncodeTasks(tasks ...*Task) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, 0, len(tasks))
	for _, t := range tasks {
		b, err := json.Marshal(t)
		if err != nil {
			return nil, fmt.Errorf("encode task %s: %w", t.ARN, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// TaskError is a task of a payload that can't be read; ARN is empty when not even that could be.
type TaskError struct {
	ARN string
	Err error
}

func (e *TaskError) Error() string { return "task " + e.ARN + ": " + e.Err.Error() }

func (e *TaskError) Unwrap() error { return e.Err }

// DecodeTasks reads the payload's tasks: those that are sound, and what is wrong with the rest.
func (p *PayloadMessage) DecodeTasks() ([]*Task, []*TaskError) {
	var (
		tasks []*Task
		bad   []*TaskError
	)
	for _, raw := range p.Tasks {
		t := new(Task)
		err := json.Unmarshal(raw, t)
		if err == nil {
			err = t.check()
		}
		if err == nil {
			tasks = append(tasks, t)
			continue
		}
		var id struct {
			ARN string `json:"arn"`
		}
		_ = json.Unmarshal(raw, &id) // best effort: the error that counts is the first one
		bad = append(bad, &TaskError{id.ARN, err})
	}
	return tasks, bad
}

// check refuses what no agent can make sense of, in the words of the Amazon agent where it has some.
func (t *Task) check() error {
	if t.ARN == "" {
		return errors.New("task has no ARN")
	}
	if t.DesiredStatus != StatusRunning && t.DesiredStatus != StatusStopped {
		return fmt.Errorf("unrecognized desired status: %q", t.DesiredStatus)
	}
	for _, v := range t.Volumes {
		if !slices.Contains([]string{"", VolumeHost, VolumeDocker, VolumeEFS, VolumeFSxWindows, VolumeEBS, "amazonebs",
			VolumeS3Files, VolumeLogDriverOutput}, v.Type) {
			return fmt.Errorf("unrecognized volume type: %q", v.Type)
		}
	}
	if t.DesiredStatus == StatusRunning && len(t.Containers) == 0 {
		return errors.New("task has no containers")
	}
	return nil
}
