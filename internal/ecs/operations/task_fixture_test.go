package operations

import (
	"testing"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// Ids of the fixture's instances: 32 hex digits, as real ones.
const (
	machineA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" // zone a, 1024 CPU units, 1000 MiB
	machineB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" // zone b, the same
)

// newCluster is a service with the cluster "default", the definitions web:1, web:2 (256 CPU units, 128 MiB, container
// "app") and port:1 (host port 8080), and the instances A and B. There is an INACTIVE cluster "gone" too.
func newCluster(t testing.TB) *testService {
	s := newTestService(t)
	s.put(func(tx *store.Tx) {
		state.Clusters.Put(tx, &ecs.Cluster{Name: "default", Status: ecs.ClusterActive})
		state.Clusters.Put(tx, &ecs.Cluster{Name: "gone", Status: ecs.ClusterInactive})
		for _, td := range []*ecs.TaskDefinition{webDefinition(1), webDefinition(2), portDefinition()} {
			state.Families.Put(tx, &ecs.Family{Name: td.Family, LastRevision: td.Revision})
			state.TaskDefinitions.Put(tx, td)
		}
		state.Instances.Put(tx, newMachine(machineA, "a"))
		state.Instances.Put(tx, newMachine(machineB, "b"))
	})
	return s
}

func webDefinition(revision int) *ecs.TaskDefinition {
	return &ecs.TaskDefinition{Family: "web", Revision: revision, Status: ecs.TaskDefinitionActive, Compatibilities: []string{"EC2", "EXTERNAL"},
		ContainerDefinitions: []ecs.ContainerDefinition{{Name: "app", Image: "app:1", CPU: ptr(256), Memory: ptr(128)}},
		Tags:                 []ecs.Tag{{Key: "of", Value: "definition"}}}
}

func portDefinition() *ecs.TaskDefinition {
	td := webDefinition(1)
	td.Family = "port"
	td.ContainerDefinitions[0].PortMappings = []ecs.PortMapping{{ContainerPort: ptr(80), HostPort: ptr(8080), Protocol: "tcp"}}
	return td
}

func newMachine(id, zone string) *ecs.ContainerInstance {
	return &ecs.ContainerInstance{ID: id, Cluster: "default", Status: ecs.InstanceActive, AgentConnected: true, Version: 1,
		Resources:    ecs.Resources{CPU: 1024, Memory: 1000, Ports: []int{22, 2375}},
		Attributes:   []ecs.Attribute{{Name: "ecs.availability-zone", Value: zone}, {Name: "ecs.cpu-architecture", Value: "x86_64"}},
		RegisteredAt: testStart, EC2InstanceID: "i-" + zone, AgentVersion: "1.0.0"}
}

// change replaces a record.
func changeInstance(s *testService, id string, change func(*ecs.ContainerInstance)) {
	s.t.Helper()
	s.put(func(tx *store.Tx) {
		old, _ := state.Instances.Get(tx, id)
		next := *old
		change(&next)
		state.Instances.Put(tx, &next)
	})
}

func changeTask(s *testService, id string, change func(*ecs.Task)) {
	s.t.Helper()
	s.put(func(tx *store.Tx) {
		old, _ := state.Tasks.Get(tx, id)
		next := *old
		change(&next)
		state.Tasks.Put(tx, &next)
	})
}

// stored returns all records of a table.
func stored[T any](s *testService, table *store.Table[T]) (all []*T) {
	s.Store.View(func(r store.Reader) error {
		for rec := range table.All(r) {
			all = append(all, rec)
		}
		return nil
	})
	return all
}
