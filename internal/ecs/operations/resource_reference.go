package operations

import (
	"strings"
	"time"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/fault"
)

// resource turns what a request says of a task, a service or a container instance (an id or a name, a long or a short
// ARN) into the id or name that it has inside the cluster. here is false for an ARN of another account or region: such a
// resource is as good as missing. An ARN that belongs to another cluster than the request's is refused.
func (s *Service) resource(cluster, typ, ref string) (id string, here bool, err error) {
	if !arn.IsARN(ref) {
		return ref, true, nil
	}
	a, ok := arn.Parse(ref)
	if !ok || a.Service != "ecs" {
		return "", false, fault.InvalidParameter("Invalid identifier: %s", ref)
	}
	if a.Type != typ {
		return "", false, fault.InvalidParameter("Unsupported resource type: %s", a.Type)
	}
	if a.Scope != s.Scope {
		return "", false, nil
	}
	in, id, long := strings.Cut(a.Resource, "/")
	if !long {
		return a.Resource, true, nil
	}
	if in != cluster {
		return "", false, fault.InvalidParameter("Invalid identifier: Identifier is for cluster %s. Your cluster is %s", in, cluster)
	}
	return id, true, nil
}

// now is the time as records keep it: in UTC, and without the reading of the monotonic clock, which no store keeps.
func (s *Service) now() time.Time { return s.Now().UTC().Round(0) }
