package wire_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire"
)

func ecsRequest(method, target string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	return r
}

func TestRoute(t *testing.T) {
	p := wire.NewAWSJSON(&ecsapi.API)
	for _, op := range ecsapi.API.Operations {
		got, err := p.Route(ecsRequest("POST", "AmazonEC2ContainerServiceV20141113."+op))
		if err != nil || got != op {
			t.Errorf("%s: got %q, %v", op, got, err)
		}
	}
	for _, c := range []struct{ method, target string }{
		{"POST", ""},
		{"POST", "RunTask"},
		{"POST", "AmazonEC2ContainerServiceV20141113."},
		{"POST", "AmazonEC2ContainerServiceV20141113.RunTasks"},
		{"POST", "AmazonEC2ContainerServiceV20141113.runTask"},
		{"POST", "AmazonEC2ContainerServiceV20150101.RunTask"},
		{"GET", "AmazonEC2ContainerServiceV20141113.RunTask"},
	} {
		if op, err := p.Route(ecsRequest(c.method, c.target)); fault.Code(err) != "UnknownOperationException" {
			t.Errorf("%s %q: got %q, %v", c.method, c.target, op, err)
		}
	}
}

func TestDecode(t *testing.T) {
	p := wire.NewAWSJSON(&ecsapi.API)
	r := ecsRequest("POST", "")

	var run ecsapi.RunTaskInput
	if err := p.Decode(r, []byte(`{"taskDefinition":"web:1","count":2}`), &run); err != nil || *run.TaskDefinition != "web:1" || *run.Count != 2 {
		t.Errorf("got %+v, %v", run, err)
	}
	if err := p.Decode(r, []byte(`{"taskDefinition":1}`), new(ecsapi.RunTaskInput)); fault.Code(err) != "SerializationException" {
		t.Errorf("wrong type: %v", err)
	}
	if err := p.Decode(r, []byte(`{}`), new(ecsapi.RunTaskInput)); fault.Code(err) != "InvalidParameterException" {
		t.Errorf("the input isn't validated: %v", err)
	}
	if err := p.Decode(r, nil, new(ecsapi.ListClustersInput)); err != nil {
		t.Errorf("an empty body: %v", err)
	}
	var f *fault.Error
	if err := p.Decode(r, nil, new(int)); !errors.As(err, &f) || f.Kind != fault.Server {
		t.Errorf("not a generated input: %v", err)
	}

	r.Header.Set("Content-Encoding", "gzip")
	if err := p.Decode(r, []byte(`{}`), new(ecsapi.ListClustersInput)); fault.Code(err) != "SerializationException" {
		t.Errorf("not gzip: %v", err)
	}
	bomb := gzipped(t, []byte(strings.Repeat(" ", 17<<20)+"{}"))
	if err := p.Decode(r, bomb, new(ecsapi.ListClustersInput)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%d bytes that become 17 MiB: %v", len(bomb), err)
	}
}

func TestEncode(t *testing.T) {
	p := wire.NewAWSJSON(&ecsapi.API)
	name, n := "web", int32(0)
	for _, c := range []struct {
		name string
		out  any
		want string
	}{
		{"output", &ecsapi.DescribeClustersOutput{Clusters: []ecsapi.Cluster{{ClusterName: &name, RunningTasksCount: &n}}},
			`{"clusters":[{"clusterName":"web","runningTasksCount":0}]}`},
		{"empty list", &ecsapi.DescribeClustersOutput{Failures: []ecsapi.Failure{}}, `{"failures":[]}`},
		{"empty output", &ecsapi.DescribeClustersOutput{}, `{}`},
		{"nil", nil, `{}`},
		{"nil output", (*ecsapi.DescribeClustersOutput)(nil), `{}`},
	} {
		w := httptest.NewRecorder()
		p.Encode(w, c.out)
		if w.Code != 200 || w.Body.String() != c.want || w.Header().Get("Content-Type") != "application/x-amz-json-1.1" {
			t.Errorf("%s: got %d %s %v", c.name, w.Code, w.Body, w.Header())
		}
	}
	w := httptest.NewRecorder()
	if p.Encode(w, 1); w.Code != 500 {
		t.Errorf("not a generated output: got %d %s", w.Code, w.Body)
	}
}

func TestFault(t *testing.T) {
	p := wire.NewAWSJSON(&ecsapi.API)
	conflict := fault.New(ecsapi.ErrConflict, "taken by \"another\"")
	conflict.Details = map[string]any{"resourceIds": []string{"a", "b"}, "extra": map[string]int{"n": 1}}
	for _, c := range []struct {
		f      *fault.Error
		status int
		want   string
	}{
		{fault.New(ecsapi.ErrClusterNotFound, "Cluster not found."), 400,
			`{"__type":"ClusterNotFoundException","message":"Cluster not found."}`},
		{conflict, 400,
			`{"__type":"ConflictException","message":"taken by \"another\"","extra":{"n":1},"resourceIds":["a","b"]}`},
		{&fault.Error{Kind: fault.Throttled, Code: "ThrottlingException", Message: "Rate exceeded"}, 400,
			`{"__type":"ThrottlingException","message":"Rate exceeded"}`},
		{fault.Internal(errors.New("disk on fire"), "Request 1 failed."), 500,
			`{"__type":"ServerException","message":"Request 1 failed."}`},
	} {
		w := httptest.NewRecorder()
		p.Fault(w, c.f)
		if w.Code != c.status || w.Body.String() != c.want {
			t.Errorf("got %d %s, want %d %s", w.Code, w.Body, c.status, c.want)
		}
		if h := w.Header(); h.Get("x-amzn-errortype") != c.f.Code || h.Get("Content-Type") != "application/x-amz-json-1.1" {
			t.Errorf("%s: headers %v", c.f.Code, h)
		}
	}
}

// TestHandle: an operation's handler is reached with what the protocol decoded.
func TestHandle(t *testing.T) {
	p := wire.NewAWSJSON(&ecsapi.API)
	h := wire.Handle(ecsapi.StopTask, func(_ context.Context, in *ecsapi.StopTaskInput) (*ecsapi.StopTaskOutput, error) {
		return &ecsapi.StopTaskOutput{Task: &ecsapi.Task{TaskArn: in.Task}}, nil
	})
	r := ecsRequest("POST", "")
	out, err := h.Serve(context.Background(), func(in any) error { return p.Decode(r, []byte(`{"task":"t"}`), in) })
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if p.Encode(w, out); w.Body.String() != `{"task":{"taskArn":"t"}}` {
		t.Errorf("got %s", w.Body)
	}
}
