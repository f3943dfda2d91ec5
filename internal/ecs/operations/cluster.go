package operations

import (
	"context"
	"iter"
	"regexp"
	"slices"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/wire"
)

func (s *Service) clusterHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.CreateCluster, s.CreateCluster),
		wire.Handle(ecsapi.DescribeClusters, s.DescribeClusters),
		wire.Handle(ecsapi.ListClusters, s.ListClusters),
		wire.Handle(ecsapi.UpdateCluster, s.UpdateCluster),
		wire.Handle(ecsapi.UpdateClusterSettings, s.UpdateClusterSettings),
		wire.Handle(ecsapi.PutClusterCapacityProviders, s.PutClusterCapacityProviders),
		wire.Handle(ecsapi.DeleteCluster, s.DeleteCluster),
	}
}

// maxDescribe is how many resources a Describe call may name.
const maxDescribe = 100

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// checkName checks the rule that the names of clusters and services share: 1 to 255 letters, digits, hyphens and
// underscores.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fault.InvalidParameter("%s should not be null or empty.", what)
	case len(name) > 255:
		return fault.InvalidParameter("%s should be 255 characters or less.", what)
	case !namePattern.MatchString(name):
		return fault.InvalidParameter("%s contains invalid characters.", what)
	}
	return nil
}

// CreateCluster makes a cluster. Repeating it answers the ACTIVE cluster of that name as it is; an INACTIVE one is made
// anew, with nothing left of the old one.
func (s *Service) CreateCluster(ctx context.Context, in *ecsapi.CreateClusterInput) (*ecsapi.CreateClusterOutput, error) {
	name := deref(in.ClusterName)
	if name == "" {
		name = DefaultCluster
	}
	if err := checkName("Cluster name", name); err != nil {
		return nil, err
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	c := ecs.Cluster{Name: name, Status: ecs.ClusterActive, CreatedAt: s.Now(), Tags: tags}
	if c.Settings, err = clusterSettings(nil, in.Settings); err != nil {
		return nil, err
	}
	if c.Configuration, err = clusterConfiguration(in.Configuration); err != nil {
		return nil, err
	}
	if c.ServiceConnectDefaults, err = serviceConnectDefaults(in.ServiceConnectDefaults); err != nil {
		return nil, err
	}
	if c.CapacityProviders, c.DefaultCapacityProviderStrategy, err = s.capacityProviders(in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
		return nil, err
	}
	principal, err := s.principal(ctx, nil)
	if err != nil {
		return nil, err
	}
	var out ecsapi.Cluster
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		if have, ok := state.Clusters.Get(tx, name); ok && have.Status == ecs.ClusterActive {
			out = s.renderCluster(tx, have, everyClusterField)
			return nil
		}
		next := c
		if len(next.Settings) == 0 {
			insights, err := findSetting(containerInsights)
			if err != nil {
				return err
			}
			next.Settings = []ecs.ClusterSetting{{Name: containerInsights, Value: s.effective(tx, principal, insights).Value}}
		}
		state.Clusters.Put(tx, &next)
		out = s.renderCluster(tx, &next, everyClusterField)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecsapi.CreateClusterOutput{Cluster: &out}, nil
}

// DescribeClusters answers clusters by name or ARN, the default one when none is named. Those that it can't find are
// failures, under the full ARN that they would have.
func (s *Service) DescribeClusters(ctx context.Context, in *ecsapi.DescribeClustersInput) (*ecsapi.DescribeClustersOutput, error) {
	refs := in.Clusters
	if len(refs) == 0 {
		refs = []string{DefaultCluster}
	}
	if len(refs) > maxDescribe {
		return nil, fault.InvalidParameter("Clusters cannot have more than %d elements.", maxDescribe)
	}
	out := &ecsapi.DescribeClustersOutput{Clusters: []ecsapi.Cluster{}, Failures: []ecsapi.Failure{}}
	return out, s.Store.View(func(r store.Reader) error {
		described := map[string]bool{}
		for _, ref := range refs {
			name, err := s.clusterName(&ref)
			elsewhere := fault.Code(err) == "ClusterNotFoundException"
			if err != nil && !elsewhere {
				return err
			}
			c, ok := state.Clusters.Get(r, name)
			switch {
			case elsewhere:
				out.Failures = append(out.Failures, ecsapi.Failure{Arn: ptr(ref), Reason: ptr("MISSING")})
			case !ok:
				out.Failures = append(out.Failures, ecsapi.Failure{Arn: ptr(s.Scope.Cluster(name)), Reason: ptr("MISSING")})
			case !described[name]:
				described[name] = true
				out.Clusters = append(out.Clusters, s.renderCluster(r, c, in.Include))
			}
		}
		return nil
	})
}

// ListClusters answers the ARNs of the ACTIVE clusters.
func (s *Service) ListClusters(ctx context.Context, in *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
	out := &ecsapi.ListClustersOutput{}
	return out, s.Store.View(func(r store.Reader) (err error) {
		out.ClusterArns, out.NextToken, err = page(in.NextToken, in.MaxResults, 100, 100, func(after string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				for c := range state.Clusters.After(r, after) {
					if c.Status == ecs.ClusterActive && !yield(c.Name, s.Scope.Cluster(c.Name)) {
						return
					}
				}
			}
		})
		return err
	})
}

// UpdateCluster changes settings, configuration and Service Connect defaults; what the request leaves out stays.
func (s *Service) UpdateCluster(ctx context.Context, in *ecsapi.UpdateClusterInput) (*ecsapi.UpdateClusterOutput, error) {
	configuration, err := clusterConfiguration(in.Configuration)
	if err != nil {
		return nil, err
	}
	if _, err := serviceConnectDefaults(in.ServiceConnectDefaults); err != nil {
		return nil, err
	}
	out, err := s.updateCluster(ctx, in.Cluster, func(c *ecs.Cluster) (err error) {
		if in.Configuration != nil {
			c.Configuration = configuration
		}
		if in.ServiceConnectDefaults != nil {
			c.ServiceConnectDefaults = nil // an empty namespace takes the default away; another one was refused
		}
		c.Settings, err = clusterSettings(c.Settings, in.Settings)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &ecsapi.UpdateClusterOutput{Cluster: out}, nil
}

// UpdateClusterSettings changes settings only.
func (s *Service) UpdateClusterSettings(ctx context.Context, in *ecsapi.UpdateClusterSettingsInput) (*ecsapi.UpdateClusterSettingsOutput, error) {
	out, err := s.updateCluster(ctx, in.Cluster, func(c *ecs.Cluster) (err error) {
		c.Settings, err = clusterSettings(c.Settings, in.Settings)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &ecsapi.UpdateClusterSettingsOutput{Cluster: out}, nil
}

// updateCluster changes a copy of an ACTIVE cluster and stores it.
func (s *Service) updateCluster(ctx context.Context, ref *string, change func(*ecs.Cluster) error) (*ecsapi.Cluster, error) {
	var out ecsapi.Cluster
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		c, err := s.activeCluster(tx, ref)
		if err != nil {
			return err
		}
		next := *c
		if err := change(&next); err != nil {
			return err
		}
		state.Clusters.Put(tx, &next)
		out = s.renderCluster(tx, &next, everyClusterField)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// DeleteCluster makes an empty cluster INACTIVE: it is not listed any more and nothing can start in it, but it can still be
// described. Repeating it is harmless.
func (s *Service) DeleteCluster(ctx context.Context, in *ecsapi.DeleteClusterInput) (*ecsapi.DeleteClusterOutput, error) {
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
			out = s.renderCluster(tx, c, everyClusterField)
			return nil
		}
		n := countCluster(tx, name)
		switch {
		case n.instances > 0:
			return fault.New("ClusterContainsContainerInstancesException", "The Cluster cannot be deleted while Container Instances are active or draining.")
		case n.services[ecs.ServiceActive].sum()+n.services[ecs.ServiceDraining].sum() > 0:
			return fault.New("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
		case n.liveTasks > 0:
			return fault.New("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
		}
		next := *c
		next.Status = ecs.ClusterInactive
		state.Clusters.Put(tx, &next)
		out = s.renderCluster(tx, &next, everyClusterField)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecsapi.DeleteClusterOutput{Cluster: &out}, nil
}

// containerInsights is the one cluster setting there is.
const containerInsights = "containerInsights"

// clusterSettings returns the settings with those of a request put in.
func clusterSettings(have []ecs.ClusterSetting, in []ecsapi.ClusterSetting) ([]ecs.ClusterSetting, error) {
	settings := slices.Clone(have)
	for _, set := range in {
		a, err := findSetting(containerInsights)
		if err != nil {
			return nil, err
		}
		if deref(set.Name) != containerInsights {
			return nil, fault.InvalidParameter("%s should be one of [%s]", deref(set.Name), containerInsights)
		}
		if err := a.accept(deref(set.Value)); err != nil {
			return nil, err
		}
		next := ecs.ClusterSetting{Name: containerInsights, Value: *set.Value}
		if i := slices.IndexFunc(settings, func(h ecs.ClusterSetting) bool { return h.Name == next.Name }); i >= 0 {
			settings[i] = next
		} else {
			settings = append(settings, next)
		}
	}
	return settings, nil
}

// clusterConfiguration reads the configuration of exec sessions and managed storage.
func clusterConfiguration(in *ecsapi.ClusterConfiguration) (*ecs.ClusterConfiguration, error) {
	if in == nil {
		return nil, nil
	}
	c, err := convert[ecs.ClusterConfiguration](in)
	if err != nil {
		return nil, err
	}
	if e := c.ExecuteCommandConfiguration; e != nil {
		override := e.Logging == ecsapi.ExecuteCommandLoggingOverride
		switch l := e.LogConfiguration; {
		case l != nil && !override:
			return nil, fault.InvalidParameter("You must set logging to 'OVERRIDE' when you supply a log configuration.")
		case override && (l == nil || l.CloudWatchLogGroupName == "" && l.S3BucketName == ""):
			return nil, fault.InvalidParameter("A CloudWatch log group name or S3 bucket name must be specified when overriding the default log configuration.")
		}
	}
	return &c, nil
}

// serviceConnectDefaults refuses a default namespace: there is no Cloud Map yet that could hold it. An empty one means
// "none".
func serviceConnectDefaults(in *ecsapi.ClusterServiceConnectDefaultsRequest) (*ecs.ClusterServiceConnectDefaults, error) {
	if in == nil || deref(in.Namespace) == "" {
		return nil, nil
	}
	return nil, fault.Unsupported("Berth doesn't support serviceConnectDefaults yet: there are no namespaces. Leave it out and try again.")
}
