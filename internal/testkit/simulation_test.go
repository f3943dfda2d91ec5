package testkit

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

var (
	seeds    = flag.Int("sim.seeds", 12, "how many simulations to run")
	oneSeed  = flag.Uint64("sim.seed", 0, "run this simulation alone, and tell its story")
	simSteps = flag.Int("sim.steps", 400, "how many things happen in a simulation")
)

// TestSimulation lets everything go wrong that can, for a virtual half hour a seed, checks the invariants all the time, then
// lets the trouble end and waits for the services to be what they should be.
//
// A failure names its seed: go test ./internal/testkit -run Simulation -sim.seed=N
func TestSimulation(t *testing.T) {
	if *oneSeed != 0 {
		simulate(t, *oneSeed)
		return
	}
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint("seed", seed+1), func(t *testing.T) { simulate(t, seed+1) })
		if t.Failed() {
			t.Fatalf("failing seed: %d", seed+1)
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	cryptotest.SetGlobalRandom(t, seed) // ids, and with them the draws of placement
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, seed)
		for i := range *simSteps {
			s.step(i)
			if t.Failed() {
				return
			}
		}
		s.recover()
	})
}

type simulation struct {
	*Cluster
	t          *testing.T
	rng        *rand.Rand
	start      time.Time
	agents     []*Agent
	invariants *Invariants
	slow, bad  bool // pulls are slow; tasks fail to start
	revision   map[string]int
	story      []string
}

// The services that live in the simulation; edge has a static host port.
var simServices = []string{"web", "checked", "edge", "mon"}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{
		Cluster: New(t, Options{Seed: seed, StoppedTasks: 5 * time.Minute}), t: t, rng: rand.New(rand.NewPCG(seed, 7)), start: time.Now(), revision: map[string]int{},
	}
	s.invariants = NewInvariants(s.Cluster)
	s.Do("CreateCluster", func(ctx context.Context) error {
		_, err := s.API.CreateCluster(ctx, &ecsapi.CreateClusterInput{})
		return err
	})
	for range 4 {
		s.newAgent()
	}
	for _, service := range simServices {
		s.register(service)
		s.create(service)
	}
	return s
}

func (s *simulation) say(format string, args ...any) {
	line := fmt.Sprintf("%8v  %s", time.Since(s.start).Round(time.Millisecond), fmt.Sprintf(format, args...))
	s.story = append(s.story, line)
}

// check lets everything happen that is due, and tells the story's end when an invariant is broken.
func (s *simulation) check() {
	s.t.Helper()
	synctest.Wait()
	if wrong := s.invariants.Check(); len(wrong) > 0 {
		s.fail("%s", strings.Join(wrong, "\n"))
	}
}

func (s *simulation) fail(format string, args ...any) {
	s.t.Helper()
	from := max(0, len(s.story)-40)
	if *oneSeed != 0 {
		from = 0
	}
	s.t.Fatalf("%s\n%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.story[from:], "\n"), s.describe())
}

func (s *simulation) newAgent() *Agent {
	a := s.NewAgent(fmt.Sprintf("us-east-1%c", 'a'+rune(len(s.agents)%2)), 4096, 8192, s.rng.Uint64())
	a.Pull = func() time.Duration {
		if s.slow {
			return time.Duration(30+s.rng.IntN(120)) * time.Second
		}
		return time.Duration(100+s.rng.IntN(4000)) * time.Millisecond
	}
	a.Stop = func() time.Duration {
		return []time.Duration{0, time.Second, 10 * time.Second, 30 * time.Second}[s.rng.IntN(4)]
	}
	a.Fails = func() bool { return s.bad && s.rng.IntN(3) > 0 }
	s.agents = append(s.agents, a)
	s.say("%v registers", a)
	return a
}

func ptr[T any](v T) *T { return &v }

// register registers the next revision of a service's definition.
func (s *simulation) register(service string) {
	container := ecsapi.ContainerDefinition{Name: ptr("main"), Image: ptr("sample"), Cpu: ptr(int32(256)), Memory: ptr(int32(256)),
		Environment: []ecsapi.KeyValuePair{{Name: ptr("REVISION"), Value: ptr(fmt.Sprint(s.revision[service]))}}}
	switch service {
	case "edge":
		container.PortMappings = []ecsapi.PortMapping{{ContainerPort: ptr(int32(80)), HostPort: ptr(int32(8080))}}
	case "checked":
		container.HealthCheck = &ecsapi.HealthCheck{Command: []string{"CMD", "true"}}
	case "mon":
		container.Cpu, container.Memory = ptr(int32(64)), ptr(int32(64))
	}
	s.Do("RegisterTaskDefinition", func(ctx context.Context) error {
		_, err := s.API.RegisterTaskDefinition(ctx, &ecsapi.RegisterTaskDefinitionInput{Family: &service,
			ContainerDefinitions: []ecsapi.ContainerDefinition{container}})
		return err
	})
	s.revision[service]++
}

func (s *simulation) create(service string) {
	in := &ecsapi.CreateServiceInput{ServiceName: &service, TaskDefinition: &service, DesiredCount: ptr(int32(2 + s.rng.IntN(4))),
		ClientToken: ptr(arn.NewUUID())}
	switch service {
	case "mon":
		in.SchedulingStrategy, in.DesiredCount = ptr(ecs.SchedulingDaemon), nil
	case "edge":
		in.DesiredCount = ptr(int32(2))
		in.DeploymentConfiguration = &ecsapi.DeploymentConfiguration{MinimumHealthyPercent: ptr(int32(50)), MaximumPercent: ptr(int32(100))}
	}
	var created bool
	err := s.Try(func(ctx context.Context) error {
		_, err := s.API.CreateService(ctx, in)
		created = err == nil
		return err
	})
	s.say("create %s: %v", service, err)
	if created {
		s.invariants.Forget(ecs.ServiceKey("default", service))
	}
}

func (s *simulation) update(in *ecsapi.UpdateServiceInput) {
	err := s.Try(func(ctx context.Context) error {
		_, err := s.API.UpdateService(ctx, in)
		return err
	})
	if err != nil {
		s.say("    refused: %v", err)
	}
}

// step is one thing that happens, and a moment that passes.
func (s *simulation) step(i int) {
	s.t.Helper()
	s.event()
	s.check()
	for range 1 + s.rng.IntN(6) {
		pass := []time.Duration{250 * time.Millisecond, time.Second, 5 * time.Second}[s.rng.IntN(3)]
		time.Sleep(pass)
		for _, a := range s.agents {
			a.Step()
			s.check()
		}
	}
}

func (s *simulation) event() {
	service := simServices[s.rng.IntN(len(simServices))]
	agent := s.agents[s.rng.IntN(len(s.agents))]
	switch n := s.rng.IntN(100); {
	case n < 14 && service != "mon":
		desired := int32(s.rng.IntN(9))
		if service == "edge" {
			desired = int32(s.rng.IntN(5))
		}
		s.say("scale %s to %d", service, desired)
		s.update(&ecsapi.UpdateServiceInput{Service: &service, DesiredCount: &desired})
	case n < 24:
		s.register(service)
		s.say("deploy %s:%d", service, s.revision[service])
		s.update(&ecsapi.UpdateServiceInput{Service: &service, TaskDefinition: &service})
	case n < 28:
		s.say("force a new deployment of %s", service)
		s.update(&ecsapi.UpdateServiceInput{Service: &service, ForceNewDeployment: ptr(true)})
	case n < 34 && service != "mon":
		conf := &ecsapi.DeploymentConfiguration{MinimumHealthyPercent: ptr(int32([]int{0, 50, 75, 100}[s.rng.IntN(4)])),
			MaximumPercent: ptr(int32([]int{100, 150, 200}[s.rng.IntN(3)]))}
		s.say("%s: min %d max %d", service, *conf.MinimumHealthyPercent, *conf.MaximumPercent)
		s.update(&ecsapi.UpdateServiceInput{Service: &service, DeploymentConfiguration: conf})
	case n < 38:
		s.stopSomeTask()
	case n < 50:
		if agent.Crash() {
			s.say("a task of %v exits", agent)
		}
	case n < 58:
		if agent.Flip() {
			s.say("health flips on %v", agent)
		}
	case n < 66:
		status := []string{ecs.InstanceDraining, ecs.InstanceActive}[s.rng.IntN(2)]
		s.say("%v: %s", agent, status)
		s.setInstance(agent, status)
	case n < 72:
		s.say("%v: connected %v", agent, !agent.Connected())
		agent.Connect(!agent.Connected())
	case n < 74:
		s.lose(agent)
		s.newAgent()
	case n < 77:
		s.slow = !s.slow
		s.say("pulls are slow: %v", s.slow)
	case n < 80:
		s.bad = !s.bad
		s.say("tasks fail to start: %v", s.bad)
	case n < 84:
		s.restart(s.opts.Faults)
	case n < 88:
		tell := s.rng.IntN(2) == 0
		s.say("the leader is deposed, told %v", tell)
		s.Depose(tell)
	case n < 91:
		s.restart(s.rng.IntN(40))
	case n < 93:
		s.say("delete %s", service)
		err := s.Try(func(ctx context.Context) error {
			_, err := s.API.DeleteService(ctx, &ecsapi.DeleteServiceInput{Service: &service, Force: ptr(true)})
			return err
		})
		if err != nil {
			s.say("    refused: %v", err)
		}
	default:
		s.create(service) // mostly refused: it exists
	}
}

// restart kills the control plane, and starts it again on a disk that works so well.
func (s *simulation) restart(faults int) {
	s.say("the server is killed, and comes back after a while; of 100 commits, %d will fail", faults)
	s.Kill()
	time.Sleep(time.Duration(s.rng.IntN(5)) * time.Second)
	s.SetFaults(faults)
	s.Start()
}

func (s *simulation) stopSomeTask() {
	var ids []string
	s.View(func(r store.Reader) {
		for task := range state.TasksByCluster.Each(r, "default/"+ecs.TaskRunning) {
			ids = append(ids, task.ID)
		}
	})
	if len(ids) == 0 {
		return
	}
	id := ids[s.rng.IntN(len(ids))]
	s.say("stop task %.8s", id)
	s.Do("StopTask", func(ctx context.Context) error {
		_, err := s.API.StopTask(ctx, &ecsapi.StopTaskInput{Task: &id})
		return err
	})
}

func (s *simulation) setInstance(a *Agent, status string) {
	s.Do("UpdateContainerInstancesState", func(ctx context.Context) error {
		_, err := s.API.UpdateContainerInstancesState(ctx, &ecsapi.UpdateContainerInstancesStateInput{
			ContainerInstances: []string{a.ID}, Status: ptr(status)})
		return err
	})
}

// lose is what an operator does when a machine is gone for good.
func (s *simulation) lose(a *Agent) {
	s.say("%v is gone, and deregistered by force", a)
	s.agents = slices.DeleteFunc(s.agents, func(b *Agent) bool { return a == b })
	s.Do("DeregisterContainerInstance", func(ctx context.Context) error {
		_, err := s.API.DeregisterContainerInstance(ctx, &ecsapi.DeregisterContainerInstanceInput{ContainerInstance: &a.ID, Force: ptr(true)})
		return err
	})
}

// recover ends all trouble, and waits until every service is what it should be.
func (s *simulation) recover() {
	s.t.Helper()
	s.say("the trouble ends")
	s.restart(0)
	s.slow, s.bad = false, false
	for _, a := range s.agents {
		a.Connect(true)
		s.setInstance(a, ecs.InstanceActive)
		for _, t := range a.tasks {
			if t.health == ecs.Unhealthy {
				t.health = ecs.Healthy
			}
		}
	}
	for len(s.agents) < 4 { // room for all
		s.newAgent()
	}
	for _, service := range simServices {
		if service != "mon" { // percentages that leave a way
			s.update(&ecsapi.UpdateServiceInput{Service: &service, DeploymentConfiguration: &ecsapi.DeploymentConfiguration{
				MinimumHealthyPercent: ptr(int32(50)), MaximumPercent: ptr(int32(200))}})
		}
	}
	s.update(&ecsapi.UpdateServiceInput{Service: ptr("edge"), DesiredCount: ptr(int32(2))})
	end := time.Now().Add(30 * time.Minute)
	for !s.settled() {
		if time.Now().After(end) {
			s.fail("the services aren't steady half an hour after the trouble has ended")
		}
		time.Sleep(5 * time.Second)
		for _, a := range s.agents {
			a.Step()
		}
		s.check()
	}
	if s.invariants.Steady == 0 {
		s.fail("no service has ever said that it is steady")
	}
}

// settled tells whether every service is steady, and whether what runs on the machines is what the records say.
func (s *simulation) settled() (yes bool) {
	yes = true
	running := map[string]bool{}
	s.View(func(r store.Reader) {
		for service := range state.Services.All(r) {
			switch service.Status {
			case ecs.ServiceActive:
				yes = yes && !service.SteadyAt.IsZero() && asWanted(r, service)
			case ecs.ServiceDraining:
				yes = false
			}
		}
		for task := range state.Tasks.All(r) {
			if task.LastStatus == ecs.TaskRunning {
				running[task.ID] = true
			}
		}
	})
	for _, a := range s.agents {
		for _, id := range a.Running() {
			if !running[id] {
				return false
			}
			delete(running, id)
		}
	}
	return yes && len(running) == 0
}

// asWanted is what clients wait for: one deployment, completed, and as many tasks as desired, all RUNNING.
func asWanted(r store.Reader, service *ecs.Service) bool {
	deployments, tasks := 0, 0
	for d := range state.DeploymentsByService.Each(r, service.Key()) {
		if d.Status == ecs.DeploymentInactive {
			continue
		}
		deployments++
		if d.RolloutState != ecs.RolloutCompleted {
			return false
		}
	}
	for t := range state.TasksByService.Each(r, service.Key()) {
		if t.Stopped() {
			continue
		}
		tasks++
		if t.LastStatus != ecs.TaskRunning || t.DesiredStatus != ecs.TaskRunning {
			return false
		}
	}
	return deployments == 1 && tasks == service.DesiredCount
}

// describe shows the cluster.
func (s *simulation) describe() string {
	var b strings.Builder
	s.View(func(r store.Reader) {
		for service := range state.Services.All(r) {
			fmt.Fprintf(&b, "%s %s desired %d min %d max %d backoff %+v impairments %v steady %v\n", service.Name, service.Status, service.DesiredCount,
				*service.DeploymentConfiguration.MinimumHealthyPercent, *service.DeploymentConfiguration.MaximumPercent,
				service.LaunchBackoff, service.Impairments, !service.SteadyAt.IsZero())
			for d := range state.DeploymentsByService.Each(r, service.Key()) {
				if d.Status != ecs.DeploymentInactive {
					fmt.Fprintf(&b, "  %s %s %s\n", d.ID, d.Status, d.RolloutState)
				}
			}
			for t := range state.TasksByService.Each(r, service.Key()) {
				if !t.Stopped() {
					fmt.Fprintf(&b, "  task %.8s of %s on %.8s: %s, desired %s, %s\n", t.ID, t.StartedBy, t.ContainerInstance, t.LastStatus,
						t.DesiredStatus, t.HealthStatus())
				}
			}
			var events []string
			for e := range state.ServiceEvents.Prefix(r, service.Key()+"/") {
				events = append(events, fmt.Sprintf("  %8v %s", e.CreatedAt.Sub(s.start).Round(time.Millisecond), e.Message))
			}
			b.WriteString(strings.Join(events[max(0, len(events)-6):], "\n") + "\n")
		}
		for ci := range state.Instances.All(r) {
			fmt.Fprintf(&b, "instance %.8s %s connected %v\n", ci.ID, ci.Status, ci.AgentConnected)
		}
	})
	return b.String()
}
