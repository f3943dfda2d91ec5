package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/agent/runtime/fake"
	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/wire/sigv4"
)

type instance struct {
	t     *testing.T
	cp    *controlPlane
	rt    *fake.Runtime
	cfg   Config
	agent *Agent
	stop  func() error
}

func newInstance(t *testing.T) *instance {
	i := &instance{t: t, cp: newControlPlane(t), rt: fake.New("probe:1")}
	i.cfg = Config{Endpoint: i.cp.srv.URL, Region: "us-east-1", Credentials: sigv4.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"},
		DataDir: t.TempDir(), Runtime: i.rt, Attributes: map[string]string{"stack": "probe"}, Version: "1.2.3", Hash: "abcdef0",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	return i
}

func (i *instance) start() {
	i.t.Helper()
	a, err := New(i.cfg)
	if err != nil {
		i.t.Fatal(err)
	}
	i.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	i.stop = func() error {
		cancel()
		select {
		case err := <-done:
			i.stop = func() error { return nil }
			return err
		case <-time.After(patience):
			return errors.New("the agent doesn't end")
		}
	}
	i.t.Cleanup(func() {
		if err := i.stop(); err != nil {
			i.t.Error(err)
		}
	})
}

// connect starts the agent and returns its sessions.
func (i *instance) connect() (acs, tcs *session) {
	i.t.Helper()
	i.start()
	acs, tcs = i.cp.open(i.cp.acs, "ACS"), i.cp.open(i.cp.tcs, "TCS")
	for range 3 { // one registration, two discoveries
		<-i.cp.calls
	}
	return acs, tcs
}

const taskARN = "arn:aws:ecs:us-east-1:123456789012:task/default/11111111111111111111111111111111"

func payload(id string, seq int, tasks ...any) map[string]any {
	return map[string]any{"clusterArn": clusterARN, "containerInstanceArn": instanceARN, "generatedAt": 1790000000000,
		"messageId": id, "seqNum": seq, "tasks": tasks}
}

// appTask is a task in the shape of the live run.
func appTask() map[string]any {
	return map[string]any{"arn": taskARN, "desiredStatus": "RUNNING", "family": "probe", "version": "3", "taskClusterArn": clusterARN,
		"cpu": 0.25, "memory": 128, "overrides": "{}", "containers": []any{map[string]any{
			"name": "app", "image": "probe:1", "essential": true, "cpu": 64, "memory": 64, "command": []string{"serve"},
			"environment": map[string]string{"FOO": "bar"}, "overrides": "{}", "healthCheckType": "docker",
			"portMappings": []any{map[string]any{"containerPort": 8080, "hostPort": 0, "protocol": "tcp"}},
			"dockerConfig": map[string]any{"version": "1.21", "config": `{"Healthcheck": {"Test": ["CMD", "/app", "exit", "0"]}}`,
				"hostConfig": `{"NetworkMode": "bridge", "CapAdd": [], "MemoryReservation": 33554432}`}}}}
}

func TestRegistration(t *testing.T) {
	i := newInstance(t)
	i.start()
	in := i.cp.expectCall("RegisterContainerInstance")
	if in["cluster"] != cluster || in["containerInstanceArn"] != nil || in["clientToken"] == nil || in["instanceIdentityDocument"] != "" {
		t.Errorf("registration: %v", in)
	}
	attributes := map[string]any{}
	for _, a := range in["attributes"].([]any) {
		m := a.(map[string]any)
		attributes[m["name"].(string)] = m["value"]
	}
	for name, value := range map[string]any{"stack": "probe", "ecs.os-type": "linux", "ecs.availability-zone": "us-east-1a", "ecs.os-family": "LINUX",
		"ecs.capability.container-ordering": nil, "com.amazonaws.ecs.capability.logging-driver.json-file": nil,
		"com.amazonaws.ecs.capability.docker-remote-api.1.18": nil} {
		if got, ok := attributes[name]; !ok || got != value {
			t.Errorf("attribute %s is %v (there: %v), want %v", name, got, ok, value)
		}
	}
	resources, _ := json.Marshal(in["totalResources"])
	if want := `[{"integerValue":4096,"name":"CPU","type":"INTEGER"},{"integerValue":8192,"name":"MEMORY","type":"INTEGER"},` +
		`{"name":"PORTS","stringSetValue":["22","2375","2376","51678","51679"],"type":"STRINGSET"},{"name":"PORTS_UDP","stringSetValue":[],"type":"STRINGSET"}]`; string(resources) != want {
		t.Errorf("resources: %s", resources)
	}
	acs := i.cp.open(i.cp.acs, "ACS")
	for k, v := range map[string]string{"agentVersion": "1.2.3", "agentHash": "abcdef0", "clusterArn": "default", "containerInstanceArn": instanceARN,
		"dockerVersion": "DockerVersion: 20.10.24", "protocolVersion": "2", "seqNum": "1", "sendCredentials": "true"} {
		if acs.query[k] != v {
			t.Errorf("ACS query %s = %q, want %q", k, acs.query[k], v)
		}
	}
	if !strings.Contains(acs.auth, "SignedHeaders=host;x-amz-date") {
		t.Errorf("ACS signature: %q", acs.auth)
	}
	tcs := i.cp.open(i.cp.tcs, "TCS")
	if tcs.query["cluster"] != "default" || tcs.query["containerInstance"] != instanceARN || tcs.query["dockerVersion"] != "20.10.24" {
		t.Errorf("TCS query: %v", tcs.query)
	}

	// The next process registers the same instance again, without the custom attributes.
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	for len(i.cp.calls) > 0 {
		<-i.cp.calls
	}
	i.start()
	in = i.cp.expectCall("RegisterContainerInstance")
	b, _ := json.Marshal(in["attributes"])
	if in["containerInstanceArn"] != instanceARN || strings.Contains(string(b), "stack") {
		t.Errorf("second registration: %v", in)
	}
}

func TestRegistrationIsNotRepeatedUnderAnotherToken(t *testing.T) {
	i := newInstance(t)
	i.cp.script(func(op string, _ map[string]any) (int, any) {
		return 500, map[string]any{"__type": "ServerException", "message": "the answer got lost"}
	})
	i.start()
	first := i.cp.expectCall("RegisterContainerInstance")
	if err := i.stop(); err != nil { // dies without knowing whether it is registered
		t.Fatal(err)
	}
	for len(i.cp.calls) > 0 {
		<-i.cp.calls
	}
	i.cp.script(nil)
	i.start()
	second := i.cp.expectCall("RegisterContainerInstance")
	if first["clientToken"] != second["clientToken"] {
		t.Errorf("tokens %v and %v: there may be two instances now", first["clientToken"], second["clientToken"])
	}
}

func TestDefaultClusterIsCreated(t *testing.T) {
	i := newInstance(t)
	created := false
	i.cp.script(func(op string, _ map[string]any) (int, any) {
		switch {
		case op == "CreateCluster":
			created = true
		case op == "RegisterContainerInstance" && !created:
			return 400, map[string]any{"__type": "ClusterNotFoundException", "message": "Cluster not found."}
		}
		return 0, nil
	})
	i.start()
	i.cp.expectCall("RegisterContainerInstance")
	if in := i.cp.expectCall("CreateCluster"); in["clusterName"] != "default" {
		t.Errorf("CreateCluster: %v", in)
	}
	i.cp.expectCall("RegisterContainerInstance")
	i.cp.open(i.cp.acs, "ACS")
}

func TestRefusedRegistrationEndsTheAgent(t *testing.T) {
	i := newInstance(t)
	i.cp.script(func(string, map[string]any) (int, any) {
		return 400, map[string]any{"__type": "ClientException", "message": "container instance is INACTIVE"}
	})
	a, err := New(i.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "INACTIVE") {
		t.Fatalf("Run: %v", err)
	}
}

func TestTaskFromPayloadToStop(t *testing.T) {
	i := newInstance(t)
	acs, tcs := i.connect()
	acs.send("PayloadMessage", payload("p1", 1, appTask()))
	if ack := acs.next("AckRequest"); ack["messageId"] != "p1" || ack["cluster"] != clusterARN || ack["containerInstance"] != instanceARN {
		t.Fatalf("ack: %v", ack)
	}
	change := i.cp.expectCall("SubmitTaskStateChange")
	if got, _ := json.Marshal(change["containers"]); change["status"] != "RUNNING" || change["task"] != taskARN || change["reason"] != "" || change["cluster"] != "default" ||
		!strings.Contains(string(got), `"networkBindings":[{"bindIP":"0.0.0.0","containerPort":8080,"hostPort":32768,"protocol":"tcp"}]`) ||
		!strings.Contains(string(got), `"containerName":"app"`) || !strings.Contains(string(got), `"runtimeId":"fake`) {
		t.Fatalf("change: %v", change)
	}

	// A change of health is told at once, not with the next tick.
	var name string
	for n := range i.rt.States() {
		name = n
	}
	if !strings.HasPrefix(name, "ecs-probe-3-app-") || len(name) != len("ecs-probe-3-app-")+20 {
		t.Errorf("container name: %s", name)
	}
	for name := range i.rt.States() {
		i.rt.SetHealth(name, runtime.Healthy)
	}
	for deadline := time.Now().Add(patience); ; {
		b, _ := json.Marshal(tcs.next("PublishHealthRequest"))
		if strings.Contains(string(b), `"containerName":"app","healthStatus":"HEALTHY"`) && strings.Contains(string(b), taskARN) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("health not published")
		}
	}

	acs.send("PayloadMessage", payload("p1", 1, appTask())) // again: acknowledged again, not run again
	if ack := acs.next("AckRequest"); ack["messageId"] != "p1" {
		t.Fatalf("ack: %v", ack)
	}
	acs.send("PayloadMessage", payload("p2", 2, map[string]any{"arn": taskARN, "desiredStatus": "STOPPED", "family": "probe", "version": "3"}))
	if ack := acs.next("AckRequest"); ack["messageId"] != "p2" {
		t.Fatalf("ack: %v", ack)
	}
	change = i.cp.expectCall("SubmitTaskStateChange")
	container := change["containers"].([]any)[0].(map[string]any)
	if change["status"] != "STOPPED" || change["executionStoppedAt"] == nil || container["exitCode"] != 0.0 || container["status"] != "STOPPED" {
		t.Fatalf("change: %v", change)
	}
	if at := change["executionStoppedAt"].(float64); at < 1e9 || at > 1e10 {
		t.Errorf("executionStoppedAt isn't in seconds: %v", at)
	}
	if n := i.rt.Created(name); n != 1 {
		t.Errorf("created %d times", n)
	}
}

func TestMessagesThatAreNotUnderstood(t *testing.T) {
	i := newInstance(t)
	acs, _ := i.connect()
	acs.send("BogusMessage", map[string]any{})
	acs.send("PayloadMessage", map[string]any{"messageId": "no-cluster", "tasks": []any{}})
	acs.send("PerformUpdateMessage", map[string]any{"messageId": "u1", "clusterArn": clusterARN, "containerInstanceArn": instanceARN})
	if nack := acs.next("NackRequest"); nack["messageId"] != "u1" || nack["reason"] != "Updates are disabled" {
		t.Errorf("nack: %v", nack)
	}
	bad := appTask()
	bad["volumes"] = []any{map[string]any{"name": "v", "type": "weird"}}
	acs.send("PayloadMessage", payload("bad", 1, bad))
	change := i.cp.expectCall("SubmitTaskStateChange")
	if change["status"] != "STOPPED" || change["reason"] != `UnrecogniedTaskError: Error loading task - unrecognized volume type: "weird"` {
		t.Errorf("change: %v", change)
	}
	acs.send("HeartbeatMessage", map[string]any{"messageId": "hb", "healthy": true})
	if ack := acs.next("HeartbeatAckRequest"); ack["messageId"] != "hb" { // and no ack of "bad" or "no-cluster" before it
		t.Errorf("heartbeat ack: %v", ack)
	}
	if len(acs.frames) != 0 {
		t.Errorf("more frames: %s", <-acs.frames)
	}
}

func TestManifest(t *testing.T) {
	i := newInstance(t)
	acs, _ := i.connect()
	acs.send("PayloadMessage", payload("p1", 4, appTask()))
	acs.next("AckRequest")
	i.cp.expectCall("SubmitTaskStateChange")

	manifest := func(id string, timeline int, tasks ...any) {
		acs.send("TaskManifestMessage", map[string]any{"messageId": id, "clusterArn": clusterARN, "containerInstanceArn": instanceARN,
			"timeline": timeline, "tasks": tasks})
	}
	manifest("old", 4)
	manifest("listed", 5, map[string]any{"taskArn": taskARN, "desiredStatus": "RUNNING"})
	if ack := acs.next("AckRequest"); ack["messageId"] != "listed" {
		t.Fatalf("ack: %v", ack)
	}
	manifest("missing", 6)
	if ack := acs.next("AckRequest"); ack["messageId"] != "missing" {
		t.Fatalf("ack: %v", ack)
	}
	verify := acs.next("TaskStopVerificationMessage")
	if b, _ := json.Marshal(verify); string(b) != `{"messageId":"missing","stopCandidates":[{"desiredStatus":"STOPPED","taskArn":"`+taskARN+`","taskClusterArn":"`+clusterARN+`"}]}` {
		t.Fatalf("verification: %s", b)
	}
	stop := map[string]any{"messageId": "another", "stopTasks": []any{map[string]any{"taskArn": taskARN, "desiredStatus": "STOPPED"}}}
	acs.send("TaskStopVerificationAck", stop)
	acs.send("HeartbeatMessage", map[string]any{"messageId": "hb"})
	acs.next("HeartbeatAckRequest")
	if task := i.agent.engine.Task(taskARN); task.Desired != agentlink.StatusRunning {
		t.Fatal("stopped for another manifest")
	}
	stop["messageId"] = "missing"
	acs.send("TaskStopVerificationAck", stop)
	if change := i.cp.expectCall("SubmitTaskStateChange"); change["status"] != "STOPPED" {
		t.Fatalf("change: %v", change)
	}

	// The counter survives the process.
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i.start()
	acs = i.cp.open(i.cp.acs, "ACS")
	manifest("stale", 6)
	manifest("fresh", 7)
	if ack := acs.next("AckRequest"); ack["messageId"] != "fresh" {
		t.Fatalf("ack: %v", ack)
	}
}

func TestReconnect(t *testing.T) {
	i := newInstance(t)
	acs, tcs := i.connect()
	if acs.query["sendCredentials"] != "true" {
		t.Error("a new process has no credentials")
	}
	acs.ws.Close()
	tcs.ws.Close()
	acs = i.cp.open(i.cp.acs, "ACS")
	if acs.query["sendCredentials"] != "false" {
		t.Error("asks for credentials again")
	}
	tcs = i.cp.open(i.cp.tcs, "TCS")
	tcs.next("PublishMetricsRequest")
}

func TestTelemetry(t *testing.T) {
	i := newInstance(t)
	_, tcs := i.connect()
	select {
	case frame := <-tcs.frames:
		header, body, err := agentlink.SplitSigned([]byte(frame))
		if err != nil || !strings.HasPrefix(header.Get("Authorization"), "AWS4-HMAC-SHA256 ") || header.Get("Host") == "" || header.Get("X-Amz-Date") == "" {
			t.Fatalf("frame %q: %v %v", frame, header, err)
		}
		if !strings.Contains(string(body), `"type":"PublishInstanceStatusRequest"`) {
			t.Errorf("first frame: %s", body)
		}
	case <-time.After(patience):
		t.Fatal("no frame")
	}
	idle, _ := json.Marshal(tcs.next("PublishMetricsRequest")["metadata"])
	if !strings.Contains(string(idle), `"idle":true`) || !strings.Contains(string(idle), `"fin":true`) {
		t.Errorf("idle: %s", idle)
	}
	i.rt.SetDown(true)
	for deadline := time.Now().Add(patience); ; {
		b, _ := json.Marshal(tcs.next("PublishInstanceStatusRequest")["statuses"])
		if strings.Contains(string(b), "IMPAIRED") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a runtime that went away isn't told")
		}
	}
	i.rt.SetDown(false)
	for deadline := time.Now().Add(patience); ; {
		b, _ := json.Marshal(tcs.next("PublishInstanceStatusRequest")["statuses"])
		if strings.Contains(string(b), `"OK"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a runtime that came back isn't told")
		}
	}
}

func TestDeregisteredInstanceStopsTrying(t *testing.T) {
	i := newInstance(t)
	acs, tcs := i.connect()
	tries := make(chan string, 100)
	i.cp.refuse(func(path string) (int, string) {
		tries <- path
		return 400, `{"InactiveInstanceException":"gone"}`
	})
	acs.ws.Close()
	for {
		select {
		case path := <-tries:
			if path != "/acs/ws" {
				continue
			}
		case <-time.After(patience):
			t.Fatal("doesn't try")
		}
		break
	}
	select {
	case <-tcs.closed: // telemetry of an instance that isn't one any more
	case <-time.After(patience):
		t.Fatal("the TCS session goes on")
	}
	deadline := time.After(1500 * time.Millisecond) // far above the reconnect backoff's first steps
	for {
		select {
		case path := <-tries:
			if path == "/acs/ws" {
				t.Fatal("tries again at once")
			}
			continue
		case <-deadline:
		}
		break
	}
}

func TestServerAwayAtFirst(t *testing.T) {
	i := newInstance(t)
	i.cp.script(func(string, map[string]any) (int, any) { return 503, map[string]any{"message": "starting"} })
	i.start()
	i.cp.expectCall("RegisterContainerInstance")
	i.cp.script(nil)
	i.cp.open(i.cp.acs, "ACS")
}

func TestDataDirectoryOfAnotherCluster(t *testing.T) {
	i := newInstance(t)
	i.connect()
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i.cfg.Cluster = "other"
	a, err := New(i.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `cluster "default"`) {
		t.Fatalf("Run: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	m := newMetrics(nil)
	at := time.Unix(1000, 0)
	s := runtime.Stats{At: at, CPU: time.Second, Memory: 10 << 20, NetworkSeen: true, Rx: runtime.Traffic{Bytes: 1000}}
	m.add("c", s)
	s.At, s.CPU, s.Memory, s.Rx.Bytes = at.Add(10*time.Second), 3*time.Second, 20<<20, 6000
	m.add("c", s)
	x := m.series["c"]
	if *x.cpu != (agentlink.StatsSet{Min: 20, Max: 20, SampleCount: 1, Sum: 20}) { // 2 s of CPU in 10 s: 20 % of a core
		t.Errorf("cpu: %+v", *x.cpu)
	}
	if *x.memory != (agentlink.StatsSet{Min: 10, Max: 20, SampleCount: 2, Sum: 30}) {
		t.Errorf("memory: %+v", *x.memory)
	}
	if x.rxRate.Sum != 500 || x.rx.bytes.Sum != 7000 || x.rx.bytes.SampleCount != 2 {
		t.Errorf("network: %+v %+v", *x.rxRate, *x.rx.bytes)
	}
	s.At, s.CPU, s.Rx.Bytes = at.Add(20*time.Second), time.Second, 10 // restarted: counters at zero again
	m.add("c", s)
	if x.cpu.SampleCount != 1 || x.rxRate.SampleCount != 1 {
		t.Errorf("a restart gave a rate: %+v %+v", *x.cpu, *x.rxRate)
	}
}
