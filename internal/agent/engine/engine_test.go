package engine

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agentlink"
)

func TestRunAndStop(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		app := essential("app", "serve")
		app.PortMappings = []agentlink.PortMapping{{ContainerPort: 80}}
		app.MountPoints = []agentlink.MountPoint{{SourceVolume: "scratch", ContainerPath: "/x"}}
		task := task(app)
		task.Volumes = []agentlink.Volume{{Name: "scratch"}}
		r.run(task)
		r.expect(task, "RUNNING: app=RUNNING 32768->80")
		r.stopTask(task)
		r.expect(task, "RUNNING: app=RUNNING 32768->80", "STOPPED: app=STOPPED(0) 32768->80")
		if r.cp.reports[1].ExecutionStoppedAt.IsZero() {
			t.Error("no executionStoppedAt")
		}

		// Nothing is removed before the wait is over; then everything is, the record too.
		r.pass(r.cleanup - time.Minute)
		if r.phase(task, "app") != "exited" || len(r.rt.Volumes()) != 1 {
			t.Error("removed too early")
		}
		r.pass(2 * time.Minute)
		if r.phase(task, "app") != "absent" || len(r.rt.Volumes()) != 0 || r.e.Task(task.ARN) != nil {
			t.Error("not cleaned up")
		}
		r.restart()
		if len(r.e.Snapshot()) != 0 {
			t.Error("the record came back")
		}
	})
}

func TestDependenciesInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		task := task(
			after(essential("app", "serve"), "init:SUCCESS", "cache:HEALTHY", "log:START"),
			sidecar("init", "exit-after", "2s", "0"),
			checked(sidecar("cache", "serve")),
			sidecar("log", "serve"),
		)
		r.run(task)
		if r.phase(task, "app") != "absent" {
			t.Fatal("started before init had ended")
		}
		r.pass(3 * time.Second)
		if r.phase(task, "app") != "absent" {
			t.Fatal("started before the cache was healthy")
		}
		r.rt.SetHealth(containerName(task, "cache"), agentlink.HealthHealthy)
		synctest.Wait()
		if r.phase(task, "app") != "running" {
			t.Fatal("not started")
		}
		if got := r.cp.lines(task.ARN); got[len(got)-1] != "RUNNING: app=RUNNING" {
			t.Fatalf("reports: %q", got)
		}

		r.stopTask(task)
		log := r.rt.Log()
		app := slices.Index(log, "exit "+containerName(task, "app"))
		for _, dep := range []string{"cache", "log"} {
			if stop := slices.Index(log, "stop "+containerName(task, dep)); stop < app {
				t.Errorf("%s stopped before app had ended: %q", dep, log)
			}
		}
	})
}

func TestDependencyThatCanNeverBeMet(t *testing.T) {
	for name, test := range map[string]struct {
		dep       agentlink.Container
		condition string
		pass      time.Duration
		want      string
	}{
		"failed":    {sidecar("init", "exit", "2"), "SUCCESS", 0, "container app depends on init, which exited with code 2"},
		"no start":  {sidecar("init", "no-such-program"), "COMPLETE", 0, "container app depends on init, which didn't start"},
		"unhealthy": {checked(sidecar("init", "exit-after", "1s", "0")), "HEALTHY", 2 * time.Second, "container app depends on init, which ended before it was healthy"},
		"too slow": {func() agentlink.Container { c := sidecar("init", "serve"); c.StartTimeout = 5; return c }(), "COMPLETE", 6 * time.Second,
			"container app depends on init, which didn't reach COMPLETE within its startTimeout of 5 s"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				task := task(after(essential("app", "serve"), "init:"+test.condition), test.dep)
				r.run(task)
				r.pass(test.pass)
				got := r.cp.lines(task.ARN)
				if last := got[len(got)-1]; !strings.HasPrefix(last, "STOPPED:") || !strings.Contains(last, "app=STOPPED [TaskDependencyError: "+test.want+"]") {
					t.Fatalf("reports: %q", got)
				}
				if r.phase(task, "init") == "running" || r.phase(task, "app") != "absent" {
					t.Error("something still runs")
				}
			})
		})
	}
}

func TestEssentialExitStopsTheTask(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		task := task(essential("app", "exit-after", "5s", "3"), sidecar("log", "serve"), sidecar("job", "exit-after", "1s", "7"))
		r.run(task)
		r.pass(3 * time.Second)
		r.expect(task, "RUNNING: app=RUNNING, log=RUNNING, job=RUNNING", "RUNNING: job=STOPPED(7)")
		r.pass(3 * time.Second)
		r.expect(task, "RUNNING: app=RUNNING, log=RUNNING, job=RUNNING", "RUNNING: job=STOPPED(7)",
			"STOPPED: app=STOPPED(3), log=STOPPED(0)")
	})
}

func TestFailuresGiveReasons(t *testing.T) {
	missing := essential("app", "serve")
	missing.Image = "nowhere/missing:1"
	health := essential("app", "serve")
	health.HealthCheckType = "docker"
	for name, test := range map[string]struct {
		c    agentlink.Container
		want string
	}{
		"pull":  {missing, "STOPPED: app=STOPPED [CannotPullContainerError: pull access denied for nowhere/missing:1]"},
		"start": {essential("app", "no-such-program"), `STOPPED: app=STOPPED [CannotStartContainerError: exec: "no-such-program": executable file not found]`},
		"oom":   {essential("app", "oom"), "STOPPED: app=STOPPED(137) [OutOfMemoryError: Container killed due to memory usage]"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				task := task(test.c)
				r.run(task)
				r.pass(time.Second)
				got := r.cp.lines(task.ARN)
				if last := got[len(got)-1]; last != test.want {
					t.Fatalf("reports: %q", got)
				}
			})
		})
	}
}

func TestRefusedAloud(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		vpc := task(essential("app", "serve"))
		vpc.NetworkMode = "awsvpc"
		circle := task(after(essential("a", "serve"), "b:START"), after(sidecar("b", "serve"), "a:START"))
		r.run(vpc, circle)
		r.expect(vpc, `STOPPED [ResourceInitializationError: this agent doesn't support network mode "awsvpc"]: app=STOPPED`)
		if got := r.cp.lines(circle.ARN); len(got) != 1 || !strings.Contains(got[0], "TaskDependencyError") {
			t.Fatalf("reports: %q", got)
		}
		if len(r.rt.States()) != 0 {
			t.Error("something was created")
		}
	})
}

func TestRestartPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		c := essential("app", "exit-after", "90s", "1")
		c.PortMappings = []agentlink.PortMapping{{ContainerPort: 80}}
		c.RestartPolicy = &agentlink.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60, IgnoredExitCodes: []int{9}}
		task := task(c)
		r.run(task)
		r.pass(100 * time.Second)
		name := containerName(task, "app")
		if n := r.rt.Started(name); n != 2 || r.phase(task, "app") != "running" {
			t.Fatalf("started %d times", n)
		}
		// The new port has to be told; the restart itself is not.
		r.expect(task, "RUNNING: app=RUNNING 32768->80", "RUNNING: app=RUNNING 32769->80")
		r.rt.Exit(name, 1, false) // 10 s after the start: too soon
		synctest.Wait()
		r.expect(task, "RUNNING: app=RUNNING 32768->80", "RUNNING: app=RUNNING 32769->80", "STOPPED: app=STOPPED(1) 32769->80")
	})
	bubble(t, func(t *testing.T, r *rig) {
		c := essential("app", "exit-after", "90s", "9")
		c.RestartPolicy = &agentlink.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60, IgnoredExitCodes: []int{9}}
		task := task(c)
		r.run(task)
		r.pass(100 * time.Second)
		r.expect(task, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(9)")
	})
}

func TestPayloadsAreIdempotent(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		task := task(essential("app", "serve"))
		r.run(task)
		r.run(task)
		if n := r.rt.Created(containerName(task, "app")); n != 1 {
			t.Fatalf("created %d times", n)
		}
		r.expect(task, "RUNNING: app=RUNNING")
		r.stopTask(task)
		r.stopTask(task)
		// Whoever asks for a task that has ended is told so again, and doesn't get another.
		r.run(task)
		r.expect(task, "RUNNING: app=RUNNING", "STOPPED: app=STOPPED(0)", "STOPPED: app=STOPPED(0)", "STOPPED: app=STOPPED(0)")
		if n := r.rt.Created(containerName(task, "app")); n != 1 {
			t.Fatalf("created %d times", n)
		}
	})
}

func TestStopOfAnUnknownTask(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		task := task()
		r.stopTask(task)
		r.stopTask(task)
		r.expect(task, "STOPPED:", "STOPPED:")
		if r.e.Task(task.ARN) != nil {
			t.Error("remembered for nothing")
		}
	})
}

func TestStopOfAnUnknownTaskIsReportedHoweverLate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.cp.set(true)
		task := task()
		r.stopTask(task)
		r.pass(time.Hour)
		r.restart()
		r.cp.set(false)
		r.pass(time.Minute)
		r.expect(task, "STOPPED:")
		if r.e.Task(task.ARN) != nil {
			t.Error("remembered for nothing")
		}
	})
}

func TestRestartThatFailsIsNotASecondExit(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		c := essential("app", "exit-after", "90s", "1")
		c.RestartPolicy = &agentlink.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60}
		task := task(c)
		r.run(task)
		starts := 0
		r.rt.SetHook(func(call, _ string) error {
			if call == "start" {
				if starts++; starts == 1 {
					return runtime.ErrUnavailable
				}
			}
			return nil
		})
		r.pass(100 * time.Second)
		if got := r.e.Task(task.ARN).Containers[0]; got.Restarts != 1 || got.Known != Running || starts != 2 {
			t.Fatalf("%d starts, %+v", starts, got)
		}
		r.expect(task, "RUNNING: app=RUNNING")
	})
}

func TestStopBeforeRunInOnePayload(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.total = Resources{CPU: 1024, Memory: 1024}
		r.restart()
		old, new := task(essential("app", "serve")), task(essential("app", "serve"))
		old.CPU, new.CPU = 1, 1
		r.run(old)
		stop := &agentlink.Task{ARN: old.ARN, DesiredStatus: agentlink.StatusStopped}
		r.run(new, stop)
		if r.phase(old, "app") != "exited" || r.phase(new, "app") != "running" {
			t.Fatal("the new task doesn't run")
		}

		both := task(essential("app", "serve"))
		r.run(both, &agentlink.Task{ARN: both.ARN, DesiredStatus: agentlink.StatusStopped})
		if r.phase(both, "app") != "absent" {
			t.Fatal("started, although the same payload stops it")
		}
	})
}

func TestHostResourcesAreNotDoubleBooked(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		port := func() *agentlink.Task {
			c := essential("app", "ignore-term")
			c.PortMappings = []agentlink.PortMapping{{ContainerPort: 80, HostPort: 8080}}
			return task(c)
		}
		first, second, third := port(), port(), task(essential("app", "serve"))
		r.run(first, second, third)
		if r.phase(second, "app") != "absent" || r.phase(third, "app") != "absent" {
			t.Fatal("the port is given twice, or the order isn't kept")
		}
		r.stopTask(first)
		r.pass(29 * time.Second)
		if r.phase(second, "app") != "absent" {
			t.Fatal("the port is given away while the first task still stops")
		}
		r.pass(2 * time.Second)
		if r.phase(second, "app") != "running" || r.phase(third, "app") != "running" {
			t.Fatal("not started")
		}
		r.restart()
		fourth := port()
		r.run(fourth)
		if r.phase(fourth, "app") != "absent" {
			t.Fatal("a restarted agent forgot who has the port")
		}
		r.stopTask(fourth)
		r.expect(fourth, "STOPPED: app=STOPPED")
	})
}

func TestStopTimeouts(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		quick := essential("quick", "ignore-term")
		quick.StopTimeout = 5
		// Independent containers are told to stop at the same time.
		task := task(quick, sidecar("a", "ignore-term"), sidecar("b", "ignore-term"))
		r.run(task)
		began := time.Now()
		r.stopTask(task)
		r.pass(6 * time.Second)
		if r.phase(task, "quick") != "exited" || r.phase(task, "a") != "running" {
			t.Fatal("stopTimeout of the container not kept")
		}
		r.pass(25 * time.Second)
		if got := r.cp.lines(task.ARN); !strings.HasPrefix(got[len(got)-1], "STOPPED:") {
			t.Fatalf("after %v: %q", time.Since(began), got)
		}
	})
}

func TestPullIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		r.kill()
		r.runtime = &hanging{r.rt, release}
		r.start()
		task := task(essential("app", "serve"))
		r.run(task)
		r.stopTask(task)
		r.expect(task, "STOPPED: app=STOPPED")
		close(release)
	})
}

// hanging hangs in pulls until it is released or given up.
type hanging struct {
	runtime.Runtime
	release chan struct{}
}

func (h *hanging) PullImage(ctx context.Context, image string, b runtime.PullBehaviour) (runtime.Image, error) {
	select {
	case <-ctx.Done():
		return runtime.Image{}, ctx.Err()
	case <-h.release:
		return h.Runtime.PullImage(ctx, image, b)
	}
}
