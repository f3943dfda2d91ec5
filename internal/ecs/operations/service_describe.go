package operations

import (
	"context"
	"slices"
	"strings"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

const (
	// maxDescribeServices is how many services one DescribeServices may name.
	maxDescribeServices = 10
	// maxEventsShown is how many events of a service are shown.
	maxEventsShown = 100
)

// DescribeServices shows services, INACTIVE ones included while they last. Rendered by hand, as every poller reads it.
func (s *Service) DescribeServices(ctx context.Context, in *ecsapi.DescribeServicesInput) (*ecsapi.DescribeServicesOutput, error) {
	if len(in.Services) == 0 {
		return nil, fault.InvalidParameter("Services cannot be empty.")
	}
	if len(in.Services) > maxDescribeServices {
		return nil, fault.InvalidParameter("Services cannot have more than %d elements.", maxDescribeServices)
	}
	withTags := slices.Contains(in.Include, ecsapi.ServiceFieldTags)
	out := &ecsapi.DescribeServicesOutput{Failures: []ecsapi.Failure{}, Services: []ecsapi.Service{}}
	err := s.Store.View(func(r store.Reader) error {
		cluster, err := s.activeCluster(r, in.Cluster)
		if err != nil {
			return err
		}
		for _, ref := range in.Services {
			svc, err := s.findService(r, cluster.Name, ref)
			switch {
			case err == nil:
				out.Services = append(out.Services, *s.renderService(r, svc, withTags))
			case fault.Code(err) == "ServiceNotFoundException":
				missing := ref
				if !arn.IsARN(ref) {
					missing = s.Scope.Service(cluster.Name, ref)
				}
				out.Failures = append(out.Failures, ecsapi.Failure{Arn: &missing, Reason: ptr(reasonMissing)})
			default:
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// taskCounts are a service's or a deployment's tasks: RUNNING ones, and those on the way there. A task that was asked to
// stop counts until it has: what is counted is what runs.
type taskCounts struct{ running, pending int }

func (c *taskCounts) add(t *ecs.Task) {
	switch t.LastStatus {
	case ecs.TaskRunning:
		c.running++
	case ecs.TaskProvisioning, ecs.TaskPending, ecs.TaskActivating:
		c.pending++
	}
}

// renderService makes the answer's service, with its deployments, counts and events.
func (s *Service) renderService(r store.Reader, svc *ecs.Service, withTags bool) *ecsapi.Service {
	key := svc.Key()
	var total taskCounts
	byDeployment := map[string]*taskCounts{}
	for t := range state.TasksByService.Each(r, key) {
		if t.Stopped() {
			continue
		}
		total.add(t)
		c := byDeployment[t.StartedBy]
		if c == nil {
			c = &taskCounts{}
			byDeployment[t.StartedBy] = c
		}
		c.add(t)
	}
	w := &ecsapi.Service{
		AvailabilityZoneRebalancing:   field(&svc.AvailabilityZoneRebalancing),
		ClusterArn:                    ptr(s.Scope.Cluster(svc.Cluster)),
		CreatedAt:                     moment(&svc.CreatedAt),
		CreatedBy:                     field(&svc.CreatedBy),
		DeploymentConfiguration:       renderDeploymentConfiguration(&svc.DeploymentConfiguration),
		DeploymentController:          &ecsapi.DeploymentController{Type: &svc.DeploymentController},
		Deployments:                   s.renderDeployments(r, svc, byDeployment),
		DesiredCount:                  ptr(int32(svc.DesiredCount)),
		EnableECSManagedTags:          &svc.EnableECSManagedTags,
		EnableExecuteCommand:          &svc.EnableExecuteCommand,
		Events:                        renderEvents(r, key),
		HealthCheckGracePeriodSeconds: number(svc.HealthCheckGracePeriodSeconds),
		LaunchType:                    field(&svc.LaunchType),
		LoadBalancers:                 []ecsapi.LoadBalancer{},
		PendingCount:                  ptr(int32(total.pending)),
		PlacementConstraints:          make([]ecsapi.PlacementConstraint, len(svc.PlacementConstraints)),
		PlacementStrategy:             make([]ecsapi.PlacementStrategy, len(svc.PlacementStrategy)),
		PlatformFamily:                field(&svc.PlatformFamily),
		PlatformVersion:               field(&svc.PlatformVersion),
		PropagateTags:                 field(&svc.PropagateTags),
		ResourceManagementType:        ptr(ecsapi.ResourceManagementTypeCustomer),
		RunningCount:                  ptr(int32(total.running)),
		SchedulingStrategy:            &svc.SchedulingStrategy,
		ServiceArn:                    ptr(s.Scope.Service(svc.Cluster, svc.Name)),
		ServiceName:                   &svc.Name,
		ServiceRegistries:             []ecsapi.ServiceRegistry{},
		Status:                        &svc.Status,
		TaskDefinition:                ptr(s.Scope.TaskDefinition(svc.TaskDefinition.Family, svc.TaskDefinition.Revision)),
	}
	for i := range svc.PlacementConstraints {
		c := &svc.PlacementConstraints[i]
		w.PlacementConstraints[i] = ecsapi.PlacementConstraint{Type: &c.Type, Expression: field(&c.Expression)}
	}
	for i := range svc.PlacementStrategy {
		p := &svc.PlacementStrategy[i]
		w.PlacementStrategy[i] = ecsapi.PlacementStrategy{Type: &p.Type, Field: field(&p.Field)}
	}
	if withTags {
		w.Tags = renderTags(svc.Tags)
	}
	return w
}

// renderDeployments shows the deployments that still matter: PRIMARY first, then the others, newest first. The PRIMARY wants
// what the service wants; an older one wants only what is left of it.
func (s *Service) renderDeployments(r store.Reader, svc *ecs.Service, counts map[string]*taskCounts) []ecsapi.Deployment {
	var list []*ecs.Deployment
	for d := range state.DeploymentsByService.Each(r, svc.Key()) {
		if d.Status != ecs.DeploymentInactive {
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(a, b *ecs.Deployment) int {
		if a.Status != b.Status { // of the two statuses that are shown
			return strings.Compare(b.Status, a.Status) // PRIMARY, ACTIVE
		}
		return b.CreatedAt.Compare(a.CreatedAt)
	})
	w := make([]ecsapi.Deployment, len(list))
	for i, d := range list {
		var c taskCounts
		if counts[d.ID] != nil {
			c = *counts[d.ID]
		}
		desired := svc.DesiredCount
		if d.Status != ecs.DeploymentPrimary {
			desired = c.running + c.pending
		}
		w[i] = ecsapi.Deployment{
			CreatedAt: moment(&d.CreatedAt), UpdatedAt: moment(&d.UpdatedAt), Id: &d.ID, Status: &d.Status,
			DesiredCount: ptr(int32(desired)), RunningCount: ptr(int32(c.running)), PendingCount: ptr(int32(c.pending)),
			FailedTasks: ptr(int32(d.FailedTasks)), LaunchType: field(&d.LaunchType),
			PlatformFamily: field(&d.PlatformFamily), PlatformVersion: field(&d.PlatformVersion),
			RolloutState: &d.RolloutState, RolloutStateReason: field(&d.RolloutStateReason),
			TaskDefinition: ptr(s.Scope.TaskDefinition(d.TaskDefinition.Family, d.TaskDefinition.Revision)),
		}
	}
	return w
}

// renderEvents shows the newest events, newest first.
func renderEvents(r store.Reader, key string) []ecsapi.ServiceEvent {
	var list []*ecs.ServiceEvent
	for e := range state.ServiceEvents.Prefix(r, key+"/") {
		list = append(list, e)
	}
	if len(list) > maxEventsShown {
		list = list[len(list)-maxEventsShown:]
	}
	w := make([]ecsapi.ServiceEvent, 0, len(list))
	for _, e := range slices.Backward(list) {
		w = append(w, ecsapi.ServiceEvent{CreatedAt: &e.CreatedAt, Id: &e.ID, Message: &e.Message})
	}
	return w
}

func renderDeploymentConfiguration(c *ecs.DeploymentConfiguration) *ecsapi.DeploymentConfiguration {
	w := &ecsapi.DeploymentConfiguration{
		Strategy: field(&c.Strategy), MinimumHealthyPercent: number(c.MinimumHealthyPercent),
		MaximumPercent: number(c.MaximumPercent), BakeTimeInMinutes: number(c.BakeTimeInMinutes),
	}
	if b := c.DeploymentCircuitBreaker; b != nil {
		w.DeploymentCircuitBreaker = &ecsapi.DeploymentCircuitBreaker{Enable: &b.Enable, Rollback: &b.Rollback, ResetOnHealthyTask: b.ResetOnHealthyTask}
		if t := b.ThresholdConfiguration; t != nil {
			w.DeploymentCircuitBreaker.ThresholdConfiguration = &ecsapi.DeploymentCircuitBreakerThresholdConfiguration{Type: &t.Type, Value: ptr(int32(t.Value))}
		}
	}
	if a := c.Alarms; a != nil {
		w.Alarms = &ecsapi.DeploymentAlarms{AlarmNames: a.AlarmNames, Enable: &a.Enable, Rollback: &a.Rollback}
	}
	return w
}
