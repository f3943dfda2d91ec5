package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/client"
)

func (a *app) statusCommand() *cobra.Command {
	return a.withJSON(a.common(&cobra.Command{
		Use: "status", GroupID: "cluster", Short: "Show clusters, container instances, services and tasks at a glance", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := survey(cmd.Context(), c)
			if err != nil {
				return a.explain(err)
			}
			if a.json {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(all)
			}
			a.printStatus(all)
			return nil
		},
	}))
}

// clusterStatus is all that status shows of a cluster, in the API's own shapes.
type clusterStatus struct {
	Cluster            ecsapi.Cluster             `json:"cluster"`
	ContainerInstances []ecsapi.ContainerInstance `json:"containerInstances"`
	Services           []ecsapi.Service           `json:"services"`
	Tasks              []ecsapi.Task              `json:"tasks"`
}

// survey reads everything through the public API, page by page.
func survey(ctx context.Context, c *client.Client) ([]clusterStatus, error) {
	clusters, err := client.Call(ctx, c, ecsapi.ListClusters, &ecsapi.ListClustersInput{})
	if err != nil {
		return nil, err
	}
	all := []clusterStatus{}
	for _, ref := range clusters.ClusterArns {
		described, err := client.Call(ctx, c, ecsapi.DescribeClusters, &ecsapi.DescribeClustersInput{Clusters: []string{ref}})
		if err != nil {
			return nil, err
		}
		if len(described.Clusters) == 0 {
			continue // deleted in between
		}
		s := clusterStatus{Cluster: described.Clusters[0], ContainerInstances: []ecsapi.ContainerInstance{}, Services: []ecsapi.Service{}, Tasks: []ecsapi.Task{}}
		err = eachPage(func(token *string) (refs []string, next *string, err error) {
			out, err := client.Call(ctx, c, ecsapi.ListContainerInstances, &ecsapi.ListContainerInstancesInput{Cluster: &ref, NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return out.ContainerInstanceArns, out.NextToken, nil
		}, 100, func(refs []string) error {
			out, err := client.Call(ctx, c, ecsapi.DescribeContainerInstances, &ecsapi.DescribeContainerInstancesInput{Cluster: &ref, ContainerInstances: refs})
			if err == nil {
				s.ContainerInstances = append(s.ContainerInstances, out.ContainerInstances...)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		err = eachPage(func(token *string) (refs []string, next *string, err error) {
			out, err := client.Call(ctx, c, ecsapi.ListServices, &ecsapi.ListServicesInput{Cluster: &ref, NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return out.ServiceArns, out.NextToken, nil
		}, 10, func(refs []string) error {
			out, err := client.Call(ctx, c, ecsapi.DescribeServices, &ecsapi.DescribeServicesInput{Cluster: &ref, Services: refs})
			if err == nil {
				s.Services = append(s.Services, out.Services...)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, desired := range []string{ecsapi.DesiredStatusRunning, ecsapi.DesiredStatusStopped} {
			err = eachPage(func(token *string) (refs []string, next *string, err error) {
				out, err := client.Call(ctx, c, ecsapi.ListTasks, &ecsapi.ListTasksInput{Cluster: &ref, DesiredStatus: &desired, NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.TaskArns, out.NextToken, nil
			}, 100, func(refs []string) error {
				out, err := client.Call(ctx, c, ecsapi.DescribeTasks, &ecsapi.DescribeTasksInput{Cluster: &ref, Tasks: refs})
				if err == nil {
					s.Tasks = append(s.Tasks, out.Tasks...)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// eachPage lists page by page, and describes what it found in batches of at most size.
func eachPage(list func(token *string) ([]string, *string, error), size int, describe func([]string) error) error {
	var token *string
	for {
		refs, next, err := list(token)
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(refs, size) {
			if err := describe(batch); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		token = next
	}
}

func (a *app) printStatus(all []clusterStatus) {
	if len(all) == 0 {
		fmt.Fprintln(a.stdout, "no clusters yet: aws ecs create-cluster, or start an agent")
		return
	}
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		fmt.Fprintf(a.stdout, "CLUSTER %s  %s  %d container instance%s, %d service%s, %d running, %d pending\n",
			*s.Cluster.ClusterName, *s.Cluster.Status,
			len(s.ContainerInstances), plural(len(s.ContainerInstances)), len(s.Services), plural(len(s.Services)),
			*s.Cluster.RunningTasksCount, *s.Cluster.PendingTasksCount)
		a.printInstances(s.ContainerInstances)
		a.printServices(s.Services)
		a.printTasks(s.Tasks)
	}
}

func (a *app) printInstances(instances []ecsapi.ContainerInstance) {
	if len(instances) == 0 {
		return
	}
	t := table{header: []string{"CONTAINER INSTANCE", "STATUS", "AGENT", "CPU FREE", "MEMORY FREE", "RUNNING", "PENDING"}}
	for _, ci := range instances {
		agent := "connected"
		if !*ci.AgentConnected {
			agent = "gone"
		}
		t.add(arn.Last(*ci.ContainerInstanceArn), *ci.Status, agent,
			amount(ci.RemainingResources, ci.RegisteredResources, "CPU", ""), amount(ci.RemainingResources, ci.RegisteredResources, "MEMORY", " MiB"),
			fmt.Sprint(*ci.RunningTasksCount), fmt.Sprint(*ci.PendingTasksCount))
	}
	fmt.Fprintln(a.stdout)
	t.print(a.stdout)
}

// amount says what remains of a resource, "1920 of 2048".
func amount(remaining, registered []ecsapi.Resource, name, unit string) string {
	value := func(all []ecsapi.Resource) int32 {
		for _, r := range all {
			if *r.Name == name && r.IntegerValue != nil {
				return *r.IntegerValue
			}
		}
		return 0
	}
	return fmt.Sprintf("%d of %d%s", value(remaining), value(registered), unit)
}

func (a *app) printServices(services []ecsapi.Service) {
	if len(services) == 0 {
		return
	}
	t := table{header: []string{"SERVICE", "STATUS", "DESIRED", "RUNNING", "PENDING", "TASK DEFINITION", "ROLLOUT", "LAST EVENT"}}
	for _, s := range services {
		rollout, event := "-", "-"
		if len(s.Deployments) > 0 && s.Deployments[0].RolloutState != nil {
			rollout = *s.Deployments[0].RolloutState
		}
		if len(s.Events) > 0 {
			event = strings.TrimPrefix(*s.Events[0].Message, "(service "+*s.ServiceName+") ")
		}
		t.add(*s.ServiceName, *s.Status, fmt.Sprint(*s.DesiredCount), fmt.Sprint(*s.RunningCount), fmt.Sprint(*s.PendingCount),
			arn.Last(*s.TaskDefinition), rollout, event)
	}
	fmt.Fprintln(a.stdout)
	t.print(a.stdout)
}

// stoppedShown is how many stopped tasks a table shows: the newest explain what is going on now, --json has them all.
const stoppedShown = 5

func (a *app) printTasks(tasks []ecsapi.Task) {
	var live, stopped []ecsapi.Task
	for _, t := range tasks {
		if *t.LastStatus == "STOPPED" {
			stopped = append(stopped, t)
		} else {
			live = append(live, t)
		}
	}
	slices.SortFunc(stopped, func(x, y ecsapi.Task) int { return cmp.Compare(y.StoppedAt.UnixMilli(), x.StoppedAt.UnixMilli()) })
	if len(stopped) > stoppedShown {
		stopped = stopped[:stoppedShown]
	}
	if len(live)+len(stopped) == 0 {
		return
	}
	t := table{header: []string{"TASK", "STATUS", "HEALTH", "GROUP", "TASK DEFINITION", "PORTS", "SINCE", "REASON"}}
	for _, task := range append(live, stopped...) {
		since, reason := task.CreatedAt, "-"
		switch {
		case task.StoppedAt != nil:
			since = task.StoppedAt
		case task.StartedAt != nil:
			since = task.StartedAt
		}
		if task.StoppedReason != nil {
			reason = *task.StoppedReason
		}
		status := *task.LastStatus
		if *task.DesiredStatus != status && *task.DesiredStatus == "STOPPED" {
			status += " -> STOPPED"
		}
		health, group := "-", "-"
		if task.HealthStatus != nil {
			health = *task.HealthStatus
		}
		if task.Group != nil {
			group = *task.Group
		}
		t.add(arn.Last(*task.TaskArn), status, health, group, arn.Last(*task.TaskDefinitionArn), ports(task), age(*since), reason)
	}
	fmt.Fprintln(a.stdout)
	t.print(a.stdout)
}

// ports lists what a task publishes, "32768->8080".
func ports(t ecsapi.Task) string {
	var all []string
	for _, c := range t.Containers {
		for _, b := range c.NetworkBindings {
			if b.HostPort != nil && b.ContainerPort != nil {
				all = append(all, fmt.Sprintf("%d->%d", *b.HostPort, *b.ContainerPort))
			}
		}
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ",")
}

// age says how long ago t was, in the largest unit that isn't zero: "12s", "4m", "3h", "2d".
func age(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
