package operations

import (
	"slices"
	"strconv"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// everyClusterField is what an operation that changes a cluster answers; DescribeClusters answers what it is asked for.
var everyClusterField = []ecsapi.ClusterField{
	ecsapi.ClusterFieldConfigurations, ecsapi.ClusterFieldSettings, ecsapi.ClusterFieldTags,
}

// renderCluster renders a cluster with its counts as of the same moment. Settings, statistics and tags are empty lists
// unless they are included; configuration and attachments are left out.
func (s *Service) renderCluster(r store.Reader, c *ecs.Cluster, include []ecsapi.ClusterField) ecsapi.Cluster {
	n := countCluster(r, c.Name)
	w := ecsapi.Cluster{
		ClusterArn:                        ptr(s.Scope.Cluster(c.Name)),
		ClusterName:                       &c.Name,
		Status:                            &c.Status,
		RegisteredContainerInstancesCount: ptr(int32(n.instances)),
		RunningTasksCount:                 ptr(int32(n.running.sum())),
		PendingTasksCount:                 ptr(int32(n.pending.sum())),
		ActiveServicesCount:               ptr(int32(n.services[ecs.ServiceActive].sum())),
		Statistics:                        []ecsapi.KeyValuePair{},
		Tags:                              []ecsapi.Tag{},
		Settings:                          []ecsapi.ClusterSetting{},
		CapacityProviders:                 append([]string{}, c.CapacityProviders...),
		DefaultCapacityProviderStrategy:   []ecsapi.CapacityProviderStrategyItem{},
	}
	for _, item := range c.DefaultCapacityProviderStrategy {
		w.DefaultCapacityProviderStrategy = append(w.DefaultCapacityProviderStrategy, ecsapi.CapacityProviderStrategyItem{
			CapacityProvider: ptr(item.CapacityProvider), Weight: ptr(int32(deref(item.Weight))), Base: ptr(int32(deref(item.Base))),
		})
	}
	if c.ServiceConnectDefaults != nil {
		w.ServiceConnectDefaults = &ecsapi.ClusterServiceConnectDefaults{Namespace: &c.ServiceConnectDefaults.Namespace}
	}
	if slices.Contains(include, ecsapi.ClusterFieldSettings) {
		for i := range c.Settings {
			w.Settings = append(w.Settings, ecsapi.ClusterSetting{Name: &c.Settings[i].Name, Value: &c.Settings[i].Value})
		}
	}
	if slices.Contains(include, ecsapi.ClusterFieldTags) {
		w.Tags = renderTags(c.Tags)
	}
	if slices.Contains(include, ecsapi.ClusterFieldStatistics) {
		w.Statistics = n.statistics()
	}
	if slices.Contains(include, ecsapi.ClusterFieldConfigurations) {
		w.Configuration = renderClusterConfiguration(c.Configuration)
	}
	if slices.Contains(include, ecsapi.ClusterFieldAttachments) {
		w.Attachments = []ecsapi.Attachment{} // of managed capacity providers, which there are none of yet
	}
	return w
}

func renderClusterConfiguration(c *ecs.ClusterConfiguration) *ecsapi.ClusterConfiguration {
	if c == nil {
		return nil
	}
	w := &ecsapi.ClusterConfiguration{}
	if e := c.ExecuteCommandConfiguration; e != nil {
		w.ExecuteCommandConfiguration = &ecsapi.ExecuteCommandConfiguration{KmsKeyId: text(e.KMSKeyID), Logging: text(e.Logging)}
		if l := e.LogConfiguration; l != nil {
			w.ExecuteCommandConfiguration.LogConfiguration = &ecsapi.ExecuteCommandLogConfiguration{
				CloudWatchLogGroupName:      text(l.CloudWatchLogGroupName),
				CloudWatchEncryptionEnabled: l.CloudWatchEncryptionEnabled,
				S3BucketName:                text(l.S3BucketName),
				S3EncryptionEnabled:         l.S3EncryptionEnabled,
				S3KeyPrefix:                 text(l.S3KeyPrefix),
			}
		}
	}
	if m := c.ManagedStorageConfiguration; m != nil {
		w.ManagedStorageConfiguration = &ecsapi.ManagedStorageConfiguration{
			KmsKeyId: text(m.KMSKeyID), FargateEphemeralStorageKmsKeyId: text(m.FargateEphemeralStorageKMSKeyID),
		}
	}
	return w
}

// byLaunchType counts something by launch type; "" counts as EC2, which is what a service without one gets.
type byLaunchType map[string]int

func (b byLaunchType) sum() (n int) {
	for _, v := range b {
		n += v
	}
	return n
}

// clusterCounts are what is in a cluster. They are counted in the indexes, which costs the same for ten tasks as for ten
// thousand.
type clusterCounts struct {
	instances        int // ACTIVE or DRAINING
	running, pending byLaunchType
	liveTasks        int                     // not STOPPED, the stopping ones too
	services         map[string]byLaunchType // by status
}

var launchTypes = []string{"", ecs.LaunchTypeEC2, ecs.LaunchTypeExternal, ecs.LaunchTypeFargate, ecs.LaunchTypeManagedInstances}

func countCluster(r store.Reader, cluster string) clusterCounts {
	n := clusterCounts{running: byLaunchType{}, pending: byLaunchType{}, services: map[string]byLaunchType{}}
	for ci := range state.InstancesByCluster.Each(r, cluster) {
		if ci.Status == ecs.InstanceActive || ci.Status == ecs.InstanceDraining {
			n.instances++
		}
	}
	for _, lt := range launchTypes {
		as := lt
		if as == "" {
			as = ecs.LaunchTypeEC2
		}
		tasks := func(status string) int { return state.TasksByLastStatus.Count(r, cluster+"/"+status+"/"+lt) }
		n.running[as] += tasks(ecs.TaskRunning)
		n.pending[as] += tasks(ecs.TaskProvisioning) + tasks(ecs.TaskPending) + tasks(ecs.TaskActivating)
		n.liveTasks += tasks(ecs.TaskDeactivating) + tasks(ecs.TaskStopping) + tasks(ecs.TaskDeprovisioning)
		for _, status := range []string{ecs.ServiceActive, ecs.ServiceDraining} {
			if n.services[status] == nil {
				n.services[status] = byLaunchType{}
			}
			n.services[status][as] += state.ServicesByStatus.Count(r, cluster+"/"+status+"/"+lt)
		}
	}
	n.liveTasks += n.running.sum() + n.pending.sum()
	return n
}

// statistics are the counts by launch type, in the order that AWS gives them in.
func (n clusterCounts) statistics() []ecsapi.KeyValuePair {
	all := []ecsapi.KeyValuePair{}
	add := func(name string, value int) {
		all = append(all, ecsapi.KeyValuePair{Name: &name, Value: ptr(strconv.Itoa(value))})
	}
	names := []struct{ shown, launchType string }{{"EC2", ecs.LaunchTypeEC2}, {"Fargate", ecs.LaunchTypeFargate}, {"External", ecs.LaunchTypeExternal}}
	for _, lt := range names {
		add("running"+lt.shown+"TasksCount", n.running[lt.launchType])
		add("pending"+lt.shown+"TasksCount", n.pending[lt.launchType])
	}
	for _, lt := range names {
		add("active"+lt.shown+"ServiceCount", n.services[ecs.ServiceActive][lt.launchType])
		add("draining"+lt.shown+"ServiceCount", n.services[ecs.ServiceDraining][lt.launchType])
	}
	return all
}
