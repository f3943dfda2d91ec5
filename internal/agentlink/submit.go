package agentlink

// TaskStateChange is the body of SubmitTaskStateChange as agents send it. The same container may stand in it twice, RUNNING
// before STOPPED: the entries apply in order.
type TaskStateChange struct {
	Cluster            string                 `json:"cluster"`
	Task               string                 `json:"task"`
	Status             string                 `json:"status"` // StatusPending | StatusRunning | StatusStopped
	Reason             string                 `json:"reason"` // at most 1024 bytes; empty for ordinary ends
	Containers         []ContainerStateChange `json:"containers,omitempty"`
	PullStartedAt      Seconds                `json:"pullStartedAt,omitzero"`
	PullStoppedAt      Seconds                `json:"pullStoppedAt,omitzero"`
	ExecutionStoppedAt Seconds                `json:"executionStoppedAt,omitzero"`
}

// ContainerStateChange is one container's part of TaskStateChange.
type ContainerStateChange struct {
	ContainerName   string           `json:"containerName"`
	RuntimeID       string           `json:"runtimeId,omitempty"`
	Status          string           `json:"status"`
	ExitCode        *int             `json:"exitCode,omitempty"` // absent when it never started
	Reason          string           `json:"reason,omitempty"`   // at most 1024 bytes
	ImageDigest     string           `json:"imageDigest,omitempty"`
	NetworkBindings []NetworkBinding `json:"networkBindings,omitempty"`
}

// NetworkBinding is a container's port as published on the host.
type NetworkBinding struct {
	BindIP        string `json:"bindIP,omitempty"`
	ContainerPort int    `json:"containerPort,omitempty"`
	HostPort      int    `json:"hostPort,omitempty"`
	Protocol      string `json:"protocol,omitempty"`
}
