package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

// TestConcurrency has many clients want the same thing, or opposite things, at the same moment.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	address := listenOn(t)
	m := newMachine(t, "machine", "BERTH_LISTEN="+address)
	if out, err := m.berth("up"); err != nil {
		t.Fatalf("berth up: %v\n%s", err, out)
	}
	api := m.client("http://" + address)
	const family = "concurrency"

	// One family, 20 registrations: 20 revisions.
	var mu sync.Mutex
	var revisions []int32
	together(20, func(n int) {
		out, err := api.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: aws.String(family), ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("app"), Image: aws.String(testImage), Command: []string{"sleep"}, Memory: aws.Int32(16), Cpu: 8}}})
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		revisions = append(revisions, out.TaskDefinition.Revision)
	})
	slices.Sort(revisions)
	if len(revisions) != 20 || revisions[0] != 1 || revisions[19] != 20 || len(slices.Compact(slices.Clone(revisions))) != 20 {
		t.Fatalf("revisions %v", revisions)
	}

	// One client token, 20 calls: one set of tasks, and every call learns which.
	sets := map[string]bool{}
	var tasks []string
	together(20, func(int) {
		out, err := api.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String(family + ":1"), Count: aws.Int32(3), ClientToken: aws.String("once")})
		var conflict *types.ConflictException
		if errors.As(err, &conflict) {
			return // AWS's answer while the first call is under way
		}
		if err != nil || len(out.Failures) > 0 {
			t.Error(err, out)
			return
		}
		arns := taskARNs(out.Tasks)
		slices.Sort(arns)
		mu.Lock()
		defer mu.Unlock()
		sets[strings.Join(arns, " ")], tasks = true, arns
	})
	if len(sets) != 1 || len(tasks) != 3 {
		t.Fatalf("one client token has started %v", sets)
	}
	for _, task := range tasks {
		eventuallyOK(t, "the tasks run", func() error { return expectStatus(t, api, task, "RUNNING") })
	}
	if n := len(containers(t, family)); n != 3 {
		t.Errorf("%d containers for 3 tasks", n)
	}
	// With the token, but for something else, it is a conflict.
	_, err := api.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String(family + ":2"), Count: aws.Int32(3), ClientToken: aws.String("once")})
	var conflict *types.ConflictException
	if !errors.As(err, &conflict) {
		t.Errorf("the same token for another task definition: %v", err)
	}

	// A storm of StopTask: the first reason stays, and every task ends once.
	for i := range tasks {
		if _, err := api.StopTask(ctx, &ecs.StopTaskInput{Task: &tasks[i], Reason: aws.String("the first")}); err != nil {
			t.Fatal(err)
		}
	}
	together(30, func(n int) {
		if _, err := api.StopTask(ctx, &ecs.StopTaskInput{Task: &tasks[n%3], Reason: aws.String(fmt.Sprintf("storm %d", n))}); err != nil {
			t.Error(err)
		}
	})
	for _, task := range tasks {
		eventuallyOK(t, "the tasks are stopped", func() error { return expectStatus(t, api, task, "STOPPED") })
	}
	out, err := api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: tasks})
	if err != nil || len(out.Tasks) != 3 {
		t.Fatal(err, out)
	}
	for _, task := range out.Tasks {
		if got := aws.ToString(task.StoppedReason); got != "the first" || task.StopCode != types.TaskStopCodeUserInitiated {
			t.Errorf("stopped because of %q (%s)", got, task.StopCode)
		}
		if code := aws.ToInt32(task.Containers[0].ExitCode); code != 7 {
			t.Errorf("exit code %d: it wasn't a graceful stop", code)
		}
	}

	// One service name, ten creations: one service.
	created := 0
	together(10, func(n int) {
		_, err := api.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String(family), TaskDefinition: aws.String(family + ":1"), DesiredCount: aws.Int32(4),
			ClientToken:             aws.String(fmt.Sprint(n)),
			DeploymentConfiguration: &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(50), MaximumPercent: aws.Int32(150)}})
		mu.Lock()
		defer mu.Unlock()
		var refused smithy.APIError
		switch {
		case err == nil:
			created++
		case !errors.As(err, &refused) || refused.ErrorCode() != "InvalidParameterException":
			t.Error(err)
		}
	})
	if created != 1 {
		t.Errorf("the service was created %d times", created)
	}

	// A storm of updates in the middle of the rollout. The last one wins.
	together(24, func(n int) {
		_, err := api.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String(family), TaskDefinition: aws.String(fmt.Sprintf("%s:%d", family, 1+n%5)),
			DesiredCount: aws.Int32(int32(2 + n%4)), ForceNewDeployment: n%3 == 0})
		if err != nil {
			t.Error(err)
		}
	})
	if _, err := api.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String(family), TaskDefinition: aws.String(family + ":6"), DesiredCount: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	for _, task := range awaitRunning(t, api, family, family, 3) {
		if !strings.HasSuffix(*task.TaskDefinitionArn, family+":6") {
			t.Errorf("%s runs %s", *task.TaskArn, *task.TaskDefinitionArn)
		}
	}
	eventuallyOK(t, "nothing else runs", func() error {
		if n := len(containers(t, family)); n != 3 {
			return fmt.Errorf("%d containers for 3 tasks", n)
		}
		return nil
	})

	// Deleted in the middle of a rollout: nothing is left.
	if _, err := api.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String(family), TaskDefinition: aws.String(family + ":7"), DesiredCount: aws.Int32(6)}); err != nil {
		t.Fatal(err)
	}
	together(5, func(n int) {
		_, err := api.DeleteService(ctx, &ecs.DeleteServiceInput{Service: aws.String(family), Force: aws.Bool(true)})
		var gone *types.ServiceNotActiveException
		var missing *types.ServiceNotFoundException
		if err != nil && !errors.As(err, &gone) && !errors.As(err, &missing) {
			t.Error(err)
		}
	})
	eventuallyOK(t, "the service is gone, and all of its tasks", func() error {
		out, err := api.DescribeServices(ctx, &ecs.DescribeServicesInput{Services: []string{family}})
		if err != nil {
			return err
		}
		if s := out.Services[0]; *s.Status != "INACTIVE" || s.RunningCount+s.PendingCount+s.DesiredCount != 0 {
			return fmt.Errorf("%s, %d running, %d pending", *s.Status, s.RunningCount, s.PendingCount)
		}
		if n := len(containers(t, family)); n != 0 {
			return fmt.Errorf("%d containers run", n)
		}
		return nil
	})

	// The cluster is deleted while tasks start: the instance is deregistered by force first, as it must be.
	var instance string
	for arn := range awaitConnected(t, api, 1) {
		instance = arn
	}
	if _, err := api.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("default")}); err == nil {
		t.Error("a cluster with an instance was deleted")
	}
	together(8, func(n int) {
		var err error
		switch n {
		case 4:
			_, err = api.DeregisterContainerInstance(ctx, &ecs.DeregisterContainerInstanceInput{ContainerInstance: &instance, Force: aws.Bool(true)})
		case 5:
			eventuallyOK(t, "the cluster is deleted", func() error {
				_, err := api.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("default")})
				return err
			})
		default:
			_, err = api.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String(family + ":1"), Count: aws.Int32(2)})
			var refused smithy.APIError
			if errors.As(err, &refused) && refused.ErrorFault() != smithy.FaultServer {
				err = nil // there is no instance any more, or no cluster
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	if _, err := api.ListTasks(ctx, &ecs.ListTasksInput{}); err == nil {
		t.Error("the cluster is still there")
	}
	// berth up makes it anew, and cleans up what nobody wants.
	if out, err := m.berth("up"); err != nil {
		t.Fatalf("berth up: %v\n%s", err, out)
	}
	awaitConnected(t, api, 1)
	eventuallyOK(t, "no container is left", func() error {
		if all := containers(t, family); len(all) != 0 {
			return fmt.Errorf("%v", all)
		}
		return nil
	})
	list, err := api.ListTasks(ctx, &ecs.ListTasksInput{})
	if err != nil || len(list.TaskArns) != 0 {
		t.Errorf("tasks in the new cluster: %v %v", list, err)
	}
}

// together calls f n times, all at once, and waits for all.
func together(n int, f func(n int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

func taskARNs(tasks []types.Task) (arns []string) {
	for _, task := range tasks {
		arns = append(arns, *task.TaskArn)
	}
	return arns
}
