package agentlink

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Limits of TCS's batched messages.
const (
	MaxTasksPerMessage = 10      // of PublishMetricsRequest and PublishHealthRequest
	MaxMessageBytes    = 1 << 20 // of PublishMetricsRequest
)

// Health statuses of containers.
const (
	HealthHealthy   = "HEALTHY"
	HealthUnhealthy = "UNHEALTHY"
	HealthUnknown   = "UNKNOWN"
)

// Instance status types and statuses.
const (
	InstanceContainerRuntime = "ContainerRuntime"
	InstanceAgent            = "Agent"

	InstanceInitializing     = "INITIALIZING"
	InstanceOK               = "OK"
	InstanceImpaired         = "IMPAIRED"
	InstanceInsufficientData = "INSUFFICIENT_DATA"
)

// Seconds is an instant as TCS and the Submit calls write it: a number of seconds since the epoch, with milliseconds as
// its fraction. The zero time is null.
type Seconds struct{ time.Time }

// At makes the Seconds of t.
func At(t time.Time) Seconds { return Seconds{t} }

// MarshalJSON writes 1795310439.489.
func (s Seconds) MarshalJSON() ([]byte, error) {
	if s.IsZero() {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(s.UnixMilli())/1e3, 'f', -1, 64), nil
}

// UnmarshalJSON reads such a number.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var f *float64
	if err := json.Unmarshal(b, &f); err != nil || f == nil {
		return err
	}
	s.Time = time.UnixMilli(int64(math.Round(*f * 1e3))).UTC()
	return nil
}

// MetricsMetadata heads a PublishMetricsRequest. Several messages that belong together share MessageID; Fin marks the last.
type MetricsMetadata struct {
	Cluster           string `json:"cluster"`
	ContainerInstance string `json:"containerInstance"`
	MessageID         string `json:"messageId"`
	Idle              bool   `json:"idle"` // nothing runs: no TaskMetrics
	Fin               bool   `json:"fin"`
}

// PublishMetricsRequest brings what the containers used since the last one, every 20 s.
type PublishMetricsRequest struct {
	Metadata        *MetricsMetadata `json:"metadata"`
	InstanceMetrics json.RawMessage  `json:"instanceMetrics,omitempty"`
	TaskMetrics     []TaskMetric     `json:"taskMetrics,omitempty"`
	Timestamp       Seconds          `json:"timestamp"`
}

// TaskMetric is one task's part of PublishMetricsRequest.
type TaskMetric struct {
	TaskARN                 string            `json:"taskArn"`
	ClusterARN              string            `json:"clusterArn,omitempty"`
	TaskDefinitionFamily    string            `json:"taskDefinitionFamily,omitempty"`
	TaskDefinitionVersion   string            `json:"taskDefinitionVersion,omitempty"`
	ContainerMetrics        []ContainerMetric `json:"containerMetrics"`
	EphemeralStorageMetrics json.RawMessage   `json:"ephemeralStorageMetrics,omitempty"`
}

// ContainerMetric is one container's part.
type ContainerMetric struct {
	ContainerARN    string           `json:"containerArn,omitempty"`
	ContainerName   string           `json:"containerName"`
	CPUStatsSet     *StatsSet        `json:"cpuStatsSet,omitempty"`    // percent of one core
	MemoryStatsSet  *StatsSet        `json:"memoryStatsSet,omitempty"` // MiB
	NetworkStatsSet *NetworkStatsSet `json:"networkStatsSet,omitempty"`
	StorageStatsSet *StorageStatsSet `json:"storageStatsSet,omitempty"`
	RestartStatsSet *RestartStatsSet `json:"restartStatsSet,omitempty"`
}

// StatsSet sums up samples.
type StatsSet struct {
	Min         float64 `json:"min"`
	Max         float64 `json:"max"`
	SampleCount int64   `json:"sampleCount"`
	Sum         float64 `json:"sum"`
}

// ULongStatsSet sums up samples of 64-bit counters: what exceeds 2^63-1 stands in the overflow members.
type ULongStatsSet struct {
	Min         int64 `json:"min"`
	OverflowMin int64 `json:"overflowMin"`
	Max         int64 `json:"max"`
	OverflowMax int64 `json:"overflowMax"`
	SampleCount int64 `json:"sampleCount"`
	Sum         int64 `json:"sum"`
	OverflowSum int64 `json:"overflowSum"`
}

// NetworkStatsSet is a container's traffic over all its interfaces.
type NetworkStatsSet struct {
	RxBytes          *ULongStatsSet `json:"rxBytes,omitempty"`
	RxDropped        *ULongStatsSet `json:"rxDropped,omitempty"`
	RxErrors         *ULongStatsSet `json:"rxErrors,omitempty"`
	RxPackets        *ULongStatsSet `json:"rxPackets,omitempty"`
	RxBytesPerSecond *StatsSet      `json:"rxBytesPerSecond,omitempty"`
	TxBytes          *ULongStatsSet `json:"txBytes,omitempty"`
	TxDropped        *ULongStatsSet `json:"txDropped,omitempty"`
	TxErrors         *ULongStatsSet `json:"txErrors,omitempty"`
	TxPackets        *ULongStatsSet `json:"txPackets,omitempty"`
	TxBytesPerSecond *StatsSet      `json:"txBytesPerSecond,omitempty"`
}

// StorageStatsSet is a container's block I/O.
type StorageStatsSet struct {
	ReadSizeBytes  *ULongStatsSet `json:"readSizeBytes,omitempty"`
	WriteSizeBytes *ULongStatsSet `json:"writeSizeBytes,omitempty"`
}

// RestartStatsSet counts restarts under a restart policy.
type RestartStatsSet struct {
	RestartCount int64 `json:"restartCount"`
}

// HealthMetadata heads a PublishHealthRequest.
type HealthMetadata struct {
	Cluster           string `json:"cluster"`
	ContainerInstance string `json:"containerInstance"`
	MessageID         string `json:"messageId"`
	Fin               bool   `json:"fin"`
}

// PublishHealthRequest brings the health of the containers that have a health check; there is no other channel for it.
type PublishHealthRequest struct {
	Metadata  *HealthMetadata `json:"metadata"`
	Tasks     []TaskHealth    `json:"tasks"`
	Timestamp Seconds         `json:"timestamp"`
}

// TaskHealth is one task's part of PublishHealthRequest.
type TaskHealth struct {
	TaskARN               string            `json:"taskArn"`
	ClusterARN            string            `json:"clusterArn,omitempty"`
	TaskDefinitionFamily  string            `json:"taskDefinitionFamily,omitempty"`
	TaskDefinitionVersion string            `json:"taskDefinitionVersion,omitempty"`
	Containers            []ContainerHealth `json:"containers"`
}

// ContainerHealth is one container's part.
type ContainerHealth struct {
	ContainerName string  `json:"containerName"`
	HealthStatus  string  `json:"healthStatus"` // HealthHealthy | HealthUnhealthy | HealthUnknown
	StatusSince   Seconds `json:"statusSince,omitzero"`
	StatusMessage string  `json:"statusMessage,omitempty"`
}

// InstanceStatusMetadata heads a PublishInstanceStatusRequest.
type InstanceStatusMetadata struct {
	Cluster           string `json:"cluster"`
	ContainerInstance string `json:"containerInstance"`
	RequestID         string `json:"requestId"`
}

// PublishInstanceStatusRequest says how the instance itself is.
type PublishInstanceStatusRequest struct {
	Metadata  *InstanceStatusMetadata `json:"metadata"`
	Statuses  []InstanceStatus        `json:"statuses"`
	Timestamp Seconds                 `json:"timestamp"`
}

// InstanceStatus is how one part of the instance is.
type InstanceStatus struct {
	Type             string  `json:"type"`   // InstanceContainerRuntime ...
	Status           string  `json:"status"` // InstanceOK ...
	LastUpdated      Seconds `json:"lastUpdated,omitzero"`
	LastStatusChange Seconds `json:"lastStatusChange,omitzero"`
	StatusReason     string  `json:"statusReason,omitempty"`
}

// AckPublishMetric acknowledges a PublishMetricsRequest.
type AckPublishMetric struct {
	Message string `json:"message,omitempty"`
}

// AckPublishHealth acknowledges a PublishHealthRequest.
type AckPublishHealth struct {
	Message string `json:"message,omitempty"`
}

// AckPublishInstanceStatus acknowledges a PublishInstanceStatusRequest.
type AckPublishInstanceStatus struct {
	Message string `json:"message,omitempty"`
}

// StopTelemetrySessionMessage asks the agent to end the TCS session.
type StopTelemetrySessionMessage struct {
	Message string `json:"message,omitempty"`
}

// ServerException on a websocket says that the control plane failed.
type ServerException struct {
	Message string `json:"message,omitempty"`
}

// BadRequestException on a websocket says that what was sent made no sense.
type BadRequestException struct {
	Message string `json:"message,omitempty"`
}

// ResourceValidationException on a websocket says that what was sent names something that doesn't exist.
type ResourceValidationException struct {
	Message string `json:"message,omitempty"`
}

// InvalidParameterException on a websocket says that a member was refused.
type InvalidParameterException struct {
	Message string `json:"message,omitempty"`
}

func (*PublishMetricsRequest) MessageType() string        { return "PublishMetricsRequest" }
func (*PublishHealthRequest) MessageType() string         { return "PublishHealthRequest" }
func (*PublishInstanceStatusRequest) MessageType() string { return "PublishInstanceStatusRequest" }
func (*AckPublishMetric) MessageType() string             { return "AckPublishMetric" }
func (*AckPublishHealth) MessageType() string             { return "AckPublishHealth" }
func (*AckPublishInstanceStatus) MessageType() string     { return "AckPublishInstanceStatus" }
func (*StopTelemetrySessionMessage) MessageType() string  { return "StopTelemetrySessionMessage" }
func (*ServerException) MessageType() string              { return "ServerException" }
func (*BadRequestException) MessageType() string          { return "BadRequestException" }
func (*ResourceValidationException) MessageType() string  { return "ResourceValidationException" }
func (*InvalidParameterException) MessageType() string    { return "InvalidParameterException" }
