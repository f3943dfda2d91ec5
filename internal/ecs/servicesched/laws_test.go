package servicesched

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openberth/berth/internal/ecs"
)

// drawWorld makes any world, sensible or not.
func drawWorld(t *rapid.T) World {
	w := World{Now: epoch, HealthyAfter: 40 * time.Second}
	min := rapid.SampledFrom([]int{0, 25, 50, 75, 100}).Draw(t, "min")
	max := rapid.SampledFrom([]int{100, 125, 150, 200}).Draw(t, "max")
	w.Service = ecs.Service{
		Name: "web", Cluster: "default", DeploymentController: "ECS",
		Status:                  rapid.SampledFrom([]string{ecs.ServiceActive, ecs.ServiceActive, ecs.ServiceActive, ecs.ServiceDraining}).Draw(t, "status"),
		SchedulingStrategy:      rapid.SampledFrom([]string{ecs.SchedulingReplica, ecs.SchedulingReplica, ecs.SchedulingDaemon}).Draw(t, "strategy"),
		DesiredCount:            rapid.IntRange(0, 7).Draw(t, "desired"),
		DeploymentConfiguration: ecs.DeploymentConfiguration{MinimumHealthyPercent: &min, MaximumPercent: &max},
	}
	if rapid.Bool().Draw(t, "grace") {
		grace := 60
		w.Service.HealthCheckGracePeriodSeconds = &grace
	}
	if w.Service.SchedulingStrategy == ecs.SchedulingDaemon {
		hundred := 100
		w.Service.DeploymentConfiguration.MaximumPercent = &hundred
	}
	age := time.Hour
	n := rapid.IntRange(1, 3).Draw(t, "deployments")
	for i := range n {
		dep := ecs.Deployment{ID: fmt.Sprintf("d%d", i), Status: ecs.DeploymentActive, CreatedAt: epoch.Add(-age * time.Duration(n-i)),
			RolloutState: rapid.SampledFrom([]string{ecs.RolloutInProgress, ecs.RolloutInProgress, ecs.RolloutCompleted, ecs.RolloutFailed}).Draw(t, "rollout")}
		if i == n-1 {
			dep.Status = ecs.DeploymentPrimary
		}
		w.Deployments = append(w.Deployments, dep)
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "instances") {
		w.Instances = append(w.Instances, Instance{ID: fmt.Sprintf("i%d", i),
			Status:    rapid.SampledFrom([]string{ecs.InstanceActive, ecs.InstanceActive, ecs.InstanceDraining}).Draw(t, "instance"),
			Connected: rapid.Float64().Draw(t, "connected") < 0.9, Matches: rapid.Float64().Draw(t, "matches") < 0.9,
			Busy: rapid.Bool().Draw(t, "busy")})
	}
	for i := range rapid.IntRange(0, 14).Draw(t, "tasks") {
		task := Task{
			ID:            fmt.Sprintf("t%d", i),
			Deployment:    rapid.SampledFrom([]string{"d0", "d1", "d2", fmt.Sprintf("d%d", n-1)}).Draw(t, "of"),
			Instance:      w.Instances[rapid.IntRange(0, len(w.Instances)-1).Draw(t, "on")].ID,
			DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskPending,
			CreatedAt: epoch.Add(-time.Duration(rapid.IntRange(1, 7200).Draw(t, "created")) * time.Second),
		}
		fate := rapid.SampledFrom([]string{"pending", "running", "running", "healthy", "healthy", "healthy", "unhealthy", "unknown", "failed", "exited", "user-stopped"})
		for range 2 {
			if f := fate.Draw(t, "fate"); f != "pending" && task.DesiredStatus == ecs.TaskRunning {
				become(&task, f, task.CreatedAt.Add(epoch.Sub(task.CreatedAt)*time.Duration(rapid.IntRange(1, 4).Draw(t, "when"))/4))
			}
		}
		w.Tasks = append(w.Tasks, task)
	}
	return w
}

func (w World) clone() World {
	w.Tasks, w.Deployments, w.Instances = slices.Clone(w.Tasks), slices.Clone(w.Deployments), slices.Clone(w.Instances)
	return w
}

func TestOrderOfInputsIsIrrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		want := Decide(w)
		shuffled := w.clone()
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		r.Shuffle(len(w.Tasks), func(i, j int) { s := shuffled.Tasks; s[i], s[j] = s[j], s[i] })
		r.Shuffle(len(w.Deployments), func(i, j int) { s := shuffled.Deployments; s[i], s[j] = s[j], s[i] })
		r.Shuffle(len(w.Instances), func(i, j int) { s := shuffled.Instances; s[i], s[j] = s[j], s[i] })
		if got := Decide(shuffled); !samePlan(got, want) {
			t.Fatalf("another order, another plan:\n%+v\n%+v", got, want)
		}
	})
}

// samePlan compares plans; the order in which deployments are put doesn't matter.
func samePlan(a, b Plan) bool {
	byID := func(a, b ecs.Deployment) int { return cmpString(a.ID, b.ID) }
	slices.SortFunc(a.Deployments, byID)
	slices.SortFunc(b.Deployments, byID)
	return reflect.DeepEqual(a, b)
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestDecideLeavesItsInputAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		before := w.clone()
		Decide(w)
		if !reflect.DeepEqual(w, before) {
			t.Fatalf("Decide changed the world")
		}
	})
}

func TestPlanIsAFixpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := scenario{world: drawWorld(t), started: map[string]int{}}
		first := Decide(s.world)
		text := s.show(first)
		s.apply(first) // panics when a task is stopped twice
		if second := Decide(s.world); !second.Empty() {
			t.Fatalf("first\n%sthen\n%s", text, s.show(second))
		}
		if first.Wake.Before(s.world.Now) && !first.Wake.IsZero() {
			t.Fatalf("wakes in the past: %v", first.Wake)
		}
	})
}

// TestBounds: no plan takes a service below its floor or above its ceiling.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		if w.Service.Status != ecs.ServiceActive {
			return // a deleted service has no bounds
		}
		plan := Decide(w)
		desired := w.Service.DesiredCount
		if plan.Service != nil {
			desired = plan.Service.DesiredCount
		}
		floor := ceilDiv(desired**w.Service.DeploymentConfiguration.MinimumHealthyPercent, 100)
		ceiling := max(desired, desired**w.Service.DeploymentConfiguration.MaximumPercent/100)

		// The tasks of a DAEMON count only where a task is wanted.
		counts := func(task *Task) bool {
			in := w.Instances[slices.IndexFunc(w.Instances, func(in Instance) bool { return in.ID == task.Instance })]
			return w.Service.SchedulingStrategy != ecs.SchedulingDaemon || in.Status == ecs.InstanceActive && in.Matches
		}
		stops := map[string]bool{}
		for _, st := range plan.Stop {
			stops[st.Task] = true
		}
		for _, st := range plan.StopSome {
			if st.Count >= len(st.Tasks) || st.Count < 1 {
				t.Fatalf("stop %d of %d", st.Count, len(st.Tasks))
			}
			for _, id := range st.Tasks[:st.Count] {
				stops[id] = true
			}
		}
		well, stopped, total := 0, 0, 0
		on := map[string]int{}
		for i := range w.Tasks {
			task := &w.Tasks[i]
			if task.LastStatus == ecs.TaskStopped {
				continue
			}
			total++
			on[task.Instance]++
			if task.DesiredStatus == ecs.TaskStopped && stops[task.ID] {
				t.Fatalf("%s is stopped twice", task.ID)
			}
			if !counts(task) || !isWell(w, task) {
				continue
			}
			if stops[task.ID] {
				stopped++
			} else {
				well++
			}
		}
		if stopped > 0 && well < floor {
			t.Fatalf("%d healthy ones are stopped, which leaves %d of a floor of %d", stopped, well, floor)
		}
		started := 0
		for _, st := range plan.Start {
			started += st.Count
			if st.Instance != "" && (on[st.Instance] > 0 || st.Count != 1) {
				t.Fatalf("two tasks on %s", st.Instance)
			}
		}
		if w.Service.SchedulingStrategy == ecs.SchedulingReplica && started > 0 && total+started > ceiling {
			t.Fatalf("%d tasks and %d more, of a ceiling of %d", total, started, ceiling)
		}
	})
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// isWell says anew, without the planner's code, whether a task counts as healthy.
func isWell(w World, t *Task) bool {
	if t.DesiredStatus != ecs.TaskRunning || t.LastStatus != ecs.TaskRunning {
		return false
	}
	return t.Health == ecs.Healthy || t.Health == "" && w.Now.Sub(t.StartedAt) >= w.HealthyAfter
}

// TestProgress: with agents that do what they are told, every service gets where it should be, unless its percentages
// forbid it (and then it says so), or its deployment has failed.
func TestProgress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := scenario{world: drawWorld(t), started: map[string]int{}}
		w := &s.world
		for i := range w.Deployments {
			if w.Deployments[i].RolloutState == ecs.RolloutFailed {
				w.Deployments[i].RolloutState = ecs.RolloutInProgress
			}
		}
		for i := range w.Instances {
			w.Instances[i].Connected, w.Instances[i].Busy = true, false
		}
		said := ""
		for range 60 {
			plan := Decide(*w)
			for _, e := range plan.Events {
				said = e
			}
			s.apply(plan)
			obey(w)
			w.Now = w.Now.Add(20 * time.Second)
			if reached(w) {
				return
			}
		}
		if said == eventStuck("web") && onlyStuck(w) {
			return
		}
		t.Fatalf("no steady state after 60 rounds: %+v\n%+v", w.Service, w.Tasks)
	})
}

// obey is what agents do in a round.
func obey(w *World) {
	for i := range w.Tasks {
		task := &w.Tasks[i]
		switch {
		case task.LastStatus == ecs.TaskStopped:
		case task.DesiredStatus == ecs.TaskStopped:
			task.LastStatus = ecs.TaskStopped
		case task.LastStatus == ecs.TaskPending:
			become(task, "running", w.Now)
		case task.Health == ecs.HealthUnknown:
			task.Health = ecs.Healthy
		}
		if task.Instance == "" { // wherever placement put it: not on a DRAINING one
			task.Instance = "elsewhere"
		}
	}
}

func reached(w *World) bool {
	if w.Service.Status != ecs.ServiceActive {
		return w.Service.Status == ecs.ServiceInactive
	}
	return !w.Service.SteadyAt.IsZero() && len(w.Deployments) == 1 && w.Deployments[0].RolloutState == ecs.RolloutCompleted
}

// onlyStuck tells whether the percentages leave no way: the floor and the ceiling are the desired count (a DAEMON's
// ceiling always is).
func onlyStuck(w *World) bool {
	desired := w.Service.DesiredCount
	c := w.Service.DeploymentConfiguration
	return ceilDiv(desired**c.MinimumHealthyPercent, 100) == desired && desired**c.MaximumPercent/100 <= desired
}
