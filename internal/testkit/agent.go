package testkit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// Agent is a container instance without containers. It takes its tasks from the store, as the agent link would tell it, and
// reports through the API, as agents do. It moves when Step is called.
type Agent struct {
	ID string // of the container instance

	// Pull and Stop say how long the next task takes to start, or to stop. Fails says whether it fails to start.
	Pull  func() time.Duration
	Stop  func() time.Duration
	Fails func() bool

	c         *Cluster
	connected bool
	tasks     map[string]*agentTask
	rng       *rand.Rand
}

// phase is how far a task has come on its agent.
type phase int

const (
	pulling phase = iota
	running
	stopping
	stopped
)

// agentTask is what an agent knows of a task. It outlives the control plane's crashes, as a checkpoint does.
type agentTask struct {
	phase    phase
	reported phase // what the control plane has acknowledged
	due      time.Time
	started  time.Time
	exit     int32
	reason   string
	ran      bool
	checked  bool   // the container has a health check
	health   string // as it is
	told     string // as it was reported
}

// capabilities are those of a Linux agent that the definitions of tests ask for.
var capabilities = []string{
	"com.amazonaws.ecs.capability.docker-remote-api.1.18", "com.amazonaws.ecs.capability.docker-remote-api.1.21",
	"com.amazonaws.ecs.capability.docker-remote-api.1.24", "com.amazonaws.ecs.capability.docker-remote-api.1.29",
	"ecs.capability.container-health-check",
}

// NewAgent registers a container instance in the cluster "default", in a zone.
func (c *Cluster) NewAgent(zone string, cpu, memory int32, seed uint64) *Agent {
	c.t.Helper()
	amount := func(name string, n int32) ecsapi.Resource {
		typ := "INTEGER"
		return ecsapi.Resource{Name: &name, Type: &typ, IntegerValue: &n}
	}
	ports, typ := "PORTS", "STRINGSET"
	az, token := "ecs.availability-zone", arn.NewUUID()
	in := &ecsapi.RegisterContainerInstanceInput{
		ClientToken: &token,
		TotalResources: []ecsapi.Resource{amount("CPU", cpu), amount("MEMORY", memory),
			{Name: &ports, Type: &typ, StringSetValue: []string{"22", "51678"}}},
		Attributes: []ecsapi.Attribute{{Name: &az, Value: &zone}},
	}
	for _, name := range capabilities {
		in.Attributes = append(in.Attributes, ecsapi.Attribute{Name: &name})
	}
	var out *ecsapi.RegisterContainerInstanceOutput
	c.Do("RegisterContainerInstance", func(ctx context.Context) (err error) {
		out, err = c.API.RegisterContainerInstance(ctx, in)
		return err
	})
	a := &Agent{
		ID: arn.Last(*out.ContainerInstance.ContainerInstanceArn), c: c, tasks: map[string]*agentTask{},
		rng:   rand.New(rand.NewPCG(seed, 1)),
		Pull:  func() time.Duration { return time.Second },
		Stop:  func() time.Duration { return time.Second },
		Fails: func() bool { return false },
	}
	a.Connect(true)
	return a
}

// Do calls the API until it doesn't answer with a failure of the server's: as an SDK does, but without giving up.
func (c *Cluster) Do(what string, call func(ctx context.Context) error) {
	c.t.Helper()
	if err := c.Try(call); err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// Try is Do for calls that may be refused.
func (c *Cluster) Try(call func(ctx context.Context) error) (err error) {
	for range 100 {
		err = call(context.Background())
		if err == nil || fault.Code(err) != "ServerException" {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// Connect opens or cuts the agent's connection, as the control plane sees it. While it is cut, tasks go on, and nothing is
// told either way.
func (a *Agent) Connect(connected bool) {
	a.connected = connected
	a.c.Do("connect", func(ctx context.Context) error {
		_, err := a.c.Store.Update(ctx, func(tx *store.Tx) error {
			ci, ok := state.Instances.Get(tx, a.ID)
			if !ok || ci.Status == ecs.InstanceInactive || ci.AgentConnected == connected {
				return nil
			}
			next := *ci
			next.AgentConnected = connected
			next.Version++
			state.Instances.Put(tx, &next)
			return nil
		})
		return err
	})
}

// Connected tells whether the agent is.
func (a *Agent) Connected() bool { return a.connected }

// Running lists the tasks whose containers run.
func (a *Agent) Running() (ids []string) {
	for id, t := range a.tasks {
		if t.phase == running || t.phase == stopping {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Crash ends the container of a running task with an exit code, if there is one.
func (a *Agent) Crash() bool {
	return a.any(func(t *agentTask) { t.phase, t.exit = stopped, 1 })
}

// Flip makes a running task that has a health check fail it, or pass it again.
func (a *Agent) Flip() bool {
	return a.any(func(t *agentTask) {
		if t.health == ecs.Unhealthy {
			t.health = ecs.Healthy
		} else if t.checked {
			t.health = ecs.Unhealthy
		}
	})
}

func (a *Agent) any(do func(*agentTask)) bool {
	var ids []string
	for id, t := range a.tasks {
		if t.phase == running {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return false
	}
	slices.Sort(ids)
	do(a.tasks[ids[a.rng.IntN(len(ids))]])
	return true
}

// Step does everything that is due: listens, works, reports.
func (a *Agent) Step() {
	now := time.Now()
	if a.connected {
		a.listen(now)
	}
	ids := make([]string, 0, len(a.tasks))
	for id := range a.tasks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		t := a.tasks[id]
		a.work(t, now)
		if a.connected {
			a.report(id, t)
		}
	}
}

// listen takes in what the control plane wants.
func (a *Agent) listen(now time.Time) {
	a.c.View(func(r store.Reader) {
		for want := range state.TasksByInstance.Each(r, a.ID) {
			t := a.tasks[want.ID]
			stop := want.DesiredStatus == ecs.TaskStopped
			switch {
			case t == nil && stop:
				a.tasks[want.ID] = &agentTask{phase: stopped, reported: pulling} // never started here
			case t == nil:
				a.tasks[want.ID] = &agentTask{due: now.Add(a.Pull()), checked: want.HasHealthCheck()}
			case !stop && t.phase == stopped && t.reported == stopped:
				a.c.t.Errorf("task %s is wanted again, after the agent's STOPPED was acknowledged", want.ID)
			case stop && t.phase == pulling:
				t.phase = stopped
			case stop && t.phase == running:
				t.phase, t.due = stopping, now.Add(a.Stop())
			}
		}
	})
}

func (a *Agent) work(t *agentTask, now time.Time) {
	switch {
	case t.phase == pulling && !now.Before(t.due):
		if a.Fails() {
			t.phase, t.reason = stopped, "CannotPullContainerError: the image is gone"
			return
		}
		t.phase, t.ran, t.started = running, true, now
	case t.phase == stopping && !now.Before(t.due):
		t.phase, t.exit = stopped, 143
	case t.phase == running && t.checked && t.health == "" && now.Sub(t.started) >= 5*time.Second:
		t.health = ecs.Healthy
	}
}

// report says what hasn't been acknowledged yet.
func (a *Agent) report(id string, t *agentTask) {
	if t.phase == running || t.phase == stopping {
		if t.reported == pulling && a.submit(id, t, ecs.TaskRunning) {
			t.reported = running
		}
	}
	if t.phase == stopped && t.reported != stopped && a.submit(id, t, ecs.TaskStopped) {
		t.reported = stopped
	}
	if t.phase == running && t.reported == running && t.health != t.told && a.publishHealth(id, t) {
		t.told = t.health
	}
}

// submit reports once; it is repeated in the next step when it fails.
func (a *Agent) submit(id string, t *agentTask, status string) (acknowledged bool) {
	cluster, name := "default", "main"
	container := ecsapi.ContainerStateChange{ContainerName: &name, Status: &status}
	if t.ran {
		runtime := "docker-" + id
		container.RuntimeId = &runtime
		if status == ecs.TaskStopped {
			container.ExitCode = &t.exit
		}
	}
	in := &ecsapi.SubmitTaskStateChangeInput{Cluster: &cluster, Task: &id, Status: &status}
	task := Scope.Task(cluster, id)
	in.Task = &task
	if t.reason != "" {
		container.Reason, in.Reason = &t.reason, &t.reason
	}
	in.Containers = []ecsapi.ContainerStateChange{container}
	_, err := a.c.API.SubmitTaskStateChange(context.Background(), in)
	switch code := fault.Code(err); {
	case err == nil:
		return true
	case code == "ServerException":
		return false
	case code == "InvalidParameterException":
		return true // the task is forgotten: the instance was deregistered, an hour has passed
	default:
		a.c.t.Errorf("SubmitTaskStateChange: %v", err)
		return false
	}
}

func (a *Agent) publishHealth(id string, t *agentTask) bool {
	_, err := a.c.Store.Update(context.Background(), func(tx *store.Tx) error {
		rec, ok := state.Tasks.Get(tx, id)
		if !ok {
			return nil
		}
		next := lifecycle.ApplyHealth(*rec, []lifecycle.ContainerHealth{{Name: "main", Status: t.health, Since: time.Now()}})
		if next.Version != rec.Version {
			state.Tasks.Put(tx, &next)
		}
		return nil
	})
	return err == nil
}

func (a *Agent) String() string { return fmt.Sprintf("agent %.8s", a.ID) }
