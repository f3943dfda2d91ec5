package e2e

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// overrideFields: what RunTask says instead of the definition.
var overrideFields = []fieldCase{
	{name: "overrides command", edit: func(d *document) {
		d.override(types.ContainerOverride{Name: aws.String("app"), Command: []string{"see", "overridden"}})
	}, check: func(l *lab) { l.equal("arguments", l.see("app").Args, []string{"/app", "see", "overridden"}) }},
	{name: "overrides environment", edit: func(d *document) {
		d.app().Environment = []types.KeyValuePair{pair("A", "definition"), pair("B", "definition")}
		d.override(types.ContainerOverride{Name: aws.String("app"), Environment: []types.KeyValuePair{pair("B", "run"), pair("C", "run")}})
	}, check: func(l *lab) {
		v := l.see("app")
		l.equal("A B C", v.Env["A"]+" "+v.Env["B"]+" "+v.Env["C"], "definition run run")
	}},
	{name: "overrides cpu", edit: func(d *document) {
		d.app().Cpu = 10
		d.override(types.ContainerOverride{Name: aws.String("app"), Cpu: aws.Int32(77)})
	}, check: func(l *lab) { l.shares("app", 77) }},
	{name: "overrides memory", edit: func(d *document) {
		d.override(types.ContainerOverride{Name: aws.String("app"), Memory: aws.Int32(51)})
	}, check: func(l *lab) { l.equal("limit", memoryLimit(l.see("app")), int64(51*mib)) }},
	{name: "overrides memory under maxSwap", edit: func(d *document) {
		d.linux().MaxSwap = aws.Int32(10)
		d.override(types.ContainerOverride{Name: aws.String("app"), Memory: aws.Int32(50)})
	}, check: func(l *lab) {
		l.equal("memory and swap", l.inspect("app").HostConfig.MemorySwap, int64(60*mib))
	}},
	{name: "overrides memoryReservation", edit: func(d *document) {
		d.app().MemoryReservation = aws.Int32(16)
		d.override(types.ContainerOverride{Name: aws.String("app"), MemoryReservation: aws.Int32(21)})
	}, check: func(l *lab) { l.equal("reservation", memoryReservation(l.see("app")), int64(21*mib)) }},
	{name: "overrides of one container of two", edit: func(d *document) {
		d.add("other", "see")
		d.override(types.ContainerOverride{Name: aws.String("other"), Command: []string{"see", "only here"}, Environment: []types.KeyValuePair{pair("ONLY", "here")}})
	}, check: func(l *lab) {
		l.equal("arguments of the other", l.see("other").Args, []string{"/app", "see", "only here"})
		l.equal("arguments of the first", l.see("app").Args, []string{"/app", "see"})
		l.equal("variable of the other", l.see("other").Env["ONLY"], "here")
		l.equal("variable of the first", l.see("app").Env["ONLY"], "")
	}},
	{name: "overrides task cpu", edit: func(d *document) {
		d.Cpu = aws.String("256")
		d.overrides().Cpu = aws.String("192")
	}, check: func(l *lab) { l.taskCPU(0.1875) }},
	{name: "overrides task memory", edit: func(d *document) {
		d.Memory = aws.String("64")
		d.overrides().Memory = aws.String("72")
	}, check: func(l *lab) { l.taskMemory(72) }},
	{name: "overrides of a container that isn't there", edit: func(d *document) {
		d.override(types.ContainerOverride{Name: aws.String("ghost")})
	}, refused: "Override for container named ghost is not a container in the TaskDefinition"},
	{name: "overrides task role", edit: func(d *document) {
		d.overrides().TaskRoleArn = aws.String("arn:aws:iam::123456789012:role/x")
	}, refused: "taskRoleArn"},
	{name: "overrides of StartTask", edit: func(d *document) {}, check: func(l *lab) {
		instances, err := l.cluster.api.ListContainerInstances(l.Context(), &ecs.ListContainerInstancesInput{})
		if err != nil {
			l.Fatal(err)
		}
		out, err := l.cluster.api.StartTask(l.Context(), &ecs.StartTaskInput{
			TaskDefinition: &l.revision, ContainerInstances: instances.ContainerInstanceArns,
			Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("app"), Command: []string{"see", "started"}, Memory: aws.Int32(41)}}},
		})
		if err != nil || len(out.Tasks) != 1 {
			l.Fatal(err, out)
		}
		l.arn = *out.Tasks[0].TaskArn
		l.mine(l.arn)
		l.running()
		v := l.see("app")
		l.equal("arguments", v.Args, []string{"/app", "see", "started"})
		l.equal("limit", memoryLimit(v), int64(41*mib))
	}},
}

// labelFields: what the container is known by.
var labelFields = []fieldCase{
	{name: "dockerLabels", edit: func(d *document) {
		d.app().DockerLabels = map[string]string{"com.example.team": "blue", "empty": ""}
	}, check: func(l *lab) {
		labels := l.inspect("app").Config.Labels
		l.equal("label", labels["com.example.team"], "blue")
		_, there := labels["empty"]
		l.equal("an empty label is there", there, true)
	}},
	{name: "labels of ECS", edit: func(d *document) {
		d.app().DockerLabels = map[string]string{"com.amazonaws.ecs.task-arn": "forged", "mine": "yes"}
	}, check: func(l *lab) {
		labels := l.inspect("app").Config.Labels
		parts := strings.Split(l.revision, ":")
		for label, want := range map[string]string{
			"com.amazonaws.ecs.task-arn": l.arn, "com.amazonaws.ecs.container-name": "app", "com.amazonaws.ecs.cluster": *l.task.ClusterArn,
			"com.amazonaws.ecs.task-definition-family": *l.document.Family, "com.amazonaws.ecs.task-definition-version": parts[len(parts)-1], "mine": "yes",
		} {
			l.equal(label, labels[label], want)
		}
	}},
	{name: "name", edit: func(d *document) { d.app().Name = aws.String("a-name_of-my-own") }, check: func(l *lab) {
		l.equal("label", l.inspect("a-name_of-my-own").Config.Labels["com.amazonaws.ecs.container-name"], "a-name_of-my-own")
		l.see("a-name_of-my-own")
	}},
	{name: "tags", edit: func(d *document) {
		d.Tags = []types.Tag{tag("from", "definition"), tag("both", "definition")}
		d.run.Tags = []types.Tag{tag("both", "run")}
		d.run.PropagateTags = types.PropagateTagsTaskDefinition
		d.run.EnableECSManagedTags = true
	}, check: func(l *lab) {
		got := map[string]string{}
		for _, t := range l.task.Tags {
			got[*t.Key] = *t.Value
		}
		l.equal("tags", got, map[string]string{"from": "definition", "both": "run", "aws:ecs:clusterName": "default"})
	}},
	{name: "group and startedBy", edit: func(d *document) {
		d.run.Group, d.run.StartedBy = aws.String("my-group"), aws.String("somebody")
	}, check: func(l *lab) {
		l.equal("group", aws.ToString(l.task.Group), "my-group")
		l.equal("startedBy", aws.ToString(l.task.StartedBy), "somebody")
	}},
	{name: "count", edit: func(d *document) { d.run.Count = aws.Int32(3) }, check: func(l *lab) {
		l.until("three containers run", func() error {
			out := docker("ps", "-q", "--filter", "label=com.amazonaws.ecs.task-definition-family="+*l.document.Family)
			if n := len(strings.Fields(out.out)); n != 3 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
	}},
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
