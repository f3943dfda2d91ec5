package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

var (
	testNow   = time.Date(2026, 2, 13, 8, 30, 5, 0, time.UTC)
	testScope = arn.Scope{Partition: "aws", Region: "us-east-1", Account: "123456789012"}
	testCreds = sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00"}
)

type testKeys struct{ err error }

func (k testKeys) AccessKey(_ context.Context, id string) (sigv4.Key, bool, error) {
	return sigv4.Key{Credentials: testCreds, Principal: testScope.Root()}, id == testCreds.AccessKeyID, k.err
}

// logs collects log records.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// records returns what was logged at info or above.
func (l *logs) records(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(l.b.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
	return all
}

// listClusters is the one operation that the tests' service has.
type listClusters func(context.Context, *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error)

// server is a gateway that serves over TCP.
type server struct {
	t    testing.TB
	g    *Gateway
	url  string
	logs *logs
	stop func() error // ends Serve, once, and returns its error
}

func options(list listClusters) Options {
	return Options{
		Services: []Service{{
			API:      &ecsapi.API,
			Protocol: wire.NewAWSJSON(&ecsapi.API),
			Handlers: []wire.Handler{wire.Handle(ecsapi.ListClusters, list)},
		}},
		Keys:    testKeys{},
		Scope:   testScope,
		Version: "test",
		Now:     func() time.Time { return testNow },
	}
}

func start(t testing.TB, o Options, mount func(*Gateway)) *server {
	t.Helper()
	s := &server{t: t, logs: &logs{}}
	o.Log = slog.New(slog.NewJSONHandler(s.logs, nil))
	s.g = New(o)
	if mount != nil {
		mount(s.g)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.g.Serve(ctx, ln) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error("stopping:", err)
		}
	})
	return s
}

// request makes a call of the tests' operation; changes come before it is signed.
func (s *server) request(body string, change ...func(*http.Request)) *http.Request {
	s.t.Helper()
	r := s.unsigned(body)
	for _, f := range change {
		f(r)
	}
	sigv4.Sign(r, []byte(body), testCreds, "ecs", "us-east-1", testNow)
	return r
}

func (s *server) unsigned(body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequest("POST", s.url+"/", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListClusters")
	return r
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	Type   string `json:"__type"`
	Text   string `json:"message"`
}

func (s *server) do(r *http.Request) reply {
	s.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r) // no redirects
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	out := reply{status: response.StatusCode, header: response.Header, body: string(body)}
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(body, &out); err != nil {
			s.t.Fatalf("%v in %s", err, body)
		}
	}
	return out
}

func (s *server) get(path string) reply {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(r)
}

func answerWith(err error) listClusters {
	return func(context.Context, *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) { return nil, err }
}
