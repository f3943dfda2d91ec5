// Package operations are the ECS API's handlers: parse (wire to records, defaults, cross-field rules), one transaction,
// render. They see no HTTP. A new operation is a method here and a line in its file's handler list.
package operations

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

// Service holds what the handlers need.
type Service struct {
	Store *store.Store
	Scope arn.Scope
	Now   func() time.Time
	Log   *slog.Logger
	// Endpoint is the URL under which agents reach this server, as DiscoverPollEndpoint answers it
	// ("http://127.0.0.1:4566"); the scheme must be http or https (agent-protocol 1.3).
	Endpoint func(ctx context.Context) string

	answers taskAnswers
}

// Handlers are all operations that Berth implements.
func (s *Service) Handlers() []wire.Handler {
	var all []wire.Handler
	for _, group := range [][]wire.Handler{
		s.clusterHandlers(),
		s.taskDefinitionHandlers(),
		s.taskHandlers(),
		s.serviceHandlers(),
		s.containerInstanceHandlers(),
		s.attributeHandlers(),
		s.tagHandlers(),
		s.accountSettingHandlers(),
		s.agentHandlers(),
	} {
		all = append(all, group...)
	}
	return all
}

// DefaultCluster is the cluster that a request means when it names none.
const DefaultCluster = "default"

// clusterName turns what a request says (nothing, a name or an ARN) into a cluster's name.
func (s *Service) clusterName(ref *string) (string, error) {
	if ref == nil || *ref == "" {
		return DefaultCluster, nil
	}
	if !arn.IsARN(*ref) {
		return *ref, nil
	}
	a, ok := arn.Parse(*ref)
	if !ok || a.Service != "ecs" || a.Type != "cluster" {
		return "", fault.InvalidParameter("Invalid identifier: %s", *ref)
	}
	if a.Scope != s.Scope {
		return "", errClusterNotFound() // another account's or region's cluster isn't here
	}
	return a.Resource, nil
}

func errClusterNotFound() error {
	return fault.New("ClusterNotFoundException", "Cluster not found.")
}

// activeCluster returns the cluster that a request names, for an operation that works only on an ACTIVE one.
func (s *Service) activeCluster(r store.Reader, ref *string) (*ecs.Cluster, error) {
	name, err := s.clusterName(ref)
	if err != nil {
		return nil, err
	}
	c, ok := state.Clusters.Get(r, name)
	if !ok {
		return nil, errClusterNotFound()
	}
	if c.Status != ecs.ClusterActive {
		return nil, fault.New("ClusterNotFoundException", "The referenced cluster was inactive.")
	}
	return c, nil
}

// convert turns a wire document into a record, or back, by way of JSON: both spell their members as AWS does. It is for
// documents that are read seldom and have many fields; TestRecordsHoldEveryWireField proves that none is dropped.
func convert[To, From any](from From) (to To, err error) {
	b, err := json.Marshal(from)
	if err != nil {
		return to, err
	}
	err = json.Unmarshal(b, &to)
	return to, err
}

// ptr returns a pointer to v, as wire types want them.
func ptr[T any](v T) *T { return &v }

// deref returns what p points to, or the zero value for an absent member.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// timestamp renders a time, absent while zero.
func timestamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// text renders a string that AWS leaves out while empty.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
