package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// kills is how often TestKillNine ends a process at a random moment.
const kills = 50

// TestKillNine ends the server, the agent or both with SIGKILL, 50 times, while a service scales up and down. Afterwards
// nothing is lost (every task that the API ever showed is there, the service has what it wants), nothing is duplicated (one
// container a task, and the same one for the task's whole life) and nothing is orphaned (no container without its task).
func TestKillNine(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := startCluster(t)
	c.registerAndCreate(ctx, 10)
	c.converge(ctx, 10)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for n := range kills {
		desired := 2 + random.IntN(9)
		c.scale(ctx, desired)
		time.Sleep(time.Duration(random.IntN(700)) * time.Millisecond) // the random moment
		victim := []string{"server", "agent", "both"}[random.IntN(3)]
		if victim != "agent" {
			c.server.kill()
		}
		if victim != "server" {
			c.agent.kill()
		}
		if victim != "agent" {
			c.server.start()
		}
		if victim != "server" {
			c.agent.start()
		}
		if n%10 == 9 {
			c.converge(ctx, desired)
			t.Logf("after %d kills: %d tasks, as wanted", n+1, desired)
		} else {
			c.observe(ctx)
		}
	}
	c.scale(ctx, 10)
	c.converge(ctx, 10)
	c.scale(ctx, 0)
	c.converge(ctx, 0)
}

// crashCluster is a server and an agent in processes of their own, and what has been seen of their tasks.
type crashCluster struct {
	t             *testing.T
	server, agent *process
	api           *ecs.Client
	containers    map[string]string // task ARN -> the container that ran it first
}

func startCluster(t *testing.T) *crashCluster {
	t.Helper()
	dir := t.TempDir()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := fmt.Sprintf("http://127.0.0.1:%d", port)
	env := append(os.Environ(), "BERTH_DATA_DIR="+dir, "BERTH_LISTEN=127.0.0.1:"+fmt.Sprint(port), "BERTH_SCHEDULER_HEALTHY_AFTER=1s")
	c := &crashCluster{t: t, containers: map[string]string{},
		server: &process{t: t, name: "server", env: env, log: filepath.Join(dir, "server.log")},
		agent:  &process{t: t, name: "agent", env: env, log: filepath.Join(dir, "agent.log")},
	}
	t.Cleanup(func() {
		c.server.kill()
		c.agent.kill()
		down := exec.Command(berthBinary, "down", "--delete-data")
		down.Env = env
		if t.Failed() {
			for _, p := range []*process{c.server, c.agent} {
				log, _ := os.ReadFile(p.log)
				t.Logf("the end of the %s's log:\n%s", p.name, log[max(0, len(log)-6000):])
			}
		}
		if out, err := down.CombinedOutput(); err != nil {
			t.Errorf("berth down: %v\n%s", err, out)
		}
	})
	c.server.start()
	var keys []byte
	c.until("the server makes its keys", func() error {
		show := exec.Command(berthBinary, "env")
		show.Env = env
		keys, err = show.Output()
		return err
	})
	c.api = ecs.New(ecs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(exported(keys, "AWS_ACCESS_KEY_ID"), exported(keys, "AWS_SECRET_ACCESS_KEY"), ""),
	})
	c.agent.start()
	c.until("the agent is connected", func() error {
		out, err := c.api.ListContainerInstances(t.Context(), &ecs.ListContainerInstancesInput{})
		if err == nil && len(out.ContainerInstanceArns) == 0 {
			err = fmt.Errorf("no container instance")
		}
		return err
	})
	return c
}

// exported reads one variable of what `berth env` prints.
func exported(env []byte, name string) string {
	for line := range strings.Lines(string(env)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "export "+name+"="); ok {
			return strings.Trim(v, "'")
		}
	}
	return ""
}

func (c *crashCluster) registerAndCreate(ctx context.Context, desired int32) {
	c.until("a task definition is registered", func() error {
		_, err := c.api.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
			Family: aws.String("crash"),
			ContainerDefinitions: []types.ContainerDefinition{{
				Name: aws.String("app"), Image: aws.String(testImage), Command: []string{"sleep"},
				Memory: aws.Int32(32), Cpu: 16, PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080)}},
			}},
		})
		return err
	})
	c.until("a service is created", func() error {
		_, err := c.api.CreateService(ctx, &ecs.CreateServiceInput{
			ServiceName: aws.String("crash"), TaskDefinition: aws.String("crash"), DesiredCount: aws.Int32(desired),
			ClientToken: aws.String("crash"), // the call may be repeated
		})
		return err
	})
}

// scale is repeated until it is acknowledged; from then on it must hold.
func (c *crashCluster) scale(ctx context.Context, desired int) {
	c.until("the service is scaled", func() error {
		_, err := c.api.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("crash"), DesiredCount: aws.Int32(int32(desired))})
		return err
	})
}

// observe reads all tasks, and checks that none has changed its container and that none that was seen is gone.
func (c *crashCluster) observe(ctx context.Context) (running []types.Task) {
	seen := map[string]bool{}
	for _, desired := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		var arns []string
		var token *string
		for {
			var out *ecs.ListTasksOutput
			c.until("tasks are listed", func() (err error) {
				out, err = c.api.ListTasks(ctx, &ecs.ListTasksInput{DesiredStatus: desired, NextToken: token})
				return err
			})
			arns = append(arns, out.TaskArns...)
			if token = out.NextToken; token == nil {
				break
			}
		}
		for batch := range slices.Chunk(arns, 100) {
			var out *ecs.DescribeTasksOutput
			c.until("tasks are described", func() (err error) {
				out, err = c.api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: batch})
				return err
			})
			for _, task := range out.Tasks {
				arn := *task.TaskArn
				seen[arn] = true
				if id := aws.ToString(task.Containers[0].RuntimeId); id != "" {
					if first, ok := c.containers[arn]; ok && first != "" && first != id {
						c.t.Errorf("task %s ran in container %s and then in %s", arn, first, id)
					}
					c.containers[arn] = id
				} else if _, ok := c.containers[arn]; !ok {
					c.containers[arn] = ""
				}
				if *task.LastStatus == "RUNNING" && *task.DesiredStatus == "RUNNING" {
					running = append(running, task)
				}
			}
		}
	}
	if len(seen) > 0 {
		for arn := range c.containers {
			if !seen[arn] {
				// A task may move from RUNNING to STOPPED between the two lists: ask for it by name before calling it lost.
				out, err := c.api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: []string{arn}})
				if err == nil && len(out.Tasks) == 0 {
					c.t.Errorf("task %s was there and is lost", arn)
				}
			}
		}
	}
	return running
}

// converge waits until the service has what it wants, and checks the containers against the tasks.
func (c *crashCluster) converge(ctx context.Context, desired int) {
	c.t.Helper()
	c.until(fmt.Sprintf("the service has %d tasks, each with one container, and no other container runs", desired), func() error {
		out, err := c.api.DescribeServices(ctx, &ecs.DescribeServicesInput{Services: []string{"crash"}})
		if err != nil {
			return err
		}
		if s := out.Services[0]; int(s.RunningCount) != desired || s.PendingCount != 0 {
			last := "none"
			if len(s.Events) > 0 {
				last = *s.Events[0].Message
			}
			return fmt.Errorf("%d running, %d pending; last event: %s", s.RunningCount, s.PendingCount, last)
		}
		want := map[string]string{}
		for _, task := range c.observe(ctx) {
			want[*task.TaskArn] = *task.Containers[0].RuntimeId
		}
		if len(want) != desired {
			return fmt.Errorf("%d tasks are running", len(want))
		}
		return c.checkContainers(want)
	})
}

// checkContainers compares Docker's running containers of this cluster with the tasks that should have them.
func (c *crashCluster) checkContainers(want map[string]string) error {
	out, err := exec.Command("docker", "ps", "--no-trunc", "--filter", "label=com.amazonaws.ecs.task-definition-family=crash",
		"--format", `{{.ID}} {{.Label "com.amazonaws.ecs.task-arn"}}`).Output()
	if err != nil {
		return err
	}
	have := map[string]string{}
	for line := range strings.Lines(string(out)) {
		id, task, _ := strings.Cut(strings.TrimSpace(line), " ")
		if other, twice := have[task]; twice {
			return fmt.Errorf("task %s has two containers: %s and %s", task, id, other)
		}
		have[task] = id
	}
	for task, id := range have {
		if want[task] != id {
			return fmt.Errorf("container %s runs for task %s, which should have %q", id, task, want[task])
		}
	}
	if len(have) != len(want) {
		return fmt.Errorf("%d containers run, for %d tasks", len(have), len(want))
	}
	return nil
}

// until repeats f until it succeeds: the server may be away at any moment. It gives up after two minutes.
func (c *crashCluster) until(what string, f func() error) {
	c.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("waiting until %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// process is a berth process that is killed and started again.
type process struct {
	t    *testing.T
	name string // the subcommand
	env  []string
	log  string

	mu  sync.Mutex
	cmd *exec.Cmd
}

func (p *process) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	fmt.Fprintf(log, "--- start of %s\n", p.name)
	p.cmd = exec.Command(berthBinary, p.name)
	p.cmd.Env = p.env
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends the process with SIGKILL; it had better still be there.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	err := p.cmd.Process.Kill()
	p.cmd.Wait()
	if err != nil && !p.t.Failed() {
		log, _ := os.ReadFile(p.log)
		p.t.Errorf("the %s had ended by itself; its log:\n%s", p.name, log[bytes.LastIndex(log, []byte("--- start")):])
	}
	p.cmd = nil
}
