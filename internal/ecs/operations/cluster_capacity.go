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

// fargateProviders exist in every account. A cluster may be associated with them, as the usual infrastructure code does
// without ever using them; what they can't do is run a task, which RunTask and CreateService refuse. Other capacity
// providers don't exist in Berth yet.
var fargateProviders = []string{"FARGATE", "FARGATE_SPOT"}

const maxStrategyItems = 20

// capacityProviders checks the capacity providers of a cluster, and the strategy that its tasks have by default.
func (s *Service) capacityProviders(refs []string, strategy []ecsapi.CapacityProviderStrategyItem) ([]string, []ecs.CapacityProviderStrategyItem, error) {
	var names []string
	for _, ref := range refs {
		name := ref
		if a, ok := arn.Parse(ref); ok && a.Type == "capacity-provider" && a.Scope == s.Scope {
			name = a.Resource
		}
		if !slices.Contains(fargateProviders, name) {
			return nil, nil, fault.InvalidParameter("The specified capacity provider '%s' does not exist. Specify a valid name or ARN and try again.", ref)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	items, err := convert[[]ecs.CapacityProviderStrategyItem](strategy)
	if err != nil {
		return nil, nil, err
	}
	if len(items) > maxStrategyItems {
		return nil, nil, fault.InvalidParameter("The specified capacity provider strategy can have at most %d capacity providers.", maxStrategyItems)
	}
	seen := map[string]bool{}
	bases, weights := 0, 0
	for _, item := range items {
		switch {
		case !slices.Contains(names, item.CapacityProvider):
			return nil, nil, fault.InvalidParameter("The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.")
		case seen[item.CapacityProvider]:
			return nil, nil, fault.InvalidParameter("The specified capacity provider strategy contains the capacity provider '%s' more than once.", item.CapacityProvider)
		}
		seen[item.CapacityProvider] = true
		if deref(item.Base) > 0 {
			bases++
		}
		weights += deref(item.Weight)
	}
	switch {
	case bases > 1:
		return nil, nil, fault.InvalidParameter("The specified capacity provider strategy contains multiple capacity providers with a base value defined. Only one is supported.")
	case len(items) > 1 && weights == 0:
		return nil, nil, fault.InvalidParameter("There are no capacity providers in the capacity provider strategy with a weight value greater than zero.")
	}
	return names, items, nil
}

// PutClusterCapacityProviders replaces the cluster's capacity providers and its default strategy; both must be given, and
// empty lists take them away.
func (s *Service) PutClusterCapacityProviders(ctx context.Context, in *ecsapi.PutClusterCapacityProvidersInput) (*ecsapi.PutClusterCapacityProvidersOutput, error) {
	providers, strategy, err := s.capacityProviders(in.CapacityProviders, in.DefaultCapacityProviderStrategy)
	if err != nil {
		return nil, err
	}
	name, err := s.clusterName(in.Cluster)
	if err != nil {
		return nil, err
	}
	var out ecsapi.Cluster
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		c, ok := state.Clusters.Get(tx, name)
		if !ok {
			return errClusterNotFound()
		}
		if c.Status != ecs.ClusterActive {
			return fault.ClientError("Cluster was not ACTIVE")
		}
		for svc := range state.Services.Prefix(tx, name+"/") {
			for _, item := range svc.CapacityProviderStrategy {
				if svc.Status != ecs.ServiceInactive && !slices.Contains(providers, item.CapacityProvider) {
					return fault.New("ResourceInUseException", "The specified capacity provider is in use and cannot be removed.")
				}
			}
		}
		next := *c
		next.CapacityProviders, next.DefaultCapacityProviderStrategy = providers, strategy
		state.Clusters.Put(tx, &next)
		out = s.renderCluster(tx, &next, everyClusterField)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecsapi.PutClusterCapacityProvidersOutput{Cluster: &out}, nil
}
