package control

import (
	"strings"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// refusal is why a handshake fails.
type refusal struct{ code, message string }

var refuseNotLeading = &refusal{agentlink.RefusalServerException, "This server does not accept agents right now; try again."}

// identify finds the container instance that a handshake names: cluster is a name or an ARN, whatever the agent was
// configured with; instance is an ARN.
func (s *Server) identify(r store.Reader, cluster, instance string) (*ecs.ContainerInstance, *refusal) {
	a, ok := arn.Parse(instance)
	if !ok || a.Service != "ecs" || a.Type != "container-instance" {
		return nil, &refusal{agentlink.RefusalInvalidInstance, "Invalid container instance: " + instance}
	}
	ci, ok := state.Instances.Get(r, arn.Last(a.Resource))
	if !ok || a.Scope != s.Scope || !strings.HasPrefix(a.Resource, ci.Cluster+"/") {
		return nil, &refusal{agentlink.RefusalInvalidInstance, "The referenced container instance was not found: " + instance}
	}
	name := cluster
	if arn.IsARN(cluster) {
		c, ok := arn.Parse(cluster)
		if !ok || c.Scope != s.Scope || c.Service != "ecs" || c.Type != "cluster" {
			return nil, &refusal{agentlink.RefusalInvalidCluster, "Invalid cluster: " + cluster}
		}
		name = c.Resource
	}
	if name != ci.Cluster {
		return nil, &refusal{agentlink.RefusalInvalidCluster,
			"The container instance " + instance + " does not belong to the cluster " + cluster}
	}
	if deregistered(ci) {
		return nil, &refusal{agentlink.RefusalInactiveInstance, "The container instance " + instance + " is deregistered"}
	}
	return ci, nil
}

// deregistered tells whether the instance, nil when there is no record of it any more, has left its cluster for good.
func deregistered(ci *ecs.ContainerInstance) bool {
	return ci == nil || ci.Status == ecs.InstanceInactive
}
