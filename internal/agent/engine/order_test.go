package engine

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

// TestOrderHolds drives Next over random tasks with the steps ending in any order, containers exiting and turning healthy at
// any time, and checks each start and each stop against the graph. In the end the task is told to stop, and has to.
func TestOrderHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := randomTask(t)
		now := time.Unix(1_800_000_000, 0)
		task := NewTask(spec, 1, now)
		if task.Reason != "" {
			t.Fatalf("refused: %s", task.Reason)
		}
		task.Admitted = true
		s := &simulation{t: t, task: task, now: now, busy: map[string]Action{}, real: map[string]runtime.Phase{}}
		for range rapid.IntRange(0, 80).Draw(t, "moves") {
			s.move()
		}
		task.stop(s.now)
		for moves := 0; !task.Stopped(); moves++ {
			if moves > 400 {
				t.Fatalf("never stops: busy %v, %+v", s.busy, task.Containers)
			}
			s.move()
		}
		if task.Known() != agentlink.StatusStopped || task.StoppedAt.IsZero() {
			t.Fatalf("ended as %+v", task)
		}
		for name, phase := range s.real {
			if phase == runtime.Running {
				t.Fatalf("%s still runs", name)
			}
		}
	})
}

// randomTask draws a task of up to six containers that depend on earlier ones, and so in no circle.
func randomTask(t *rapid.T) *agentlink.Task {
	spec := &agentlink.Task{ARN: "arn:aws:ecs:us-east-1:1:task/c/1", DesiredStatus: agentlink.StatusRunning}
	n := rapid.IntRange(1, 6).Draw(t, "containers")
	for i := range n {
		c := agentlink.Container{Name: fmt.Sprint("c", i), Essential: rapid.Bool().Draw(t, "essential"), HealthCheckType: "docker"}
		for j := range i {
			switch dep := fmt.Sprint("c", j); rapid.IntRange(0, 7).Draw(t, "edge") {
			case 0:
				c.DependsOn = append(c.DependsOn, agentlink.ContainerDependency{ContainerName: dep, Condition: agentlink.DependStart})
			case 1:
				c.DependsOn = append(c.DependsOn, agentlink.ContainerDependency{ContainerName: dep, Condition: agentlink.DependComplete})
			case 2:
				c.DependsOn = append(c.DependsOn, agentlink.ContainerDependency{ContainerName: dep, Condition: agentlink.DependSuccess})
			case 3:
				c.DependsOn = append(c.DependsOn, agentlink.ContainerDependency{ContainerName: dep, Condition: agentlink.DependHealthy})
			case 4:
				c.Links = append(c.Links, dep+":alias")
			case 5:
				c.VolumesFrom = append(c.VolumesFrom, agentlink.VolumeFrom{SourceContainer: dep})
			}
		}
		spec.Containers = append(spec.Containers, c)
	}
	spec.Containers = rapid.Permutation(spec.Containers).Draw(t, "order")
	return spec
}

// simulation is a runtime of which every step takes until the test says that it has ended.
type simulation struct {
	t    *rapid.T
	task *Task
	now  time.Time
	busy map[string]Action
	real map[string]runtime.Phase // what the containers really do
}

func (s *simulation) move() {
	s.now = s.now.Add(time.Second)
	step := Next(s.task, Observed{Now: s.now, Available: true, Busy: s.busy, Unsure: nil})
	if step.Action != Wait && rapid.Bool().Draw(s.t, "begin") {
		s.begin(step)
		return
	}
	if len(s.busy) > 0 && rapid.Bool().Draw(s.t, "end") {
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(s.busy))).Draw(s.t, "which")
		s.end(name, s.busy[name])
		return
	}
	// Something happens to a container by itself.
	c := &s.task.Containers[rapid.IntRange(0, len(s.task.Containers)-1).Draw(s.t, "container")]
	if s.real[c.Name] != runtime.Running || c.Known != Running {
		if step.Action != Wait {
			s.begin(step)
		}
		return
	}
	if rapid.Bool().Draw(s.t, "healthy") {
		c.observeHealth(agentlink.HealthHealthy, s.now)
	} else if s.busy[c.Name] == "" {
		s.exit(c, rapid.IntRange(0, 1).Draw(s.t, "code"))
	}
}

func (s *simulation) begin(step Step) {
	c := s.task.Container(step.Container)
	switch step.Action {
	case Abandon:
		if s.real[c.Name] == runtime.Running {
			s.t.Fatalf("%s is given up while it runs", c.Name)
		}
		s.task.abandon(c, "", s.now)
		return
	case Fail:
		s.task.abandon(c, step.Reason, s.now)
		s.task.stop(s.now)
		return
	case Cancel:
		s.busy[step.Container] = Cancel
		return
	case Start:
		s.checkStart(c)
	case Stop:
		s.checkStop(c)
	}
	if s.busy[step.Container] != "" {
		s.t.Fatalf("%s of %q while %s is under way", step.Action, step.Container, s.busy[step.Container])
	}
	s.busy[step.Container] = step.Action
}

func (s *simulation) end(name string, action Action) {
	delete(s.busy, name)
	c := s.task.Container(name)
	switch action {
	case Prepare:
		s.task.Prepared = &runtime.Prepared{}
	case Pull:
		c.Known = Pulled
	case Create:
		c.Known, c.ID = Created, name
		s.real[name] = runtime.Created
	case Start:
		if rapid.IntRange(0, 9).Draw(s.t, "fails") == 0 {
			s.task.abandon(c, "CannotStartContainerError", s.now)
			return
		}
		s.real[name] = runtime.Running
		s.task.observe(c, runtime.State{ID: name, Phase: runtime.Running, StartedAt: s.now}, s.now)
	case Stop:
		s.exit(c, 0)
	}
}

func (s *simulation) exit(c *Container, code int) {
	s.real[c.Name] = runtime.Exited
	s.task.observe(c, runtime.State{ID: c.Name, Phase: runtime.Exited, StartedAt: c.StartedAt, FinishedAt: s.now, ExitCode: code}, s.now)
}

// checkStart says in the words of the specification what must hold when a container is started; it shares no code with Next.
func (s *simulation) checkStart(c *Container) {
	for _, d := range c.Spec.DependsOn {
		dep, real := s.task.Container(d.ContainerName), s.real[d.ContainerName]
		ok := false
		switch d.Condition {
		case agentlink.DependStart:
			ok = real == runtime.Running || real == runtime.Exited
		case agentlink.DependComplete:
			ok = real == runtime.Exited
		case agentlink.DependSuccess:
			ok = real == runtime.Exited && *dep.ExitCode == 0
		case agentlink.DependHealthy:
			// It was healthy when the start was decided; it may have ended since its image was pulled.
			ok = real == runtime.Running || real == runtime.Exited
		}
		if !ok {
			s.t.Fatalf("%s starts although %s of %s isn't met: %s", c.Name, d.Condition, d.ContainerName, real)
		}
	}
	for _, l := range c.Spec.Links {
		if real := s.real[linkTarget(l)]; real != runtime.Running && real != runtime.Exited {
			s.t.Fatalf("%s starts before %s, to which it links: %s", c.Name, linkTarget(l), real)
		}
	}
	for _, v := range c.Spec.VolumesFrom {
		if s.real[v.SourceContainer] == "" {
			s.t.Fatalf("%s starts before %s exists, whose volumes it mounts", c.Name, v.SourceContainer)
		}
	}
}

func (s *simulation) checkStop(c *Container) {
	for i := range s.task.Containers {
		d := &s.task.Containers[i]
		if s.real[d.Name] != runtime.Running {
			continue
		}
		if slices.Contains(needs(d.Spec), c.Name) {
			s.t.Fatalf("%s is stopped while %s, which needs it, still runs", c.Name, d.Name)
		}
	}
}
