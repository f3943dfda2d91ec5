package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// TestInstances has one server and two agents, which share this machine's Docker: tasks are spread, a daemon runs once on
// each, draining moves a service and leaves a standalone task alone, and an agent that is killed, deregistered or taken down
// concerns nobody else's containers.
func TestInstances(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	address := listenOn(t)
	control := newMachine(t, "control", "BERTH_LISTEN="+address)
	control.run("server")
	api := control.client("http://" + address)
	left := newMachine(t, "left", "BERTH_AGENT_ENDPOINT=http://"+address, "BERTH_AGENT_ATTRIBUTES=side=left")
	right := newMachine(t, "right", "BERTH_AGENT_ENDPOINT=http://"+address, "BERTH_AGENT_ATTRIBUTES=side=right")
	copyFile(t, control, left, "root-access-key.json")
	copyFile(t, control, right, "root-access-key.json")
	leftAgent := left.run("agent")
	right.run("agent")
	var leftARN, rightARN string
	for arn, ci := range awaitConnected(t, api, 2) {
		for _, a := range ci.Attributes {
			switch {
			case *a.Name == "side" && aws.ToString(a.Value) == "left":
				leftARN = arn
			case *a.Name == "side":
				rightARN = arn
			}
		}
	}
	if leftARN == "" || rightARN == "" {
		t.Fatal("the instances don't have their attributes")
	}
	const family = "instances"
	registerSleeper(t, api, family)

	// Spread: two on each. Daemon: one on each. A standalone task on the left.
	_, err := api.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String("spread"), TaskDefinition: aws.String(family), DesiredCount: aws.Int32(4),
		PlacementStrategy:       []types.PlacementStrategy{{Type: types.PlacementStrategyTypeSpread, Field: aws.String("instanceId")}},
		DeploymentConfiguration: &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(50), MaximumPercent: aws.Int32(150)}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String("daemon"), TaskDefinition: aws.String(family), SchedulingStrategy: types.SchedulingStrategyDaemon})
	if err != nil {
		t.Fatal(err)
	}
	expectSpread(t, awaitRunning(t, api, "spread", family, 4), map[string]int{leftARN: 2, rightARN: 2})
	expectSpread(t, awaitRunning(t, api, "daemon", family, 2), map[string]int{leftARN: 1, rightARN: 1})
	started, err := api.StartTask(ctx, &ecs.StartTaskInput{TaskDefinition: aws.String(family), ContainerInstances: []string{leftARN}})
	if err != nil || len(started.Tasks) != 1 {
		t.Fatal(err, started)
	}
	alone := *started.Tasks[0].TaskArn
	eventuallyOK(t, "the standalone task runs", func() error { return expectStatus(t, api, alone, "RUNNING") })

	// An agent is killed and comes back: same instance, same containers.
	before := containers(t, family)
	leftAgent.kill()
	eventuallyOK(t, "the server notices", func() error {
		all, err := connected(ctx, api)
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("%d agents are connected", len(all))
		}
		return err
	})
	leftAgent.start()
	if again := awaitConnected(t, api, 2); again[leftARN].ContainerInstanceArn == nil {
		t.Errorf("the killed agent is another instance now: %v", again)
	}
	expectKept(t, before, containers(t, family))

	// Draining: the service leaves, within 50 and 150 %, the standalone task stays, and the daemon's with it: it is the last to go.
	drained, err := api.UpdateContainerInstancesState(ctx, &ecs.UpdateContainerInstancesStateInput{ContainerInstances: []string{leftARN}, Status: types.ContainerInstanceStatusDraining})
	if err != nil || len(drained.Failures) > 0 || drained.ContainerInstances[0].Status == nil || *drained.ContainerInstances[0].Status != "DRAINING" {
		t.Fatal(err, drained)
	}
	eventuallyOK(t, "the service has left", func() error {
		tasks, err := runningTasks(ctx, api, "", family)
		if err != nil {
			return err
		}
		if n := countService(tasks, "spread"); n < 2 || n > 6 {
			t.Errorf("%d tasks of the service run while an instance drains, want 2 to 6", n)
		}
		for _, task := range tasks {
			if *task.ContainerInstanceArn == leftARN && aws.ToString(task.Group) == "service:spread" {
				return fmt.Errorf("%s (%s) is still there", *task.TaskArn, *task.Group)
			}
		}
		return nil
	})
	expectSpread(t, awaitRunning(t, api, "spread", family, 4), map[string]int{rightARN: 4})
	expectSpread(t, awaitRunning(t, api, "daemon", family, 2), map[string]int{leftARN: 1, rightARN: 1})
	if err := expectStatus(t, api, alone, "RUNNING"); err != nil {
		t.Errorf("draining has touched a standalone task: %v", err)
	}

	// Deregistered while its agent runs: only with force. The server counts the task as stopped, the machine is left alone.
	if _, err := api.DeregisterContainerInstance(ctx, &ecs.DeregisterContainerInstanceInput{ContainerInstance: &leftARN}); err == nil {
		t.Error("deregistered with a running task, without force")
	}
	if _, err := api.DeregisterContainerInstance(ctx, &ecs.DeregisterContainerInstanceInput{ContainerInstance: &leftARN, Force: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	eventuallyOK(t, "the standalone task counts as stopped", func() error { return expectStatus(t, api, alone, "STOPPED") })
	if containers(t, family)[alone] == "" {
		t.Error("deregistration has ended a container, which AWS leaves running")
	}
	// Its agent is started again: a new instance, which ends what the old one left behind and is used again.
	leftAgent.kill()
	leftAgent.start()
	var newARN string
	for arn := range awaitConnected(t, api, 2) {
		if arn != rightARN {
			newARN = arn
		}
	}
	if newARN == leftARN || newARN == "" {
		t.Fatalf("the new instance is %q", newARN)
	}
	eventuallyOK(t, "the container that nobody wants is gone", func() error {
		if id := containers(t, family)[alone]; id != "" {
			return fmt.Errorf("container %s of task %s still runs", id, alone)
		}
		return nil
	})
	expectSpread(t, awaitRunning(t, api, "daemon", family, 2), map[string]int{newARN: 1, rightARN: 1})

	// One goes down for good: it removes its own containers only.
	own := ownContainers(t, api, family, newARN)
	others := ownContainers(t, api, family, rightARN)
	if len(own) == 0 || len(others) == 0 {
		t.Fatalf("%d and %d containers", len(own), len(others))
	}
	leftAgent.kill()
	if out, err := left.berth("down"); err != nil {
		t.Fatalf("berth down: %v\n%s", err, out)
	}
	now := containers(t, family)
	expectKept(t, others, now)
	for task, id := range own {
		if now[task] != "" {
			t.Errorf("berth down has left container %s of task %s", id, task)
		}
	}
}

// TestDeregisteredMachineComesBack: users deregister a machine, then try berth up again, with berth running or not.
func TestDeregisteredMachineComesBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	address := listenOn(t)
	m := newMachine(t, "machine", "BERTH_LISTEN="+address)
	up := func() string {
		t.Helper()
		out, err := m.berth("up")
		if err != nil {
			t.Fatalf("berth up: %v\n%s", err, out)
		}
		return out
	}
	up()
	api := m.client("http://" + address)
	for _, running := range []bool{true, false} {
		var old string
		for arn := range awaitConnected(t, api, 1) {
			old = arn
		}
		if _, err := api.DeregisterContainerInstance(ctx, &ecs.DeregisterContainerInstanceInput{ContainerInstance: &old, Force: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		if !running {
			if out, err := m.berth("down"); err != nil {
				t.Fatalf("berth down: %v\n%s", err, out)
			}
		}
		out := up()
		if running != strings.Contains(out, "was deregistered") {
			t.Errorf("berth up says:\n%s", out)
		}
		for arn := range awaitConnected(t, api, 1) {
			if arn == old {
				t.Error("a deregistered instance came back")
			}
		}
	}
	if out := up(); !strings.Contains(out, "runs already") {
		t.Errorf("berth up, once more, says:\n%s", out)
	}
}

// TestContainersRemovedBehindItsBack: somebody tidies up with docker rm -f.
func TestContainersRemovedBehindItsBack(t *testing.T) {
	t.Parallel()
	address := listenOn(t)
	m := newMachine(t, "machine", "BERTH_LISTEN="+address)
	if out, err := m.berth("up"); err != nil {
		t.Fatalf("berth up: %v\n%s", err, out)
	}
	api := m.client("http://" + address)
	const family = "removed"
	registerSleeper(t, api, family)
	if _, err := api.CreateService(t.Context(), &ecs.CreateServiceInput{ServiceName: aws.String(family), TaskDefinition: aws.String(family), DesiredCount: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	before := byTask(awaitRunning(t, api, family, family, 3))
	for _, id := range before {
		if out, err := exec.Command("docker", "rm", "-f", id).CombinedOutput(); err != nil {
			t.Fatalf("docker rm: %v\n%s", err, out)
		}
	}
	for task := range before {
		eventuallyOK(t, "the task is stopped", func() error { return expectStatus(t, api, task, "STOPPED") })
	}
	for task := range byTask(awaitRunning(t, api, family, family, 3)) {
		if before[task] != "" {
			t.Errorf("task %s runs without its container", task)
		}
	}
}

func expectStatus(t *testing.T, api *ecs.Client, task, status string) error {
	t.Helper()
	out, err := api.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{task}})
	if err != nil {
		return err
	}
	if len(out.Tasks) != 1 {
		t.Fatalf("task %s is lost", task)
	}
	if got := *out.Tasks[0].LastStatus; got != status {
		return fmt.Errorf("it is %s: %s", got, aws.ToString(out.Tasks[0].StoppedReason))
	}
	return nil
}

func expectSpread(t *testing.T, tasks []types.Task, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for _, task := range tasks {
		got[*task.ContainerInstanceArn]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("tasks by instance: %v, want %v", got, want)
	}
}

func countService(tasks []types.Task, service string) (n int) {
	for _, task := range tasks {
		if aws.ToString(task.Group) == "service:"+service {
			n++
		}
	}
	return n
}

// ownContainers are the containers of the family's tasks on an instance.
func ownContainers(t *testing.T, api *ecs.Client, family, instance string) map[string]string {
	t.Helper()
	tasks, err := runningTasks(t.Context(), api, "", family)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, task := range tasks {
		if *task.ContainerInstanceArn == instance {
			all[*task.TaskArn] = aws.ToString(task.Containers[0].RuntimeId)
		}
	}
	return all
}
