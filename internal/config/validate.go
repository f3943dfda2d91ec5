package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Problem is one thing that is wrong with a configuration: what, why it can't be so, and what to do.
type Problem struct {
	Setting string // as in the file
	What    string
	Why     string
	Remedy  string
}

func (p *Problem) Error() string {
	return p.Setting + ": " + p.What + ": " + p.Why + ". " + p.Remedy + "."
}

var (
	accountPattern   = regexp.MustCompile(`\A[0-9]{12}\z`)
	regionPattern    = regexp.MustCompile(`\A[a-z]{2,}(-[a-z]+)+-[0-9]+\z`)
	clusterPattern   = regexp.MustCompile(`\A[a-zA-Z0-9_-]{1,255}\z`)
	attributePattern = regexp.MustCompile(`\A[a-zA-Z0-9._/\\-]{1,128}\z`)
)

const (
	minRequestBytes = 128 << 10 // a task definition may have 64 KiB, escaped
	maxRequestBytes = 64 << 20
)

// Validate returns everything that is wrong (each a *Problem, joined), or nil.
func (c Config) Validate() error {
	var problems []error
	wrong := func(bad bool, setting, what, why, remedy string) {
		if bad {
			problems = append(problems, &Problem{setting, what, why, remedy})
		}
	}
	use := func(setting, example string) string {
		for _, s := range Settings() {
			if s.Name == setting {
				return fmt.Sprintf("Set %s in the file, %s or --%s, e.g. %s", s.Name, s.Env, s.Flag, example)
			}
		}
		panic("no setting " + setting)
	}

	wrong(c.DataDir == "", "dataDir", "is empty", "there is no home directory to put state in", use("dataDir", "/var/lib/berth"))
	wrong(c.DataDir != "" && !filepath.IsAbs(c.DataDir), "dataDir", fmt.Sprintf("%q is relative", c.DataDir),
		"a start from another directory would begin with empty state", use("dataDir", "/var/lib/berth"))
	host, portText, err := net.SplitHostPort(c.Listen)
	_, portOK := port(portText)
	wrong(err != nil || !portOK || strings.ContainsAny(host, " /"), "listen", fmt.Sprintf("%q isn't host:port", c.Listen),
		"the API is served there", use("listen", "127.0.0.1:4566"))
	wrong(!accountPattern.MatchString(c.Account), "account", fmt.Sprintf("%q isn't an account id", c.Account),
		"AWS account ids have 12 digits, and every ARN carries one", use("account", "123456789012"))
	wrong(!regionPattern.MatchString(c.Region), "region", fmt.Sprintf("%q isn't a region", c.Region),
		"clients sign for a region and ARNs carry it", use("region", "us-east-1"))
	wrong(c.MaxRequestBytes < minRequestBytes || c.MaxRequestBytes > maxRequestBytes, "maxRequestBytes", fmt.Sprintf("%d is out of bounds", c.MaxRequestBytes),
		fmt.Sprintf("below %d task definitions that AWS takes wouldn't fit, above %d a few requests could use up the memory", minRequestBytes, maxRequestBytes),
		use("maxRequestBytes", "4194304"))
	levels, formats := []string{"debug", "info", "warn", "error"}, []string{"auto", "text", "json"}
	wrong(!slices.Contains(levels, c.LogLevel), "logLevel", fmt.Sprintf("%q isn't a level", c.LogLevel), "there are "+strings.Join(levels, ", "), use("logLevel", "info"))
	wrong(!slices.Contains(formats, c.LogFormat), "logFormat", fmt.Sprintf("%q isn't a format", c.LogFormat), "there are "+strings.Join(formats, ", "), use("logFormat", "json"))

	problems = append(problems, c.Store.problems(use)...)
	problems = append(problems, c.Agent.problems(use)...)

	wrong(c.Scheduler.HealthyAfter < 0, "scheduler.healthyAfter", fmt.Sprintf("%v is negative", c.Scheduler.HealthyAfter),
		"a task can't be healthy before it runs", use("scheduler.healthyAfter", "40s"))
	wrong(c.Scheduler.StoppedTaskRetention < time.Minute, "scheduler.stoppedTaskRetention", fmt.Sprintf("%v is less than a minute", c.Scheduler.StoppedTaskRetention),
		"clients that wait for a task to stop look every 6 seconds and must still find it", use("scheduler.stoppedTaskRetention", "1h"))
	return errors.Join(problems...)
}

func (s Store) problems(use func(setting, example string) string) (problems []error) {
	tls := false
	for _, endpoint := range s.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			problems = append(problems, &Problem{"store.endpoints", fmt.Sprintf("%q isn't an etcd URL", endpoint),
				"it needs http:// or https://, a host and a port", use("store.endpoints", "https://10.0.0.1:2379,https://10.0.0.2:2379")})
			continue
		}
		tls = tls || u.Scheme == "https"
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		problems = append(problems, &Problem{"store.certFile", "is set without store.keyFile, or the other way round",
			"a client certificate is of use with its key only", use("store.keyFile", "/etc/berth/etcd-client.key")})
	}
	if !tls && (s.CertFile != "" || s.KeyFile != "" || s.CAFile != "") {
		problems = append(problems, &Problem{"store.endpoints", "has no https:// URL, but TLS files are configured",
			"they would be ignored, and state would travel unencrypted", use("store.endpoints", "https://10.0.0.1:2379")})
	}
	return problems
}

func (a Agent) problems(use func(setting, example string) string) (problems []error) {
	wrong := func(bad bool, setting, what, why, example string) {
		if bad {
			problems = append(problems, &Problem{setting, what, why, use(setting, example)})
		}
	}
	wrong(!clusterPattern.MatchString(a.Cluster), "agent.cluster", fmt.Sprintf("%q isn't a cluster name", a.Cluster),
		"names have up to 255 letters, digits, hyphens and underscores", "default")
	u, err := url.Parse(a.Endpoint)
	wrong(a.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == ""), "agent.endpoint", fmt.Sprintf("%q isn't a URL", a.Endpoint),
		"the agent calls the API there", "http://10.0.0.1:4566")
	wrong(a.DataDir != "" && !filepath.IsAbs(a.DataDir), "agent.dataDir", fmt.Sprintf("%q is relative", a.DataDir),
		"an agent that is started elsewhere would forget its containers", "/var/lib/berth/agent")
	u, err = url.Parse(a.DockerHost)
	wrong(a.DockerHost != "" && (err != nil || !slices.Contains([]string{"unix", "tcp", "http", "https", "ssh"}, u.Scheme)), "agent.dockerHost", fmt.Sprintf("%q isn't a Docker host", a.DockerHost),
		"it is a URL, of a socket or of a TCP port", "unix:///var/run/docker.sock")
	for _, name := range slices.Sorted(maps.Keys(a.Attributes)) {
		value := a.Attributes[name]
		wrong(!attributePattern.MatchString(name) || value != "" && (len(value) > 128 || strings.TrimSpace(value) != value), "agent.attributes", fmt.Sprintf("%q=%q isn't an attribute", name, value),
			"names have up to 128 letters, digits and . _ / \\ -, values up to 128 characters without blanks at their ends", "rack=a1,disk=ssd")
	}
	wrong(a.ReservedMemory < 0, "agent.reservedMemory", fmt.Sprintf("%d is negative", a.ReservedMemory), "it is taken off the machine's memory", "256")
	for _, p := range a.ReservedPorts {
		wrong(p < 1 || p > 65535, "agent.reservedPorts", fmt.Sprintf("%d isn't a port", p), "ports go from 1 to 65535", "22,2375")
	}
	// AWS's bounds of an instance's reserved ports.
	wrong(len(a.ReservedPorts) > 100, "agent.reservedPorts", fmt.Sprintf("has %d ports", len(a.ReservedPorts)), "an instance may reserve 100", "22,2375")
	wrong(a.StopTimeout < time.Second, "agent.stopTimeout", fmt.Sprintf("%v is less than a second", a.StopTimeout),
		"containers need some time to end, and Docker counts in seconds", "30s")
	behaviors := []string{"default", "always", "once", "prefer-cached"}
	wrong(!slices.Contains(behaviors, a.ImagePullBehavior), "agent.imagePullBehavior", fmt.Sprintf("%q isn't a behaviour", a.ImagePullBehavior),
		"there are "+strings.Join(behaviors, ", "), "prefer-cached")
	wrong(a.TaskCleanupWait < time.Second, "agent.taskCleanupWait", fmt.Sprintf("%v is less than a second", a.TaskCleanupWait),
		"the containers of a task that just stopped are what explains why", "3h")
	return problems
}

// Warnings are what may be meant so, but should be known.
func (c Config) Warnings() []string {
	var all []string
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && host != "localhost" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			all = append(all, fmt.Sprintf("listen: %s can be reached from other machines. Every API call must be signed, but nothing is encrypted, and /health and /metrics are open: put TLS in front, or listen on 127.0.0.1:4566", c.Listen))
		}
	}
	for _, endpoint := range c.Store.Endpoints {
		if strings.HasPrefix(endpoint, "http://") {
			all = append(all, fmt.Sprintf("store.endpoints: %s isn't encrypted", endpoint))
		}
	}
	for _, name := range c.unknown {
		all = append(all, fmt.Sprintf("environment: %s is no setting of Berth and is ignored", name))
	}
	return all
}
