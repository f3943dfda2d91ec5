package ecs

// EphemeralStorage is the size of a Fargate task's disk, in GiB.
type EphemeralStorage struct {
	SizeInGiB int `json:"sizeInGiB"`
}

// InferenceAccelerator is a retired AWS feature, kept for fidelity.
type InferenceAccelerator struct {
	DeviceName string `json:"deviceName"`
	DeviceType string `json:"deviceType"`
}

// ProxyConfiguration is the App Mesh proxy of the task.
type ProxyConfiguration struct {
	ContainerName string         `json:"containerName"`
	Properties    []KeyValuePair `json:"properties,omitzero"`
	Type          string         `json:"type,omitzero"`
}

// RuntimePlatform is the processor architecture and operating system that the images need.
type RuntimePlatform struct {
	CPUArchitecture       string `json:"cpuArchitecture,omitzero"`
	OperatingSystemFamily string `json:"operatingSystemFamily,omitzero"`
}

// Volume is a volume that the containers of a task can mount; exactly one kind is set, none means an empty host volume.
type Volume struct {
	ConfiguredAtLaunch                      *bool                                    `json:"configuredAtLaunch,omitzero"`
	DockerVolumeConfiguration               *DockerVolumeConfiguration               `json:"dockerVolumeConfiguration,omitzero"`
	EFSVolumeConfiguration                  *EFSVolumeConfiguration                  `json:"efsVolumeConfiguration,omitzero"`
	FSxWindowsFileServerVolumeConfiguration *FSxWindowsFileServerVolumeConfiguration `json:"fsxWindowsFileServerVolumeConfiguration,omitzero"`
	Host                                    *HostVolumeProperties                    `json:"host,omitzero"`
	Name                                    string                                   `json:"name,omitzero"`
	S3FilesVolumeConfiguration              *S3FilesVolumeConfiguration              `json:"s3filesVolumeConfiguration,omitzero"`
}

// DockerVolumeConfiguration is a volume of a Docker volume driver.
type DockerVolumeConfiguration struct {
	Autoprovision *bool             `json:"autoprovision,omitzero"`
	Driver        string            `json:"driver,omitzero"`
	DriverOpts    map[string]string `json:"driverOpts,omitzero"`
	Labels        map[string]string `json:"labels,omitzero"`
	Scope         string            `json:"scope,omitzero"`
}

// EFSVolumeConfiguration is a network file system.
type EFSVolumeConfiguration struct {
	AuthorizationConfig   *EFSAuthorizationConfig `json:"authorizationConfig,omitzero"`
	FileSystemID          string                  `json:"fileSystemId"`
	RootDirectory         string                  `json:"rootDirectory,omitzero"`
	TransitEncryption     string                  `json:"transitEncryption,omitzero"`
	TransitEncryptionPort *int                    `json:"transitEncryptionPort,omitzero"`
}

// EFSAuthorizationConfig says how the file system authorises the mount.
type EFSAuthorizationConfig struct {
	AccessPointID string `json:"accessPointId,omitzero"`
	IAM           string `json:"iam,omitzero"`
}

// FSxWindowsFileServerVolumeConfiguration is for Windows tasks.
type FSxWindowsFileServerVolumeConfiguration struct {
	AuthorizationConfig *FSxWindowsFileServerAuthorizationConfig `json:"authorizationConfig"`
	FileSystemID        string                                   `json:"fileSystemId"`
	RootDirectory       string                                   `json:"rootDirectory"`
}

// FSxWindowsFileServerAuthorizationConfig says how that file server authorises the mount.
type FSxWindowsFileServerAuthorizationConfig struct {
	CredentialsParameter string `json:"credentialsParameter"`
	Domain               string `json:"domain"`
}

// HostVolumeProperties binds a path of the host; an empty path is a volume of the task's own.
type HostVolumeProperties struct {
	SourcePath string `json:"sourcePath,omitzero"`
}

// S3FilesVolumeConfiguration mounts an S3 file system.
type S3FilesVolumeConfiguration struct {
	AccessPointARN        string `json:"accessPointArn,omitzero"`
	FileSystemARN         string `json:"fileSystemArn"`
	RootDirectory         string `json:"rootDirectory,omitzero"`
	TransitEncryptionPort *int   `json:"transitEncryptionPort,omitzero"`
}
