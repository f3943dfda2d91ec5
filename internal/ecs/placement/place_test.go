package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/openberth/berth/internal/ecs"
)

// machine makes an ACTIVE, connected instance.
func machine(id, zone string, cpu, memory int, tasks ...*ecs.Task) *Instance {
	for _, t := range tasks {
		t.ContainerInstance = id
	}
	return &Instance{Tasks: tasks, Record: &ecs.ContainerInstance{
		ID: id, Status: ecs.InstanceActive, AgentConnected: true,
		Resources:  ecs.Resources{CPU: cpu, Memory: memory, Ports: []int{22, 2375}},
		Attributes: []ecs.Attribute{{Name: "ecs.availability-zone", Value: zone}, {Name: "stack", Value: "prod"}, {Name: "capability"}},
	}}
}

// task makes a task of a group that takes cpu and memory.
func task(id, group string, cpu, memory int) *ecs.Task {
	return &ecs.Task{ID: id, Group: group, DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskRunning, LaunchType: ecs.LaunchTypeEC2,
		Reserved: ecs.Resources{CPU: cpu, Memory: memory}}
}

func TestPlaceRejects(t *testing.T) {
	member := func(expression string) []ecs.PlacementConstraint {
		return []ecs.PlacementConstraint{{Type: ecs.ConstraintMemberOf, Expression: expression}}
	}
	distinct := []ecs.PlacementConstraint{{Type: ecs.ConstraintDistinctInstance}}
	stopping := task("s", "g", 0, 0)
	stopping.DesiredStatus = ecs.TaskStopped
	stopped := task("s", "g", 900, 900)
	stopped.LastStatus, stopped.DesiredStatus = ecs.TaskStopped, ecs.TaskStopped
	udp := task("u", "other", 0, 0)
	udp.Reserved.PortsUDP = []int{53}

	for _, c := range []struct {
		name   string
		change func(*Request, *Instance)
		reason string // "" places
		event  string
	}{
		{name: "fits exactly", change: func(r *Request, in *Instance) { r.Task.Reserved = ecs.Resources{CPU: 1024, Memory: 1000} }},
		{name: "cpu", change: func(r *Request, in *Instance) { r.Task.Reserved.CPU = 1025 }, reason: "RESOURCE:CPU",
			event: "The closest matching (container-instance i1) has insufficient CPU units available."},
		{name: "memory", change: func(r *Request, in *Instance) { r.Task.Reserved.Memory = 1001 }, reason: "RESOURCE:MEMORY",
			event: "The closest matching (container-instance i1) has insufficient memory available."},
		{name: "cpu held by another", change: func(r *Request, in *Instance) {
			in.Tasks = append(in.Tasks, task("o", "o", 600, 0))
			r.Task.Reserved.CPU = 425
		}, reason: "RESOURCE:CPU"},
		{name: "a stopped task holds nothing", change: func(r *Request, in *Instance) {
			in.Tasks = append(in.Tasks, stopped)
			r.Task.Reserved.CPU = 1024
		}},
		{name: "host's port", change: func(r *Request, in *Instance) { r.Task.Reserved.Ports = []int{22} }, reason: "RESOURCE:PORTS",
			event: "The closest matching (container-instance i1) is already using a port required by your task."},
		{name: "another task's port", change: func(r *Request, in *Instance) {
			in.Tasks = append(in.Tasks, udp)
			r.Task.Reserved.PortsUDP = []int{53}
		}, reason: "RESOURCE:PORTS"},
		{name: "udp and tcp are two", change: func(r *Request, in *Instance) {
			in.Tasks = append(in.Tasks, udp)
			r.Task.Reserved.Ports = []int{53}
		}},
		{name: "agent", change: func(r *Request, in *Instance) { in.Record.AgentConnected = false }, reason: "AGENT",
			event: `The closest matching (container-instance i1) encountered error "AGENT".`},
		{name: "attribute missing", change: func(r *Request, in *Instance) { r.RequiresAttributes = []ecs.Attribute{{Name: "nope"}} },
			reason: "ATTRIBUTE", event: "The closest matching (container-instance i1) is missing an attribute required by your task."},
		{name: "attribute there", change: func(r *Request, in *Instance) {
			r.RequiresAttributes = []ecs.Attribute{{Name: "stack"}, {Name: "stack", Value: "prod"}, {Name: "capability"}}
		}},
		{name: "attribute of another value", change: func(r *Request, in *Instance) {
			r.RequiresAttributes = []ecs.Attribute{{Name: "stack", Value: "test"}}
		}, reason: "ATTRIBUTE"},
		{name: "another architecture", change: func(r *Request, in *Instance) {
			r.Platform = &ecs.RuntimePlatform{CPUArchitecture: "ARM64"}
			in.Record.Attributes = append(in.Record.Attributes, ecs.Attribute{Name: "ecs.cpu-architecture", Value: "x86_64"})
		}, reason: "ATTRIBUTE"},
		{name: "the right architecture", change: func(r *Request, in *Instance) {
			r.Platform = &ecs.RuntimePlatform{CPUArchitecture: "X86_64", OperatingSystemFamily: "LINUX"}
			in.Record.Attributes = append(in.Record.Attributes, ecs.Attribute{Name: "ecs.cpu-architecture", Value: "x86_64"})
		}},
		{name: "an instance that doesn't say its architecture", change: func(r *Request, in *Instance) {
			r.Platform = &ecs.RuntimePlatform{CPUArchitecture: "ARM64"}
		}},
		{name: "external task", change: func(r *Request, in *Instance) { r.Task.LaunchType = ecs.LaunchTypeExternal }, reason: "ATTRIBUTE"},
		{name: "external instance", change: func(r *Request, in *Instance) {
			in.Record.Attributes = append(in.Record.Attributes, ecs.Attribute{Name: "ecs.capability.external"})
		}, reason: "ATTRIBUTE"},
		{name: "external on external", change: func(r *Request, in *Instance) {
			r.Task.LaunchType = ecs.LaunchTypeExternal
			in.Record.Attributes = append(in.Record.Attributes, ecs.Attribute{Name: "ecs.capability.external"})
		}},
		{name: "memberOf", change: func(r *Request, in *Instance) { r.Constraints = member("attribute:stack == test") },
			reason: "MemberOf placement constraint unsatisfied.",
			event:  `The closest matching (container-instance i1) encountered error "MemberOf placement constraint unsatisfied.".`},
		{name: "memberOf holds", change: func(r *Request, in *Instance) { r.Constraints = member("attribute:stack == prod") }},
		{name: "all constraints bind", change: func(r *Request, in *Instance) {
			r.Constraints = append(member("attribute:stack == prod"), member("attribute:stack == test")...)
		}, reason: "MemberOf placement constraint unsatisfied."},
		{name: "memberOf that doesn't parse", change: func(r *Request, in *Instance) { r.Constraints = member("nonsense") },
			reason: "MemberOf placement constraint unsatisfied."},
		{name: "distinctInstance", change: func(r *Request, in *Instance) {
			r.Constraints, in.Tasks = distinct, append(in.Tasks, task("o", "g", 0, 0))
		}, reason: "DistinctInstance placement constraint unsatisfied."},
		{name: "distinctInstance, another group", change: func(r *Request, in *Instance) {
			r.Constraints, in.Tasks = distinct, append(in.Tasks, task("o", "other", 0, 0))
		}},
		{name: "distinctInstance looks at the desired status", change: func(r *Request, in *Instance) {
			r.Constraints, in.Tasks = distinct, append(in.Tasks, stopping)
		}},
		{name: "draining", change: func(r *Request, in *Instance) { in.Record.Status = ecs.InstanceDraining }, reason: "none",
			event: "Reason: No Container Instances were found in your cluster."},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := machine("i1", "a", 1024, 1000)
			req := Request{Task: task("t", "g", 10, 10)}
			c.change(&req, in)
			d := Place(req, []*Instance{in})
			switch c.reason {
			case "":
				if d.Instance != "i1" || d.Rejections != nil || d.Explain() != "" {
					t.Errorf("got %+v", d)
				}
			case "none":
				if d.Instance != "" || d.Rejections != nil {
					t.Errorf("got %+v", d)
				}
			default:
				if d.Instance != "" || len(d.Rejections) != 1 || d.Rejections[0].Reason != c.reason || d.Rejections[0].Instance != "i1" {
					t.Errorf("got %+v", d)
				}
				if r, ok := Check(req, in); ok || r.Reason != c.reason {
					t.Errorf("Check: %+v %v", r, ok)
				}
			}
			if c.event != "" && d.Explain() != c.event {
				t.Errorf("got  %s\nwant %s", d.Explain(), c.event)
			}
		})
	}
}

// The instance that fell at the last hurdle is the closest match, whatever the order of the inputs.
func TestClosestMatch(t *testing.T) {
	full, wrong, off := machine("c", "a", 100, 100), machine("a", "b", 1000, 1000), machine("b", "a", 1000, 1000)
	off.Record.AgentConnected = false
	req := Request{Task: task("t", "g", 200, 10), Constraints: []ecs.PlacementConstraint{
		{Type: ecs.ConstraintMemberOf, Expression: "attribute:ecs.availability-zone == a"}}}
	d := Place(req, []*Instance{full, wrong, off})
	want := "(service web) was unable to place a task because no container instance met all of its requirements. " +
		"The closest matching (container-instance c) has insufficient CPU units available. " +
		"For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
	if d.Event("web") != want {
		t.Errorf("got %s", d.Event("web"))
	}
	if got := []string{d.Rejections[0].Instance, d.Rejections[1].Instance, d.Rejections[2].Instance}; !slices.IsSorted(got) {
		t.Errorf("rejections in the order %v", got)
	}
	want = "(service web) was unable to place a task because no container instance met all of its requirements. " +
		"Reason: No Container Instances were found in your cluster. " +
		"For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
	if got := Place(req, nil).Event("web"); got != want {
		t.Errorf("got %s", got)
	}
}

func TestMatchesAndFits(t *testing.T) {
	full := machine("i", "a", 100, 100)
	full.Record.AgentConnected = false
	req := Request{Task: task("t", "g", 200, 10), Constraints: []ecs.PlacementConstraint{{Type: ecs.ConstraintMemberOf, Expression: "attribute:stack == prod"}}}
	if !Matches(req, full) {
		t.Error("an instance without room or agent isn't meant")
	}
	req.Constraints[0].Expression = "attribute:stack == test"
	if Matches(req, full) {
		t.Error("an instance that the constraint excludes is meant")
	}
	roomy := machine("i", "a", 1000, 100)
	if _, ok := Fits(req, roomy); !ok {
		t.Error("Fits asks the constraints")
	}
	if r, ok := Fits(req, full); ok || r.Reason != ReasonAgent {
		t.Errorf("Fits without agent: %+v", r)
	}
	roomy.Record.Status = ecs.InstanceDraining
	if r, ok := Fits(req, roomy); ok || r.Reason != ecs.InstanceDraining || Matches(req, roomy) {
		t.Errorf("Fits on a draining instance: %+v", r)
	}
}

// A task is never put where its resources or ports aren't free: whatever is placed, in whatever order, no instance is
// over-committed, and when nothing fits, nothing did.
func TestNeverOverCommits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		instances := drawCluster(t)
		for i := range rapid.IntRange(1, 40).Draw(t, "tasks") {
			next := drawTask(t, fmt.Sprint("t", i))
			req := Request{Task: next, Strategy: drawStrategy(t), Seed: rapid.Uint64().Draw(t, "seed")}
			d := Place(req, instances)
			var chosen *Instance
			for _, in := range instances {
				fits := in.active() && in.Record.AgentConnected && fitsByHand(next, in)
				if in.Record.ID == d.Instance {
					chosen = in
					if !fits {
						t.Fatalf("%s doesn't fit on %s", next.ID, d.Instance)
					}
				} else if d.Instance == "" && fits {
					t.Fatalf("%s would fit on %s", next.ID, in.Record.ID)
				}
			}
			if chosen != nil {
				chosen.Add(next)
			}
		}
		for _, in := range instances {
			if in.cpu > in.Record.Resources.CPU || in.memory > in.Record.Resources.Memory {
				t.Fatalf("%s is over-committed", in.Record.ID)
			}
		}
	})
}

// fitsByHand adds everything up again.
func fitsByHand(next *ecs.Task, in *Instance) bool {
	used := in.Record.Resources
	cpu, memory := used.CPU, used.Memory
	ports := slices.Clone(used.Ports)
	for _, t := range in.Tasks {
		cpu, memory, ports = cpu-t.Reserved.CPU, memory-t.Reserved.Memory, append(ports, t.Reserved.Ports...)
	}
	for _, p := range next.Reserved.Ports {
		if slices.Contains(ports, p) {
			return false
		}
	}
	return next.Reserved.CPU <= cpu && next.Reserved.Memory <= memory
}

// The order of the instances is irrelevant, and so are earlier looks at them.
func TestPlaceIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		instances := drawCluster(t)
		for i, in := range instances {
			for j := range rapid.IntRange(0, 4).Draw(t, "held") {
				held := drawTask(t, fmt.Sprint("h", i, j))
				held.ContainerInstance = in.Record.ID
				in.Add(held)
			}
		}
		req := Request{Task: drawTask(t, "t"), Strategy: drawStrategy(t), Seed: rapid.Uint64().Draw(t, "seed")}
		shuffled := make([]*Instance, len(instances))
		for i, j := range rand.New(rand.NewPCG(req.Seed, 1)).Perm(len(instances)) {
			shuffled[i] = &Instance{Record: instances[j].Record, Tasks: slices.Clone(instances[j].Tasks)}
			slices.Reverse(shuffled[i].Tasks)
		}
		a, b := Place(req, instances), Place(req, shuffled)
		if a.Instance != b.Instance || !slices.Equal(a.Rejections, b.Rejections) {
			t.Fatalf("%+v\n%+v", a, b)
		}
		gone := ScaleIn(Surplus{Tasks: all(instances), Strategy: req.Strategy}, instances, 5)
		again := ScaleIn(Surplus{Tasks: all(shuffled), Strategy: req.Strategy}, shuffled, 5)
		if !slices.Equal(gone, again) {
			t.Fatalf("scale-in depends on the order")
		}
	})
}

func all(instances []*Instance) (tasks []*ecs.Task) {
	for _, in := range instances {
		for _, t := range in.Tasks {
			if t.Group == "g" {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

// Each choice is the best by the first strategy, and among those by the second: against every other choice.
func TestPlaceIsOptimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		instances := drawCluster(t)
		strategy := []ecs.PlacementStrategy{
			rapid.SampledFrom(strategies[1:]).Draw(t, "first"), rapid.SampledFrom(strategies[1:]).Draw(t, "second")}
		for i := range rapid.IntRange(1, 30).Draw(t, "tasks") {
			next := drawTask(t, fmt.Sprint("t", i))
			d := Place(Request{Task: next, Strategy: strategy, Seed: uint64(i)}, instances)
			if d.Instance == "" {
				continue
			}
			chosen := instances[slices.IndexFunc(instances, func(in *Instance) bool { return in.Record.ID == d.Instance })]
			for _, other := range instances {
				if !other.active() || !other.Record.AgentConnected || !fitsByHand(next, other) {
					continue
				}
				a, b := cost(strategy, chosen, instances), cost(strategy, other, instances)
				if slices.Compare(b, a) < 0 {
					t.Fatalf("%v: %s costs %v, but %s costs %v", strategy, chosen.Record.ID, a, other.Record.ID, b)
				}
			}
			chosen.Add(next)
		}
	})
}

// cost says by hand what a strategy minimises.
func cost(strategy []ecs.PlacementStrategy, in *Instance, instances []*Instance) (costs []int) {
	same := func(field string, other *Instance) bool {
		if field == "instanceId" {
			return other == in
		}
		return other.Record.AvailabilityZone() == in.Record.AvailabilityZone()
	}
	for _, s := range strategy {
		n := 0
		switch {
		case s.Type == ecs.StrategySpread:
			for _, other := range instances {
				if other.active() && same(s.Field, other) {
					for _, t := range other.Tasks {
						if t.Group == "g" {
							n++
						}
					}
				}
			}
		case s.Field == "cpu":
			n = in.Record.Resources.CPU
			for _, t := range in.Tasks {
				n -= t.Reserved.CPU
			}
		default:
			n = in.Record.Resources.Memory
			for _, t := range in.Tasks {
				n -= t.Reserved.Memory
			}
		}
		costs = append(costs, n)
	}
	return costs
}

// 12 tasks of a service over 3 zones, on 2 instances each, stand as 4 in each zone and 2 on each instance.
func TestDefaultOfServiceBalances(t *testing.T) {
	instances := cluster(6, 3)
	for i := range 12 {
		next := task(fmt.Sprint("t", i), "service:web", 1, 1)
		next.Service = "web"
		placeOn(t, Request{Task: next}, instances)
	}
	for _, in := range instances {
		if in.inGroup("service:web") != 2 {
			t.Errorf("%s has %d", in.Record.ID, in.inGroup("service:web"))
		}
	}
}

// Without a strategy a standalone task goes anywhere: of 600 tasks each of 6 instances gets 100, give or take.
func TestRandomIsFair(t *testing.T) {
	instances := cluster(6, 3)
	for i := range 600 {
		placeOn(t, Request{Task: task(fmt.Sprint("t", i), "family:f", 0, 0), Seed: 42}, instances)
	}
	for _, in := range instances {
		if n := len(in.Tasks); n < 65 || n > 135 { // four standard deviations of 9
			t.Errorf("%s has %d", in.Record.ID, n)
		}
	}
}

// A spread doesn't count tasks that are about to leave a draining instance.
func TestSpreadIgnoresDraining(t *testing.T) {
	draining := machine("d", "a", 100, 100, task("1", "g", 0, 0), task("2", "g", 0, 0))
	draining.Record.Status = ecs.InstanceDraining
	instances := []*Instance{draining, machine("x", "a", 100, 100), machine("y", "b", 100, 100, task("3", "g", 0, 0))}
	d := Place(Request{Task: task("t", "g", 1, 1), Strategy: []ecs.PlacementStrategy{{Type: ecs.StrategySpread, Field: zoneField}}}, instances)
	if d.Instance != "x" {
		t.Errorf("placed on %s", d.Instance)
	}
}

func placeOn(t *testing.T, req Request, instances []*Instance) {
	t.Helper()
	d := Place(req, instances)
	for _, in := range instances {
		if in.Record.ID == d.Instance {
			in.Add(req.Task)
			return
		}
	}
	t.Fatalf("not placed: %s", d.Explain())
}

// cluster makes n instances over so many zones.
func cluster(n, zones int) (all []*Instance) {
	for i := range n {
		all = append(all, machine(fmt.Sprintf("i%03d", i), string(rune('a'+i%zones)), 100_000, 100_000))
	}
	return all
}

var strategies = []ecs.PlacementStrategy{
	{Type: ecs.StrategyRandom},
	{Type: ecs.StrategySpread, Field: zoneField},
	{Type: ecs.StrategySpread, Field: "instanceId"},
	{Type: ecs.StrategyBinpack, Field: "cpu"},
	{Type: ecs.StrategyBinpack, Field: "memory"},
}

func drawStrategy(t *rapid.T) []ecs.PlacementStrategy {
	return rapid.SliceOfN(rapid.SampledFrom(strategies), 0, 3).Draw(t, "strategy")
}

func drawCluster(t *rapid.T) (all []*Instance) {
	for i := range rapid.IntRange(1, 8).Draw(t, "instances") {
		in := machine(fmt.Sprint("i", i), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone"),
			rapid.IntRange(0, 2048).Draw(t, "cpu"), rapid.IntRange(0, 2048).Draw(t, "memory"))
		in.Record.AgentConnected = rapid.IntRange(0, 9).Draw(t, "connected") > 0
		if rapid.IntRange(0, 9).Draw(t, "draining") == 0 {
			in.Record.Status = ecs.InstanceDraining
		}
		all = append(all, in)
	}
	return all
}

func drawTask(t *rapid.T, id string) *ecs.Task {
	next := task(id, "g",
		rapid.SampledFrom([]int{0, 100, 256, 512}).Draw(t, "cpu"), rapid.SampledFrom([]int{6, 128, 300, 512}).Draw(t, "memory"))
	if rapid.IntRange(0, 2).Draw(t, "ports") == 0 {
		next.Reserved.Ports = []int{rapid.SampledFrom([]int{22, 80, 443, 8080}).Draw(t, "port")}
	}
	return next
}

func BenchmarkPlace(b *testing.B) {
	instances := cluster(1000, 3)
	for i := range 10_000 {
		instances[i%1000].Add(task(fmt.Sprint("t", i), "service:web", 1, 1))
	}
	next := task("t", "service:web", 1, 1)
	next.Service = "web"
	for b.Loop() {
		Place(Request{Task: next}, instances)
	}
}
