package operations

import (
	"context"
	"iter"
	"strings"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

func (s *Service) serviceHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.CreateService, s.CreateService),
		wire.Handle(ecsapi.UpdateService, s.UpdateService),
		wire.Handle(ecsapi.DeleteService, s.DeleteService),
		wire.Handle(ecsapi.DescribeServices, s.DescribeServices),
		wire.Handle(ecsapi.ListServices, s.ListServices),
	}
}

// findService returns the service that a request names, whatever its status.
func (s *Service) findService(r store.Reader, cluster, ref string) (*ecs.Service, error) {
	name, here, err := s.resource(cluster, "service", ref)
	if err != nil {
		return nil, err
	}
	if here {
		if svc, ok := state.Services.Get(r, ecs.ServiceKey(cluster, name)); ok {
			return svc, nil
		}
	}
	return nil, fault.New("ServiceNotFoundException", "Service not found.")
}

// activeService returns the service that a request wants to change.
func (s *Service) activeService(r store.Reader, cluster, ref string) (*ecs.Service, error) {
	svc, err := s.findService(r, cluster, ref)
	if err != nil {
		return nil, err
	}
	if svc.Status != ecs.ServiceActive {
		return nil, fault.New("ServiceNotActiveException", "Service was not ACTIVE.")
	}
	return svc, nil
}

// DeleteService begins the end of a service: no task is wanted any more, and the service scheduler makes it INACTIVE once
// the last one has stopped.
func (s *Service) DeleteService(ctx context.Context, in *ecsapi.DeleteServiceInput) (*ecsapi.DeleteServiceOutput, error) {
	var out *ecsapi.DeleteServiceOutput
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		cluster, err := s.activeCluster(tx, in.Cluster)
		if err != nil {
			return err
		}
		svc, err := s.activeService(tx, cluster.Name, deref(in.Service))
		if err != nil {
			return err
		}
		if svc.SchedulingStrategy == ecs.SchedulingReplica && svc.DesiredCount > 0 && !deref(in.Force) {
			return fault.InvalidParameter("The service cannot be stopped while it is scaled above 0.")
		}
		next := *svc
		next.Status, next.DesiredCount = ecs.ServiceDraining, 0
		state.Services.Put(tx, &next)
		out = &ecsapi.DeleteServiceOutput{Service: s.renderService(tx, &next, true)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ListServices lists the ACTIVE services of a cluster, ten to a page when the request doesn't say.
func (s *Service) ListServices(ctx context.Context, in *ecsapi.ListServicesInput) (*ecsapi.ListServicesOutput, error) {
	match := func(svc *ecs.Service) bool {
		return svc.Status == ecs.ServiceActive &&
			(in.LaunchType == nil || svc.LaunchType == *in.LaunchType) &&
			(in.SchedulingStrategy == nil || svc.SchedulingStrategy == *in.SchedulingStrategy) &&
			// None is managed by ECS itself: that is Express Mode.
			(in.ResourceManagementType == nil || *in.ResourceManagementType == ecsapi.ResourceManagementTypeCustomer)
	}
	out := &ecsapi.ListServicesOutput{}
	err := s.Store.View(func(r store.Reader) error {
		cluster, err := s.activeCluster(r, in.Cluster)
		if err != nil {
			return err
		}
		prefix := ecs.ServiceKey(cluster.Name, "")
		out.ServiceArns, out.NextToken, err = page(in.NextToken, in.MaxResults, 10, 100, func(after string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				for svc := range state.Services.After(r, prefix+after) {
					if !strings.HasPrefix(svc.Key(), prefix) {
						return
					}
					if match(svc) && !yield(svc.Name, s.Scope.Service(svc.Cluster, svc.Name)) {
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
