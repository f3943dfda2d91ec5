package operations

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

func TestDescribeContainerInstances(t *testing.T) {
	s := newCluster(t)
	s.put(func(tx *store.Tx) {
		task := func(id, desired, last string, ports ...int) *ecs.Task {
			return &ecs.Task{ID: id, Cluster: "default", ContainerInstance: machineA, DesiredStatus: desired, LastStatus: last,
				Reserved: ecs.Resources{CPU: 100, Memory: 200, Ports: ports, PortsUDP: []int{53}}}
		}
		state.Tasks.Put(tx, task("1", "RUNNING", "RUNNING", 8080))
		state.Tasks.Put(tx, task("2", "RUNNING", "PENDING", 80))
		state.Tasks.Put(tx, task("3", "STOPPED", "RUNNING")) // still holds its room
		state.Tasks.Put(tx, task("4", "STOPPED", "STOPPED", 9999))
	})
	changeInstance(s, machineA, func(ci *ecs.ContainerInstance) {
		ci.Tags = []ecs.Tag{{Key: "a", Value: "b"}}
		ci.AgentHash, ci.DockerVersion = "hash", "DockerVersion: 20.10"
		ci.Health = []ecs.InstanceHealthCheck{{Type: "CONTAINER_RUNTIME", Status: "OK", LastUpdated: testStart}, {Type: "DAEMON", Status: "IMPAIRED"}}
	})
	out := ok(s, s.DescribeContainerInstances, `{"containerInstances":["`+machineA+`","nope"],"include":["TAGS","CONTAINER_INSTANCE_HEALTH"]}`)
	number := func(name string, n int) string {
		return fmt.Sprintf(`{"name":"%s","type":"INTEGER","integerValue":%d,"doubleValue":0,"longValue":0}`, name, n)
	}
	set := func(name, set string) string {
		return fmt.Sprintf(`{"name":"%s","type":"STRINGSET","stringSetValue":[%s],"integerValue":0,"doubleValue":0,"longValue":0}`, name, set)
	}
	wantJSON(t, out, fmt.Sprintf(`{"containerInstances":[{
		"agentConnected":true,"attachments":[],
		"attributes":[{"name":"ecs.availability-zone","value":"a"},{"name":"ecs.cpu-architecture","value":"x86_64"}],
		"containerInstanceArn":"%s","ec2InstanceId":"i-a","pendingTasksCount":1,"runningTasksCount":1,"registeredAt":1772366400,
		"registeredResources":[%s,%s,%s,%s],"remainingResources":[%s,%s,%s,%s],"status":"ACTIVE","version":1,
		"tags":[{"key":"a","value":"b"}],"versionInfo":{"agentHash":"hash","agentVersion":"1.0.0","dockerVersion":"DockerVersion: 20.10"},
		"healthStatus":{"overallStatus":"IMPAIRED","details":[{"type":"CONTAINER_RUNTIME","status":"OK","lastUpdated":1772366400},{"type":"DAEMON","status":"IMPAIRED"}]}}],
		"failures":[{"arn":"arn:aws:ecs:us-east-1:123456789012:container-instance/default/nope","reason":"MISSING"}]}`,
		s.Scope.Instance("default", machineA),
		number("CPU", 1024), number("MEMORY", 1000), set("PORTS", `"22","2375"`), set("PORTS_UDP", ""),
		number("CPU", 724), number("MEMORY", 400), set("PORTS", `"22","80","2375","8080"`), set("PORTS_UDP", `"53"`)))

	got := ok(s, s.DescribeContainerInstances, `{"containerInstances":["`+machineA+`"]}`).ContainerInstances[0]
	if len(got.Tags) != 0 || got.HealthStatus != nil {
		t.Error("what wasn't asked for is shown")
	}
	if h := renderHealth(nil); *h.OverallStatus != "INSUFFICIENT_DATA" {
		t.Errorf("no report is %s", *h.OverallStatus)
	}
	for _, c := range []struct{ input, want string }{
		{`{"containerInstances":[]}`, "ClientException: Container Instances cannot be empty."},
		{`{"containerInstances":[` + strings.Repeat(`"a",`, 100) + `"a"]}`, "InvalidParameterException: Container Instances cannot have more than 100 elements."},
		{`{"containerInstances":["a"],"cluster":"nope"}`, "ClusterNotFoundException: Cluster not found."},
		{`{"containerInstances":["arn:aws:ecs:us-east-1:123456789012:container-instance/other/a"]}`, "InvalidParameterException: Invalid identifier: Identifier is for cluster other. Your cluster is default"},
	} {
		refused(s, s.DescribeContainerInstances, c.input, c.want)
	}
}

func TestListContainerInstances(t *testing.T) {
	s := newCluster(t)
	s.put(func(tx *store.Tx) {
		for id, status := range map[string]string{strings.Repeat("c", 32): ecs.InstanceDraining, strings.Repeat("d", 32): ecs.InstanceInactive} {
			ci := newMachine(id, "c")
			ci.Status = status
			state.Instances.Put(tx, ci)
		}
		state.Tasks.Put(tx, &ecs.Task{ID: "1", Cluster: "default", ContainerInstance: machineB, Group: "service:db", DesiredStatus: "RUNNING", LastStatus: "RUNNING"})
	})
	for input, want := range map[string]string{
		`{}`:                    "a b c",
		`{"status":"ACTIVE"}`:   "a b",
		`{"status":"DRAINING"}`: "c",
		`{"filter":"attribute:ecs.availability-zone in [b, c]"}`:                     "b c",
		`{"filter":"attribute:ecs.availability-zone in [b, c]","status":"DRAINING"}`: "c",
		`{"filter":"task:group == service:db"}`:                                      "b",
		`{"filter":"runningTasksCount == 0"}`:                                        "a c",
		`{"filter":"","maxResults":3}`:                                               "a b c",
	} {
		out := ok(s, s.ListContainerInstances, input)
		var got []string
		for _, a := range out.ContainerInstanceArns {
			got = append(got, arn.Last(a)[:1])
		}
		if strings.Join(got, " ") != want || out.NextToken != nil {
			t.Errorf("%s: %v", input, got)
		}
	}
	first := ok(s, s.ListContainerInstances, `{"maxResults":2}`)
	second := ok(s, s.ListContainerInstances, `{"maxResults":2,"nextToken":"`+*first.NextToken+`"}`)
	if len(first.ContainerInstanceArns) != 2 || len(second.ContainerInstanceArns) != 1 || second.NextToken != nil {
		t.Errorf("pages %v, %v", first.ContainerInstanceArns, second.ContainerInstanceArns)
	}
	refused(s, s.ListContainerInstances, `{"filter":"nonsense"}`, `InvalidParameterException: Invalid expression 'nonsense': unknown subject "nonsense" at position 1.`)
	refused(s, s.ListContainerInstances, `{"cluster":"nope"}`, "ClusterNotFoundException: Cluster not found.")
}

func TestUpdateContainerInstancesState(t *testing.T) {
	s := newCluster(t)
	gone := strings.Repeat("d", 32)
	s.put(func(tx *store.Tx) {
		ci := newMachine(gone, "c")
		ci.Status = ecs.InstanceInactive
		state.Instances.Put(tx, ci)
	})
	out := ok(s, s.UpdateContainerInstancesState, `{"status":"DRAINING","containerInstances":["`+machineA+`","`+gone+`","nope"]}`)
	if len(out.ContainerInstances) != 1 || *out.ContainerInstances[0].Status != "DRAINING" || *out.ContainerInstances[0].Version != 2 {
		t.Errorf("got %+v", out.ContainerInstances)
	}
	wantJSON(t, out.Failures, fmt.Sprintf(`[{"arn":"%s","reason":"INACTIVE"},{"arn":"%s","reason":"MISSING"}]`,
		s.Scope.Instance("default", gone), s.Scope.Instance("default", "nope")))
	if out := ok(s, s.UpdateContainerInstancesState, `{"status":"DRAINING","containerInstances":["`+machineA+`"]}`); *out.ContainerInstances[0].Version != 2 {
		t.Error("the same state again is a change")
	}
	if out := ok(s, s.UpdateContainerInstancesState, `{"status":"ACTIVE","containerInstances":["`+s.Scope.Instance("default", machineA)+`"]}`); *out.ContainerInstances[0].Status != "ACTIVE" {
		t.Error("not ACTIVE again")
	}
	for _, c := range []struct{ input, want string }{
		{`{"status":"DEREGISTERING","containerInstances":["a"]}`, "InvalidParameterException: Container instance status should be one of [ACTIVE, DRAINING]"},
		{`{"status":"ACTIVE","containerInstances":[]}`, "ClientException: Container Instances cannot be empty."},
		{`{"status":"ACTIVE","containerInstances":[` + strings.Repeat(`"a",`, 10) + `"a"]}`, "InvalidParameterException: Container Instances cannot have more than 10 elements."},
		{`{"status":"ACTIVE","containerInstances":["a"],"cluster":"nope"}`, "ClusterNotFoundException: Cluster not found."},
	} {
		refused(s, s.UpdateContainerInstancesState, c.input, c.want)
	}
}

func TestDeregisterContainerInstance(t *testing.T) {
	s := newCluster(t)
	run := ok(s, s.StartTask, `{"taskDefinition":"web","containerInstances":["`+machineA+`"]}`)
	refused(s, s.DeregisterContainerInstance, `{"containerInstance":"`+machineA+`"}`, "InvalidParameterException: Found running tasks on the instance.")
	out := ok(s, s.DeregisterContainerInstance, `{"containerInstance":"`+machineA+`","force":true}`)
	if ci := out.ContainerInstance; *ci.Status != "INACTIVE" || *ci.AgentConnected || *ci.RunningTasksCount != 0 || *ci.PendingTasksCount != 0 {
		t.Errorf("got %+v", ci)
	}
	task := ok(s, s.DescribeTasks, `{"tasks":["`+*run.Tasks[0].TaskArn+`"]}`).Tasks[0]
	if *task.LastStatus != "STOPPED" || *task.DesiredStatus != "STOPPED" || *task.StoppedReason != "Container instance deregistration forced by user" || task.StopCode != nil {
		t.Errorf("the task is %+v", task)
	}
	ok(s, s.DeregisterContainerInstance, `{"containerInstance":"`+s.Scope.Instance("default", machineB)+`"}`)
	if out := ok(s, s.ListContainerInstances, `{}`); len(out.ContainerInstanceArns) != 0 {
		t.Errorf("listed %v", out.ContainerInstanceArns)
	}
	if out := ok(s, s.DescribeContainerInstances, `{"containerInstances":["`+machineB+`"]}`); *out.ContainerInstances[0].Status != "INACTIVE" {
		t.Error("not described any more")
	}
	refused(s, s.DeregisterContainerInstance, `{"containerInstance":"`+machineA+`"}`, "InvalidParameterException: Container instance "+machineA+" is inactive.")
	refused(s, s.DeregisterContainerInstance, `{"containerInstance":"nope"}`, "InvalidParameterException: The referenced container instance was not found.")
}

// A bare id says nothing of the cluster: that of another cluster's task or instance is as good as missing.
func TestIdsOfAnotherCluster(t *testing.T) {
	s := newCluster(t)
	task := arn.Last(*ok(s, s.RunTask, `{"taskDefinition":"web"}`).Tasks[0].TaskArn)
	s.put(func(tx *store.Tx) { state.Clusters.Put(tx, &ecs.Cluster{Name: "other", Status: ecs.ClusterActive}) })
	wantJSON(t, ok(s, s.DescribeTasks, `{"cluster":"other","tasks":["`+task+`"]}`),
		`{"tasks":[],"failures":[{"arn":"`+s.Scope.Task("other", task)+`","reason":"MISSING"}]}`)
	wantJSON(t, ok(s, s.DescribeContainerInstances, `{"cluster":"other","containerInstances":["`+machineA+`"]}`),
		`{"containerInstances":[],"failures":[{"arn":"`+s.Scope.Instance("other", machineA)+`","reason":"MISSING"}]}`)
	refused(s, s.StopTask, `{"cluster":"other","task":"`+task+`"}`, "InvalidParameterException: The referenced task was not found.")
	refused(s, s.DeregisterContainerInstance, `{"cluster":"other","containerInstance":"`+machineA+`"}`, "InvalidParameterException: The referenced container instance was not found.")
}
