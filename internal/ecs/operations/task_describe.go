package operations

import (
	"context"
	"slices"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// reasonMissing is why a resource that a Describe names isn't in the answer.
const reasonMissing = "MISSING"

// DescribeTasks is the hottest read: it is rendered by hand, with pointers into the records, which nobody changes.
func (s *Service) DescribeTasks(ctx context.Context, in *ecsapi.DescribeTasksInput) (*ecsapi.DescribeTasksOutput, error) {
	if len(in.Tasks) == 0 {
		return nil, fault.InvalidParameter("Tasks cannot be empty.")
	}
	if len(in.Tasks) > maxDescribe {
		return nil, fault.InvalidParameter("Tasks cannot have more than %d elements.", maxDescribe)
	}
	withTags := slices.Contains(in.Include, ecsapi.TaskFieldTags)
	out := &ecsapi.DescribeTasksOutput{Failures: []ecsapi.Failure{}, Tasks: make([]ecsapi.Task, 0, len(in.Tasks))}
	err := s.Store.View(func(r store.Reader) error {
		cluster, err := s.activeCluster(r, in.Cluster)
		if err != nil {
			return err
		}
		connected := s.connectivity(r)
		for _, ref := range in.Tasks {
			t, id, err := s.findTask(r, cluster.Name, ref)
			if err != nil {
				return err
			}
			if t == nil {
				missing := ref
				if !arn.IsARN(ref) {
					missing = s.Scope.Task(cluster.Name, id)
				}
				out.Failures = append(out.Failures, ecsapi.Failure{Arn: &missing, Reason: ptr(reasonMissing)})
				continue
			}
			out.Tasks = append(out.Tasks, s.renderTask(t, connected, withTags))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// connectivity tells whether an instance's agent is connected; it asks the store once for each instance.
func (s *Service) connectivity(r store.Reader) func(instance string) bool {
	known := map[string]bool{}
	return func(id string) bool {
		connected, ok := known[id]
		if !ok {
			ci, found := state.Instances.Get(r, id)
			connected = found && ci.AgentConnected && ci.Status != ecs.InstanceInactive
			known[id] = connected
		}
		return connected
	}
}

// Values that many answers point to.
var (
	connected    = "CONNECTED"
	disconnected = "DISCONNECTED"
)

// renderTask makes the answer's task. agentConnected may be nil for a task that no agent has heard of yet.
func (s *Service) renderTask(t *ecs.Task, agentConnected func(instance string) bool, withTags bool) ecsapi.Task {
	health := t.HealthStatus()
	taskARN := s.Scope.Task(t.Cluster, t.ID)
	w := ecsapi.Task{
		Attachments:           renderAttachments(t.Attachments),
		Attributes:            renderAttributes(t.Attributes),
		AvailabilityZone:      field(&t.AvailabilityZone),
		CapacityProviderName:  field(&t.CapacityProvider),
		ClusterArn:            ptr(s.Scope.Cluster(t.Cluster)),
		ConnectivityAt:        moment(&t.ConnectivityAt),
		Containers:            make([]ecsapi.Container, len(t.Containers)),
		Cpu:                   field(&t.CPU),
		CreatedAt:             moment(&t.CreatedAt),
		DesiredStatus:         &t.DesiredStatus,
		EnableExecuteCommand:  &t.EnableExecuteCommand,
		ExecutionStoppedAt:    moment(&t.ExecutionStoppedAt),
		Group:                 field(&t.Group),
		HealthStatus:          &health,
		InferenceAccelerators: []ecsapi.InferenceAccelerator{},
		LastStatus:            &t.LastStatus,
		LaunchType:            field(&t.LaunchType),
		Memory:                field(&t.Memory),
		Overrides:             renderOverrides(&t.Overrides),
		PlatformFamily:        field(&t.PlatformFamily),
		PlatformVersion:       field(&t.PlatformVersion),
		PullStartedAt:         moment(&t.PullStartedAt),
		PullStoppedAt:         moment(&t.PullStoppedAt),
		StartedAt:             moment(&t.StartedAt),
		StartedBy:             field(&t.StartedBy),
		StopCode:              field(&t.StopCode),
		StoppedAt:             moment(&t.StoppedAt),
		StoppedReason:         field(&t.StoppedReason),
		StoppingAt:            moment(&t.StoppingAt),
		Tags:                  []ecsapi.Tag{},
		TaskArn:               &taskARN,
		TaskDefinitionArn:     ptr(s.Scope.TaskDefinition(t.TaskDefinition.Family, t.TaskDefinition.Revision)),
		Version:               &t.Version,
	}
	if t.ContainerInstance != "" {
		w.ContainerInstanceArn = ptr(s.Scope.Instance(t.Cluster, t.ContainerInstance))
		if agentConnected != nil && !t.ConnectivityAt.IsZero() {
			w.Connectivity = &disconnected
			if agentConnected(t.ContainerInstance) {
				w.Connectivity = &connected
			}
		}
	}
	if withTags {
		w.Tags = renderTags(t.Tags)
	}
	for i := range t.Containers {
		w.Containers[i] = s.renderContainer(t, &t.Containers[i], &taskARN)
	}
	return w
}

func (s *Service) renderContainer(t *ecs.Task, c *ecs.Container, taskARN *string) ecsapi.Container {
	w := ecsapi.Container{
		ContainerArn:      ptr(s.Scope.Container(t.Cluster, t.ID, c.ID)),
		Cpu:               field(&c.CPU),
		GpuIds:            c.GPUIDs,
		HealthStatus:      field(&c.HealthStatus),
		Image:             field(&c.Image),
		ImageDigest:       field(&c.ImageDigest),
		LastStatus:        &c.LastStatus,
		Memory:            field(&c.Memory),
		MemoryReservation: field(&c.MemoryReservation),
		Name:              &c.Name,
		NetworkBindings:   make([]ecsapi.NetworkBinding, len(c.NetworkBindings)),
		NetworkInterfaces: []ecsapi.NetworkInterface{},
		Reason:            field(&c.Reason),
		RuntimeId:         field(&c.RuntimeID),
		TaskArn:           taskARN,
	}
	if c.ExitCode != nil {
		w.ExitCode = ptr(int32(*c.ExitCode))
	}
	for i := range c.NetworkBindings {
		b := &c.NetworkBindings[i]
		w.NetworkBindings[i] = ecsapi.NetworkBinding{
			BindIP: field(&b.BindIP), Protocol: field(&b.Protocol),
			ContainerPort: port(b.ContainerPort), HostPort: port(b.HostPort),
			ContainerPortRange: field(&b.ContainerPortRange), HostPortRange: field(&b.HostPortRange),
		}
	}
	return w
}

func renderOverrides(o *ecs.TaskOverride) *ecsapi.TaskOverride {
	w := &ecsapi.TaskOverride{
		ContainerOverrides:            make([]ecsapi.ContainerOverride, len(o.ContainerOverrides)),
		Cpu:                           field(&o.CPU),
		ExecutionRoleArn:              field(&o.ExecutionRoleARN),
		InferenceAcceleratorOverrides: []ecsapi.InferenceAcceleratorOverride{},
		Memory:                        field(&o.Memory),
		TaskRoleArn:                   field(&o.TaskRoleARN),
	}
	for i := range o.ContainerOverrides {
		c := &o.ContainerOverrides[i]
		wc := &w.ContainerOverrides[i]
		*wc = ecsapi.ContainerOverride{Name: &c.Name, Command: c.Command,
			Cpu: number(c.CPU), Memory: number(c.Memory), MemoryReservation: number(c.MemoryReservation)}
		for j := range c.Environment {
			e := &c.Environment[j]
			wc.Environment = append(wc.Environment, ecsapi.KeyValuePair{Name: &e.Name, Value: &e.Value})
		}
	}
	return w
}

func renderAttachments(all []ecs.Attachment) []ecsapi.Attachment {
	w := make([]ecsapi.Attachment, len(all))
	for i := range all {
		a := &all[i]
		w[i] = ecsapi.Attachment{Id: &a.ID, Type: &a.Type, Status: &a.Status, Details: []ecsapi.KeyValuePair{}}
		for j := range a.Details {
			d := &a.Details[j]
			w[i].Details = append(w[i].Details, ecsapi.KeyValuePair{Name: &d.Name, Value: &d.Value})
		}
	}
	return w
}
