package operations

import (
	"context"
	"iter"
	"slices"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/placement"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

func (s *Service) containerInstanceHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.ListContainerInstances, s.ListContainerInstances),
		wire.Handle(ecsapi.DescribeContainerInstances, s.DescribeContainerInstances),
		wire.Handle(ecsapi.UpdateContainerInstancesState, s.UpdateContainerInstancesState),
		wire.Handle(ecsapi.DeregisterContainerInstance, s.DeregisterContainerInstance),
	}
}

// findInstance returns the container instance that a request names, nil when there is none, and the id that it would have.
func (s *Service) findInstance(r store.Reader, cluster, ref string) (ci *ecs.ContainerInstance, id string, err error) {
	id, here, err := s.resource(cluster, "container-instance", ref)
	if err != nil || !here {
		return nil, id, err
	}
	if ci, ok := state.Instances.Get(r, id); ok && ci.Cluster == cluster {
		return ci, id, nil
	}
	return nil, id, nil
}

// instanceARN is how a failure names the instance: as the request did, or with the ARN that it would have.
func (s *Service) instanceARN(cluster, id, ref string) string {
	if arn.IsARN(ref) {
		return ref
	}
	return s.Scope.Instance(cluster, id)
}

func errInstanceNotFound() error {
	return fault.InvalidParameter("The referenced container instance was not found.")
}

// ListContainerInstances lists the instances of a cluster that are in a status (all but INACTIVE when none is given) and
// satisfy an expression of the cluster query language.
func (s *Service) ListContainerInstances(ctx context.Context, in *ecsapi.ListContainerInstancesInput) (*ecsapi.ListContainerInstancesOutput, error) {
	var filter *placement.Query
	if deref(in.Filter) != "" {
		var err error
		if filter, err = placement.ParseQuery(*in.Filter); err != nil {
			return nil, placement.CheckQuery(*in.Filter)
		}
	}
	match := func(r store.Reader, ci *ecs.ContainerInstance) bool {
		if in.Status != nil && ci.Status != string(*in.Status) || in.Status == nil && ci.Status == ecs.InstanceInactive {
			return false
		}
		return filter == nil || filter.Matches(lazyInstance(r, ci))
	}
	out := &ecsapi.ListContainerInstancesOutput{}
	err := s.Store.View(func(r store.Reader) error {
		cluster, err := s.activeCluster(r, in.Cluster)
		if err != nil {
			return err
		}
		out.ContainerInstanceArns, out.NextToken, err = page(in.NextToken, in.MaxResults, 100, 100, func(after string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				for ci := range state.InstancesByCluster.After(r, cluster.Name, after) {
					if match(r, ci) && !yield(ci.ID, s.Scope.Instance(ci.Cluster, ci.ID)) {
						return
					}
				}
			}
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DescribeContainerInstances shows instances, deregistered ones included while they last.
func (s *Service) DescribeContainerInstances(ctx context.Context, in *ecsapi.DescribeContainerInstancesInput) (*ecsapi.DescribeContainerInstancesOutput, error) {
	if len(in.ContainerInstances) == 0 {
		return nil, fault.ClientError("Container Instances cannot be empty.")
	}
	if len(in.ContainerInstances) > maxDescribe {
		return nil, fault.InvalidParameter("Container Instances cannot have more than %d elements.", maxDescribe)
	}
	withTags := slices.Contains(in.Include, ecsapi.ContainerInstanceFieldTags)
	withHealth := slices.Contains(in.Include, ecsapi.ContainerInstanceFieldContainerInstanceHealth)
	out := &ecsapi.DescribeContainerInstancesOutput{ContainerInstances: []ecsapi.ContainerInstance{}, Failures: []ecsapi.Failure{}}
	err := s.Store.View(func(r store.Reader) error {
		cluster, err := s.activeCluster(r, in.Cluster)
		if err != nil {
			return err
		}
		for _, ref := range in.ContainerInstances {
			ci, id, err := s.findInstance(r, cluster.Name, ref)
			if err != nil {
				return err
			}
			if ci == nil {
				out.Failures = append(out.Failures, ecsapi.Failure{Arn: ptr(s.instanceARN(cluster.Name, id, ref)), Reason: ptr(reasonMissing)})
				continue
			}
			w := s.renderInstance(instance(r, ci), withTags)
			if withHealth {
				w.HealthStatus = renderHealth(ci.Health)
			}
			out.ContainerInstances = append(out.ContainerInstances, w)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// renderInstance makes the answer's container instance; what remains is what was registered without what the tasks hold.
func (s *Service) renderInstance(in *placement.Instance, withTags bool) ecsapi.ContainerInstance {
	ci := in.Record
	w := ecsapi.ContainerInstance{
		AgentConnected:       &ci.AgentConnected,
		AgentUpdateStatus:    field(&ci.AgentUpdateStatus),
		Attachments:          []ecsapi.Attachment{},
		Attributes:           renderAttributes(ci.Attributes),
		CapacityProviderName: field(&ci.CapacityProvider),
		ContainerInstanceArn: ptr(s.Scope.Instance(ci.Cluster, ci.ID)),
		Ec2InstanceId:        field(&ci.EC2InstanceID),
		PendingTasksCount:    ptr(int32(in.PendingTasks())),
		RegisteredAt:         moment(&ci.RegisteredAt),
		RegisteredResources:  renderResources(ci.Resources),
		RemainingResources:   renderResources(in.Free()),
		RunningTasksCount:    ptr(int32(in.RunningTasks())),
		Status:               &ci.Status,
		StatusReason:         field(&ci.StatusReason),
		Tags:                 []ecsapi.Tag{},
		Version:              &ci.Version,
		VersionInfo: &ecsapi.VersionInfo{AgentHash: field(&ci.AgentHash), AgentVersion: field(&ci.AgentVersion),
			DockerVersion: field(&ci.DockerVersion)},
	}
	if withTags {
		w.Tags = renderTags(ci.Tags)
	}
	return w
}

// renderResources spells amounts as ECS does: ports are lists of those in use, in text.
func renderResources(r ecs.Resources) []ecsapi.Resource {
	w := []ecsapi.Resource{
		integerResource("CPU", r.CPU), integerResource("MEMORY", r.Memory),
		setResource("PORTS", decimals(r.Ports)), setResource("PORTS_UDP", decimals(r.PortsUDP)),
	}
	if len(r.GPUs) > 0 {
		w = append(w, setResource("GPU", r.GPUs))
	}
	return w
}

func integerResource(name string, n int) ecsapi.Resource {
	return ecsapi.Resource{Name: &name, Type: ptr("INTEGER"), IntegerValue: ptr(int32(n)), LongValue: ptr(int64(0)), DoubleValue: ptr(0.0)}
}

func setResource(name string, set []string) ecsapi.Resource {
	return ecsapi.Resource{Name: &name, Type: ptr("STRINGSET"), StringSetValue: set, IntegerValue: ptr(int32(0)), LongValue: ptr(int64(0)), DoubleValue: ptr(0.0)}
}

// healthOrder are the states of health checks, the worst last.
var healthOrder = []string{"OK", "INITIALIZING", "INSUFFICIENT_DATA", "IMPAIRED"}

// renderHealth makes the health document: the whole is as well as its worst part; of a machine that hasn't reported there
// is INSUFFICIENT_DATA.
func renderHealth(checks []ecs.InstanceHealthCheck) *ecsapi.ContainerInstanceHealthStatus {
	w := &ecsapi.ContainerInstanceHealthStatus{Details: make([]ecsapi.InstanceHealthCheckResult, len(checks))}
	overall := "INSUFFICIENT_DATA"
	for i := range checks {
		c := &checks[i]
		w.Details[i] = ecsapi.InstanceHealthCheckResult{Type: &c.Type, Status: &c.Status, StatusReason: field(&c.StatusReason),
			LastUpdated: moment(&c.LastUpdated), LastStatusChange: moment(&c.LastStatusChange)}
		if i == 0 || slices.Index(healthOrder, c.Status) > slices.Index(healthOrder, overall) {
			overall = c.Status
		}
	}
	w.OverallStatus = &overall
	return w
}
