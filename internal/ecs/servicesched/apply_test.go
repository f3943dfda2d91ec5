package servicesched

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

// rig is a store with a scheduler running over it, in a synctest bubble.
type rig struct {
	*store.Store
	t *testing.T
}

func newRig(t *testing.T) *rig { return newRigOn(t, memory.New(), true) }

func newRigOn(t *testing.T, backend store.Backend, run bool) *rig {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	r := &rig{t: t, Store: store.Open(backend, store.Options{ID: "test", Logger: quiet, CheckMutation: true}, state.Tables()...)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() { r.Run(ctx) })
	<-r.Ready()
	r.update(func(tx *store.Tx) {
		state.Clusters.Put(tx, &ecs.Cluster{Name: "default", Status: ecs.ClusterActive})
		essential, cpu, memory := true, 100, 100
		state.TaskDefinitions.Put(tx, &ecs.TaskDefinition{Family: "web", Revision: 1, Status: ecs.TaskDefinitionActive,
			ContainerDefinitions: []ecs.ContainerDefinition{{Name: "main", Image: "sample", Essential: &essential, CPU: &cpu, Memory: &memory}}})
	})
	scheduler := New(Config{Store: r.Store, Now: time.Now, Log: quiet, HealthyAfter: 40 * time.Second})
	if run {
		running.Go(func() {
			if err := scheduler.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return r
}

func (r *rig) update(fn func(tx *store.Tx)) {
	r.t.Helper()
	if _, err := r.Update(context.Background(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) view(fn func(r store.Reader)) {
	r.View(func(rd store.Reader) error { fn(rd); return nil })
}

func (r *rig) instance(id string, cpu int, change ...func(*ecs.ContainerInstance)) {
	r.t.Helper()
	ci := ecs.ContainerInstance{ID: id, Cluster: "default", Status: ecs.InstanceActive, AgentConnected: true,
		Resources: ecs.Resources{CPU: cpu, Memory: 1 << 20}}
	for _, c := range change {
		c(&ci)
	}
	r.update(func(tx *store.Tx) { state.Instances.Put(tx, &ci) })
}

func (r *rig) service(name string, desired int, change ...func(*ecs.Service)) {
	r.t.Helper()
	s := ecs.Service{Name: name, Cluster: "default", Status: ecs.ServiceActive, SchedulingStrategy: ecs.SchedulingReplica, DesiredCount: desired,
		TaskDefinition: ecs.TaskDefinitionID{Family: "web", Revision: 1}, DeploymentController: "ECS", CreatedAt: time.Now()}
	for _, c := range change {
		c(&s)
	}
	r.update(func(tx *store.Tx) {
		state.Services.Put(tx, &s)
		state.Deployments.Put(tx, &ecs.Deployment{ID: "ecs-svc/" + name, Service: name, Cluster: "default", Status: ecs.DeploymentPrimary,
			TaskDefinition: s.TaskDefinition, LaunchType: cmp.Or(s.LaunchType, "EC2"), RolloutState: ecs.RolloutInProgress, CreatedAt: time.Now()})
	})
}

func (r *rig) change(name string, change func(*ecs.Service)) {
	r.t.Helper()
	r.update(func(tx *store.Tx) {
		s, _ := state.Services.Get(tx, ecs.ServiceKey("default", name))
		next := *s
		change(&next)
		state.Services.Put(tx, &next)
	})
}

// report lets the agents say that all tasks of a service are as they should be.
func (r *rig) report(service string) {
	r.t.Helper()
	for _, t := range r.tasks(service) {
		status := ecs.TaskRunning
		if t.DesiredStatus == ecs.TaskStopped {
			status = ecs.TaskStopped
		}
		if t.LastStatus != status {
			r.update(func(tx *store.Tx) {
				next := lifecycle.Apply(*t, lifecycle.TaskChange{Status: status}, time.Now())
				state.Tasks.Put(tx, &next)
			})
		}
	}
}

// tasks are those of a service that haven't STOPPED.
func (r *rig) tasks(service string) (all []*ecs.Task) {
	r.view(func(rd store.Reader) {
		for t := range state.TasksByService.Each(rd, ecs.ServiceKey("default", service)) {
			if !t.Stopped() {
				all = append(all, t)
			}
		}
	})
	return all
}

// where counts the tasks to be by instance: "i1:2 i2:1".
func (r *rig) where(service string) string {
	n := map[string]int{}
	for _, t := range r.tasks(service) {
		if t.DesiredStatus == ecs.TaskRunning {
			n[t.ContainerInstance]++
		}
	}
	var parts []string
	for id, n := range n {
		parts = append(parts, fmt.Sprintf("%s:%d", id, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// events are the messages of a service, oldest first; ids of tasks are shown as X.
func (r *rig) events(service string) (all []string) {
	r.view(func(rd store.Reader) {
		last := int64(0)
		for e := range state.ServiceEvents.Prefix(rd, ecs.ServiceKey("default", service)+"/") {
			if last != 0 && e.Sequence != last+1 {
				r.t.Errorf("event %d follows %d", e.Sequence, last)
			}
			last = e.Sequence
			message := e.Message
			for t := range state.Tasks.All(rd) {
				message = strings.ReplaceAll(message, t.ID, "X")
			}
			all = append(all, message)
		}
	})
	return all
}

func (r *rig) wantEvents(service string, want ...string) {
	r.t.Helper()
	if got := r.events(service); !slices.Equal(got, want) {
		r.t.Errorf("events of %s:\n%s\nwant:\n%s", service, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (r *rig) wantWhere(service, want string) {
	r.t.Helper()
	if got := r.where(service); got != want {
		r.t.Errorf("tasks of %s are on %q, want %q", service, got, want)
	}
}

func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

const help = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."

// TestLife takes a service from its creation to its end, through the store.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		zone := func(z string) func(*ecs.ContainerInstance) {
			return func(ci *ecs.ContainerInstance) {
				ci.Attributes = []ecs.Attribute{{Name: "ecs.availability-zone", Value: z}}
			}
		}
		r.instance("i1", 1000, zone("a"))
		r.instance("i2", 1000, zone("b"))
		r.service("web", 4, func(s *ecs.Service) {
			s.PropagateTags, s.Tags = ecs.PropagateService, []ecs.Tag{{Key: "team", Value: "blue"}}
			s.EnableExecuteCommand = true
		})
		r.wantWhere("web", "i1:2 i2:2")
		started := "(service web) has started 4 tasks: (task X) (task X) (task X) (task X)."
		r.wantEvents("web", started)
		task := r.tasks("web")[0]
		if task.StartedBy != "ecs-svc/web" || task.Group != "service:web" || task.LaunchType != "EC2" || !task.EnableExecuteCommand ||
			!slices.Equal(task.Tags, []ecs.Tag{{Key: "team", Value: "blue"}}) || task.TaskDefinition.String() != "web:1" {
			t.Errorf("task %+v", task)
		}

		r.report("web")
		advance(time.Minute)
		completed := "(service web) (deployment ecs-svc/web) deployment completed."
		steady := "(service web) has reached a steady state."
		r.wantEvents("web", started, completed, steady)

		r.change("web", func(s *ecs.Service) { s.DesiredCount = 2 })
		r.wantWhere("web", "i1:1 i2:1") // the zones stay in balance
		stopped := "(service web) has stopped 2 running tasks: (task X) (task X)."
		r.wantEvents("web", started, completed, steady, stopped)
		for _, task := range r.tasks("web") {
			if task.DesiredStatus == ecs.TaskStopped && (task.StopCode != ecs.StopServiceSchedulerInitiated ||
				task.StoppedReason != "Scaling activity initiated by (deployment ecs-svc/web)" || !task.StoppingAt.Equal(time.Now())) {
				t.Errorf("task %+v", task)
			}
		}
		r.report("web")
		r.wantEvents("web", started, completed, steady, stopped, steady)

		r.change("web", func(s *ecs.Service) { s.Status, s.DesiredCount = ecs.ServiceDraining, 0 })
		r.wantEvents("web", started, completed, steady, stopped, steady, stopped)
		r.report("web")
		r.view(func(rd store.Reader) {
			s, _ := state.Services.Get(rd, "default/web")
			d, _ := state.Deployments.Get(rd, "ecs-svc/web")
			if s.Status != ecs.ServiceInactive || d.Status != ecs.DeploymentInactive {
				t.Errorf("service %s, deployment %s", s.Status, d.Status)
			}
		})
	})
}

// TestPlacementFails: said once, said anew when the cause changes, repeated after six hours, tried again when there is room.
func TestPlacementFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		unable := "(service web) was unable to place a task because no container instance met all of its requirements. "
		r.service("web", 3)
		none := unable + "Reason: No Container Instances were found in your cluster." + help
		r.wantEvents("web", none)
		advance(10 * time.Minute)
		r.wantEvents("web", none)

		r.instance("i1", 50)
		cpu := unable + "The closest matching (container-instance i1) has insufficient CPU units available." + help
		r.wantEvents("web", none, cpu)
		r.instance("i0", 60) // now this one is named, but the cause is the same
		advance(10 * time.Minute)
		r.wantEvents("web", none, cpu)

		r.instance("i2", 200)
		two := "(service web) has started 2 tasks: (task X) (task X)."
		r.wantEvents("web", none, cpu, two)
		advance(6 * time.Hour)
		cpu0 := strings.ReplaceAll(cpu, "instance i1", "instance i0")
		r.wantEvents("web", none, cpu, two, cpu0)

		// Another service's task ends: its room is used at once.
		r.service("other", 1, func(s *ecs.Service) {
			s.PlacementConstraints = []ecs.PlacementConstraint{{Type: ecs.ConstraintDistinctInstance}}
		})
		r.change("web", func(s *ecs.Service) { s.DesiredCount = 1 })
		r.report("web") // STOPPED
		r.wantWhere("other", "i2:1")
		r.wantWhere("web", "i2:1")
		r.view(func(rd store.Reader) {
			if s, _ := state.Services.Get(rd, "default/web"); len(s.Impairments) != 0 {
				t.Errorf("still impaired: %v", s.Impairments)
			}
		})
	})
}

// TestStopsMakeRoomForStarts within one pass: what is asked to stop doesn't count for distinctInstance any more. A new
// deployment alone wakes the scheduler.
func TestStopsMakeRoomForStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.instance("i1", 1000)
		r.instance("i2", 1000)
		half, more := 50, 150
		r.service("web", 2, func(s *ecs.Service) {
			s.PlacementConstraints = []ecs.PlacementConstraint{{Type: ecs.ConstraintDistinctInstance}}
			s.DeploymentConfiguration.MinimumHealthyPercent, s.DeploymentConfiguration.MaximumPercent = &half, &more
		})
		r.report("web")
		advance(time.Minute)
		r.update(func(tx *store.Tx) {
			old, _ := state.Deployments.Get(tx, "ecs-svc/web")
			active, next := *old, *old
			active.Status = ecs.DeploymentActive
			next.ID, next.CreatedAt = "ecs-svc/web2", time.Now()
			state.Deployments.Put(tx, &active)
			state.Deployments.Put(tx, &next)
		})
		r.wantWhere("web", "i1:1 i2:1")
		fresh := 0
		for _, task := range r.tasks("web") {
			if task.StartedBy == "ecs-svc/web2" {
				fresh++
			}
		}
		if fresh != 1 {
			t.Errorf("%d tasks of the new deployment, want 1 in the stopped one's place", fresh)
		}
		if last := r.events("web"); strings.Contains(strings.Join(last, "\n"), "unable to place") {
			t.Errorf("events %q", last)
		}
	})
}

// slowBackend commits only when the gate lets it.
type slowBackend struct {
	store.Backend
	gate chan struct{}
}

func (b slowBackend) Campaign(ctx context.Context, id string) (store.Term, error) {
	term, err := b.Backend.Campaign(ctx, id)
	return slowTerm{term, b.gate}, err
}

type slowTerm struct {
	store.Term
	gate chan struct{}
}

func (t slowTerm) Commit(ctx context.Context, rows []store.Row) (store.Rev, error) {
	select {
	case <-t.gate:
	case <-ctx.Done():
	}
	return t.Term.Commit(ctx, rows)
}

// TestPassOnAStaleView: a pass that looks while the commit of the one before is still on its way sees none of its tasks, and
// must start none all the same.
func TestPassOnAStaleView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{}, 1000)
		for range 100 {
			gate <- struct{}{}
		}
		r := newRigOn(t, slowBackend{memory.New(), gate}, false)
		r.instance("i1", 1000)
		r.service("web", 3)
		for len(gate) > 0 {
			<-gate
		}
		s := New(Config{Store: r.Store, Now: time.Now, HealthyAfter: 40 * time.Second})
		var passes sync.WaitGroup
		for range 3 {
			passes.Go(func() {
				if _, err := s.Reconcile(context.Background(), "default/web"); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(gate)
		passes.Wait()
		r.wantWhere("web", "i1:3")
		r.wantEvents("web", "(service web) has started 3 tasks: (task X) (task X) (task X).")
	})
}

// TestEventsAreCapped keeps the newest 100, and never uses a number twice.
func TestEventsAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.instance("i1", 1<<20)
		r.service("web", 0)
		for range 60 {
			r.change("web", func(s *ecs.Service) { s.DesiredCount = 1 })
			r.report("web")
			r.change("web", func(s *ecs.Service) { s.DesiredCount = 0 })
			r.report("web")
		}
		if n := len(r.events("web")); n != 100 {
			t.Errorf("%d events are kept", n)
		}
	})
}

// TestBigServices are started and stopped in batches, one right after the other.
func TestBigServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.instance("i1", 1<<20)
		start := time.Now()
		r.service("web", 250)
		r.wantWhere("web", "i1:250")
		if n := len(r.events("web")); n != 5 {
			t.Errorf("%d batches", n)
		}
		r.report("web")
		r.change("web", func(s *ecs.Service) { s.DesiredCount = 30 })
		r.wantWhere("web", "i1:30")
		r.change("web", func(s *ecs.Service) { s.Status = ecs.ServiceDraining })
		r.wantWhere("web", "")
		if time.Since(start) != 0 {
			t.Errorf("it took %v", time.Since(start))
		}
	})
}

// TestDaemon follows the instances, and is the last to leave one.
func TestDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		status := func(s string) func(*ecs.ContainerInstance) {
			return func(ci *ecs.ContainerInstance) { ci.Status = s }
		}
		r.instance("i1", 1000)
		r.service("mon", 0, func(s *ecs.Service) {
			s.SchedulingStrategy = ecs.SchedulingDaemon
			s.PlacementConstraints = []ecs.PlacementConstraint{{Type: ecs.ConstraintMemberOf, Expression: "attribute:gpu !exists"}}
		})
		r.wantWhere("mon", "i1:1")
		r.service("web", 1)
		r.report("mon")
		r.report("web")
		r.wantWhere("web", "i1:1")

		r.instance("i2", 1000)
		r.wantWhere("mon", "i1:1 i2:1")
		gpu := func(ci *ecs.ContainerInstance) { ci.Attributes = []ecs.Attribute{{Name: "gpu", Value: "yes"}} }
		r.instance("i3", 1000, gpu)
		r.wantWhere("mon", "i1:1 i2:1")
		r.report("mon")

		r.instance("i1", 1000, status(ecs.InstanceDraining))
		r.wantWhere("mon", "i1:1 i2:1") // web's task is still there
		if n := len(r.tasks("web")); n != 2 {
			t.Errorf("web has %d tasks, want the old one and, at once, its replacement", n)
		}
		for range 3 { // web's replacement comes up, then its old task goes
			advance(time.Minute)
			r.report("web")
		}
		r.wantWhere("mon", "i2:1")

		r.instance("i2", 1000, gpu)
		r.wantWhere("mon", "")
	})
}

// TestExternalDaemon runs on the external instances, and on them only.
func TestExternalDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.instance("cloud", 1000)
		r.instance("rack", 1000, func(ci *ecs.ContainerInstance) {
			ci.Attributes = []ecs.Attribute{{Name: "ecs.capability.external"}}
		})
		r.service("mon", 0, func(s *ecs.Service) {
			s.SchedulingStrategy, s.LaunchType = ecs.SchedulingDaemon, ecs.LaunchTypeExternal
		})
		r.wantWhere("mon", "rack:1")
	})
}

// TestDefinitionIsGone says so instead of failing for ever in silence.
func TestDefinitionIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.instance("i1", 1000)
		r.service("web", 1, func(s *ecs.Service) { s.TaskDefinition.Revision = 9 })
		r.wantEvents("web", "(service web) was unable to place a task. Reason: The task definition web:9 does not exist.")
	})
}

// TestForeignController leaves alone what another deployment controller looks after.
func TestForeignController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.instance("i1", 1000)
		r.service("web", 1, func(s *ecs.Service) { s.DeploymentController = "EXTERNAL" })
		r.wantWhere("web", "")
	})
}
