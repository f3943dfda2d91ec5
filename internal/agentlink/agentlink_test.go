package agentlink

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestTypeNames holds the rule that the wire's names are the types' names.
func TestTypeNames(t *testing.T) {
	for name, construct := range constructors {
		m := construct()
		if got := reflect.TypeOf(m).Elem().Name(); got != name {
			t.Errorf("%s calls itself %q on the wire", got, name)
		}
		frame, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(frame)
		if err != nil || reflect.TypeOf(back) != reflect.TypeOf(m) {
			t.Errorf("%s came back as %T, %v", name, back, err)
		}
	}
	if len(constructors) != 28 {
		t.Errorf("%d message types", len(constructors))
	}
}

// TestRecordedFrames reads what the Amazon agent and its control plane were seen to exchange, and writes it again.
func TestRecordedFrames(t *testing.T) {
	for name, frame := range map[string]string{
		"heartbeat":   `{"type":"HeartbeatMessage","message":{"messageId":"hb-1","healthy":true}}`,
		"hb ack":      `{"type":"HeartbeatAckRequest","message":{"messageId":"hb-1"}}`,
		"ack":         `{"type":"AckRequest","message":{"cluster":"arn:c","containerInstance":"arn:i","messageId":"payload-1"}}`,
		"nack":        `{"type":"NackRequest","message":{"cluster":"arn:c","containerInstance":"arn:i","messageId":"upd-1","reason":"Updates are disabled"}}`,
		"creds ack":   `{"type":"IAMRoleCredentialsAckRequest","message":{"messageId":"p","credentialsId":"cred-exec-1","expiration":"2026-11-22T07:00:00Z"}}`,
		"manifest":    `{"type":"TaskManifestMessage","message":{"messageId":"man-2","clusterArn":"arn:c","containerInstanceArn":"arn:i","generatedAt":1790000003000,"timeline":5,"tasks":[]}}`,
		"verify":      `{"type":"TaskStopVerificationMessage","message":{"messageId":"man-2","stopCandidates":[{"taskArn":"arn:t","taskClusterArn":"arn:c","desiredStatus":"STOPPED"}]}}`,
		"verify ack":  `{"type":"TaskStopVerificationAck","message":{"messageId":"man-2","generatedAt":1790000004000,"stopTasks":[{"taskArn":"arn:t","taskClusterArn":"arn:c","desiredStatus":"STOPPED"}]}}`,
		"tcs ack":     `{"type":"AckPublishMetric","message":{"message":"ok"}}`,
		"idle":        `{"type":"PublishMetricsRequest","message":{"metadata":{"cluster":"default","containerInstance":"arn:i","messageId":"u","idle":true,"fin":true},"timestamp":1795310439.489}}`,
		"health":      `{"type":"PublishHealthRequest","message":{"metadata":{"cluster":"default","containerInstance":"arn:i","messageId":"u","fin":true},"tasks":[{"taskArn":"arn:t","taskDefinitionFamily":"probe","taskDefinitionVersion":"3","containers":[{"containerName":"app","healthStatus":"UNKNOWN","statusSince":1795310499.48}]}],"timestamp":1795310499.48}}`,
		"status":      `{"type":"PublishInstanceStatusRequest","message":{"metadata":{"cluster":"default","containerInstance":"arn:i","requestId":"u"},"statuses":[{"type":"ContainerRuntime","status":"INITIALIZING","lastUpdated":1795310439.476,"lastStatusChange":1795310439.476}],"timestamp":1795310459.49}}`,
		"tcs health":  `{"type":"HeartbeatMessage","message":{"healthy":true}}`,
		"credentials": `{"type":"IAMRoleCredentialsMessage","message":{"messageId":"creds-1","taskArn":"arn:t","taskClusterArn":"arn:c","roleType":"TaskApplication","roleCredentials":{"credentialsId":"cred-task-1","roleArn":"arn:r","accessKeyId":"a","secretAccessKey":"s","sessionToken":"t","expiration":"2026-11-22T13:00:00Z"}}}`,
	} {
		m, err := Decode([]byte(frame))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := Encode(m)
		if err != nil || string(again) != frame {
			t.Errorf("%s:\n got %s\nwant %s", name, again, frame)
		}
	}
	var unknown *UnknownTypeError
	if _, err := Decode([]byte(`{"type":"BogusMessage","message":{}}`)); !errors.As(err, &unknown) || unknown.Type != "BogusMessage" {
		t.Errorf("unknown type: %v", err)
	}
}

func TestPayloadKeepsSoundTasks(t *testing.T) {
	m, err := Decode([]byte(`{"type":"PayloadMessage","message":{"messageId":"p","clusterArn":"c","containerInstanceArn":"i","seqNum":7,"tasks":[
		{"arn":"a","desiredStatus":"RUNNING","version":"3","cpu":0.25,"memory":128,"overrides":"{}","containers":[{"name":"app","image":"x","essential":true,
			"overrides":{"command":["y"]},"environment":{"K":"v"},"dockerConfig":{"config":"{}","hostConfig":"{}"},"unknown":1}]},
		{"arn":"b","desiredStatus":"RUNNING","containers":[{"name":"app","image":"x"}],"volumes":[{"name":"v","type":"weird"}]},
		{"arn":"c","desiredStatus":"NONSENSE"},
		{"arn":"d","desiredStatus":"RUNNING","containers":"nonsense"},
		{"arn":"e","desiredStatus":"STOPPED"},
		{"desiredStatus":"STOPPED"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	p := m.(*PayloadMessage)
	tasks, bad := p.DecodeTasks()
	if len(tasks) != 2 || tasks[0].ARN != "a" || tasks[1].ARN != "e" || *p.SeqNum != 7 {
		t.Fatalf("sound: %+v", tasks)
	}
	if c := tasks[0].Containers[0]; c.Overrides != `{"command":["y"]}` || c.Environment["K"] != "v" || !c.Essential {
		t.Errorf("container: %+v", c)
	}
	var arns []string
	for _, b := range bad {
		arns = append(arns, b.ARN)
	}
	if strings.Join(arns, ",") != "b,c,d," {
		t.Errorf("bad: %v", bad)
	}
	if got := bad[0].Err.Error(); got != `unrecognized volume type: "weird"` {
		t.Errorf("words: %s", got)
	}
}

func TestEncodeTasksRoundTrip(t *testing.T) {
	config := `{"Labels":{"a":"b"}}`
	in := &Task{ARN: "a", DesiredStatus: StatusRunning, Family: "f", Version: "1", CPU: 0.5, Containers: []Container{{Name: "n", Image: "i",
		DockerConfig: &DockerConfig{Config: &config}, DependsOn: []ContainerDependency{{"x", DependHealthy}}}}}
	raw, err := EncodeTasks(in)
	if err != nil {
		t.Fatal(err)
	}
	out, bad := (&PayloadMessage{Tasks: raw}).DecodeTasks()
	if len(bad) > 0 || !reflect.DeepEqual(out[0], in) {
		t.Errorf("%+v %v", out, bad)
	}
}

func TestSignedFrames(t *testing.T) {
	h := http.Header{"Authorization": {"AWS4-HMAC-SHA256 x"}, "Host": {"127.0.0.1:7070"}, "X-Amz-Date": {"20261122T012039Z"}}
	envelope := []byte(`{"type":"AckPublishMetric","message":{}}`)
	frame := EncodeSigned(h, envelope)
	if want := "Authorization: AWS4-HMAC-SHA256 x\r\nHost: 127.0.0.1:7070\r\nX-Amz-Date: 20261122T012039Z\r\n\r\n" + string(envelope); string(frame) != want {
		t.Fatalf("%q", frame)
	}
	got, body, err := SplitSigned(frame)
	if err != nil || !reflect.DeepEqual(got, h) || string(body) != string(envelope) {
		t.Fatalf("%v %q %v", got, body, err)
	}
	if h, body, err := SplitSigned(envelope); err != nil || h != nil || string(body) != string(envelope) {
		t.Errorf("bare: %v %q %v", h, body, err)
	}
	if _, _, err := SplitSigned([]byte("nonsense")); err == nil {
		t.Error("nonsense accepted")
	}
}

func TestSeconds(t *testing.T) {
	at := time.UnixMilli(1795310439489)
	b, err := json.Marshal(At(at))
	if err != nil || string(b) != "1795310439.489" {
		t.Errorf("%s %v", b, err)
	}
	var s Seconds
	if err := json.Unmarshal([]byte("1795310439.489"), &s); err != nil || !s.Equal(at) {
		t.Errorf("%v %v", s, err)
	}
	if err := json.Unmarshal([]byte("null"), &s); err != nil {
		t.Error(err)
	}
}

func TestHandshakes(t *testing.T) {
	a := ACSHandshake{AgentHash: "a8b3e7d3", AgentVersion: "1.105.1", Cluster: "default", ContainerInstanceARN: "arn:i", DockerVersion: "DockerVersion: 20.10.24+dfsg1",
		ProtocolVersion: 2, SeqNum: 1, SendCredentials: true}
	if got := ParseACSHandshake(reparse(t, a.Query())); got != a {
		t.Errorf("%+v", got)
	}
	c := TCSHandshake{AgentHash: "h", AgentVersion: "1.2.3", Cluster: "default", ContainerInstanceARN: "arn:i", DockerVersion: "20.10.24+dfsg1"}
	if got := ParseTCSHandshake(reparse(t, c.Query())); got != c {
		t.Errorf("%+v", got)
	}
}

func reparse(t *testing.T, q url.Values) url.Values {
	t.Helper()
	v, err := url.ParseQuery(q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRefusals(t *testing.T) {
	for body, want := range map[string][2]string{
		string(EncodeRefusal(RefusalInactiveInstance, "gone")): {RefusalInactiveInstance, "gone"},
		`{"type":"InvalidClusterException","message":{"a":1}}`: {"InvalidClusterException", `{"a":1}`},
		`<html>` + strings.Repeat("x", 2*maxRefusalMessage):    {"", unreadableRefusalMessage + "<html>" + strings.Repeat("x", maxRefusalMessage-6)},
		`{"a":"b","c":"d"}`: {"", unreadableRefusalMessage + `{"a":"b","c":"d"}`},
	} {
		if code, message := DecodeRefusal([]byte(body)); code != want[0] || message != want[1] {
			t.Errorf("%.60s: %q %q", body, code, message)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"PayloadMessage","message":{"messageId":"p","tasks":[{"arn":"a","desiredStatus":"RUNNING","containers":[{"overrides":{}}]}]}}`))
	f.Add([]byte("Authorization: x\r\n\r\n{\"type\":\"PublishHealthRequest\",\"message\":{\"timestamp\":1e400}}"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		_, body, err := SplitSigned(frame)
		if err != nil {
			return
		}
		m, err := Decode(body)
		if err != nil {
			return
		}
		if p, ok := m.(*PayloadMessage); ok {
			p.DecodeTasks()
		}
		if _, err := Encode(m); err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
	})
}
