package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openberth/berth/e2e/testimage/inside"
)

var httpClient = http.Client{Timeout: 2 * time.Second}

// lab is one case's task, and the instruments to look at it with.
type lab struct {
	*testing.T
	cluster  *fieldsCluster
	document *document
	revision string // ARN of the definition
	arn      string
	task     types.Task // as last described
	started  []string   // all tasks of the case
	inbox    inbox      // for the log drivers
}

// taskPatience is how long a task may take to start or to stop, on a machine that is busy with everything else.
const taskPatience = 60 * time.Second

func (l *lab) register() {
	l.Helper()
	out, err := l.cluster.api.RegisterTaskDefinition(l.Context(), l.document.RegisterTaskDefinitionInput)
	if err != nil {
		l.Fatal(err)
	}
	l.revision = *out.TaskDefinition.TaskDefinitionArn
}

// start runs the task; a failure to place it is an error too.
func (l *lab) start() error {
	arn, err := l.runAnother()
	if err == nil {
		l.arn = arn
	}
	return err
}

func (l *lab) runAnother() (arn string, err error) {
	in := *l.document.run
	in.TaskDefinition = &l.revision
	out, err := l.cluster.api.RunTask(l.Context(), &in)
	if err != nil {
		return "", err
	}
	if len(out.Failures) > 0 {
		return "", fmt.Errorf("failure: %s %s", aws.ToString(out.Failures[0].Reason), aws.ToString(out.Failures[0].Detail))
	}
	for _, t := range out.Tasks {
		l.mine(*t.TaskArn)
	}
	return *out.Tasks[0].TaskArn, nil
}

// mine remembers a task, to stop it at the end.
func (l *lab) mine(arn string) {
	l.started = append(l.started, arn)
	l.cluster.mu.Lock()
	defer l.cluster.mu.Unlock()
	l.cluster.tasks = append(l.cluster.tasks, arn)
}

func (l *lab) cleanUp() {
	for _, arn := range l.started {
		// Not the test's context: it has ended.
		_, _ = l.cluster.api.StopTask(context.Background(), &ecs.StopTaskInput{Task: &arn})
	}
}

func (l *lab) describe() types.Task {
	l.Helper()
	out, err := l.cluster.api.DescribeTasks(l.Context(), &ecs.DescribeTasksInput{Tasks: []string{l.arn}, Include: []types.TaskField{types.TaskFieldTags}})
	if err != nil {
		l.Fatal(err)
	}
	l.task = out.Tasks[0]
	return l.task
}

func (l *lab) until(what string, f func() error) {
	l.Helper()
	eventuallyIn(l.T, taskPatience, what, f)
}

// running waits until the task is RUNNING.
func (l *lab) running() {
	l.Helper()
	l.until("the task runs", func() error {
		t := l.describe()
		if *t.LastStatus == "STOPPED" {
			l.Fatalf("the task has stopped: %s", l.reasons())
		}
		if *t.LastStatus != "RUNNING" {
			return errors.New(*t.LastStatus)
		}
		return nil
	})
}

// stop stops the task and waits for its end.
func (l *lab) stop() {
	l.Helper()
	if _, err := l.cluster.api.StopTask(l.Context(), &ecs.StopTaskInput{Task: &l.arn}); err != nil {
		l.Fatal(err)
	}
	l.stopped()
}

// stopped waits until the task has stopped.
func (l *lab) stopped() {
	l.Helper()
	l.until("the task has stopped", func() error {
		if s := *l.describe().LastStatus; s != "STOPPED" {
			return errors.New(s)
		}
		return nil
	})
}

// reasons is why the task stopped, and what became of its containers.
func (l *lab) reasons() string {
	s := fmt.Sprintf("%s %q", l.task.StopCode, aws.ToString(l.task.StoppedReason))
	for _, c := range l.task.Containers {
		s += fmt.Sprintf("; %s %s %q", *c.Name, *c.LastStatus, aws.ToString(c.Reason))
		if c.ExitCode != nil {
			s += fmt.Sprintf(" exit code %d", *c.ExitCode)
		}
	}
	return s
}

// container is a container as the API describes it.
func (l *lab) container(name string) types.Container {
	l.Helper()
	i := slices.IndexFunc(l.task.Containers, func(c types.Container) bool { return *c.Name == name })
	if i < 0 {
		l.Fatalf("the task has no container %s", name)
	}
	return l.task.Containers[i]
}

// id is the container's in Docker.
func (l *lab) id(name string) string {
	l.Helper()
	id := aws.ToString(l.container(name).RuntimeId)
	if id == "" { // one that never started is there all the same
		id = strings.TrimSpace(docker("ps", "-aq", "--no-trunc", "--filter", "label=com.amazonaws.ecs.task-arn="+l.arn,
			"--filter", "label=com.amazonaws.ecs.container-name="+name).out)
	}
	if id == "" {
		l.Fatalf("container %s has no runtimeId: %s", name, l.reasons())
	}
	return id
}

// see is what the container's first process (`see`) saw when it started.
func (l *lab) see(name string) (v inside.View) {
	l.Helper()
	id := l.id(name)
	l.until("container "+name+" tells what it sees", func() error {
		out := docker("logs", id)
		if out.err != nil {
			return out.err
		}
		return json.Unmarshal([]byte(out.out), &v)
	})
	return v
}

// look is what a process sees that is started in the container now.
func (l *lab) look(name string) (v inside.View) {
	l.Helper()
	if err := json.Unmarshal([]byte(l.must(name, "look")), &v); err != nil {
		l.Fatal(err)
	}
	return v
}

// exec runs the test program in the container.
func (l *lab) exec(name string, args ...string) (string, error) {
	l.Helper()
	r := docker(append([]string{"exec", l.id(name), "/app"}, args...)...)
	return r.out, r.err
}

func (l *lab) must(name string, args ...string) string {
	l.Helper()
	out, err := l.exec(name, args...)
	if err != nil {
		l.Fatal(err)
	}
	return out
}

// mustFail is the error of a command that has to fail in the container.
func (l *lab) mustFail(name, pattern string, args ...string) {
	l.Helper()
	out, err := l.exec(name, args...)
	if err == nil {
		l.Fatalf("%s in container %s: done, and printed %q", strings.Join(args, " "), name, out)
	}
	if !strings.Contains(out, pattern) {
		l.Fatalf("%s in container %s failed with %q, which hasn't %q", strings.Join(args, " "), name, out, pattern)
	}
}

// logs is all that the container printed.
func (l *lab) logs(name string) string {
	l.Helper()
	return mustDocker(l.T, "logs", l.id(name))
}

// inspected is the part of docker inspect that the cases look at.
type inspected struct {
	ID      string
	LogPath string
	State   struct {
		Pid                   int
		Running               bool
		StartedAt, FinishedAt time.Time
		ExitCode              int
		Health                struct{ Status string }
	}
	Config struct {
		Hostname, User, WorkingDir string
		Tty, OpenStdin             bool
		NetworkDisabled            bool
		Image                      string
		Env, Cmd, Entrypoint       []string
		Labels                     map[string]string
		Healthcheck                struct {
			Test                                    []string
			Interval, Timeout, StartPeriod, Retries int64
		}
	}
	HostConfig struct {
		NetworkMode, PidMode, IpcMode, CgroupParent    string
		Privileged, ReadonlyRootfs                     bool
		CapAdd, CapDrop, DNS, DNSSearch, ExtraHosts    []string
		SecurityOpt, Links, Binds, VolumesFrom         []string
		Devices                                        []struct{ PathOnHost, PathInContainer, CgroupPermissions string }
		Init                                           *bool
		ShmSize, Memory, MemoryReservation, MemorySwap int64
		CPUShares                                      int64 `json:"CpuShares"`
		MemorySwappiness                               *int64
		Tmpfs, Sysctls                                 map[string]string
		Ulimits                                        []struct {
			Name       string
			Soft, Hard int64
		}
		LogConfig struct {
			Type   string
			Config map[string]string
		}
	}
	Mounts []struct {
		Type, Name, Source, Destination string
		RW                              bool
	}
}

// inspect is docker inspect.
func (l *lab) inspect(name string) inspected {
	l.Helper()
	var all []inspected
	if err := json.Unmarshal([]byte(mustDocker(l.T, "inspect", l.id(name))), &all); err != nil {
		l.Fatal(err)
	}
	return all[0]
}

// volume is the name of the volume that is mounted at the path; empty when there is none.
func (l *lab) volume(name, path string) string {
	l.Helper()
	for _, m := range l.inspect(name).Mounts {
		if m.Destination == path {
			return m.Name
		}
	}
	return ""
}

// equal fails the case unless got is want.
func (l *lab) equal(what string, got, want any) {
	l.Helper()
	if !reflect.DeepEqual(got, want) {
		l.Errorf("%s: %#v, want %#v", what, got, want)
	}
}

// has fails the case unless text has part.
func (l *lab) has(what, text, part string) {
	l.Helper()
	if !strings.Contains(text, part) {
		l.Errorf("%s hasn't %q:\n%s", what, part, text)
	}
}

// binding is the host's address of a container's port.
func (l *lab) binding(name string, port int32, protocol types.TransportProtocol) string {
	l.Helper()
	for _, b := range l.container(name).NetworkBindings {
		if *b.ContainerPort == port && b.Protocol == protocol {
			return fmt.Sprintf("127.0.0.1:%d", *b.HostPort)
		}
	}
	l.Fatalf("container %s has no binding of %d/%s: %v", name, port, protocol, l.container(name).NetworkBindings)
	return ""
}
