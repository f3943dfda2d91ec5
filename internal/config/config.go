// Package config is all that can be configured about Berth, with its defaults. Values come from, later ones winning:
// defaults, a YAML or JSON file, the environment (BERTH_*), and what the command line sets on the Config.
package config

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/openberth/berth/internal/arn"
)

// Config is what one Berth process runs with. The tags are the names in the file; settings.go lists every setting with
// its meaning, environment variable and flag.
type Config struct {
	DataDir         string    `json:"dataDir"`
	Listen          string    `json:"listen"`
	Account         string    `json:"account"`
	Region          string    `json:"region"`
	MaxRequestBytes int64     `json:"maxRequestBytes"`
	LogLevel        string    `json:"logLevel"`
	LogFormat       string    `json:"logFormat"`
	DebugEndpoints  bool      `json:"debugEndpoints"`
	Store           Store     `json:"store"`
	Agent           Agent     `json:"agent"`
	Scheduler       Scheduler `json:"scheduler"`

	// unknown are BERTH_ variables that are no setting's; Warnings names them, since they are mostly misspelt ones.
	unknown []string
}

// Store is where state lives.
type Store struct {
	Endpoints []string `json:"endpoints"` // of an etcd cluster; none: etcd runs in this process
	CertFile  string   `json:"certFile"`
	KeyFile   string   `json:"keyFile"`
	CAFile    string   `json:"caFile"`
}

// Embedded tells whether etcd runs in this process.
func (s Store) Embedded() bool { return len(s.Endpoints) == 0 }

// Agent is what the machine that it runs on offers.
type Agent struct {
	Cluster        string            `json:"cluster"`
	Endpoint       string            `json:"endpoint"`
	DataDir        string            `json:"dataDir"`
	DockerHost     string            `json:"dockerHost"`
	Attributes     map[string]string `json:"attributes"`
	ReservedMemory int               `json:"reservedMemory"` // MiB
	ReservedPorts  []int             `json:"reservedPorts"`
	StopTimeout    time.Duration     `json:"stopTimeout"`

	AvailabilityZone  string        `json:"availabilityZone"`
	ImagePullBehavior string        `json:"imagePullBehavior"`
	TaskCleanupWait   time.Duration `json:"taskCleanupWait"`
}

// Scheduler is how patient the schedulers are.
type Scheduler struct {
	HealthyAfter         time.Duration `json:"healthyAfter"`
	StoppedTaskRetention time.Duration `json:"stoppedTaskRetention"`
}

// Environment is what of the process' surroundings a configuration depends on.
type Environment struct {
	Variables []string // "NAME=value"
	Home      string
	Root      bool // runs as root
}

// System is the environment of this process.
func System() Environment {
	home, _ := os.UserHomeDir() // "" when there is none: Validate says what to do when that matters
	return Environment{Variables: os.Environ(), Home: home, Root: os.Getuid() == 0}
}

func (e Environment) get(name string) string {
	// The last of several wins, as in a shell.
	for i := len(e.Variables) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(e.Variables[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// Default is the configuration of somebody who has configured nothing.
func Default(e Environment) Config {
	return Config{
		DataDir:         defaultDataDir(e),
		Listen:          "127.0.0.1:4566",
		Account:         "123456789012",
		Region:          "us-east-1",
		MaxRequestBytes: 4 << 20,
		LogLevel:        "info",
		LogFormat:       "auto",
		Agent: Agent{
			Cluster:    "default",
			Attributes: map[string]string{},
			// What the Amazon ECS agent reserves: ssh, Docker's TCP ports, the agent's own two.
			ReservedPorts: []int{22, 2375, 2376, 51678, 51679},
			StopTimeout:   30 * time.Second,
			// The Amazon ECS agent's default is "default", which asks the registry first and loses seconds where there is
			// none; a local image is what a laptop or a machine without a registry has.
			ImagePullBehavior: "prefer-cached",
			TaskCleanupWait:   3 * time.Hour,
		},
		Scheduler: Scheduler{
			HealthyAfter:         40 * time.Second,
			StoppedTaskRetention: time.Hour,
		},
	}
}

func defaultDataDir(e Environment) string {
	state := e.get("XDG_STATE_HOME")
	switch {
	case e.Root:
		return "/var/lib/berth"
	case filepath.IsAbs(state): // the XDG specification has relative ones ignored
		return filepath.Join(state, "berth")
	case e.Home == "":
		return ""
	}
	return filepath.Join(e.Home, ".local", "state", "berth")
}

// Partition follows from the region, as it does at AWS.
func (c Config) Partition() string {
	switch {
	case strings.HasPrefix(c.Region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(c.Region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// Scope is where all resources of this Berth live.
func (c Config) Scope() arn.Scope {
	return arn.Scope{Partition: c.Partition(), Region: c.Region, Account: c.Account}
}

// Endpoint is the URL under which clients on this machine reach the listener. A listener on all interfaces is reached
// through the loopback one.
func (c Config) Endpoint() string { return EndpointOf(c.Listen) }

// EndpointOf is Endpoint for an address, such as the one that a listener on port 0 got.
func EndpointOf(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// AgentEndpoint is the control plane that the agent registers with: this one, unless another is configured.
func (c Config) AgentEndpoint() string {
	if c.Agent.Endpoint != "" {
		return c.Agent.Endpoint
	}
	return c.Endpoint()
}

// AgentDataDir is where the agent keeps its checkpoint.
func (c Config) AgentDataDir() string {
	if c.Agent.DataDir != "" || c.DataDir == "" {
		return c.Agent.DataDir
	}
	return filepath.Join(c.DataDir, "agent")
}

// port reads a TCP port; 0 stands for any free one.
func port(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= 65535
}
