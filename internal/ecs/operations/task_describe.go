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

// DescribeTasks is the hottest read: it is rendered by hand, with pointers into the records, which nobody changes, and
// what hasn't changed since the last call isn't rendered again.
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
		tr := s.taskRenderer(r, withTags)
		found := make([]*ecs.Task, 0, len(in.Tasks))
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
			found = append(found, t)
		}
		if withTags {
			for _, t := range found {
				out.Tasks = append(out.Tasks, tr.render(t))
			}
			return nil
		}
		out.Tasks = s.answers.tasks(found, tr)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// taskRenderer renders the tasks of one answer. What many of them share is made once.
type taskRenderer struct {
	s           *Service
	r           store.Reader
	withTags    bool
	clusters    map[string]*string // ARNs
	definitions map[ecs.TaskDefinitionID]*string
	instances   map[string]instanceFacts
}

// instanceFacts is what a task shows of its instance.
type instanceFacts struct {
	arn          *string
	connectivity *string
}

func (s *Service) taskRenderer(r store.Reader, withTags bool) *taskRenderer {
	return &taskRenderer{s, r, withTags, map[string]*string{}, map[ecs.TaskDefinitionID]*string{}, map[string]instanceFacts{}}
}

func (tr *taskRenderer) cluster(name string) *string {
	a := tr.clusters[name]
	if a == nil {
		a = ptr(tr.s.Scope.Cluster(name))
		tr.clusters[name] = a
	}
	return a
}

func (tr *taskRenderer) definition(id ecs.TaskDefinitionID) *string {
	a := tr.definitions[id]
	if a == nil {
		a = ptr(tr.s.Scope.TaskDefinition(id.Family, id.Revision))
		tr.definitions[id] = a
	}
	return a
}

func (tr *taskRenderer) instance(cluster, id string) instanceFacts {
	f, ok := tr.instances[id]
	if !ok {
		f = instanceFacts{ptr(tr.s.Scope.Instance(cluster, id)), &disconnected}
		if ci, ok := state.Instances.Get(tr.r, id); ok && ci.AgentConnected && ci.Status != ecs.InstanceInactive {
			f.connectivity = &connected
		}
		tr.instances[id] = f
	}
	return f
}

// connectivity is what a task shows of its agent's connection; nil before any agent has heard of the task.
func (tr *taskRenderer) connectivity(t *ecs.Task) *string {
	if t.ContainerInstance == "" || t.ConnectivityAt.IsZero() {
		return nil
	}
	return tr.instance(t.Cluster, t.ContainerInstance).connectivity
}

// Values that many answers point to.
var (
	connected    = "CONNECTED"
	disconnected = "DISCONNECTED"
)

// render makes the answer's task.
func (tr *taskRenderer) render(t *ecs.Task) ecsapi.Task {
	health := t.HealthStatus()
	taskARN := tr.s.Scope.Task(t.Cluster, t.ID)
	w := ecsapi.Task{
		Attachments:           renderAttachments(t.Attachments),
		Attributes:            renderAttributes(t.Attributes),
		AvailabilityZone:      field(&t.AvailabilityZone),
		CapacityProviderName:  field(&t.CapacityProvider),
		ClusterArn:            tr.cluster(t.Cluster),
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
		TaskDefinitionArn:     tr.definition(t.TaskDefinition),
		Version:               &t.Version,
	}
	if t.ContainerInstance != "" {
		w.ContainerInstanceArn = tr.instance(t.Cluster, t.ContainerInstance).arn
		w.Connectivity = tr.connectivity(t)
	}
	if tr.withTags {
		w.Tags = renderTags(t.Tags)
	}
	for i := range t.Containers {
		w.Containers[i] = tr.s.renderContainer(t, &t.Containers[i], &taskARN)
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
