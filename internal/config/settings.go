package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one thing that can be configured, under its three names. The table of them drives the environment, the
// command line's flags and the documentation, so that none of them can lack one.
type Setting struct {
	Name string // in the file: "agent.stopTimeout"
	Env  string // "BERTH_AGENT_STOP_TIMEOUT"
	Flag string // "agent-stop-timeout"
	Help string
	Get  func(c *Config) string
	Set  func(c *Config, value string) error
}

// Settings lists every setting, in the order of the file.
func Settings() []Setting {
	return []Setting{
		text("dataDir", "directory for state and the root access key", func(c *Config) *string { return &c.DataDir }),
		text("listen", "address of the API, host:port", func(c *Config) *string { return &c.Listen }),
		text("account", "AWS account id that resources belong to, 12 digits", func(c *Config) *string { return &c.Account }),
		text("region", "AWS region that resources live in", func(c *Config) *string { return &c.Region }),
		number("maxRequestBytes", "largest request body that is read", func(c *Config) *int64 { return &c.MaxRequestBytes }),
		text("logLevel", "debug, info, warn or error", func(c *Config) *string { return &c.LogLevel }),
		text("logFormat", "text, json, or auto: text on a terminal, else json", func(c *Config) *string { return &c.LogFormat }),
		flag("debugEndpoints", "serve Go's profiles under /debug/pprof/", func(c *Config) *bool { return &c.DebugEndpoints }),

		list("store.endpoints", "URLs of an etcd cluster, separated by commas; none: etcd runs inside berth", func(c *Config) *[]string { return &c.Store.Endpoints }),
		text("store.certFile", "TLS client certificate for the etcd cluster", func(c *Config) *string { return &c.Store.CertFile }),
		text("store.keyFile", "key of the TLS client certificate", func(c *Config) *string { return &c.Store.KeyFile }),
		text("store.caFile", "CA that signed the etcd cluster's certificates", func(c *Config) *string { return &c.Store.CAFile }),

		text("agent.cluster", "cluster that this machine registers in", func(c *Config) *string { return &c.Agent.Cluster }),
		text("agent.endpoint", "URL of the control plane; none: the one in this process", func(c *Config) *string { return &c.Agent.Endpoint }),
		text("agent.dataDir", "directory for the agent's checkpoint; none: agent/ below dataDir", func(c *Config) *string { return &c.Agent.DataDir }),
		text("agent.dockerHost", "Docker's socket; none: DOCKER_HOST, or Docker's default", func(c *Config) *string { return &c.Agent.DockerHost }),
		pairs("agent.attributes", "attributes of this machine, name=value separated by commas", func(c *Config) *map[string]string { return &c.Agent.Attributes }),
		number("agent.reservedMemory", "MiB of memory kept from tasks", func(c *Config) *int { return &c.Agent.ReservedMemory }),
		numbers("agent.reservedPorts", "host ports kept from tasks, separated by commas", func(c *Config) *[]int { return &c.Agent.ReservedPorts }),
		span("agent.stopTimeout", "time between SIGTERM and SIGKILL for containers without a stopTimeout of their own", func(c *Config) *time.Duration { return &c.Agent.StopTimeout }),
		text("agent.availabilityZone", "availability zone of this machine; none: the region's first", func(c *Config) *string { return &c.Agent.AvailabilityZone }),
		text("agent.imagePullBehavior", "default, always, once or prefer-cached, as ECS_IMAGE_PULL_BEHAVIOR", func(c *Config) *string { return &c.Agent.ImagePullBehavior }),
		span("agent.taskCleanupWait", "time for which a stopped task's containers are kept", func(c *Config) *time.Duration { return &c.Agent.TaskCleanupWait }),

		span("scheduler.healthyAfter", "time after which a RUNNING task without a health check counts as healthy in a rolling deployment", func(c *Config) *time.Duration { return &c.Scheduler.HealthyAfter }),
		span("scheduler.stoppedTaskRetention", "time for which stopped tasks can still be described", func(c *Config) *time.Duration { return &c.Scheduler.StoppedTaskRetention }),
	}
}

// named derives the names for the environment and the command line from the one in the file: agent.stopTimeout,
// BERTH_AGENT_STOP_TIMEOUT, --agent-stop-timeout.
func named(name, help string, get func(*Config) string, set func(*Config, string) error) Setting {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r == '.':
			b.WriteByte('-')
		case 'A' <= r && r <= 'Z':
			if previous := name[i-1]; previous < 'A' || previous > 'Z' { // caFile, not c-a-file
				b.WriteByte('-')
			}
			b.WriteRune(r - 'A' + 'a')
		default:
			b.WriteRune(r)
		}
	}
	dashed := b.String()
	env := "BERTH_" + strings.ToUpper(strings.ReplaceAll(dashed, "-", "_"))
	return Setting{Name: name, Env: env, Flag: dashed, Help: help, Get: get, Set: set}
}

func text(name, help string, field func(*Config) *string) Setting {
	return named(name, help,
		func(c *Config) string { return *field(c) },
		func(c *Config, s string) error { *field(c) = s; return nil })
}

func flag(name, help string, field func(*Config) *bool) Setting {
	return named(name, help,
		func(c *Config) string { return strconv.FormatBool(*field(c)) },
		func(c *Config, s string) error {
			v, err := strconv.ParseBool(s)
			if err != nil {
				return fmt.Errorf("%q is neither true nor false", s)
			}
			*field(c) = v
			return nil
		})
}

func number[N int | int64](name, help string, field func(*Config) *N) Setting {
	return named(name, help,
		func(c *Config) string { return strconv.FormatInt(int64(*field(c)), 10) },
		func(c *Config, s string) error {
			v, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return fmt.Errorf("%q isn't a whole number", s)
			}
			*field(c) = N(v)
			return nil
		})
}

func span(name, help string, field func(*Config) *time.Duration) Setting {
	return named(name, help,
		func(c *Config) string { return field(c).String() },
		func(c *Config, s string) error {
			v, err := parseSpan(s)
			if err != nil {
				return err
			}
			*field(c) = v
			return nil
		})
}

func parseSpan(s string) (time.Duration, error) {
	v, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q isn't a time span such as 30s, 5m or 1h30m", s)
	}
	return v, nil
}

func list(name, help string, field func(*Config) *[]string) Setting {
	return named(name, help,
		func(c *Config) string { return strings.Join(*field(c), ",") },
		func(c *Config, s string) error { *field(c) = split(s); return nil })
}

func numbers(name, help string, field func(*Config) *[]int) Setting {
	return named(name, help,
		func(c *Config) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(*field(c)), " ", ","), "[]") },
		func(c *Config, s string) error {
			all := []int{}
			for _, part := range split(s) {
				v, err := strconv.Atoi(part)
				if err != nil {
					return fmt.Errorf("%q isn't a whole number", part)
				}
				all = append(all, v)
			}
			*field(c) = all
			return nil
		})
}

func pairs(name, help string, field func(*Config) *map[string]string) Setting {
	return named(name, help,
		func(c *Config) string {
			var all []string
			for _, k := range slices.Sorted(maps.Keys(*field(c))) {
				all = append(all, k+"="+(*field(c))[k])
			}
			return strings.Join(all, ",")
		},
		func(c *Config, s string) error {
			all := map[string]string{}
			for _, part := range split(s) {
				k, v, ok := strings.Cut(part, "=")
				if !ok {
					return fmt.Errorf("%q isn't name=value", part)
				}
				all[k] = v
			}
			*field(c) = all
			return nil
		})
}

func split(s string) []string {
	var all []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
