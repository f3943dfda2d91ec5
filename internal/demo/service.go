package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/client"
)

// Names of what the demo creates in the cluster `default`.
const (
	Cluster = "default"
	Family  = "sample"
	Service = "sample"
)

// Deploy registers the sample task definition and makes the sample service run count tasks of it. A service that is
// there already is left as it is.
func Deploy(ctx context.Context, c *client.Client, count int) error {
	current, err := client.Call(ctx, c, ecsapi.DescribeServices, &ecsapi.DescribeServicesInput{
		Cluster: ptr(Cluster), Services: []string{Service}})
	if err != nil {
		return err
	}
	for _, s := range current.Services {
		if *s.Status == "ACTIVE" {
			return nil
		}
	}
	td, err := client.Call(ctx, c, ecsapi.RegisterTaskDefinition, taskDefinition())
	if err != nil {
		return fmt.Errorf("registering the sample task definition: %w", err)
	}
	_, err = client.Call(ctx, c, ecsapi.CreateService, &ecsapi.CreateServiceInput{
		Cluster: ptr(Cluster), ServiceName: ptr(Service),
		TaskDefinition: td.TaskDefinition.TaskDefinitionArn,
		DesiredCount:   ptr(int32(count)),
	})
	if err != nil {
		return fmt.Errorf("creating the sample service: %w", err)
	}
	return nil
}

func taskDefinition() *ecsapi.RegisterTaskDefinitionInput {
	return &ecsapi.RegisterTaskDefinitionInput{
		Family: ptr(Family),
		ContainerDefinitions: []ecsapi.ContainerDefinition{{
			Name: ptr("web"), Image: ptr(Image), Memory: ptr(int32(128)), Cpu: ptr(int32(64)), Essential: ptr(true),
			PortMappings: []ecsapi.PortMapping{{ContainerPort: ptr(int32(Port))}}, // a host port of Docker's choice
			Environment:  []ecsapi.KeyValuePair{{Name: ptr("REVISION"), Value: ptr("1")}},
			HealthCheck: &ecsapi.HealthCheck{
				Command:  []string{"CMD", "/berth", "demo", "probe"},
				Interval: ptr(int32(10)), Timeout: ptr(int32(5)), Retries: ptr(int32(3)),
			},
		}},
	}
}

// Endpoint is where one task of the sample service answers.
type Endpoint struct {
	Task string // id
	URL  string // "http://127.0.0.1:32768"
}

// WaitStable polls until the service is stable, as `aws ecs wait services-stable` defines it, and reports each change
// through progress.
func WaitStable(ctx context.Context, c *client.Client, progress func(running, desired int, lastEvent string)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last string
	for {
		out, err := client.Call(ctx, c, ecsapi.DescribeServices, &ecsapi.DescribeServicesInput{
			Cluster: ptr(Cluster), Services: []string{Service}})
		if err != nil {
			return err
		}
		if len(out.Services) != 1 {
			return fmt.Errorf("the service %s is not there", Service)
		}
		s := out.Services[0]
		event := ""
		if len(s.Events) > 0 {
			event = *s.Events[0].Message
		}
		if state := fmt.Sprint(*s.RunningCount, *s.DesiredCount, event); state != last {
			last = state
			progress(int(*s.RunningCount), int(*s.DesiredCount), event)
		}
		if len(s.Deployments) == 1 && *s.RunningCount == *s.DesiredCount {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the service %s is not stable yet: %d of %d tasks are running; its last event: %s",
				Service, *s.RunningCount, *s.DesiredCount, event)
		case <-tick.C:
		}
	}
}

// Endpoints lists where the service's running tasks answer.
func Endpoints(ctx context.Context, c *client.Client) ([]Endpoint, error) {
	list, err := client.Call(ctx, c, ecsapi.ListTasks, &ecsapi.ListTasksInput{Cluster: ptr(Cluster), ServiceName: ptr(Service)})
	if err != nil || len(list.TaskArns) == 0 {
		return nil, err
	}
	tasks, err := client.Call(ctx, c, ecsapi.DescribeTasks, &ecsapi.DescribeTasksInput{Cluster: ptr(Cluster), Tasks: list.TaskArns})
	if err != nil {
		return nil, err
	}
	var all []Endpoint
	for _, t := range tasks.Tasks {
		for _, ct := range t.Containers {
			for _, b := range ct.NetworkBindings {
				all = append(all, Endpoint{Task: *t.TaskArn, URL: fmt.Sprintf("http://127.0.0.1:%d", *b.HostPort)})
			}
		}
	}
	return all, nil
}

func ptr[T any](v T) *T { return &v }
