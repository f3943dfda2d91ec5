package ecs

import "time"

// Cluster statuses.
const (
	ClusterActive   = "ACTIVE"
	ClusterInactive = "INACTIVE"
)

// Cluster is a logical group of container instances, services and tasks. Written by the API only; its counts are
// derived from the other tables, never stored.
type Cluster struct {
	Name                            string                         `json:"name"`
	Status                          string                         `json:"status"`
	CreatedAt                       time.Time                      `json:"createdAt,omitzero"`
	Settings                        []ClusterSetting               `json:"settings,omitzero"`
	Configuration                   *ClusterConfiguration          `json:"configuration,omitzero"`
	CapacityProviders               []string                       `json:"capacityProviders,omitzero"`
	DefaultCapacityProviderStrategy []CapacityProviderStrategyItem `json:"defaultCapacityProviderStrategy,omitzero"`
	ServiceConnectDefaults          *ClusterServiceConnectDefaults `json:"serviceConnectDefaults,omitzero"`
	Tags                            []Tag                          `json:"tags,omitzero"`
}

// ClusterSetting is a setting of the cluster, "containerInsights" for one.
type ClusterSetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ClusterConfiguration is the execute-command and managed-storage configuration.
type ClusterConfiguration struct {
	ExecuteCommandConfiguration *ExecuteCommandConfiguration `json:"executeCommandConfiguration,omitzero"`
	ManagedStorageConfiguration *ManagedStorageConfiguration `json:"managedStorageConfiguration,omitzero"`
}

// ExecuteCommandConfiguration says how exec sessions of the cluster are encrypted and logged.
type ExecuteCommandConfiguration struct {
	KMSKeyID         string                          `json:"kmsKeyId,omitzero"`
	Logging          string                          `json:"logging,omitzero"`
	LogConfiguration *ExecuteCommandLogConfiguration `json:"logConfiguration,omitzero"`
}

// ExecuteCommandLogConfiguration says where exec sessions are logged to.
type ExecuteCommandLogConfiguration struct {
	CloudWatchLogGroupName      string `json:"cloudWatchLogGroupName,omitzero"`
	CloudWatchEncryptionEnabled *bool  `json:"cloudWatchEncryptionEnabled,omitzero"`
	S3BucketName                string `json:"s3BucketName,omitzero"`
	S3EncryptionEnabled         *bool  `json:"s3EncryptionEnabled,omitzero"`
	S3KeyPrefix                 string `json:"s3KeyPrefix,omitzero"`
}

// ManagedStorageConfiguration names the keys of Fargate and managed-instance disks.
type ManagedStorageConfiguration struct {
	KMSKeyID                        string `json:"kmsKeyId,omitzero"`
	FargateEphemeralStorageKMSKeyID string `json:"fargateEphemeralStorageKmsKeyId,omitzero"`
}

// ClusterServiceConnectDefaults is the namespace of services that name none.
type ClusterServiceConnectDefaults struct {
	Namespace string `json:"namespace"`
}
