package lifecycle

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestScenarios runs the files in testdata. A file is a list of steps, each with what the task looks like afterwards:
//
//	task app:essential sidecar     a new task on an instance, with its containers ("unplaced" as a first word: on none)
//	submit RUNNING app=RUNNING:rid1 sidecar=STOPPED,exit=1
//	----
//	...
//
// Every step happens a second after the one before. "again" repeats the last submit.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			var run scenario
			for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
				commands, _, _ := strings.Cut(block, "\n----")
				for _, line := range strings.Split(commands, "\n") {
					if !strings.HasPrefix(line, "#") {
						run.step(t, line)
					}
				}
				fmt.Fprintf(&out, "%s\n----\n%s\n", commands, run)
			}
			if *update {
				if err := os.WriteFile(file, []byte(strings.TrimSuffix(out.String(), "\n")), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got, want := strings.TrimSpace(out.String()), strings.TrimSpace(string(data)); got != want {
				t.Errorf("got:\n%s\n\nwant:\n%s", got, want)
			}
		})
	}
}

type scenario struct {
	task ecs.Task
	now  int // seconds
	last string
}

var epoch = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func (s *scenario) step(t *testing.T, line string) {
	t.Helper()
	s.now++
	verb, rest, _ := strings.Cut(line, " ")
	before := s.task
	switch verb {
	case "task":
		s.task = newTask(strings.Fields(rest)...)
	case "submit":
		s.last = rest
		s.task = Apply(s.task, parseChange(t, rest), at(s.now))
	case "again":
		s.task = Apply(s.task, parseChange(t, s.last), at(s.now))
	case "stop":
		s.task = RequestStop(s.task, ecs.StopUserInitiated, rest, at(s.now))
	case "gone":
		s.task = InstanceGone(s.task, ReasonDeregistrationForced, at(s.now))
	case "health":
		var report []ContainerHealth
		for _, f := range strings.Fields(rest) {
			name, value, _ := strings.Cut(f, "=")
			status, since, _ := strings.Cut(value, "@")
			n, _ := strconv.Atoi(since)
			report = append(report, ContainerHealth{Name: name, Status: status, Since: at(n)})
		}
		s.task = ApplyHealth(s.task, report)
	default:
		t.Fatalf("unknown step %q", line)
	}
	if d := s.task.Version - before.Version; verb != "task" && d != 0 && d != 1 {
		t.Errorf("%s: version grew by %d", line, d)
	}
}

func newTask(fields ...string) ecs.Task {
	t := ecs.Task{ID: "t", Cluster: "default", ContainerInstance: "ci", DesiredStatus: ecs.TaskRunning,
		LastStatus: ecs.TaskPending, CreatedAt: epoch, Version: 1}
	for _, f := range fields {
		if f == "unplaced" {
			t.ContainerInstance, t.LastStatus = "", ecs.TaskProvisioning
			continue
		}
		name, essential := strings.CutSuffix(f, ":essential")
		t.Containers = append(t.Containers, ecs.Container{Name: name, Essential: essential, LastStatus: ecs.TaskPending,
			HealthStatus: ecs.HealthUnknown, HealthChecked: true})
	}
	return t
}

// parseChange reads "STATUS name=STATUS,exit=1,id=x,port=80:32768,reason=Two_words reason=... stopped=3".
func parseChange(t *testing.T, text string) (c TaskChange) {
	t.Helper()
	for i, f := range strings.Fields(text) {
		name, value, isPair := strings.Cut(f, "=")
		seconds := func() time.Time { n, _ := strconv.Atoi(value); return at(n) }
		switch {
		case i == 0 && !isPair:
			c.Status = f
		case name == "reason":
			c.Reason = strings.ReplaceAll(value, "_", " ")
		case name == "pull":
			c.PullStartedAt = seconds()
		case name == "pulled":
			c.PullStoppedAt = seconds()
		case name == "ended":
			c.ExecutionStoppedAt = seconds()
		default:
			cc := ContainerChange{Name: name}
			for j, part := range strings.Split(value, ",") {
				key, v, _ := strings.Cut(part, "=")
				switch {
				case j == 0:
					cc.Status = part
				case key == "exit":
					n, _ := strconv.Atoi(v)
					cc.ExitCode = &n
				case key == "id":
					cc.RuntimeID = v
				case key == "reason":
					cc.Reason = strings.ReplaceAll(v, "_", " ")
				case key == "port":
					from, to, _ := strings.Cut(v, ":")
					b := ecs.NetworkBinding{BindIP: "0.0.0.0", Protocol: "tcp"}
					b.ContainerPort, _ = strconv.Atoi(from)
					b.HostPort, _ = strconv.Atoi(to)
					cc.NetworkBindings = append(cc.NetworkBindings, b)
				default:
					t.Fatalf("unknown part %q", part)
				}
			}
			c.Containers = append(c.Containers, cc)
		}
	}
	return c
}

func (s scenario) String() string {
	var b strings.Builder
	t := &s.task
	fmt.Fprintf(&b, "task desired=%s last=%s v%d", t.DesiredStatus, t.LastStatus, t.Version)
	if t.StopCode != "" || t.StoppedReason != "" {
		fmt.Fprintf(&b, " stop=%s(%s)", t.StopCode, t.StoppedReason)
	}
	for _, m := range []struct {
		name string
		at   time.Time
	}{
		{"connected", t.ConnectivityAt}, {"pull", t.PullStartedAt}, {"pulled", t.PullStoppedAt}, {"started", t.StartedAt},
		{"stopping", t.StoppingAt}, {"ended", t.ExecutionStoppedAt}, {"stopped", t.StoppedAt},
	} {
		if !m.at.IsZero() {
			fmt.Fprintf(&b, " %s=%d", m.name, int(m.at.Sub(epoch).Seconds()))
		}
	}
	b.WriteString("\n")
	for _, c := range t.Containers {
		fmt.Fprintf(&b, "  %s %s", c.Name, c.LastStatus)
		if c.RuntimeID != "" {
			fmt.Fprintf(&b, " id=%s", c.RuntimeID)
		}
		if c.ExitCode != nil {
			fmt.Fprintf(&b, " exit=%d", *c.ExitCode)
		}
		if c.Reason != "" {
			fmt.Fprintf(&b, " reason=%q", c.Reason)
		}
		for _, n := range c.NetworkBindings {
			fmt.Fprintf(&b, " %d->%d", n.ContainerPort, n.HostPort)
		}
		if c.HealthStatus != ecs.HealthUnknown {
			fmt.Fprintf(&b, " %s", c.HealthStatus)
		}
		b.WriteString("\n")
	}
	return b.String()
}
