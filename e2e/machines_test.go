package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// machine is a data directory, with the environment of the berth processes on it. All machines of a test share one Docker.
type machine struct {
	t    *testing.T
	name string
	dir  string
	env  []string
}

// newMachine makes one; its processes are killed, and what its agent made is removed, when the test ends.
func newMachine(t *testing.T, name string, env ...string) *machine {
	t.Helper()
	m := &machine{t: t, name: name, dir: filepath.Join(t.TempDir(), name)}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m.env = append(append(os.Environ(), "BERTH_DATA_DIR="+m.dir, "BERTH_SCHEDULER_HEALTHY_AFTER=1s"), env...)
	t.Cleanup(func() {
		if out, err := m.berth("down", "--delete-data"); err != nil {
			t.Errorf("%s: berth down: %v\n%s", name, err, out)
		}
	})
	return m
}

// run starts a part of Berth ("server", "agent"); it is killed when the test ends.
func (m *machine) run(part string) *process {
	m.t.Helper()
	p := &process{t: m.t, name: part, env: m.env, log: filepath.Join(m.dir, part+".out")}
	m.t.Cleanup(func() {
		p.kill()
		if m.t.Failed() {
			log, _ := os.ReadFile(p.log)
			m.t.Logf("the end of the log of %s %s:\n%s", m.name, part, log[max(0, len(log)-4000):])
		}
	})
	p.start()
	return p
}

// berth runs a command on the machine.
func (m *machine) berth(args ...string) (string, error) {
	cmd := exec.Command(berthBinary, args...)
	cmd.Env = m.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// client is an SDK client with the machine's root key. It doesn't retry: tests want to see what is answered.
func (m *machine) client(endpoint string) *ecs.Client {
	m.t.Helper()
	show := exec.Command(berthBinary, "env")
	show.Env = m.env
	var keys []byte
	eventuallyOK(m.t, "there are keys", func() (err error) {
		keys, err = show.Output()
		if err != nil {
			show = exec.Command(berthBinary, "env")
			show.Env = m.env
		}
		return err
	})
	return ecs.New(ecs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(exported(keys, "AWS_ACCESS_KEY_ID"), exported(keys, "AWS_SECRET_ACCESS_KEY"), ""),
	})
}

// eventuallyOK repeats f until it succeeds, for at most a minute: another process's state has no event to wait for.
func eventuallyOK(t *testing.T, what string, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: %v", what, err)
		}
	}
}

// listenOn picks an address for a server.
func listenOn(t *testing.T) (address string) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// registerSleeper registers a task definition whose container does nothing.
func registerSleeper(t *testing.T, api *ecs.Client, family string) {
	t.Helper()
	eventuallyOK(t, "the task definition is registered", func() error {
		_, err := api.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
			Family: &family,
			ContainerDefinitions: []types.ContainerDefinition{{
				Name: aws.String("app"), Image: aws.String(testImage), Command: []string{"sleep"}, Memory: aws.Int32(16), Cpu: 16}},
		})
		return err
	})
}

// connected returns the cluster's instances whose agent is connected, by ARN.
func connected(ctx context.Context, api *ecs.Client) (map[string]types.ContainerInstance, error) {
	list, err := api.ListContainerInstances(ctx, &ecs.ListContainerInstancesInput{})
	if err != nil || len(list.ContainerInstanceArns) == 0 {
		return nil, err
	}
	out, err := api.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{ContainerInstances: list.ContainerInstanceArns})
	if err != nil {
		return nil, err
	}
	all := map[string]types.ContainerInstance{}
	for _, ci := range out.ContainerInstances {
		if ci.AgentConnected {
			all[*ci.ContainerInstanceArn] = ci
		}
	}
	return all, nil
}

// awaitConnected waits until n agents are connected.
func awaitConnected(t *testing.T, api *ecs.Client, n int) (instances map[string]types.ContainerInstance) {
	t.Helper()
	eventuallyOK(t, fmt.Sprintf("%d agents are connected", n), func() (err error) {
		instances, err = connected(t.Context(), api)
		if err == nil && len(instances) != n {
			err = fmt.Errorf("%d are", len(instances))
		}
		return err
	})
	return instances
}

// runningTasks returns a service's tasks that run and are wanted; of family when service is empty.
func runningTasks(ctx context.Context, api *ecs.Client, service, family string) (running []types.Task, err error) {
	in := &ecs.ListTasksInput{DesiredStatus: types.DesiredStatusRunning}
	if service != "" {
		in.ServiceName = &service
	} else {
		in.Family = &family
	}
	list, err := api.ListTasks(ctx, in)
	if err != nil || len(list.TaskArns) == 0 {
		return nil, err
	}
	out, err := api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: list.TaskArns})
	if err != nil {
		return nil, err
	}
	for _, task := range out.Tasks {
		if *task.LastStatus == "RUNNING" && *task.DesiredStatus == "RUNNING" {
			running = append(running, task)
		}
	}
	return running, nil
}

// awaitRunning waits until a service has n running tasks and nothing else on the way, and each its container.
func awaitRunning(t *testing.T, api *ecs.Client, service, family string, n int) (tasks []types.Task) {
	t.Helper()
	eventuallyOK(t, fmt.Sprintf("%s has %d running tasks", service, n), func() error {
		out, err := api.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Services: []string{service}})
		if err != nil {
			return err
		}
		if len(out.Services) != 1 {
			t.Fatalf("the service %s is lost: %+v", service, out.Failures)
		}
		s := out.Services[0]
		if int(s.RunningCount) != n || s.PendingCount != 0 || len(s.Deployments) != 1 {
			return fmt.Errorf("%d running, %d pending, %d deployments; events: %s", s.RunningCount, s.PendingCount, len(s.Deployments), events(s))
		}
		if tasks, err = runningTasks(t.Context(), api, service, ""); err != nil {
			return err
		}
		if len(tasks) != n {
			return fmt.Errorf("%d tasks run", len(tasks))
		}
		have := containers(t, family)
		if len(have) < n {
			return fmt.Errorf("%d containers for %d tasks", len(have), n)
		}
		for _, task := range tasks {
			if id := aws.ToString(task.Containers[0].RuntimeId); have[*task.TaskArn] != id {
				return fmt.Errorf("task %s has container %q, Docker %q", *task.TaskArn, id, have[*task.TaskArn])
			}
		}
		return nil
	})
	return tasks
}

func events(s types.Service) string {
	var all []string
	for _, e := range s.Events[:min(3, len(s.Events))] {
		all = append(all, *e.Message)
	}
	return strings.Join(all, " | ")
}

// containers are the running containers of a family, by task.
func containers(t *testing.T, family string) map[string]string {
	t.Helper()
	out, err := exec.Command("docker", "ps", "--no-trunc", "--filter", "label=com.amazonaws.ecs.task-definition-family="+family,
		"--format", `{{.Label "com.amazonaws.ecs.task-arn"}} {{.ID}}`).Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		task, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if all[task] != "" {
			t.Errorf("task %s has two containers: %s and %s", task, id, all[task])
		}
		all[task] = id
	}
	return all
}

// byTask are the containers that the API says the tasks have.
func byTask(tasks []types.Task) map[string]string {
	all := map[string]string{}
	for _, task := range tasks {
		all[*task.TaskArn] = aws.ToString(task.Containers[0].RuntimeId)
	}
	return all
}
