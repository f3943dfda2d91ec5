package operations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

func TestRunTask(t *testing.T) {
	s := newCluster(t)
	out := ok(s, s.RunTask, `{"taskDefinition":"web:1","startedBy":"me","count":1,"tags":[{"key":"a","value":"b"}],
		"placementConstraints":[{"type":"memberOf","expression":"attribute:ecs.availability-zone == a"}],
		"overrides":{"containerOverrides":[{"name":"app","command":["run"],"environment":[{"name":"X","value":"1"}]}]}}`)
	if len(out.Tasks) != 1 {
		t.Fatalf("got %d tasks", len(out.Tasks))
	}
	task := stored(s, state.Tasks)[0]
	taskARN := "arn:aws:ecs:us-east-1:123456789012:task/default/" + task.ID
	wantJSON(t, out, fmt.Sprintf(`{"failures":[],"tasks":[{
		"attachments":[],"attributes":[{"name":"ecs.cpu-architecture","value":"x86_64"}],"availabilityZone":"a",
		"clusterArn":"arn:aws:ecs:us-east-1:123456789012:cluster/default",
		"containerInstanceArn":"arn:aws:ecs:us-east-1:123456789012:container-instance/default/%s",
		"containers":[{"containerArn":"arn:aws:ecs:us-east-1:123456789012:container/default/%s/%s","cpu":"256","memory":"128",
			"healthStatus":"UNKNOWN","image":"app:1","lastStatus":"PENDING","name":"app","networkBindings":[],"networkInterfaces":[],
			"taskArn":"%s"}],
		"cpu":"256","memory":"128","createdAt":1772366401,"desiredStatus":"RUNNING","enableExecuteCommand":false,"group":"family:web",
		"healthStatus":"UNKNOWN","inferenceAccelerators":[],"lastStatus":"PENDING","launchType":"EC2",
		"overrides":{"containerOverrides":[{"name":"app","command":["run"],"environment":[{"name":"X","value":"1"}]}],"inferenceAcceleratorOverrides":[]},
		"startedBy":"me","tags":[{"key":"a","value":"b"}],"taskArn":"%s",
		"taskDefinitionArn":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:1","version":1}]}`,
		machineA, task.ID, task.Containers[0].ID, taskARN, taskARN))
}

func TestRunTaskFillsUpThenFails(t *testing.T) {
	s := newCluster(t)
	// 2 instances of 1024 units: room for 8 tasks of 256.
	out := ok(s, s.RunTask, `{"taskDefinition":"web","count":10}`)
	if len(out.Tasks) != 8 || *out.Tasks[0].TaskDefinitionArn != s.Scope.TaskDefinition("web", 2) {
		t.Fatalf("%d tasks", len(out.Tasks))
	}
	wantJSON(t, out.Failures, fmt.Sprintf(`[
		{"arn":"arn:aws:ecs:us-east-1:123456789012:container-instance/default/%s","reason":"RESOURCE:CPU"},
		{"arn":"arn:aws:ecs:us-east-1:123456789012:container-instance/default/%s","reason":"RESOURCE:CPU"}]`, machineA, machineB))
	on := map[string]int{}
	for _, task := range stored(s, state.Tasks) {
		on[task.ContainerInstance]++
	}
	if on[machineA] != 4 || on[machineB] != 4 {
		t.Errorf("placed %v", on)
	}
	// A task that stops gives its room back.
	changeTask(s, stored(s, state.Tasks)[0].ID, func(t *ecs.Task) { t.LastStatus, t.DesiredStatus = ecs.TaskStopped, ecs.TaskStopped })
	if out := ok(s, s.RunTask, `{"taskDefinition":"web","count":2}`); len(out.Tasks) != 1 || len(out.Failures) != 2 {
		t.Errorf("%d tasks, %d failures", len(out.Tasks), len(out.Failures))
	}
}

func TestRunTaskPlacement(t *testing.T) {
	for _, c := range []struct {
		name, input string
		tasks       int
		failures    []string // reasons, A's first
	}{
		{"ports", `{"taskDefinition":"port","count":3}`, 2, []string{"RESOURCE:PORTS", "RESOURCE:PORTS"}},
		{"distinctInstance", `{"taskDefinition":"web","count":3,"placementConstraints":[{"type":"distinctInstance"}]}`, 2,
			[]string{"DistinctInstance placement constraint unsatisfied.", "DistinctInstance placement constraint unsatisfied."}},
		{"memberOf", `{"taskDefinition":"web","placementConstraints":[{"type":"memberOf","expression":"attribute:ecs.availability-zone == c"}]}`, 0,
			[]string{"MemberOf placement constraint unsatisfied.", "MemberOf placement constraint unsatisfied."}},
		{"overridden size", `{"taskDefinition":"web","overrides":{"memory":"1001"}}`, 0, []string{"RESOURCE:MEMORY", "RESOURCE:MEMORY"}},
		{"external", `{"taskDefinition":"web","launchType":"EXTERNAL"}`, 0, []string{"ATTRIBUTE", "ATTRIBUTE"}},
		{"binpack", `{"taskDefinition":"web","count":4,"placementStrategy":[{"type":"binpack","field":"CPU"}]}`, 4, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newCluster(t)
			out := ok(s, s.RunTask, c.input)
			var reasons []string
			for _, f := range out.Failures {
				reasons = append(reasons, *f.Reason)
			}
			if len(out.Tasks) != c.tasks || !slices.Equal(reasons, c.failures) || len(stored(s, state.Tasks)) != c.tasks {
				t.Errorf("%d tasks, failures %q", len(out.Tasks), reasons)
			}
			if c.name == "binpack" {
				for _, task := range stored(s, state.Tasks) {
					if task.ContainerInstance != stored(s, state.Tasks)[0].ContainerInstance {
						t.Error("not packed on one instance")
					}
				}
			}
		})
	}
	s := newCluster(t)
	s.put(func(tx *store.Tx) { // the definition's own constraint and required attribute bind too
		td := webDefinition(3)
		td.PlacementConstraints = []ecs.PlacementConstraint{{Type: ecs.ConstraintMemberOf, Expression: "attribute:ecs.availability-zone == b"}}
		td.RequiresAttributes = []ecs.Attribute{{Name: "ecs.cpu-architecture", Value: "x86_64"}}
		state.TaskDefinitions.Put(tx, td)
		td = webDefinition(4)
		td.RequiresAttributes = []ecs.Attribute{{Name: "com.amazonaws.ecs.capability.nope"}}
		state.TaskDefinitions.Put(tx, td)
	})
	ok(s, s.RunTask, `{"taskDefinition":"web:3","count":4}`)
	for _, task := range stored(s, state.Tasks) {
		if task.ContainerInstance != machineB {
			t.Error("the definition's constraint doesn't bind")
		}
	}
	if out := ok(s, s.RunTask, `{"taskDefinition":"web:4"}`); len(out.Failures) != 2 || *out.Failures[0].Reason != "ATTRIBUTE" {
		t.Errorf("failures %v", out.Failures)
	}
	changeInstance(s, machineA, func(ci *ecs.ContainerInstance) { ci.AgentConnected = false })
	changeInstance(s, machineB, func(ci *ecs.ContainerInstance) { ci.Status = ecs.InstanceDraining })
	if out := ok(s, s.RunTask, `{"taskDefinition":"web"}`); len(out.Failures) != 1 || *out.Failures[0].Reason != "AGENT" {
		t.Errorf("failures %v", out.Failures)
	}
	changeInstance(s, machineA, func(ci *ecs.ContainerInstance) { ci.Status = ecs.InstanceInactive })
	refused(s, s.RunTask, `{"taskDefinition":"web"}`, "InvalidParameterException: No Container Instances were found in your cluster.")
}

func TestRunTaskRefuses(t *testing.T) {
	s := newCluster(t)
	s.put(func(tx *store.Tx) {
		for revision, change := range map[int]func(*ecs.TaskDefinition){
			10: func(td *ecs.TaskDefinition) { td.Status = ecs.TaskDefinitionInactive },
			11: func(td *ecs.TaskDefinition) { td.NetworkMode = "awsvpc" },
			12: func(td *ecs.TaskDefinition) { td.Compatibilities = []string{"EC2"} },
			13: func(td *ecs.TaskDefinition) {
				td.ContainerDefinitions[0].Secrets = []ecs.Secret{{Name: "S", ValueFrom: "x"}}
			},
			14: func(td *ecs.TaskDefinition) {
				td.ContainerDefinitions[0].MemoryReservation = ptr(64)
				td.PlacementConstraints = slices.Repeat([]ecs.PlacementConstraint{{Type: "memberOf", Expression: "attribute:a exists"}}, 10)
			},
		} {
			td := webDefinition(revision)
			change(td)
			state.TaskDefinitions.Put(tx, td)
		}
		state.Clusters.Put(tx, &ecs.Cluster{Name: "fargate", Status: ecs.ClusterActive, CapacityProviders: []string{"FARGATE"},
			DefaultCapacityProviderStrategy: []ecs.CapacityProviderStrategyItem{{CapacityProvider: "FARGATE"}}})
	})
	const invalid, unsupported = "InvalidParameterException: ", "UnsupportedFeatureException: "
	notYet := func(field string) string {
		return unsupported + "Berth doesn't support " + field + " yet. Leave it out and try again."
	}
	for _, c := range []struct{ input, want string }{
		{`{"taskDefinition":"web","cluster":"nope"}`, "ClusterNotFoundException: Cluster not found."},
		{`{"taskDefinition":"web","cluster":"gone"}`, "ClusterNotFoundException: The referenced cluster was inactive."},
		{`{"taskDefinition":"nope"}`, "ClientException: TaskDefinition not found."},
		{`{"taskDefinition":"web:10"}`, invalid + "TaskDefinition is inactive"},
		{`{"taskDefinition":"web","count":11}`, invalid + "count must be between 1 and 10, but was 11"},
		{`{"taskDefinition":"web","count":0}`, invalid + "count must be between 1 and 10, but was 0"},
		{`{"taskDefinition":"web","clientToken":"` + strings.Repeat("x", 65) + `"}`, invalid + "clientToken must be at most 64 characters in the ASCII range of 33-126."},
		{`{"taskDefinition":"web","startedBy":"a b"}`, invalid + `startedBy must match ^[a-zA-Z0-9\-_/]{0,128}$, but was a b`},
		{`{"taskDefinition":"web","group":"service:web"}`, invalid + "Invalid namespace for group."},
		{`{"taskDefinition":"web","group":"family:other"}`, invalid + "Invalid namespace for group."},
		{`{"taskDefinition":"web","platformVersion":"LATEST"}`, invalid + "The platform version must be null when specifying an EC2 launch type."},
		{`{"taskDefinition":"web","propagateTags":"SERVICE"}`, invalid + "propagateTags SERVICE is not valid for a task that no service starts. Use TASK_DEFINITION or NONE."},
		{`{"taskDefinition":"web","overrides":{"containerOverrides":[{"name":"nope"}]}}`, invalid + "Override for container named nope is not a container in the TaskDefinition."},
		{`{"taskDefinition":"web","overrides":{"containerOverrides":[{"command":["x"]}]}}`, invalid + "Container override name cannot be empty."},
		{`{"taskDefinition":"web","overrides":{"cpu":"lots"}}`, invalid + "Invalid 'cpu' setting for task: lots"},
		{`{"taskDefinition":"web","overrides":{"memory":"0"}}`, invalid + "Invalid 'memory' setting for task: 0"},
		{`{"taskDefinition":"web","overrides":{"containerOverrides":[{"name":"app","cpu":-1}]}}`, invalid + "Invalid setting for container 'app'. cpu, memory and memoryReservation cannot be negative."},
		{`{"taskDefinition":"web:14","overrides":{"containerOverrides":[{"name":"app","memory":63}]}}`, invalid + "Invalid setting for container 'app'. 'memory' (63) must not be less than 'memoryReservation' (64)."},
		{`{"taskDefinition":"web","overrides":{"containerOverrides":[{"name":"app","command":["` + strings.Repeat("x", 8192) + `"]}]}}`, invalid + "Container Overrides length must be at most 8192"},
		{`{"taskDefinition":"web:14","placementConstraints":[{"type":"distinctInstance"}]}`, invalid + "The number of placement constraints cannot exceed 10."},
		{`{"taskDefinition":"web","placementConstraints":[{"type":"memberOf","expression":"stack == a"}]}`, invalid + `Invalid expression 'stack == a': unknown subject "stack" at position 1.`},
		{`{"taskDefinition":"web","placementConstraints":[{"type":"memberOf"}]}`, invalid + "The memberOf placement constraint requires an expression."},
		{`{"taskDefinition":"web","placementConstraints":[{"type":"distinctInstance","expression":"attribute:a exists"}]}`, invalid + "An expression cannot be specified with the distinctInstance placement constraint."},
		{`{"taskDefinition":"web","placementStrategy":[{"type":"binpack","field":"disk"}]}`, invalid + "The field 'disk' is not valid for the binpack placement strategy: use cpu or memory."},
		{`{"taskDefinition":"web","placementStrategy":[{"type":"spread","field":"attribute:"}]}`, invalid + "The field 'attribute:' is not valid for the spread placement strategy: use instanceId, host or attribute:<name>."},
		{`{"taskDefinition":"web","placementStrategy":[{"type":"random","field":"cpu"}]}`, invalid + "A field cannot be specified with the random placement strategy."},
		{`{"taskDefinition":"web","placementStrategy":[{"type":"random"},{"type":"random"},{"type":"random"},{"type":"random"},{"type":"random"},{"type":"random"}]}`, invalid + "The number of placement strategies cannot exceed 5."},
		{`{"taskDefinition":"web:12","launchType":"FARGATE"}`, invalid + "Task definition does not support launch_type FARGATE."},
		{`{"taskDefinition":"web:12","launchType":"EXTERNAL"}`, invalid + "Task definition does not support launch_type EXTERNAL."},
		{`{"taskDefinition":"web","launchType":"EC2","capacityProviderStrategy":[{"capacityProvider":"x"}]}`, invalid + "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."},
		{`{"taskDefinition":"web","capacityProviderStrategy":[{"capacityProvider":"x"}]}`, invalid + "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again."},
		{`{"taskDefinition":"web","cluster":"fargate","capacityProviderStrategy":[{"capacityProvider":"FARGATE"}]}`, notYet("capacityProviderStrategy")},
		{`{"taskDefinition":"web","cluster":"fargate"}`, unsupported + "Berth doesn't support the cluster's defaultCapacityProviderStrategy yet. Give a launchType (EC2 or EXTERNAL) and try again."},
		{`{"taskDefinition":"web:11"}`, invalid + "Network Configuration must be provided when networkMode 'awsvpc' is specified."},
		{`{"taskDefinition":"web:11","networkConfiguration":{"awsvpcConfiguration":{"subnets":[]}}}`, invalid + "subnets can not be empty."},
		{`{"taskDefinition":"web:11","networkConfiguration":{"awsvpcConfiguration":{"subnets":["s"]}}}`, notYet("networkConfiguration")},
		{`{"taskDefinition":"web","networkConfiguration":{"awsvpcConfiguration":{"subnets":["s"]}}}`, invalid + "Network Configuration is not valid for the given networkMode of this task definition."},
		{`{"taskDefinition":"web:13"}`, unsupported + "Berth can't run the task definition web:13 yet: secrets of container 'app' are not supported; use environment."},
		{`{"taskDefinition":"web","enableExecuteCommand":true}`, notYet("enableExecuteCommand")},
		{`{"taskDefinition":"web","volumeConfigurations":[{"name":"v"}]}`, notYet("volumeConfigurations")},
		{`{"taskDefinition":"web","overrides":{"taskRoleArn":"r"}}`, notYet("overrides.taskRoleArn")},
		{`{"taskDefinition":"web","overrides":{"ephemeralStorage":{"sizeInGiB":30}}}`, notYet("overrides.ephemeralStorage")},
		{`{"taskDefinition":"web","overrides":{"inferenceAcceleratorOverrides":[{"deviceName":"d"}]}}`, notYet("overrides.inferenceAcceleratorOverrides")},
		{`{"taskDefinition":"web","overrides":{"containerOverrides":[{"name":"app","environmentFiles":[{"type":"s3","value":"v"}]}]}}`, notYet("overrides.containerOverrides.environmentFiles (container app)")},
		{`{"taskDefinition":"web","overrides":{"containerOverrides":[{"name":"app","resourceRequirements":[{"type":"GPU","value":"1"}]}]}}`, notYet("overrides.containerOverrides.resourceRequirements (container app)")},
	} {
		refused(s, s.RunTask, c.input, c.want)
	}
	if n := len(stored(s, state.Tasks)); n != 0 {
		t.Errorf("%d tasks were started all the same", n)
	}
	ok(s, s.RunTask, `{"taskDefinition":"web","group":"family:web"}`) // what an absent one becomes
}

func TestRunTaskTags(t *testing.T) {
	for input, want := range map[string]string{
		`{"taskDefinition":"web"}`:                                   `[]`,
		`{"taskDefinition":"web","propagateTags":"TASK_DEFINITION"}`: `[{"key":"of","value":"definition"}]`,
		`{"taskDefinition":"web","enableECSManagedTags":true,"tags":[{"key":"of","value":"me"}],"propagateTags":"TASK_DEFINITION"}`: `[{"key":"of","value":"me"},{"key":"aws:ecs:clusterName","value":"default"}]`,
	} {
		s := newCluster(t)
		wantJSON(t, ok(s, s.RunTask, input).Tasks[0].Tags, want)
	}
}

func TestRunTaskIsIdempotentByToken(t *testing.T) {
	s := newCluster(t)
	first := ok(s, s.RunTask, `{"taskDefinition":"web:1","count":2,"clientToken":"t1"}`)
	again := ok(s, s.RunTask, `{"taskDefinition":"web:1","count":2,"clientToken":"t1"}`)
	if !slices.Equal(taskARNs(first.Tasks), taskARNs(again.Tasks)) || len(stored(s, state.Tasks)) != 2 {
		t.Errorf("%d tasks; first %v, again %v", len(stored(s, state.Tasks)), taskARNs(first.Tasks), taskARNs(again.Tasks))
	}
	refused(s, s.RunTask, `{"taskDefinition":"web:1","count":1,"clientToken":"t1"}`,
		"ConflictException: The clientToken was already used for a RunTask request with different parameters.")
	_, err := call(s, s.ctx, s.RunTask, `{"taskDefinition":"web:2","count":2,"clientToken":"t1"}`)
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Details["resourceIds"].([]string)) != 2 {
		t.Errorf("%#v", err)
	}
	ok(s, s.RunTask, `{"taskDefinition":"web:1","count":2,"clientToken":"t2"}`)
	ok(s, s.RunTask, `{"taskDefinition":"web:1"}`)
	ok(s, s.RunTask, `{"taskDefinition":"web:1"}`)
	if n := len(stored(s, state.Tasks)); n != 6 {
		t.Errorf("%d tasks", n)
	}
}

func taskARNs(tasks []ecsapi.Task) (arns []string) {
	for _, t := range tasks {
		arns = append(arns, *t.TaskArn)
	}
	slices.Sort(arns)
	return arns
}

func TestStartTask(t *testing.T) {
	s := newCluster(t)
	s.put(func(tx *store.Tx) {
		gone := newMachine("cccccccccccccccccccccccccccccccc", "c")
		gone.Status = ecs.InstanceInactive
		state.Instances.Put(tx, gone)
		draining := newMachine("dddddddddddddddddddddddddddddddd", "c")
		draining.Status = ecs.InstanceDraining
		state.Instances.Put(tx, draining)
		outside := newMachine("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "c")
		outside.Attributes = append(outside.Attributes, ecs.Attribute{Name: "ecs.capability.external"})
		state.Instances.Put(tx, outside)
	})
	// The same instance twice: its port is taken by the first.
	out := ok(s, s.StartTask, fmt.Sprintf(`{"taskDefinition":"port","containerInstances":["%s","%s","nope","%s","%s","%s","%s"]}`,
		machineA, s.Scope.Instance("default", machineB), strings.Repeat("c", 32), strings.Repeat("d", 32), strings.Repeat("e", 32), machineA))
	if len(out.Tasks) != 3 || *out.Tasks[0].ContainerInstanceArn != s.Scope.Instance("default", machineA) ||
		*out.Tasks[1].ContainerInstanceArn != s.Scope.Instance("default", machineB) || *out.Tasks[2].LaunchType != "EXTERNAL" {
		t.Errorf("tasks %v", taskARNs(out.Tasks))
	}
	wantJSON(t, out.Failures, fmt.Sprintf(`[{"arn":"%s","reason":"MISSING"},{"arn":"%s","reason":"INACTIVE"},
		{"arn":"%s","reason":"DRAINING"},{"arn":"%s","reason":"RESOURCE:PORTS"}]`,
		s.Scope.Instance("default", "nope"), s.Scope.Instance("default", strings.Repeat("c", 32)),
		s.Scope.Instance("default", strings.Repeat("d", 32)), s.Scope.Instance("default", machineA)))

	many := strings.Repeat(`"a",`, 10) + `"a"`
	for _, c := range []struct{ input, want string }{
		{`{"taskDefinition":"web","containerInstances":[]}`, "ClientException: Container Instances cannot be empty."},
		{`{"taskDefinition":"web","containerInstances":[` + many + `]}`, "InvalidParameterException: Container Instances cannot have more than 10 elements."},
		{`{"taskDefinition":"nope","containerInstances":["a"]}`, "ClientException: TaskDefinition not found."},
		{`{"taskDefinition":"web","containerInstances":["a"],"propagateTags":"SERVICE"}`, "InvalidParameterException: propagateTags SERVICE is not valid for a task that no service starts. Use TASK_DEFINITION or NONE."},
		{`{"taskDefinition":"web","containerInstances":["a"],"enableExecuteCommand":true}`, "UnsupportedFeatureException: Berth doesn't support enableExecuteCommand yet. Leave it out and try again."},
		{`{"taskDefinition":"web","containerInstances":["arn:aws:ecs:us-east-1:123456789012:container-instance/other/a"]}`, "InvalidParameterException: Invalid identifier: Identifier is for cluster other. Your cluster is default"},
		{`{"taskDefinition":"web","containerInstances":["arn:aws:ecs:us-east-1:123456789012:task/default/a"]}`, "InvalidParameterException: Unsupported resource type: task"},
		{`{"taskDefinition":"web","containerInstances":["arn:nonsense"]}`, "InvalidParameterException: Invalid identifier: arn:nonsense"},
	} {
		refused(s, s.StartTask, c.input, c.want)
	}
}

func TestStopTask(t *testing.T) {
	s := newCluster(t)
	run := ok(s, s.RunTask, `{"taskDefinition":"web","tags":[{"key":"a","value":"b"}]}`)
	id := stored(s, state.Tasks)[0].ID
	for _, ref := range []string{id, *run.Tasks[0].TaskArn, "arn:aws:ecs:us-east-1:123456789012:task/" + id} {
		out := ok(s, s.StopTask, `{"task":"`+ref+`"}`)
		if *out.Task.DesiredStatus != "STOPPED" || *out.Task.LastStatus != "PENDING" || *out.Task.StopCode != "UserInitiated" ||
			*out.Task.StoppedReason != "Task stopped by user" || *out.Task.Version != 2 || len(out.Task.Tags) != 0 {
			t.Errorf("%s: %+v", ref, out.Task)
		}
	}
	ok(s, s.StopTask, `{"task":"`+id+`","reason":"too late"}`)
	if got := stored(s, state.Tasks)[0].StoppedReason; got != "Task stopped by user" {
		t.Errorf("a second request changed the reason to %s", got)
	}
	other := ok(s, s.RunTask, `{"taskDefinition":"web"}`)
	if out := ok(s, s.StopTask, `{"task":"`+*other.Tasks[0].TaskArn+`","reason":"enough"}`); *out.Task.StoppedReason != "enough" {
		t.Errorf("reason %s", *out.Task.StoppedReason)
	}
	for _, c := range []struct{ input, want string }{
		{`{"task":"nope"}`, "InvalidParameterException: The referenced task was not found."},
		{`{"task":"arn:aws:ecs:eu-west-1:123456789012:task/default/` + id + `"}`, "InvalidParameterException: The referenced task was not found."},
		{`{"task":"` + id + `","cluster":"nope"}`, "ClusterNotFoundException: Cluster not found."},
		{`{"task":"` + id + `","reason":"` + strings.Repeat("x", 1025) + `"}`, "InvalidParameterException: reason must be at most 1024 characters."},
		{`{"task":"arn:aws:ecs:us-east-1:123456789012:task/other/x"}`, "InvalidParameterException: Invalid identifier: Identifier is for cluster other. Your cluster is default"},
	} {
		refused(s, s.StopTask, c.input, c.want)
	}
}

func TestDescribeTasks(t *testing.T) {
	s := newCluster(t)
	ok(s, s.RunTask, `{"taskDefinition":"web","tags":[{"key":"a","value":"b"}]}`)
	id := stored(s, state.Tasks)[0].ID
	other := arn.NewID()
	out := ok(s, s.DescribeTasks, fmt.Sprintf(`{"tasks":["%s","%s","%s","nope"]}`, id, s.Scope.Task("default", id), s.Scope.Task("default", other)))
	if len(out.Tasks) != 2 || len(out.Tasks[0].Tags) != 0 || out.Tasks[0].Connectivity != nil {
		t.Errorf("got %+v", out.Tasks)
	}
	wantJSON(t, out.Failures, fmt.Sprintf(`[{"arn":"%s","reason":"MISSING"},{"arn":"%s","reason":"MISSING"}]`,
		s.Scope.Task("default", other), s.Scope.Task("default", "nope")))

	changeTask(s, id, func(t *ecs.Task) {
		t.LastStatus, t.ConnectivityAt, t.StartedAt = ecs.TaskRunning, testStart, testStart
		t.Containers = []ecs.Container{{ID: "c", Name: "app", LastStatus: "RUNNING", RuntimeID: "r", ExitCode: ptr(0), Reason: "why",
			NetworkBindings: []ecs.NetworkBinding{{BindIP: "0.0.0.0", ContainerPort: 80, HostPort: 32768, Protocol: "tcp"}}}}
	})
	got := ok(s, s.DescribeTasks, `{"tasks":["`+id+`"],"include":["TAGS"]}`).Tasks[0]
	wantJSON(t, got.Tags, `[{"key":"a","value":"b"}]`)
	wantJSON(t, got.Containers[0].NetworkBindings, `[{"bindIP":"0.0.0.0","containerPort":80,"hostPort":32768,"protocol":"tcp"}]`)
	if *got.Connectivity != "CONNECTED" || *got.Containers[0].ExitCode != 0 || *got.Containers[0].RuntimeId != "r" || *got.Containers[0].Reason != "why" || !got.StartedAt.Equal(testStart) {
		t.Errorf("got %+v", got)
	}
	changeInstance(s, stored(s, state.Tasks)[0].ContainerInstance, func(ci *ecs.ContainerInstance) { ci.AgentConnected = false })
	if got := ok(s, s.DescribeTasks, `{"tasks":["`+id+`"]}`).Tasks[0]; *got.Connectivity != "DISCONNECTED" {
		t.Errorf("connectivity %s", *got.Connectivity)
	}
	for _, c := range []struct{ input, want string }{
		{`{"tasks":[]}`, "InvalidParameterException: Tasks cannot be empty."},
		{`{"tasks":[` + strings.Repeat(`"a",`, 100) + `"a"]}`, "InvalidParameterException: Tasks cannot have more than 100 elements."},
		{`{"tasks":["a"],"cluster":"gone"}`, "ClusterNotFoundException: The referenced cluster was inactive."},
		{`{"tasks":["arn:aws:ecs:us-east-1:123456789012:task/other/x"]}`, "InvalidParameterException: Invalid identifier: Identifier is for cluster other. Your cluster is default"},
	} {
		refused(s, s.DescribeTasks, c.input, c.want)
	}
}

func TestListTasks(t *testing.T) {
	s := newCluster(t)
	s.put(func(tx *store.Tx) {
		state.Services.Put(tx, &ecs.Service{Name: "shop", Cluster: "default", Status: ecs.ServiceActive})
		for _, task := range []*ecs.Task{
			{ID: "1", Service: "shop", StartedBy: "ecs-svc/1", ContainerInstance: machineA, DesiredStatus: "RUNNING", LastStatus: "RUNNING"},
			{ID: "2", Service: "shop", StartedBy: "ecs-svc/1", ContainerInstance: machineB, DesiredStatus: "STOPPED", LastStatus: "STOPPED"},
			{ID: "3", StartedBy: "me", ContainerInstance: machineA, DesiredStatus: "RUNNING", LastStatus: "PENDING"},
			{ID: "4", StartedBy: "me", ContainerInstance: machineA, DesiredStatus: "STOPPED", LastStatus: "RUNNING"},
			{ID: "5", ContainerInstance: machineB, DesiredStatus: "RUNNING", LastStatus: "RUNNING", LaunchType: "EXTERNAL",
				TaskDefinition: ecs.TaskDefinitionID{Family: "batch", Revision: 1}},
			{ID: "6", Cluster: "other", DesiredStatus: "RUNNING", LastStatus: "RUNNING"},
		} {
			if task.Cluster == "" {
				task.Cluster = "default"
			}
			if task.LaunchType == "" {
				task.LaunchType = "EC2"
			}
			if task.TaskDefinition.Family == "" {
				task.TaskDefinition = ecs.TaskDefinitionID{Family: "web", Revision: 1}
			}
			state.Tasks.Put(tx, task)
		}
	})
	for input, want := range map[string]string{
		`{}`:                          "1 3 5",
		`{"desiredStatus":"STOPPED"}`: "2 4",
		`{"desiredStatus":"PENDING"}`: "",
		`{"serviceName":"shop"}`:      "1",
		`{"serviceName":"arn:aws:ecs:us-east-1:123456789012:service/default/shop"}`: "1",
		`{"serviceName":"shop","desiredStatus":"STOPPED"}`:                          "2",
		`{"family":"web"}`:                         "1 3",
		`{"family":"we"}`:                          "",
		`{"family":"web","count":1}`:               "1 3",
		`{"launchType":"EXTERNAL"}`:                "5",
		`{"launchType":"EC2"}`:                     "1 3",
		`{"containerInstance":"` + machineA + `"}`: "1 3",
		`{"containerInstance":"` + machineB + `","desiredStatus":"STOPPED"}`:           "2",
		`{"containerInstance":"` + machineA + `","family":"web","serviceName":"shop"}`: "1",
		`{"startedBy":"me"}`:                            "3",
		`{"startedBy":"me","desiredStatus":"STOPPED"}`:  "4",
		`{"startedBy":"ecs-svc/1","cluster":"default"}`: "1",
		`{"startedBy":"m"}`:                             "",
	} {
		out := ok(s, s.ListTasks, input)
		var ids []string
		for _, a := range out.TaskArns {
			ids = append(ids, arn.Last(a))
		}
		if got := strings.Join(ids, " "); got != want || out.NextToken != nil || out.TaskArns == nil {
			t.Errorf("%s: got %s, want %s", input, got, want)
		}
	}
	first := ok(s, s.ListTasks, `{"maxResults":2}`)
	second := ok(s, s.ListTasks, `{"maxResults":2,"nextToken":"`+*first.NextToken+`"}`)
	if arn.Last(first.TaskArns[1]) != "3" || len(second.TaskArns) != 1 || arn.Last(second.TaskArns[0]) != "5" || second.NextToken != nil {
		t.Errorf("pages %v, %v", first.TaskArns, second.TaskArns)
	}
	for _, c := range []struct{ input, want string }{
		{`{"startedBy":"me","family":"web"}`, "InvalidParameterException: startedBy cannot be used together with other filters."},
		{`{"startedBy":"me","serviceName":"shop"}`, "InvalidParameterException: startedBy cannot be used together with other filters."},
		{`{"startedBy":"me","launchType":"EC2"}`, "InvalidParameterException: startedBy cannot be used together with other filters."},
		{`{"startedBy":"me","containerInstance":"x"}`, "InvalidParameterException: startedBy cannot be used together with other filters."},
		{`{"serviceName":"nope"}`, "ServiceNotFoundException: Service not found."},
		{`{"containerInstance":"nope"}`, "InvalidParameterException: The referenced container instance was not found."},
		{`{"cluster":"nope"}`, "ClusterNotFoundException: Cluster not found."},
		{`{"nextToken":"nonsense"}`, "InvalidParameterException: Invalid token"},
		{`{"maxResults":101}`, "InvalidParameterException: maxResults should be between 1 and 100"},
		{`{"daemonName":"d"}`, "UnsupportedFeatureException: Berth doesn't support daemonName yet. Leave it out and try again."},
	} {
		refused(s, s.ListTasks, c.input, c.want)
	}
}

// BenchmarkDescribeTasks describes 100 tasks out of 10,000.
func BenchmarkDescribeTasks(b *testing.B) {
	s, ids := tenThousand(b)
	in := &ecsapi.DescribeTasksInput{Tasks: ids[:100]}
	for b.Loop() {
		if out, err := s.DescribeTasks(s.ctx, in); err != nil || len(out.Tasks) != 100 {
			b.Fatal(err)
		}
	}
}

// BenchmarkRunTask places one task where 10,000 run on 100 instances.
func BenchmarkRunTask(b *testing.B) {
	s, _ := tenThousand(b)
	for b.Loop() {
		if out := ok(s, s.RunTask, `{"taskDefinition":"web"}`); len(out.Tasks) != 1 {
			b.Fatal(out.Failures)
		}
	}
}

func tenThousand(b *testing.B) (*testService, []string) {
	s := newCluster(b)
	var ids []string
	for i := range 100 {
		s.put(func(tx *store.Tx) {
			ci := newMachine(fmt.Sprintf("%032d", i), "a")
			ci.Resources = ecs.Resources{CPU: 1 << 30, Memory: 1 << 30}
			state.Instances.Put(tx, ci)
			for range 100 {
				task := ecs.NewTask(ecs.Launch{ID: arn.NewID(), Cluster: "default", Definition: webDefinition(1), Now: testStart}).On(ci)
				state.Tasks.Put(tx, task)
				ids = append(ids, task.ID)
			}
		})
	}
	return s, ids
}
