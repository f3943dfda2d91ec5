package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// lifecycleFields: when containers start, end and come back.
var lifecycleFields = []fieldCase{
	// A restart needs a container that has run for restartAttemptPeriod, and that is 60 s at least.
	{name: "restartPolicy", edit: func(d *document) {
		d.app().Command = []string{"sleep"}
		d.app().RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(60)}
	}, check: func(l *lab) {
		first := l.endAfter("app", 61*time.Second)
		l.until("the container runs again", func() error {
			now := l.inspect("app")
			if !now.State.Running || !now.State.StartedAt.After(first) {
				return fmt.Errorf("%+v", now.State)
			}
			return nil
		})
		l.equal("number of starts", strings.Count(l.logs("app"), "sleeping"), 2)
		l.equal("the task's status", *l.describe().LastStatus, "RUNNING")
		// The second end comes too early for another restart.
		mustDocker(l.T, "kill", "--signal", "TERM", l.id("app"))
		l.stopped()
		l.equal("exit code", aws.ToInt32(l.container("app").ExitCode), int32(7))
		l.equal("number of starts", strings.Count(l.logs("app"), "sleeping"), 2)
	}},
	{name: "restartPolicy ignoredExitCodes", edit: func(d *document) {
		d.app().Command = []string{"sleep"}
		d.add("restarted", "sleep").RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(60), IgnoredExitCodes: []int32{8}}
		d.app().RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(60), IgnoredExitCodes: []int32{3, 7}}
	}, check: func(l *lab) {
		l.endAfter("restarted", 61*time.Second)
		l.until("the container that ended with another code runs again", func() error {
			if n := strings.Count(l.logs("restarted"), "sleeping"); n != 2 {
				return fmt.Errorf("%d starts", n)
			}
			return nil
		})
		l.endAfter("app", 61*time.Second)
		l.stopped()
		l.equal("exit code", aws.ToInt32(l.container("app").ExitCode), int32(7))
		l.equal("number of starts", strings.Count(l.logs("app"), "sleeping"), 1)
	}},
	{name: "dependsOn START", edit: func(d *document) {
		d.app().DependsOn = []types.ContainerDependency{dependency("second", "START")}
		d.add("second", "linger", "0s").DependsOn = []types.ContainerDependency{dependency("third", "START")}
		d.add("third", "linger", "1s")
		d.app().Command = []string{"linger", "1s"}
	}, check: func(l *lab) {
		l.inOrder(l.inspect("third").State.StartedAt, l.inspect("second").State.StartedAt, l.inspect("app").State.StartedAt)
		l.stop()
		// Backwards at the stop: nobody is asked to end before everybody who needs it has ended, which takes app a second.
		l.inOrder(l.inspect("app").State.FinishedAt, l.terminated("second"), l.inspect("second").State.FinishedAt, l.terminated("third"))
		l.equal("exit code of the last", aws.ToInt32(l.container("third").ExitCode), int32(0))
	}},
	{name: "dependsOn COMPLETE", edit: func(d *document) {
		d.app().DependsOn = []types.ContainerDependency{dependency("init", "COMPLETE"), dependency("other", "COMPLETE")}
		d.volume(types.Volume{}, "/data", false)
		d.add("init", "end", "5s", "3")
		d.add("other", "seen", "/data/ready", "0").MountPoints = d.app().MountPoints
	}, check: func(l *lab) {
		l.inOrder(l.inspect("init").State.FinishedAt, l.inspect("app").State.StartedAt)
		l.inOrder(l.inspect("other").State.FinishedAt, l.inspect("app").State.StartedAt)
		l.must("app", "read", "/data/ready")
		l.equal("exit code of init", aws.ToInt32(l.container("init").ExitCode), int32(3))
	}},
	{name: "dependsOn SUCCESS", edit: func(d *document) {
		d.app().DependsOn = []types.ContainerDependency{dependency("init", "SUCCESS")}
		d.add("init", "end", "5s", "0")
	}, check: func(l *lab) {
		l.inOrder(l.inspect("init").State.FinishedAt, l.inspect("app").State.StartedAt)
	}},
	{name: "dependsOn SUCCESS of one that fails", edit: func(d *document) {
		d.app().DependsOn = []types.ContainerDependency{dependency("init", "SUCCESS")}
		d.add("init", "exit", "4")
	}, ends: true, check: func(l *lab) {
		l.stopped()
		l.equal("exit code of init", aws.ToInt32(l.container("init").ExitCode), int32(4))
		l.equal("app has a container", aws.ToString(l.container("app").RuntimeId), "")
		l.has("reasons", l.reasons(), "container app depends on init, which exited with code 4")
	}},
	{name: "dependsOn HEALTHY", edit: func(d *document) {
		d.app().DependsOn = []types.ContainerDependency{dependency("web", "HEALTHY")}
		healthy(d.add("web", "serve"), "probe")
	}, check: func(l *lab) {
		web := l.inspect("web")
		l.equal("health of web", web.State.Health.Status, "healthy")
		// The first check comes an interval after the start.
		l.inOrder(web.State.StartedAt.Add(5*time.Second), l.inspect("app").State.StartedAt)
	}},
	{name: "startTimeout", edit: func(d *document) {
		d.app().DependsOn = []types.ContainerDependency{dependency("web", "HEALTHY")}
		web := d.add("web", "serve")
		healthy(web, "exit", "1")
		web.StartTimeout = aws.Int32(2)
	}, ends: true, check: func(l *lab) {
		l.stopped()
		l.has("reasons", l.reasons(), "startTimeout of 2 s")
		l.equal("app has a container", aws.ToString(l.container("app").RuntimeId), "")
	}},
	{name: "stopTimeout", edit: func(d *document) {
		d.app().Command = []string{"deaf"}
		d.app().StopTimeout = aws.Int32(3)
	}, check: func(l *lab) {
		l.printed("app", "deaf")
		asked := time.Now()
		l.stop()
		took := l.inspect("app").State.FinishedAt.Sub(asked)
		if took < 2900*time.Millisecond || took > 8*time.Second {
			l.Errorf("it was killed after %s, with a stopTimeout of 3 s", took)
		}
		l.equal("exit code", aws.ToInt32(l.container("app").ExitCode), int32(137))
	}},
	{name: "stopTimeout is enough to end in peace", edit: func(d *document) {
		d.app().Command = []string{"linger", "3s"}
		d.app().StopTimeout = aws.Int32(20)
		d.add("hurried", "linger", "9s").StopTimeout = aws.Int32(2)
	}, check: func(l *lab) {
		l.printed("app", "lingering")
		l.printed("hurried", "lingering")
		l.stop()
		l.equal("exit code", aws.ToInt32(l.container("app").ExitCode), int32(0))
		l.equal("exit code of the other", aws.ToInt32(l.container("hurried").ExitCode), int32(137))
	}},
	{name: "essential false", edit: func(d *document) {
		side := d.add("side", "exit", "5")
		side.Essential = aws.Bool(false)
	}, check: func(l *lab) {
		l.until("side has ended", func() error {
			l.describe()
			if s := *l.container("side").LastStatus; s != "STOPPED" {
				return errors.New(s)
			}
			return nil
		})
		l.equal("exit code of side", aws.ToInt32(l.container("side").ExitCode), int32(5))
		l.equal("the task's status", *l.task.LastStatus, "RUNNING")
		l.equal("app runs", l.inspect("app").State.Running, true)
	}},
	{name: "essential true", edit: func(d *document) {
		d.add("side", "exit", "5").Essential = aws.Bool(true)
	}, ends: true, check: func(l *lab) {
		l.stopped()
		l.equal("stopCode", l.task.StopCode, types.TaskStopCodeEssentialContainerExited)
		l.equal("exit code of side", aws.ToInt32(l.container("side").ExitCode), int32(5))
		l.equal("app runs", l.inspect("app").State.Running, false)
	}},
	{name: "essential is the default", edit: func(d *document) {
		d.add("side", "exit", "0").Essential = nil
	}, ends: true, check: func(l *lab) {
		l.stopped()
		l.equal("stopCode", l.task.StopCode, types.TaskStopCodeEssentialContainerExited)
	}},
	{name: "restartPolicy before its period", edit: func(d *document) {
		d.app().Command = []string{"sleep"}
		d.app().RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(60)}
		d.app().StopTimeout = aws.Int32(9)
	}, check: func(l *lab) {
		l.endAfter("app", 4*time.Second)
		l.stopped()
		l.equal("number of starts", strings.Count(l.logs("app"), "sleeping"), 1)
		l.equal("stopCode", l.task.StopCode, types.TaskStopCodeEssentialContainerExited)
	}},
}

// healthFields: container health checks.
var healthFields = []fieldCase{
	{name: "healthCheck UNHEALTHY", edit: func(d *document) {
		d.app().Command = []string{"serve", "-sick-after", "7s"}
		healthy(d.app(), "probe")
	}, check: func(l *lab) {
		l.health("app", types.HealthStatusHealthy)
		l.health("app", types.HealthStatusUnhealthy)
		l.equal("the task's health", l.task.HealthStatus, types.HealthStatusUnhealthy)
		l.equal("Docker's word", l.inspect("app").State.Health.Status, "unhealthy")
		l.equal("the task's status", *l.task.LastStatus, "RUNNING")
	}},
	{name: "healthCheck HEALTHY", edit: func(d *document) {
		d.app().Command = []string{"serve"}
		healthy(d.app(), "probe")
	}, check: func(l *lab) {
		l.health("app", types.HealthStatusHealthy)
		l.equal("the task's health", l.task.HealthStatus, types.HealthStatusHealthy)
	}},
	{name: "healthCheck timeout", edit: func(d *document) {
		healthy(d.app(), "linger", "1m") // a check that never returns
		d.app().HealthCheck.Timeout = aws.Int32(2)
	}, check: func(l *lab) { l.health("app", types.HealthStatusUnhealthy) }},
	{name: "healthCheck startPeriod", edit: func(d *document) {
		healthy(d.app(), "read", "/ready")
		d.app().HealthCheck.StartPeriod = aws.Int32(120)
	}, check: func(l *lab) {
		// The first check fails, and doesn't count; without the period one failure would be enough.
		l.until("a check has failed", func() error {
			if !strings.Contains(docker("inspect", "--format", "{{json .State.Health.Log}}", l.id("app")).out, `"ExitCode":1`) {
				return errors.New("not yet")
			}
			return nil
		})
		l.equal("Docker's word", l.inspect("app").State.Health.Status, "starting")
		l.must("app", "write", "/ready", "now")
		l.health("app", types.HealthStatusHealthy)
	}},
	{name: "healthCheck numbers", edit: func(d *document) {
		d.app().HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/app", "exit", "0"}, Interval: aws.Int32(299), Timeout: aws.Int32(59), Retries: aws.Int32(9), StartPeriod: aws.Int32(31)}
	}, check: func(l *lab) {
		h := l.inspect("app").Config.Healthcheck
		l.equal("interval, timeout, start period, retries", []int64{h.Interval / 1e9, h.Timeout / 1e9, h.StartPeriod / 1e9, h.Retries}, []int64{299, 59, 31, 9})
	}},
	{name: "healthCheck defaults are ECS's", edit: func(d *document) {
		d.app().HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/app", "exit", "0"}}
	}, check: func(l *lab) {
		h := l.inspect("app").Config.Healthcheck
		l.equal("test", h.Test, []string{"CMD", "/app", "exit", "0"})
		l.equal("interval, timeout, start period, retries", []int64{h.Interval / 1e9, h.Timeout / 1e9, h.StartPeriod / 1e9, h.Retries}, []int64{30, 5, 0, 3})
	}},
	{name: "healthCheck of a shell", edit: func(d *document) {
		d.app().HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", "exit 0"}}
	}, check: func(l *lab) {
		l.equal("test", l.inspect("app").Config.Healthcheck.Test, []string{"CMD-SHELL", "exit 0"})
	}},
	{name: "healthCheck NONE", edit: func(d *document) {
		d.app().Image = aws.String(checkedImage)
		d.app().HealthCheck = &types.HealthCheck{Command: []string{"NONE"}}
	}, check: func(l *lab) {
		l.equal("test", l.inspect("app").Config.Healthcheck.Test, []string{"NONE"})
		l.equal("Docker's word", l.inspect("app").State.Health.Status, "")
		l.equal("health", l.container("app").HealthStatus, types.HealthStatusUnknown)
	}},
}

// healthy gives the container the fastest health check that ECS allows: the test program with the arguments.
func healthy(c *types.ContainerDefinition, args ...string) {
	c.HealthCheck = &types.HealthCheck{Command: append([]string{"CMD", "/app"}, args...), Interval: aws.Int32(5), Timeout: aws.Int32(4), Retries: aws.Int32(1)}
}

func dependency(name, condition string) types.ContainerDependency {
	return types.ContainerDependency{ContainerName: &name, Condition: types.ContainerCondition(condition)}
}

// health waits until the API says so of the container.
func (l *lab) health(name string, want types.HealthStatus) {
	l.Helper()
	l.until("health "+string(want), func() error {
		l.describe()
		if got := l.container(name).HealthStatus; got != want {
			return errors.New(string(got))
		}
		return nil
	})
}

// endAfter sends the container SIGTERM when it has run for so long, and returns when it had been started.
func (l *lab) endAfter(name string, age time.Duration) time.Time {
	l.Helper()
	started := l.inspect(name).State.StartedAt
	select {
	case <-time.After(time.Until(started.Add(age))): // the age is the point
	case <-l.Context().Done():
	}
	mustDocker(l.T, "kill", "--signal", "TERM", l.id(name))
	return started
}

// printed waits until the container has printed the text: until then it may not listen to signals.
func (l *lab) printed(name, text string) {
	l.Helper()
	l.until("container "+name+" prints "+text, func() error {
		if logs := l.logs(name); !strings.Contains(logs, text) {
			return errors.New(logs)
		}
		return nil
	})
}

var terminatedAt = regexp.MustCompile(`terminated at (\S+)`)

// terminated is when a lingering container got its SIGTERM.
func (l *lab) terminated(name string) time.Time {
	l.Helper()
	m := terminatedAt.FindStringSubmatch(l.logs(name))
	if m == nil {
		l.Fatalf("container %s got no SIGTERM:\n%s", name, l.logs(name))
	}
	at, err := time.Parse(time.RFC3339Nano, m[1])
	if err != nil {
		l.Fatal(err)
	}
	return at
}

// inOrder fails the case unless each time is after the one before; what hasn't happened yet (the year 1) is out of order.
func (l *lab) inOrder(times ...time.Time) {
	l.Helper()
	for i := 1; i < len(times); i++ {
		if times[i].Before(times[i-1]) || times[i-1].Year() <= 1 {
			l.Errorf("out of order: %v", times)
			return
		}
	}
}
