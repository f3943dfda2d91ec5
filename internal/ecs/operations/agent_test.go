package operations

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// registration is what the stock agent sends, but for the attributes' number; more goes in front.
func registration(more string) string {
	return `{` + more + `"cluster":"default","instanceIdentityDocument":"","instanceIdentityDocumentSignature":"",
	 "attributes":[{"name":"stack","value":"probe"},{"name":"ecs.capability.full-sync"},{"name":"ecs.os-type","value":"linux"}],
	 "totalResources":[{"integerValue":2048,"name":"CPU","type":"INTEGER"},{"integerValue":24105,"name":"MEMORY","type":"INTEGER"},
	  {"name":"PORTS","stringSetValue":["51678","22"],"type":"STRINGSET"},{"name":"PORTS_UDP","stringSetValue":[],"type":"STRINGSET"}]}`
}

func agentService(t *testing.T) *testService {
	s := newTestService(t)
	s.put(func(tx *store.Tx) {
		state.Clusters.Put(tx, &ecs.Cluster{Name: "default", Status: ecs.ClusterActive})
		state.Clusters.Put(tx, &ecs.Cluster{Name: "old", Status: ecs.ClusterInactive})
	})
	return s
}

func (s *testService) instances() (all []ecs.ContainerInstance) {
	s.t.Helper()
	if err := s.Store.View(func(r store.Reader) error {
		for ci := range state.Instances.All(r) {
			all = append(all, *ci)
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return all
}

func (s *testService) theTask() (task ecs.Task) {
	s.t.Helper()
	if err := s.Store.View(func(r store.Reader) error {
		for t := range state.Tasks.All(r) {
			task = *t
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return task
}

// attributes writes an answer's attributes as "name=value".
func attributes(ci *ecsapi.ContainerInstance) string {
	var all []string
	for _, a := range ci.Attributes {
		all = append(all, deref(a.Name)+"="+deref(a.Value))
	}
	return strings.Join(all, " ")
}

func TestRegisterContainerInstance(t *testing.T) {
	s := agentService(t)
	out := ok(s, s.RegisterContainerInstance, registration(`"clientToken":"t1","tags":[{"key":"k","value":"v"}],`)).ContainerInstance
	if got, want := attributes(out), "stack=probe ecs.capability.full-sync= ecs.os-type=linux ecs.availability-zone=us-east-1a"; got != want {
		t.Errorf("attributes %s\nwant %s: agents stop for good when one of theirs is missing", got, want)
	}
	ci := s.instances()[0]
	if deref(out.ContainerInstanceArn) != testScope.Instance("default", ci.ID) || len(ci.ID) != 32 || deref(out.Status) != "ACTIVE" || deref(out.Version) != 1 {
		t.Errorf("answer: %+v", out)
	}
	if ci.Resources.CPU != 2048 || ci.Resources.Memory != 24105 || fmt.Sprint(ci.Resources.Ports, ci.Resources.PortsUDP) != "[22 51678] []" ||
		ci.RegisteredAt.IsZero() || ci.AgentConnected || len(ci.Tags) != 1 {
		t.Errorf("record: %+v", ci)
	}

	// The answer got lost: the same token finds the same instance, and changes nothing.
	again := ok(s, s.RegisterContainerInstance, registration(`"clientToken":"t1",`)).ContainerInstance
	if d := cmp.Diff(s.instances(), []ecs.ContainerInstance{ci}); d != "" || deref(again.ContainerInstanceArn) != deref(out.ContainerInstanceArn) {
		t.Errorf("the second attempt changed something:\n%s", d)
	}
	ok(s, s.RegisterContainerInstance, registration(`"clientToken":"t2",`))
	ok(s, s.RegisterContainerInstance, registration(""))
	if n := len(s.instances()); n != 3 {
		t.Errorf("%d instances, want 3", n)
	}
}

func TestReRegistration(t *testing.T) {
	s := agentService(t)
	arn := deref(ok(s, s.RegisterContainerInstance, registration("")).ContainerInstance.ContainerInstanceArn)
	ok(s, s.PutAttributes, `{"cluster":"default","attributes":[{"name":"rack","value":"7","targetId":"`+arn+`"}]}`)
	s.put(func(tx *store.Tx) { // a session is there, and it drains
		next := s.instances()[0]
		next.Status, next.AgentConnected, next.Session = ecs.InstanceDraining, true, "s"
		state.Instances.Put(tx, &next)
	})
	before := s.instances()[0]

	// A restarted agent leaves its custom attributes out; a new version of it lacks a capability and has another.
	in := `{"containerInstanceArn":"` + arn + `","attributes":[{"name":"ecs.os-type","value":"linux"},{"name":"ecs.capability.new"}],
	 "totalResources":[{"longValue":4096,"name":"CPU","type":"LONG"},{"doubleValue":1000,"name":"MEMORY","type":"DOUBLE"}],
	 "versionInfo":{"agentVersion":"2"},
	 "instanceIdentityDocument":"{\"instanceId\":\"i-1\",\"availabilityZone\":\"us-east-1c\",\"instanceType\":\"m5.large\",\"imageId\":\"ami-1\"}"}`
	out := ok(s, s.RegisterContainerInstance, in).ContainerInstance
	if got, want := attributes(out), "ecs.os-type=linux ecs.capability.new= ecs.availability-zone=us-east-1c ecs.instance-type=m5.large ecs.ami-id=ami-1 stack=probe rack=7"; got != want {
		t.Errorf("attributes %s\nwant %s", got, want)
	}
	ci := s.instances()[0]
	if ci.Resources.CPU != 4096 || ci.Resources.Memory != 1000 || ci.EC2InstanceID != "i-1" || ci.AgentVersion != "2" || ci.Version != before.Version+1 {
		t.Errorf("record: %+v", ci)
	}
	if ci.ID != before.ID || ci.Status != ecs.InstanceDraining || !ci.AgentConnected || ci.Session != "s" || !ci.RegisteredAt.Equal(before.RegisteredAt) {
		t.Errorf("what isn't the registration's was changed: %+v", ci)
	}
	ok(s, s.RegisterContainerInstance, in)
	if got := s.instances()[0].Version; got != ci.Version {
		t.Errorf("the same registration again made version %d of %d", got, ci.Version)
	}
}

func TestRegistrationRefusals(t *testing.T) {
	s := agentService(t)
	arn := deref(ok(s, s.RegisterContainerInstance, registration(`"clientToken":"t",`)).ContainerInstance.ContainerInstanceArn)
	ok(s, s.DeregisterContainerInstance, `{"containerInstance":"`+arn+`"}`)
	refused(s, s.RegisterContainerInstance, registration(`"containerInstanceArn":"`+arn+`",`),
		"InvalidParameterException: The container instance "+arn+" is INACTIVE: it was deregistered. "+
			"To register this machine again, remove the agent's saved state and restart the agent.")
	refused(s, s.RegisterContainerInstance, registration(`"containerInstanceArn":"`+testScope.Instance("default", "nobody")+`",`),
		"InvalidParameterException: The referenced container instance was not found.")
	resources := `"totalResources":[{"name":"CPU","integerValue":1},{"name":"MEMORY","integerValue":1}]`
	refused(s, s.RegisterContainerInstance, `{"cluster":"nowhere",`+resources+`}`, "ClusterNotFoundException: Cluster not found.")
	refused(s, s.RegisterContainerInstance, `{"cluster":"old",`+resources+`}`, "ClusterNotFoundException: The referenced cluster was inactive.")
	refused(s, s.RegisterContainerInstance, `{}`, "InvalidParameterException: totalResources must have CPU and MEMORY, both greater than 0.")
	refused(s, s.RegisterContainerInstance, `{"totalResources":[{"name":"CPU","integerValue":-1}]}`, "InvalidParameterException: Invalid value for the resource CPU: -1")
	refused(s, s.RegisterContainerInstance, `{"totalResources":[{"name":"PORTS","stringSetValue":["ssh"]}]}`, "InvalidParameterException: Invalid port in the resource PORTS: ssh")
	// The token of an instance that was deregistered makes a new one.
	ok(s, s.RegisterContainerInstance, registration(`"clientToken":"t",`))
	if n := len(s.instances()); n != 2 {
		t.Errorf("%d instances, want 2", n)
	}
}

func TestDiscoverPollEndpoint(t *testing.T) {
	s := agentService(t)
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:4566":      "http://127.0.0.1:4566/acs/ http://127.0.0.1:4566/tcs/",
		"https://berth.example.com/": "https://berth.example.com/acs/ https://berth.example.com/tcs/",
		"ws://127.0.0.1":             "",
		"127.0.0.1:4566":             "",
		"http://":                    "",
	} {
		s.Endpoint = func(context.Context) string { return endpoint }
		out, err := s.DiscoverPollEndpoint(s.ctx, &ecsapi.DiscoverPollEndpointInput{})
		switch {
		case err != nil && (want != "" || fault.Code(err) != "ServerException"):
			t.Errorf("%s: %v", endpoint, err)
		case err == nil && deref(out.Endpoint)+" "+deref(out.TelemetryEndpoint) != want:
			t.Errorf("%s: %s %s", endpoint, deref(out.Endpoint), deref(out.TelemetryEndpoint))
		}
	}
}

// reports are the bodies that the stock agent was seen to send for a task of two containers, in their order.
var reports = []string{
	`{"cluster":"default","task":"%s","status":"PENDING","reason":"","containers":[{"containerName":"app","imageDigest":"sha256:1","status":"PENDING"}]}`,
	`{"cluster":"default","containers":[{"containerName":"init","runtimeId":"d1","status":"RUNNING"},
	  {"containerName":"init","exitCode":0,"runtimeId":"d1","status":"STOPPED"},
	  {"containerName":"app","networkBindings":[{"bindIP":"0.0.0.0","containerPort":8080,"hostPort":32768,"protocol":"tcp"}],"runtimeId":"d2","status":"RUNNING"}],
	  "pullStartedAt":1795310480.5,"pullStoppedAt":1795310481,"reason":"","status":"RUNNING","task":"%s"}`,
	`{"cluster":"default","containers":[{"containerName":"app","exitCode":1,"reason":"OutOfMemoryError: x","networkBindings":[{"bindIP":"0.0.0.0","containerPort":8080,"hostPort":32768,"protocol":"tcp"}],
	  "runtimeId":"d2","status":"STOPPED"}],"executionStoppedAt":1795310557.222,"reason":"","status":"STOPPED","task":"%s"}`,
}

func putTask(s *testService) (arn string) {
	s.put(func(tx *store.Tx) {
		state.Tasks.Put(tx, &ecs.Task{ID: "t1", Cluster: "default", ContainerInstance: "ci", DesiredStatus: ecs.TaskRunning,
			LastStatus: ecs.TaskPending, Version: 1, Containers: []ecs.Container{
				{Name: "init", LastStatus: ecs.TaskPending}, {Name: "app", Essential: true, LastStatus: ecs.TaskPending}},
			Attachments: []ecs.Attachment{{ID: "e1", Status: "ATTACHING"}}})
	})
	return testScope.Task("default", "t1")
}

func TestSubmitTaskStateChange(t *testing.T) {
	s := agentService(t)
	arn := putTask(s)
	for i, body := range reports {
		if got := deref(ok(s, s.SubmitTaskStateChange, fmt.Sprintf(body, arn)).Acknowledgment); got == "" {
			t.Error("no acknowledgment")
		}
		before := s.theTask()
		for _, old := range reports[:i+1] { // all over again, late
			ok(s, s.SubmitTaskStateChange, fmt.Sprintf(old, arn))
		}
		if d := cmp.Diff(before, s.theTask()); d != "" {
			t.Errorf("copies of reports 0 to %d changed the task:\n%s", i, d)
		}
	}
	task := s.theTask()
	app := task.Containers[1]
	if task.LastStatus != ecs.TaskStopped || task.StopCode != ecs.StopEssentialContainerExited || task.Version != 4 ||
		task.PullStartedAt.UnixMilli() != 1795310480500 || task.ExecutionStoppedAt.UnixMilli() != 1795310557222 || task.StartedAt.IsZero() {
		t.Errorf("task: %+v", task)
	}
	if app.ImageDigest != "sha256:1" || app.RuntimeID != "d2" || *app.ExitCode != 1 || app.Reason != "OutOfMemoryError: x" ||
		fmt.Sprint(app.NetworkBindings) != "[{0.0.0.0 8080 32768 tcp  }]" {
		t.Errorf("container: %+v", app)
	}
	// What the agent drops, because asking again can't help.
	for body, want := range map[string]string{
		`{"task":"` + testScope.Task("default", "gone") + `","status":"RUNNING"}`: "The referenced task was not found.",
		`{"task":"` + arn + `","cluster":"nowhere","status":"RUNNING"}`:           "Invalid identifier: Identifier is for cluster default. Your cluster is nowhere",
		`{"task":"` + arn + `","status":"FLYING"}`:                                "Invalid status: FLYING",
		`{"task":"` + arn + `","containers":[{"status":"FLYING"}]}`:               "Invalid status: FLYING",
	} {
		refused(s, s.SubmitTaskStateChange, body, "InvalidParameterException: "+want)
	}
}

// TestTaskOfADeletedCluster: the record outlives the cluster for a while, and so may the agent's reports.
func TestTaskOfADeletedCluster(t *testing.T) {
	s := agentService(t)
	arn := putTask(s)
	s.put(func(tx *store.Tx) {
		state.Clusters.Put(tx, &ecs.Cluster{Name: "default", Status: ecs.ClusterInactive})
	})
	ok(s, s.SubmitTaskStateChange, fmt.Sprintf(reports[2], arn))
	if s.theTask().LastStatus != ecs.TaskStopped {
		t.Error("the report was lost")
	}
}

func TestSubmitContainerStateChange(t *testing.T) {
	s := agentService(t)
	arn := putTask(s)
	ok(s, s.SubmitContainerStateChange, `{"cluster":"default","task":"`+arn+`","containerName":"init","status":"STOPPED","exitCode":0,"runtimeId":"d1"}`)
	task := s.theTask()
	if c := task.Containers[0]; c.LastStatus != ecs.TaskStopped || *c.ExitCode != 0 || c.RuntimeID != "d1" || task.LastStatus != ecs.TaskPending {
		t.Errorf("task: %+v", task)
	}
	refused(s, s.SubmitContainerStateChange, `{"task":"`+arn+`","containerName":"init","status":"FLYING"}`, "InvalidParameterException: Invalid status: FLYING")
}

func TestAttachments(t *testing.T) {
	s := agentService(t)
	arn := putTask(s)
	const attachment = "arn:aws:ecs:us-east-1:123456789012:attachment/e1"
	// In a call of their own, with no status of the task.
	ok(s, s.SubmitTaskStateChange, `{"cluster":"default","task":"`+arn+`","attachments":[{"attachmentArn":"`+attachment+`","status":"ATTACHED"}]}`)
	if task := s.theTask(); task.Attachments[0].Status != "ATTACHED" || task.LastStatus != ecs.TaskPending {
		t.Errorf("task: %+v", task)
	}
	ok(s, s.SubmitAttachmentStateChanges, `{"cluster":"default","attachments":[{"attachmentArn":"`+attachment+`","status":"DETACHED"}]}`)
	if task := s.theTask(); task.Attachments[0].Status != "DETACHED" {
		t.Errorf("task: %+v", task)
	}
	refused(s, s.SubmitAttachmentStateChanges, `{"cluster":"default","attachments":[{"attachmentArn":"`+attachment+`2","status":"ATTACHED"}]}`,
		"InvalidParameterException: The referenced attachment was not found.")
}

func TestAgentHandlersAreBound(t *testing.T) {
	var names []string
	for _, h := range new(Service).agentHandlers() {
		names = append(names, h.Operation)
	}
	b, _ := json.Marshal(names)
	const want = `["RegisterContainerInstance","DiscoverPollEndpoint","SubmitTaskStateChange","SubmitContainerStateChange","SubmitAttachmentStateChanges"]`
	if string(b) != want {
		t.Errorf("handlers %s, want %s", b, want)
	}
}
