package servicesched

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

var update = flag.Bool("update", false, "rewrite the expected plans in testdata/")

// TestScenarios runs the files in testdata/. A file is a world that lines build up, and plans that are expected of it:
//
//	service NAME [desired=N] [min=N] [max=N] [grace=DURATION] [status=S] [daemon]      creates or changes the service
//	deployment ID PRIMARY|ACTIVE [state=S] [failed=N]                                  creates or changes one, created now
//	task IDS DEPLOYMENT [on=INSTANCE]                                                  creates tasks, PENDING
//	set IDS running|healthy|unhealthy|unknown|failed|exited|user-stopped|stopped|gone  what becomes of them, now
//	instance IDS ACTIVE|DRAINING|INACTIVE|gone [disconnected] [mismatch] [busy]        creates or changes some
//	advance DURATION                                                                   lets time pass
//	decide                                                                             decides; the plan follows "----"
//	run                                                                                the same, and carries the plan out
//
// IDS is a name or a range like a1..a4. Tasks that a plan starts are named after their deployment, in lower case, and a
// number. Times are shown as they differ from the present. -update rewrites the plans.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := playScenario(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("plans differ (run with -update to accept):\n%s", firstDifference(string(text), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if i >= len(w) || i >= len(g) || w[i] != g[i] {
			at := func(lines []string) string {
				return strings.Join(lines[min(i, len(lines)):min(i+6, len(lines))], "\n\t")
			}
			return fmt.Sprintf("line %d\nwant\t%s\ngot\t%s", i+1, at(w), at(g))
		}
	}
	return ""
}

// scenario is a world with names.
type scenario struct {
	world   World
	started map[string]int // deployment -> tasks that plans have started
}

var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// playScenario returns the text with the plans as they are.
func playScenario(text string) (string, error) {
	s := scenario{world: World{Now: epoch, HealthyAfter: 40 * time.Second}, started: map[string]int{}}
	var out bytes.Buffer
	skipping := false // the plan that was expected
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if skipping {
			if line != "" {
				continue
			}
			skipping = false
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if words[0] == "decide" || words[0] == "run" {
			plan := Decide(s.world)
			fmt.Fprintf(&out, "----\n%s", s.show(plan))
			if words[0] == "run" {
				s.apply(plan)
			}
			skipping = true
			continue
		}
		if err := s.command(words); err != nil {
			return "", fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return out.String(), nil
}

func (s *scenario) command(words []string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %v", strings.Join(words, " "), p)
		}
	}()
	w := &s.world
	switch words[0] {
	case "service":
		s.serviceCommand(words[1], words[2:])
	case "deployment":
		dep := ecs.Deployment{ID: words[1], CreatedAt: w.Now, RolloutState: ecs.RolloutInProgress}
		i := slices.IndexFunc(w.Deployments, func(d ecs.Deployment) bool { return d.ID == words[1] })
		if i >= 0 {
			dep = w.Deployments[i]
		}
		dep.Status = words[2]
		for _, o := range words[3:] {
			switch k, v, _ := strings.Cut(o, "="); k {
			case "state":
				dep.RolloutState = v
			case "failed":
				dep.FailedTasks = number(v)
			default:
				panic("unknown option " + o)
			}
		}
		if i >= 0 {
			w.Deployments[i] = dep
		} else {
			w.Deployments = append(w.Deployments, dep)
		}
	case "task":
		for _, id := range ids(words[1]) {
			t := Task{ID: id, Deployment: words[2], DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskPending, CreatedAt: w.Now}
			for _, o := range words[3:] {
				t.Instance = strings.TrimPrefix(o, "on=")
			}
			w.Tasks = append(w.Tasks, t)
		}
	case "set":
		for _, id := range ids(words[1]) {
			i := slices.IndexFunc(w.Tasks, func(t Task) bool { return t.ID == id })
			if i < 0 {
				panic("no task " + id)
			}
			if words[2] == "gone" {
				w.Tasks = slices.Delete(w.Tasks, i, i+1)
				continue
			}
			become(&w.Tasks[i], words[2], w.Now)
		}
	case "instance":
		for _, id := range ids(words[1]) {
			w.Instances = slices.DeleteFunc(w.Instances, func(in Instance) bool { return in.ID == id })
			if words[2] == "gone" {
				continue
			}
			has := func(o string) bool { return slices.Contains(words[3:], o) }
			w.Instances = append(w.Instances, Instance{ID: id, Status: words[2],
				Connected: !has("disconnected"), Matches: !has("mismatch"), Busy: has("busy")})
		}
	case "advance":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return err
		}
		w.Now = w.Now.Add(d)
	default:
		return fmt.Errorf("unknown command %q", words[0])
	}
	return nil
}

func (s *scenario) serviceCommand(name string, options []string) {
	svc := &s.world.Service
	if svc.Name == "" {
		*svc = ecs.Service{Name: name, Cluster: "default", Status: ecs.ServiceActive, SchedulingStrategy: ecs.SchedulingReplica,
			DeploymentController: "ECS"}
	}
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		n := number
		switch k {
		case "desired":
			svc.DesiredCount = n(v)
		case "min":
			p := n(v)
			svc.DeploymentConfiguration.MinimumHealthyPercent = &p
		case "max":
			p := n(v)
			svc.DeploymentConfiguration.MaximumPercent = &p
		case "grace":
			p := n(v)
			svc.HealthCheckGracePeriodSeconds = &p
		case "status":
			svc.Status = v
		case "daemon":
			svc.SchedulingStrategy = ecs.SchedulingDaemon
		case "reset-backoff": // as UpdateService does
			svc.LaunchBackoff = ecs.LaunchBackoff{Since: s.world.Now}
		default:
			panic("unknown option " + o)
		}
	}
}

// become changes a task as agents and users do.
func become(t *Task, what string, now time.Time) {
	run := func(health string) {
		t.LastStatus, t.Health = ecs.TaskRunning, health
		if t.StartedAt.IsZero() {
			t.StartedAt = now
		}
	}
	end := func(code string) {
		if t.DesiredStatus != ecs.TaskStopped {
			t.StopCode, t.EndedAt = code, now
		}
		t.DesiredStatus, t.LastStatus = ecs.TaskStopped, ecs.TaskStopped
	}
	switch what {
	case "running":
		run("")
	case "healthy":
		run(ecs.Healthy)
	case "unhealthy":
		run(ecs.Unhealthy)
	case "unknown":
		run(ecs.HealthUnknown)
	case "failed":
		end(ecs.StopTaskFailedToStart)
	case "exited":
		end(ecs.StopEssentialContainerExited)
	case "user-stopped":
		t.DesiredStatus, t.StopCode, t.EndedAt = ecs.TaskStopped, ecs.StopUserInitiated, now
	case "stopped":
		end(ecs.StopUserInitiated)
	default:
		panic("a task can't become " + what)
	}
}

// apply carries the plan out as the store would; of several equal tasks the first go.
func (s *scenario) apply(p Plan) {
	w := &s.world
	if p.Service != nil {
		w.Service = *p.Service
	}
	for _, dep := range p.Deployments {
		i := slices.IndexFunc(w.Deployments, func(d ecs.Deployment) bool { return d.ID == dep.ID })
		if dep.Status == ecs.DeploymentInactive {
			w.Deployments = slices.Delete(w.Deployments, i, i+1)
		} else {
			w.Deployments[i] = dep
		}
	}
	stop := func(id, code string) {
		i := slices.IndexFunc(w.Tasks, func(t Task) bool { return t.ID == id })
		t := &w.Tasks[i]
		if t.DesiredStatus == ecs.TaskStopped {
			panic("stopped twice: " + id)
		}
		t.DesiredStatus, t.StopCode, t.EndedAt = ecs.TaskStopped, code, w.Now
	}
	for _, st := range p.Stop {
		stop(st.Task, st.Code)
	}
	for _, st := range p.StopSome {
		for _, id := range st.Tasks[:st.Count] {
			stop(id, st.Code)
		}
	}
	for _, st := range p.Start {
		for range st.Count {
			s.started[st.Deployment]++
			id := fmt.Sprintf("%s%d", strings.ToLower(st.Deployment), s.started[st.Deployment])
			w.Tasks = append(w.Tasks, Task{ID: id, Deployment: st.Deployment, Instance: st.Instance,
				DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskPending, CreatedAt: w.Now})
		}
	}
}

// show prints a plan.
func (s *scenario) show(p Plan) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	at := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		d := t.Sub(s.world.Now)
		if d < 0 {
			return d.String()
		}
		return "+" + d.String()
	}
	for _, st := range p.Start {
		on := ""
		if st.Instance != "" {
			on = " on " + st.Instance
		}
		line("start %d of %s%s", st.Count, st.Deployment, on)
	}
	for _, st := range p.Stop {
		line("stop %s: %s: %s", st.Task, st.Code, st.Why)
	}
	for _, st := range p.StopSome {
		line("stop %d of %s: %s: %s", st.Count, strings.Join(st.Tasks, " "), st.Code, st.Why)
	}
	for _, dep := range p.Deployments {
		line("deployment %s: %s %s failed=%d %s", dep.ID, dep.Status, dep.RolloutState, dep.FailedTasks, dep.RolloutStateReason)
	}
	if p.Service != nil {
		was, is := s.world.Service, *p.Service
		if was.Status != is.Status {
			line("service: status %s", is.Status)
		}
		if was.DesiredCount != is.DesiredCount {
			line("service: desired %d", is.DesiredCount)
		}
		if was.LaunchBackoff != is.LaunchBackoff {
			line("service: failures %d until %s", is.LaunchBackoff.Failures, at(is.LaunchBackoff.Until))
		}
		if !slices.Equal(was.Impairments, is.Impairments) {
			line("service: impairments %v", causes(is.Impairments))
		}
		if was.SteadyAt != is.SteadyAt {
			line("service: steady at %s", at(is.SteadyAt))
		}
	}
	for _, e := range p.Events {
		line("event: %s", e)
	}
	if p.Empty() {
		line("nothing")
	}
	if !p.Wake.IsZero() {
		line("wake %s", at(p.Wake))
	}
	return b.String()
}

func causes(impairments []ecs.Impairment) []string {
	all := []string{}
	for _, im := range impairments {
		all = append(all, im.Cause)
	}
	return all
}

// ids reads "a" or "a1..a4".
func ids(s string) (all []string) {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		return []string{s}
	}
	name := strings.TrimRight(from, "0123456789")
	for n := number(strings.TrimPrefix(from, name)); n <= number(strings.TrimPrefix(to, name)); n++ {
		all = append(all, name+strconv.Itoa(n))
	}
	return all
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}
