package agentlink

import "encoding/json"

// Desired and known statuses of tasks and containers as they stand on the wire.
const (
	StatusPending = "PENDING"
	StatusRunning = "RUNNING"
	StatusStopped = "STOPPED"
)

// Role types of IAMRoleCredentialsMessage.
const (
	RoleTaskApplication = "TaskApplication"
	RoleTaskExecution   = "TaskExecution"
)

// HeartbeatMessage tells the agent that the connection lives; sent on both websockets, on TCS without MessageID.
type HeartbeatMessage struct {
	MessageID string `json:"messageId,omitempty"`
	Healthy   bool   `json:"healthy"`
}

// HeartbeatAckRequest answers a HeartbeatMessage of ACS.
type HeartbeatAckRequest struct {
	MessageID string `json:"messageId"`
}

// PayloadMessage tells the agent of tasks to run or to stop. The agent ignores it, without an ack, when MessageID,
// ClusterARN or ContainerInstanceARN is missing; it acks once all of its tasks are accepted (persisted).
type PayloadMessage struct {
	MessageID            string `json:"messageId"`
	ClusterARN           string `json:"clusterArn"`
	ContainerInstanceARN string `json:"containerInstanceArn"`
	GeneratedAt          int64  `json:"generatedAt,omitempty"` // epoch milliseconds
	// SeqNum shares one counter per instance with TaskManifestMessage.Timeline.
	SeqNum *int64 `json:"seqNum,omitempty"`
	// Tasks are kept as they came: DecodeTasks reads them one by one.
	Tasks []json.RawMessage `json:"tasks"`
}

// AckRequest acknowledges a PayloadMessage, a TaskManifestMessage or an attachment message. Cluster and ContainerInstance
// are copied from the message's ARNs.
type AckRequest struct {
	Cluster           string `json:"cluster,omitempty"`
	ContainerInstance string `json:"containerInstance,omitempty"`
	MessageID         string `json:"messageId"`
}

// NackRequest refuses an update message.
type NackRequest struct {
	Cluster           string `json:"cluster,omitempty"`
	ContainerInstance string `json:"containerInstance,omitempty"`
	MessageID         string `json:"messageId"`
	Reason            string `json:"reason"`
}

// IAMRoleCredentialsMessage brings fresh credentials for a task's role.
type IAMRoleCredentialsMessage struct {
	MessageID       string              `json:"messageId"`
	TaskARN         string              `json:"taskArn"`
	TaskClusterARN  string              `json:"taskClusterArn,omitempty"`
	RoleType        string              `json:"roleType"` // RoleTaskApplication | RoleTaskExecution
	RoleCredentials *IAMRoleCredentials `json:"roleCredentials"`
}

// IAMRoleCredentials are temporary credentials that the agent hands to the containers of one task.
type IAMRoleCredentials struct {
	CredentialsID   string `json:"credentialsId"` // unguessable: it becomes the path that containers fetch them by
	RoleARN         string `json:"roleArn,omitempty"`
	AccessKeyID     string `json:"accessKeyId,omitempty"`
	SecretAccessKey string `json:"secretAccessKey,omitempty"`
	SessionToken    string `json:"sessionToken,omitempty"`
	Expiration      string `json:"expiration,omitempty"` // ISO 8601
	CredentialScope string `json:"credentialScope,omitempty"`
}

// IAMRoleCredentialsAckRequest acknowledges credentials, those inside a payload too (then MessageID is the payload's).
type IAMRoleCredentialsAckRequest struct {
	MessageID     string `json:"messageId"`
	CredentialsID string `json:"credentialsId"`
	Expiration    string `json:"expiration,omitempty"`
}

// TaskIdentity names a task and what is wanted of it.
type TaskIdentity struct {
	TaskARN        string `json:"taskArn"`
	TaskClusterARN string `json:"taskClusterArn,omitempty"`
	DesiredStatus  string `json:"desiredStatus"`
}

// TaskManifestMessage lists every task that the control plane wants on the instance. One whose Timeline isn't greater
// than everything that the agent has seen is dropped without an ack.
type TaskManifestMessage struct {
	MessageID            string         `json:"messageId"`
	ClusterARN           string         `json:"clusterArn"`
	ContainerInstanceARN string         `json:"containerInstanceArn"`
	GeneratedAt          int64          `json:"generatedAt,omitempty"` // epoch milliseconds
	Timeline             *int64         `json:"timeline,omitempty"`
	Tasks                []TaskIdentity `json:"tasks"`
}

// TaskStopVerificationMessage asks the control plane whether the tasks that the agent runs and the manifest lacks are
// really to be stopped. MessageID is the manifest's.
type TaskStopVerificationMessage struct {
	MessageID      string         `json:"messageId"`
	StopCandidates []TaskIdentity `json:"stopCandidates"`
}

// TaskStopVerificationAck confirms which of those to stop.
type TaskStopVerificationAck struct {
	MessageID   string         `json:"messageId"`
	GeneratedAt int64          `json:"generatedAt,omitempty"` // epoch milliseconds
	StopTasks   []TaskIdentity `json:"stopTasks"`
}

// AttachTaskNetworkInterfacesMessage announces the network interfaces of a task to come (awsvpc).
type AttachTaskNetworkInterfacesMessage struct {
	MessageID                string                    `json:"messageId"`
	ClusterARN               string                    `json:"clusterArn"`
	ContainerInstanceARN     string                    `json:"containerInstanceArn"`
	TaskARN                  string                    `json:"taskArn"`
	TaskClusterARN           string                    `json:"taskClusterArn,omitempty"`
	GeneratedAt              int64                     `json:"generatedAt,omitempty"`
	WaitTimeoutMs            int64                     `json:"waitTimeoutMs"`
	ElasticNetworkInterfaces []ElasticNetworkInterface `json:"elasticNetworkInterfaces"`
}

// AttachInstanceNetworkInterfacesMessage announces a trunk interface of the instance.
type AttachInstanceNetworkInterfacesMessage struct {
	MessageID                string                    `json:"messageId"`
	ClusterARN               string                    `json:"clusterArn"`
	ContainerInstanceARN     string                    `json:"containerInstanceArn"`
	GeneratedAt              int64                     `json:"generatedAt,omitempty"`
	WaitTimeoutMs            int64                     `json:"waitTimeoutMs"`
	ElasticNetworkInterfaces []ElasticNetworkInterface `json:"elasticNetworkInterfaces"`
}

// ConfirmAttachmentMessage announces a volume.
type ConfirmAttachmentMessage struct {
	MessageID            string      `json:"messageId"`
	ClusterARN           string      `json:"clusterArn"`
	ContainerInstanceARN string      `json:"containerInstanceArn"`
	TaskARN              string      `json:"taskArn,omitempty"`
	TaskClusterARN       string      `json:"taskClusterArn,omitempty"`
	GeneratedAt          int64       `json:"generatedAt,omitempty"`
	WaitTimeoutMs        int64       `json:"waitTimeoutMs,omitempty"`
	Attachment           *Attachment `json:"attachment"`
}

// UpdateInfo says where an agent update is to be had.
type UpdateInfo struct {
	Location  string `json:"location"`
	Signature string `json:"signature"` // hex SHA-256 of the download
}

// StageUpdateMessage asks the agent to download an update of itself.
type StageUpdateMessage struct {
	MessageID            string      `json:"messageId"`
	ClusterARN           string      `json:"clusterArn"`
	ContainerInstanceARN string      `json:"containerInstanceArn"`
	UpdateInfo           *UpdateInfo `json:"updateInfo,omitempty"`
}

// PerformUpdateMessage asks the agent to restart into the staged update.
type PerformUpdateMessage struct {
	MessageID            string      `json:"messageId"`
	ClusterARN           string      `json:"clusterArn"`
	ContainerInstanceARN string      `json:"containerInstanceArn"`
	UpdateInfo           *UpdateInfo `json:"updateInfo,omitempty"`
}

// CloseMessage announces that the control plane is about to close the websocket; agents only log it.
type CloseMessage struct {
	Message string `json:"message,omitempty"`
}

// ErrorMessage is a complaint of the control plane; agents only log it.
type ErrorMessage struct {
	Message string `json:"message,omitempty"`
}

func (*HeartbeatMessage) MessageType() string             { return "HeartbeatMessage" }
func (*HeartbeatAckRequest) MessageType() string          { return "HeartbeatAckRequest" }
func (*PayloadMessage) MessageType() string               { return "PayloadMessage" }
func (*AckRequest) MessageType() string                   { return "AckRequest" }
func (*NackRequest) MessageType() string                  { return "NackRequest" }
func (*IAMRoleCredentialsMessage) MessageType() string    { return "IAMRoleCredentialsMessage" }
func (*IAMRoleCredentialsAckRequest) MessageType() string { return "IAMRoleCredentialsAckRequest" }
func (*TaskManifestMessage) MessageType() string          { return "TaskManifestMessage" }
func (*TaskStopVerificationMessage) MessageType() string  { return "TaskStopVerificationMessage" }
func (*TaskStopVerificationAck) MessageType() string      { return "TaskStopVerificationAck" }
func (*AttachTaskNetworkInterfacesMessage) MessageType() string {
	return "AttachTaskNetworkInterfacesMessage"
}
func (*AttachInstanceNetworkInterfacesMessage) MessageType() string {
	return "AttachInstanceNetworkInterfacesMessage"
}
func (*ConfirmAttachmentMessage) MessageType() string { return "ConfirmAttachmentMessage" }
func (*StageUpdateMessage) MessageType() string       { return "StageUpdateMessage" }
func (*PerformUpdateMessage) MessageType() string     { return "PerformUpdateMessage" }
func (*CloseMessage) MessageType() string             { return "CloseMessage" }
func (*ErrorMessage) MessageType() string             { return "ErrorMessage" }
