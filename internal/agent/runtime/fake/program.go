package fake

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/openberth/berth/internal/agent/runtime"
)

// program starts what the command says.
func (r *Runtime) program(c *fakeContainer, command []string) {
	arg := func(i int) string {
		if i < len(command) {
			return command[i]
		}
		return ""
	}
	later := func(d time.Duration, code int, oom bool) {
		run := c.run
		c.timer = time.AfterFunc(d, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if c.run == run && c.state.Phase == runtime.Running {
				r.end(c, code, oom)
			}
		})
	}
	switch arg(0) {
	case "exit":
		code, _ := strconv.Atoi(arg(1))
		r.end(c, code, false)
	case "exit-after":
		d, _ := time.ParseDuration(arg(1))
		code, _ := strconv.Atoi(arg(2))
		later(d, code, false)
	case "oom":
		later(10*time.Millisecond, 137, true)
	}
}

func (r *Runtime) healthCheck(c *fakeContainer) {
	if c.spec.Config == "" {
		return
	}
	var cfg struct {
		Healthcheck *struct {
			Test     []string
			Interval time.Duration
			Retries  int
		}
	}
	if json.Unmarshal([]byte(c.spec.Config), &cfg) != nil || cfg.Healthcheck == nil {
		return
	}
	c.state.Health = runtime.HealthUnknown
	test, run := cfg.Healthcheck.Test, c.run
	if len(test) == 0 || test[0] == "NONE" || cfg.Healthcheck.Interval == 0 {
		return // SetHealth says
	}
	health, after := runtime.Healthy, cfg.Healthcheck.Interval
	if test[len(test)-1] != "0" {
		health, after = runtime.Unhealthy, time.Duration(max(1, cfg.Healthcheck.Retries))*cfg.Healthcheck.Interval
	}
	c.health = time.AfterFunc(after, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if c.run == run && c.state.Phase == runtime.Running {
			r.setHealth(c, health)
		}
	})
}

func (r *Runtime) setHealth(c *fakeContainer, health string) {
	if c.state.Health == health {
		return
	}
	c.state.Health = health
	r.tell(c, runtime.Event{Kind: runtime.HealthChanged, Health: health})
}

// end ends a running container; mu is held.
func (r *Runtime) end(c *fakeContainer, code int, oom bool) {
	for _, t := range []*time.Timer{c.timer, c.health} {
		if t != nil {
			t.Stop()
		}
	}
	c.state.Phase, c.state.ExitCode, c.state.OOMKilled, c.state.FinishedAt = runtime.Exited, code, oom, time.Now()
	c.state.Ports = nil
	close(c.ended)
	r.log = append(r.log, "exit "+c.spec.Name)
	r.tell(c, runtime.Event{Kind: runtime.Died, ExitCode: code})
}
