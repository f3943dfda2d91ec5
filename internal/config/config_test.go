package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/internal/arn"
)

var user = Environment{Home: "/home/ada"}

func with(variables ...string) Environment { return Environment{Home: user.Home, Variables: variables} }

func TestDefaultsAreValid(t *testing.T) {
	c := Default(user)
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Error(w)
	}
	if c.Scope() != (arn.Scope{Partition: "aws", Region: "us-east-1", Account: "123456789012"}) || c.Endpoint() != "http://127.0.0.1:4566" || !c.Store.Embedded() {
		t.Errorf("%+v", c)
	}
}

func TestDataDirFollowsTheUser(t *testing.T) {
	for _, c := range []struct {
		env  Environment
		want string
	}{
		{user, "/home/ada/.local/state/berth"},
		{with("XDG_STATE_HOME=/state"), "/state/berth"},
		{with("XDG_STATE_HOME=state"), "/home/ada/.local/state/berth"},
		{Environment{Home: "/root", Root: true, Variables: []string{"XDG_STATE_HOME=/state"}}, "/var/lib/berth"},
		{Environment{}, ""},
	} {
		if got := Default(c.env).DataDir; got != c.want {
			t.Errorf("%+v: %s, want %s", c.env, got, c.want)
		}
	}
	if err := Default(Environment{}).Validate(); err == nil || !strings.Contains(err.Error(), "dataDir: is empty: there is no home directory") {
		t.Error(err)
	}
}

func TestDerivedValues(t *testing.T) {
	c := Config{Listen: "0.0.0.0:80", DataDir: "/d"}
	for region, partition := range map[string]string{"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"} {
		if c.Region = region; c.Partition() != partition {
			t.Errorf("%s: %s", region, c.Partition())
		}
	}
	for address, want := range map[string]string{
		"0.0.0.0:80": "http://127.0.0.1:80", "[::]:80": "http://127.0.0.1:80", ":80": "http://127.0.0.1:80",
		"[::1]:80": "http://[::1]:80", "10.0.0.1:80": "http://10.0.0.1:80", "berth.internal:80": "http://berth.internal:80",
	} {
		if got := EndpointOf(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if c.AgentEndpoint() != "http://127.0.0.1:80" || c.AgentDataDir() != "/d/agent" {
		t.Error(c.AgentEndpoint(), c.AgentDataDir())
	}
	c.Agent.Endpoint, c.Agent.DataDir = "http://other:1", "/a"
	if c.AgentEndpoint() != "http://other:1" || c.AgentDataDir() != "/a" {
		t.Error(c.AgentEndpoint(), c.AgentDataDir())
	}
}

func load(t *testing.T, file string, e Environment) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "berth.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, e)
}

func TestFileThenEnvironment(t *testing.T) {
	c, err := load(t, `
# a comment
listen: 127.0.0.1:1
region: eu-west-1
account: "012345678901"
agent:
  stopTimeout: 1m30s
  reservedPorts: [1, 2]
  attributes: {rack: a1}
  dockerHost:          # without a value: the default stays
scheduler:
`, with("BERTH_LISTEN=127.0.0.1:2", "BERTH_REGION=", "BERTH_AGENT_RESERVED_MEMORY=256", "BERTH_STORE_ENDPOINTS=https://a:1, https://b:2", "BERTH_STORE_CA_FILE=/ca", "PATH=/bin"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default(user)
	want.Listen, want.Region, want.Account = "127.0.0.1:2", "eu-west-1", "012345678901"
	want.Agent.StopTimeout, want.Agent.ReservedPorts, want.Agent.ReservedMemory = 90*time.Second, []int{1, 2}, 256
	want.Agent.Attributes = map[string]string{"rack": "a1"}
	want.Store = Store{Endpoints: []string{"https://a:1", "https://b:2"}, CAFile: "/ca"}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFileMayBeJSONEmptyOrNamedByTheEnvironment(t *testing.T) {
	if c, err := load(t, `{"store": {"endpoints": ["http://a:1"]}, "maxRequestBytes": 1048576}`, user); err != nil || c.Store.Embedded() || c.MaxRequestBytes != 1<<20 {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := load(t, "# nothing\n", user); err != nil || !reflect.DeepEqual(c, Default(user)) {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := Load("", user); err != nil || !reflect.DeepEqual(c, Default(user)) {
		t.Errorf("%+v %v", c, err)
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("logLevel: debug"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load("", with("BERTH_CONFIG="+path)); err != nil || c.LogLevel != "debug" || len(c.Warnings()) != 0 {
		t.Errorf("%+v %v", c, err)
	}
}

func TestLoadNamesEveryProblem(t *testing.T) {
	for file, want := range map[string]string{
		"lisen: x":                    "lisen: no such setting; there are dataDir, listen,",
		"agent: {stoptimeout: 1s}":    "agent.stoptimeout: no such setting",
		"agent: {stopTimeout: 30}":    "agent.stopTimeout: a time span is wanted here, such as 30s",
		"agent: {stopTimeout: soon}":  `agent.stopTimeout: "soon" isn't a time span such as 30s`,
		"account: 123456789012":       "account: a text is wanted here, not a number: put it in quotes",
		"listen: a\nlisten: b":        "already set",
		"listen: [":                   "yaml",
		"- a":                         "settings are wanted",
		"agent: {reservedPorts: [x]}": "agent.reservedPorts.0: a whole number is wanted here",
		"maxRequestBytes: 1.5":        "maxRequestBytes: a whole number is wanted here",
		"debugEndpoints: maybe":       "debugEndpoints: true or false is wanted here",
		"store: {endpoints: a}":       "store.endpoints: a list is wanted here",
		"store: a":                    "store: a section of settings is wanted here",
		"listen: [a]":                 "listen: a text is wanted here",
	} {
		_, err := load(t, file, with("BERTH_AGENT_STOP_TIMEOUT=later", "BERTH_AGENT_RESERVED_PORTS=a", "BERTH_AGENT_ATTRIBUTES=b", "BERTH_MAX_REQUEST_BYTES=4MiB", "BERTH_DEBUG_ENDPOINTS=maybe"))
		if err == nil {
			t.Fatal("no error for", file)
		}
		for _, want := range []string{
			"configuration file /", want,
			`BERTH_AGENT_STOP_TIMEOUT: "later" isn't a time span`, `BERTH_AGENT_RESERVED_PORTS: "a" isn't a whole number`,
			`BERTH_AGENT_ATTRIBUTES: "b" isn't name=value`, `BERTH_MAX_REQUEST_BYTES: "4MiB" isn't a whole number`, `BERTH_DEBUG_ENDPOINTS: "maybe" is neither`,
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %s in\n%v", file, want, err)
			}
		}
	}
	if _, err := Load("/does/not/exist", user); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// Each setting alone, with a value that can't work; and all of them at once.
func TestValidate(t *testing.T) {
	bad := map[string]func(c *Config){
		"dataDir":                        func(c *Config) { c.DataDir = "state" },
		"listen":                         func(c *Config) { c.Listen = "4566" },
		"account":                        func(c *Config) { c.Account = "12345" },
		"region":                         func(c *Config) { c.Region = "Frankfurt" },
		"maxRequestBytes":                func(c *Config) { c.MaxRequestBytes = 1024 },
		"logLevel":                       func(c *Config) { c.LogLevel = "loud" },
		"logFormat":                      func(c *Config) { c.LogFormat = "xml" },
		"store.endpoints":                func(c *Config) { c.Store.Endpoints = []string{"10.0.0.1:2379"} },
		"store.certFile":                 func(c *Config) { c.Store.Endpoints, c.Store.CertFile = []string{"https://a:1"}, "/c" },
		"agent.cluster":                  func(c *Config) { c.Agent.Cluster = "a b" },
		"agent.endpoint":                 func(c *Config) { c.Agent.Endpoint = "10.0.0.1:4566" },
		"agent.dataDir":                  func(c *Config) { c.Agent.DataDir = "agent" },
		"agent.dockerHost":               func(c *Config) { c.Agent.DockerHost = "/var/run/docker.sock" },
		"agent.attributes":               func(c *Config) { c.Agent.Attributes = map[string]string{"ra ck": "a"} },
		"agent.reservedMemory":           func(c *Config) { c.Agent.ReservedMemory = -1 },
		"agent.reservedPorts":            func(c *Config) { c.Agent.ReservedPorts = []int{0} },
		"agent.stopTimeout":              func(c *Config) { c.Agent.StopTimeout = 0 },
		"scheduler.healthyAfter":         func(c *Config) { c.Scheduler.HealthyAfter = -1 },
		"scheduler.stoppedTaskRetention": func(c *Config) { c.Scheduler.StoppedTaskRetention = time.Second },
	}
	all := Default(user)
	for setting, spoil := range bad {
		c := Default(user)
		spoil(&c)
		got := problemsOf(t, c)
		if len(got) != 1 || got[setting] == nil {
			t.Errorf("%s: %v", setting, got)
		}
		spoil(&all)
	}
	got := problemsOf(t, all)
	for setting := range bad {
		p := got[setting]
		if setting == "store.endpoints" {
			continue // the certificate's problem needs endpoints that are right
		}
		if p == nil || p.What == "" || p.Why == "" || !strings.Contains(p.Remedy, "BERTH_") || !strings.Contains(p.Remedy, "--") {
			t.Errorf("%s: %+v", setting, p)
		}
	}
	tls := Default(user)
	tls.Store = Store{Endpoints: []string{"http://a:1"}, CAFile: "/ca"}
	if p := problemsOf(t, tls)["store.endpoints"]; p == nil || !strings.Contains(p.Why, "unencrypted") {
		t.Error(p)
	}
}

func problemsOf(t *testing.T, c Config) map[string]*Problem {
	t.Helper()
	all := map[string]*Problem{}
	joined, ok := c.Validate().(interface{ Unwrap() []error })
	if !ok {
		return all
	}
	for _, err := range joined.Unwrap() {
		p, ok := err.(*Problem)
		if !ok {
			t.Fatalf("%T", err)
		}
		all[p.Setting] = p
	}
	return all
}

func TestGoodValues(t *testing.T) {
	for _, spoil := range []func(c *Config){
		func(c *Config) { c.Listen = "[::1]:0" },
		func(c *Config) { c.Listen = ":4566" },
		func(c *Config) { c.Region = "us-gov-west-1" },
		func(c *Config) { c.Store = Store{[]string{"https://a:1"}, "/c", "/k", "/ca"} },
		func(c *Config) { c.Agent.DockerHost = "tcp://10.0.0.1:2375" },
		func(c *Config) { c.Agent.Attributes = map[string]string{"com.example/rack": "a 1", "flag": ""} },
		func(c *Config) { c.Agent.ReservedPorts = nil },
		func(c *Config) { c.Scheduler.HealthyAfter = 0 },
	} {
		c := Default(user)
		spoil(&c)
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestWarnings(t *testing.T) {
	for listen, warned := range map[string]bool{
		"127.0.0.1:1": false, "127.1.2.3:1": false, "[::1]:1": false, "localhost:1": false,
		"0.0.0.0:1": true, ":1": true, "10.0.0.1:1": true, "berth.internal:1": true,
	} {
		c := Default(user)
		c.Listen = listen
		if w := c.Warnings(); (len(w) == 1) != warned || warned && !strings.Contains(w[0], "can be reached from other machines") {
			t.Errorf("%s: %v", listen, w)
		}
	}
	c, err := Load("", with("BERTH_REGOIN=eu-west-1", "BERTH_STORE_ENDPOINTS=http://a:1"))
	if w := c.Warnings(); err != nil || len(w) != 2 || !strings.Contains(w[0], "isn't encrypted") || !strings.Contains(w[1], "BERTH_REGOIN is no setting") {
		t.Error(w, err)
	}
}

// Every field of Config has a setting that reads and writes it, under three distinct names.
func TestSettingsCoverTheConfig(t *testing.T) {
	names := map[string]bool{}
	for _, s := range Settings() {
		for _, name := range []string{s.Name, s.Env, "--" + s.Flag} {
			if names[name] {
				t.Error("twice:", name)
			}
			names[name] = true
		}
		if s.Help == "" {
			t.Error("no help:", s.Name)
		}
		c := Default(user)
		if before := s.Get(&c); before != "" {
			if err := s.Set(&c, before); err != nil || !reflect.DeepEqual(c, Default(user)) {
				t.Errorf("%s: %q doesn't survive: %+v %v", s.Name, before, c, err)
			}
		}
	}
	fields(reflect.TypeFor[Config](), "", func(name string) {
		if !names[name] {
			t.Error("no setting for", name)
		}
	})
	for _, want := range []string{"BERTH_AGENT_STOP_TIMEOUT", "BERTH_STORE_CA_FILE", "BERTH_DATA_DIR", "--agent-docker-host"} {
		if !names[want] {
			t.Error("no", want)
		}
	}
	c := Default(user)
	for _, s := range Settings() {
		if s.Name == "agent.attributes" {
			if err := s.Set(&c, "b=2,a=1"); err != nil || s.Get(&c) != "a=1,b=2" || !maps.Equal(c.Agent.Attributes, map[string]string{"a": "1", "b": "2"}) {
				t.Error(c.Agent.Attributes, err)
			}
		}
	}
}

func fields(t reflect.Type, prefix string, yield func(string)) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("json")
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct:
			fields(f.Type, prefix+name+".", yield)
		default:
			yield(prefix + name)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{"listen: a", `{"agent":{"stopTimeout":"1s"}}`, "&a [*a]", "a: &a [*a,*a]", "agent:\n  attributes:\n    a: 1", "1: 2", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Default(user)
		if c.readFile(data) == nil {
			c.Validate()
			c.Warnings()
		}
	})
}
