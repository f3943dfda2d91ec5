package ecs

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openberth/berth/internal/fault"
)

func n(v int) *int { return &v }

// definition has two containers: one with both memory limits and ports, one that isn't essential.
func definition() *TaskDefinition {
	no := false
	return &TaskDefinition{Family: "web", Revision: 3, ContainerDefinitions: []ContainerDefinition{
		{Name: "app", Image: "app:1", CPU: n(100), Memory: n(300), MemoryReservation: n(200),
			HealthCheck: &HealthCheck{Command: []string{"CMD", "true"}},
			PortMappings: []PortMapping{
				{ContainerPort: n(80), HostPort: n(8080), Protocol: "tcp"}, {ContainerPort: n(81), HostPort: n(0), Protocol: "tcp"},
				{ContainerPort: n(82)}, {ContainerPort: n(53), HostPort: n(53), Protocol: "udp"},
			}},
		{Name: "side", Image: "side:1", Memory: n(128), Essential: &no, HealthCheck: &HealthCheck{Command: []string{"NONE"}},
			PortMappings: []PortMapping{{ContainerPort: n(9000), HostPort: n(443), Protocol: "tcp"}}},
	}}
}

func TestRequirements(t *testing.T) {
	bridge := Resources{CPU: 100, Memory: 328, Ports: []int{443, 8080}, PortsUDP: []int{53}}
	for _, c := range []struct {
		name   string
		change func(*TaskDefinition, *TaskOverride)
		want   Resources
	}{
		{"no network mode is bridge", func(td *TaskDefinition, o *TaskOverride) {}, bridge},
		{"bridge", func(td *TaskDefinition, o *TaskOverride) { td.NetworkMode = "bridge" }, bridge},
		{"host takes the containers' own ports", func(td *TaskDefinition, o *TaskOverride) { td.NetworkMode = "host" },
			Resources{CPU: 100, Memory: 328, Ports: []int{80, 81, 82, 9000}, PortsUDP: []int{53}}},
		{"awsvpc takes none", func(td *TaskDefinition, o *TaskOverride) { td.NetworkMode = "awsvpc" }, Resources{CPU: 100, Memory: 328}},
		{"none takes none", func(td *TaskDefinition, o *TaskOverride) { td.NetworkMode = "none" }, Resources{CPU: 100, Memory: 328}},
		{"the task's own size wins, each for itself", func(td *TaskDefinition, o *TaskOverride) { td.Memory = "512" },
			Resources{CPU: 100, Memory: 512, Ports: []int{443, 8080}, PortsUDP: []int{53}}},
		{"an override of the task's size wins over that", func(td *TaskDefinition, o *TaskOverride) { td.CPU, o.CPU, o.Memory = "256", "512", "64" },
			Resources{CPU: 512, Memory: 64, Ports: []int{443, 8080}, PortsUDP: []int{53}}},
		{"overrides of containers", func(td *TaskDefinition, o *TaskOverride) {
			o.ContainerOverrides = []ContainerOverride{{Name: "app", CPU: n(7), MemoryReservation: n(50)}, {Name: "side", Memory: n(10), CPU: n(0)}}
		}, Resources{CPU: 7, Memory: 60, Ports: []int{443, 8080}, PortsUDP: []int{53}}},
		{"an override of the hard limit leaves the soft one", func(td *TaskDefinition, o *TaskOverride) {
			o.ContainerOverrides = []ContainerOverride{{Name: "app", Memory: n(1000)}}
		}, bridge},
	} {
		t.Run(c.name, func(t *testing.T) {
			td, o := definition(), TaskOverride{}
			c.change(td, &o)
			if diff := cmp.Diff(c.want, Requirements(td, o)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestNewTask(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := Launch{ID: "0123456789abcdef0123456789abcdef", Cluster: "default", Definition: definition(), StartedBy: "me", Now: now,
		Overrides: TaskOverride{ContainerOverrides: []ContainerOverride{{Name: "side", Command: []string{"x"}, Memory: n(99)}}},
		Tags:      []Tag{{Key: "a", Value: "b"}}, ClientToken: "token", RequestHash: "hash"}
	got := NewTask(l)
	want := &Task{
		ID: l.ID, Cluster: "default", TaskDefinition: TaskDefinitionID{"web", 3}, Group: "family:web", StartedBy: "me",
		LaunchType: "EC2", CPU: "100", Memory: "299", DesiredStatus: "RUNNING", LastStatus: "PENDING", CreatedAt: now, Version: 1,
		Reserved: Resources{CPU: 100, Memory: 299, Ports: []int{443, 8080}, PortsUDP: []int{53}},
		Overrides: TaskOverride{ContainerOverrides: []ContainerOverride{
			{Name: "app"}, {Name: "side", Command: []string{"x"}, Memory: n(99)}}}, // one for every container
		Tags: []Tag{{Key: "a", Value: "b"}}, ClientToken: "token", RequestHash: "hash",
		Containers: []Container{
			{ID: got.Containers[0].ID, Name: "app", Image: "app:1", LastStatus: "PENDING", HealthStatus: "UNKNOWN", Essential: true,
				HealthChecked: true, CPU: "100", Memory: "300", MemoryReservation: "200"},
			{ID: got.Containers[1].ID, Name: "side", Image: "side:1", LastStatus: "PENDING", HealthStatus: "UNKNOWN", CPU: "0", Memory: "99"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if a, b := got.Containers[0].ID, got.Containers[1].ID; a == b || len(a) != 36 || a[14] != '5' {
		t.Errorf("container ids %s and %s", a, b)
	}
	if diff := cmp.Diff(got, NewTask(l)); diff != "" {
		t.Errorf("the same launch makes another task:\n%s", diff)
	}
	l.ID = "1123456789abcdef0123456789abcdef"
	if other := NewTask(l); other.Containers[0].ID == got.Containers[0].ID {
		t.Error("two tasks share a container id")
	}
	l.Service, l.LaunchType = "shop", "EXTERNAL"
	if of := NewTask(l); of.Group != "service:shop" || of.LaunchType != "EXTERNAL" {
		t.Errorf("group %s, launch type %s", of.Group, of.LaunchType)
	}
	l.Group = "mine"
	if of := NewTask(l); of.Group != "mine" {
		t.Errorf("group %s", of.Group)
	}
}

func TestTaskOn(t *testing.T) {
	task := NewTask(Launch{ID: "1", Cluster: "default", Definition: definition()})
	placed := task.On(&ContainerInstance{ID: "ci", Attributes: []Attribute{
		{Name: "ecs.availability-zone", Value: "a"}, {Name: "ecs.cpu-architecture", Value: "x86_64"}}})
	if placed.ContainerInstance != "ci" || placed.AvailabilityZone != "a" || !cmp.Equal(placed.Attributes, []Attribute{{Name: "ecs.cpu-architecture", Value: "x86_64"}}) {
		t.Errorf("got %+v", placed)
	}
	if task.ContainerInstance != "" || task.Attributes != nil {
		t.Error("On changed the task that it was given")
	}
}

func TestTaskTags(t *testing.T) {
	source := []Tag{{"team", "a"}, {"tier", "1"}}
	for _, c := range []struct {
		given, source []Tag
		managed       bool
		service       string
		want          []Tag
	}{
		{want: nil},
		{source: source, want: source},
		{given: []Tag{{"tier", "2"}}, source: source, want: []Tag{{"tier", "2"}, {"team", "a"}}},
		{managed: true, want: []Tag{{"aws:ecs:clusterName", "default"}}},
		{source: source[:1], managed: true, service: "shop",
			want: []Tag{{"team", "a"}, {"aws:ecs:clusterName", "default"}, {"aws:ecs:serviceName", "shop"}}},
	} {
		if diff := cmp.Diff(c.want, TaskTags(c.given, c.source, c.managed, "default", c.service)); diff != "" {
			t.Errorf("%+v: -want +got:\n%s", c, diff)
		}
	}
	td := &TaskDefinition{Tags: []Tag{{"of", "definition"}}}
	s := &Service{Name: "shop", Cluster: "default", Tags: []Tag{{"of", "service"}}}
	for propagate, want := range map[string][]Tag{"": nil, "NONE": nil, "SERVICE": s.Tags, "TASK_DEFINITION": td.Tags} {
		s.PropagateTags = propagate
		if diff := cmp.Diff(want, ServiceTaskTags(s, td)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", propagate, diff)
		}
	}
}

func TestCheckOverrides(t *testing.T) {
	o := TaskOverride{ContainerOverrides: []ContainerOverride{{Name: "app"}}}
	if err := CheckOverrides(definition(), o); err != nil {
		t.Error(err)
	}
	o.ContainerOverrides[0].Name = "nope"
	err := CheckOverrides(definition(), o)
	if fault.Code(err) != "InvalidParameterException" || err.Error() != "InvalidParameterException: Override for container named nope is not a container in the TaskDefinition." {
		t.Error(err)
	}
}
