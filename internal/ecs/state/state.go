// Package state lays ECS's records out in the store: which tables there are, by which keys and indexes they are read.
package state

import (
	"fmt"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/store"
)

// one makes an index with exactly one value a record.
func one[T any](name string, value func(*T) string) *store.Index[T] {
	return store.NewIndex(name, func(r *T) []string { return []string{value(r)} })
}

// some makes an index that leaves out the records whose value is empty.
func some[T any](name string, value func(*T) string) *store.Index[T] {
	return store.NewIndex(name, func(r *T) []string {
		if v := value(r); v != "" {
			return []string{v}
		}
		return nil
	})
}

var (
	// Clusters, by name.
	Clusters = store.NewTable("cluster", func(c *ecs.Cluster) string { return c.Name })

	// Families count revisions, by name.
	Families = store.NewTable("family", func(f *ecs.Family) string { return f.Name })

	// TaskDefinitions, by TaskDefinitionID.Key: a prefix "web:" lists a family in the order of its revisions.
	TaskDefinitions = store.NewTable("taskdefinition", func(td *ecs.TaskDefinition) string { return td.ID().Key() },
		TaskDefinitionsByStatus)
	// TaskDefinitionsByStatus takes "<status>", or "<status>/<family>".
	TaskDefinitionsByStatus = store.NewIndex("status", func(td *ecs.TaskDefinition) []string {
		return []string{td.Status, td.Status + "/" + td.Family}
	})

	// Tasks, by id.
	Tasks = store.NewTable("task", func(t *ecs.Task) string { return t.ID },
		TasksByCluster, TasksByService, TasksByInstance, TasksByDefinition, TasksByStartedBy, TasksByToken, TasksByLastStatus)
	// TasksByCluster takes "<cluster>/RUNNING" or "<cluster>/STOPPED": the cluster and the desired status.
	TasksByCluster = one("cluster", func(t *ecs.Task) string { return t.Cluster + "/" + t.DesiredStatus })
	// TasksByService takes ecs.ServiceKey, and holds stopped tasks too while they last.
	TasksByService = some("service", func(t *ecs.Task) string {
		if t.Service == "" {
			return ""
		}
		return ecs.ServiceKey(t.Cluster, t.Service)
	})
	// TasksByInstance takes a container instance's id, and holds only tasks that take up room there.
	TasksByInstance = some("instance", func(t *ecs.Task) string {
		if !t.HoldsResources() {
			return ""
		}
		return t.ContainerInstance
	})
	// TasksByDefinition takes TaskDefinitionID.Key.
	TasksByDefinition = one("definition", func(t *ecs.Task) string { return t.TaskDefinition.Key() })
	// TasksByStartedBy takes "<cluster>/<startedBy>".
	TasksByStartedBy = some("startedby", func(t *ecs.Task) string {
		if t.StartedBy == "" {
			return ""
		}
		return t.Cluster + "/" + t.StartedBy
	})
	// TasksByToken takes "<cluster>/<clientToken>".
	TasksByToken = some("token", func(t *ecs.Task) string {
		if t.ClientToken == "" {
			return ""
		}
		return t.Cluster + "/" + t.ClientToken
	})

	// TasksByLastStatus takes "<cluster>/<lastStatus>/<launchType>", and leaves stopped tasks out. It is for counting.
	TasksByLastStatus = some("laststatus", func(t *ecs.Task) string {
		if t.Stopped() {
			return ""
		}
		return t.Cluster + "/" + t.LastStatus + "/" + t.LaunchType
	})

	// Services, by ecs.ServiceKey: a prefix "<cluster>/" lists a cluster.
	Services = store.NewTable("service", (*ecs.Service).Key, ServicesByDefinition, ServicesByStatus)
	// ServicesByDefinition takes TaskDefinitionID.Key.
	ServicesByDefinition = one("definition", func(s *ecs.Service) string { return s.TaskDefinition.Key() })
	// ServicesByStatus takes "<cluster>/<status>/<launchType>". It is for counting.
	ServicesByStatus = one("status", func(s *ecs.Service) string { return s.Cluster + "/" + s.Status + "/" + s.LaunchType })

	// Deployments, by id.
	Deployments = store.NewTable("deployment", func(d *ecs.Deployment) string { return d.ID }, DeploymentsByService, DeploymentsByDefinition)
	// DeploymentsByService takes ecs.ServiceKey.
	DeploymentsByService = one("service", func(d *ecs.Deployment) string { return ecs.ServiceKey(d.Cluster, d.Service) })
	// DeploymentsByDefinition takes TaskDefinitionID.Key.
	DeploymentsByDefinition = one("definition", func(d *ecs.Deployment) string { return d.TaskDefinition.Key() })

	// ServiceEvents, by EventKey: a prefix ecs.ServiceKey + "/" lists a service, oldest first.
	ServiceEvents = store.NewTable("serviceevent", func(e *ecs.ServiceEvent) string {
		return EventKey(e.Cluster, e.Service, e.Sequence)
	})

	// Instances are the container instances, by id.
	Instances = store.NewTable("instance", func(ci *ecs.ContainerInstance) string { return ci.ID }, InstancesByCluster)
	// InstancesByCluster takes the cluster's name, and holds INACTIVE ones too while they last.
	InstancesByCluster = one("cluster", func(ci *ecs.ContainerInstance) string { return ci.Cluster })

	// AccountSettings, by "<principal>|<name>".
	AccountSettings = store.NewTable("accountsetting", func(s *ecs.AccountSetting) string { return s.Principal + "|" + s.Name })
)

// EventKey is the store key of a service event.
func EventKey(cluster, service string, sequence int64) string {
	return fmt.Sprintf("%s/%s/%016d", cluster, service, sequence)
}

// Tables are all of ECS's tables, for store.Open.
func Tables() []store.AnyTable {
	return []store.AnyTable{Clusters, Families, TaskDefinitions, Tasks, Services, Deployments, ServiceEvents, Instances, AccountSettings}
}
