package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

var uuid = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z`)

func TestACallReachesItsHandler(t *testing.T) {
	var caller wire.Caller
	var max *int32
	s := start(t, options(func(ctx context.Context, in *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		caller, max = wire.CallerOf(ctx), in.MaxResults
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		return &ecsapi.ListClustersOutput{ClusterArns: []string{"arn:aws:ecs:us-east-1:123456789012:cluster/default"}}, nil
	}), nil)
	got := s.do(s.request(`{"maxResults": 7}`, func(r *http.Request) {
		r.Header.Set("User-Agent", "aws-cli/1")
		r.Host = "ecs.somewhere.example:99" // any Host will do
	}))
	if got.status != 200 || got.body != `{"clusterArns":["arn:aws:ecs:us-east-1:123456789012:cluster/default"]}` {
		t.Errorf("%d %s", got.status, got.body)
	}
	id := got.header.Get("x-amzn-RequestId")
	if !uuid.MatchString(id) || got.header.Get("Date") == "" || got.header.Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("headers %v", got.header)
	}
	want := wire.Caller{Account: "123456789012", ARN: "arn:aws:iam::123456789012:root", AccessKeyID: testCreds.AccessKeyID, RequestID: id, UserAgent: "aws-cli/1", Host: "ecs.somewhere.example:99"}
	if caller != want {
		t.Errorf("caller %+v\nwant   %+v", caller, want)
	}
	if max == nil || *max != 7 {
		t.Errorf("maxResults %v", max)
	}
	if again := s.do(s.request("{}")).header.Get("x-amzn-RequestId"); again == id {
		t.Error("the same request id twice")
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	s := start(t, options(func(context.Context, *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		t.Error("the handler was reached")
		return nil, nil
	}), nil)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	signedBy := func(c sigv4.Credentials, service, region string, now time.Time) *http.Request {
		r := s.unsigned("{}")
		sigv4.Sign(r, []byte("{}"), c, service, region, now)
		return r
	}
	noTarget := func(r *http.Request) { r.Header.Del("X-Amz-Target") }
	get := func(r *http.Request) { r.Method = "GET" }
	const prefix = "AmazonEC2ContainerServiceV20141113."
	for _, c := range []struct {
		name    string
		request *http.Request
		status  int
		code    string
		message string // a part of it
	}{
		{"no signature", s.unsigned("{}"), 400, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"no signature, no target", func() *http.Request { r := s.unsigned(""); noTarget(r); get(r); return r }(), 400, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"broken signature", func() *http.Request {
			r := s.unsigned("{}")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x")
			return r
		}(), 400,
			"IncompleteSignatureException", "'x' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 x'."},
		{"unknown key", signedBy(sigv4.Credentials{AccessKeyID: "AKIAOTHER", SecretAccessKey: "x"}, "ecs", "us-east-1", testNow), 400,
			"UnrecognizedClientException", "The security token included in the request is invalid."},
		{"wrong secret", signedBy(sigv4.Credentials{AccessKeyID: testCreds.AccessKeyID, SecretAccessKey: "x"}, "ecs", "us-east-1", testNow), 400,
			"InvalidSignatureException", "The request signature we calculated does not match"},
		{"changed body", func() *http.Request { r := s.request("{}"); r.Body = io.NopCloser(strings.NewReader("[]")); return r }(), 400,
			"InvalidSignatureException", "The request signature we calculated does not match"},
		{"another region", signedBy(testCreds, "ecs", "eu-west-1", testNow), 400,
			"InvalidSignatureException", "Credential should be scoped to a valid region, not 'eu-west-1'. This Berth serves region us-east-1: set AWS_REGION and AWS_DEFAULT_REGION (AWS CLI v1, boto3), or run `eval \"$(berth env)\"`."},
		{"another service", signedBy(testCreds, "sqs", "us-east-1", testNow), 400, "InvalidSignatureException", "Credential should be scoped to correct service: 'ecs'."},
		{"old signature", signedBy(testCreds, "ecs", "us-east-1", testNow.Add(-16*time.Minute)), 400, "InvalidSignatureException", "Signature expired: 20260213T081405Z is now earlier than "},
		{"signature from the future", signedBy(testCreds, "ecs", "us-east-1", testNow.Add(16*time.Minute)), 400, "InvalidSignatureException", "Signature not yet current: "},
		{"unknown operation", s.request("{}", header("X-Amz-Target", prefix+"MakeCoffee")), 400, "UnknownOperationException", "MakeCoffee"},
		{"operation that isn't there yet", s.request("{}", header("X-Amz-Target", prefix+"CreateTaskSet")), 400,
			"UnsupportedFeatureException", "Berth does not implement CreateTaskSet yet; see docs/compat/ecs.md"},
		{"no target", s.request("{}", noTarget), 400, "UnknownOperationException", "X-Amz-Target"},
		{"GET", s.request("", get), 400, "UnknownOperationException", "POST"},
		{"GET without a target", s.request("", get, noTarget), 400, "UnknownOperationException", "X-Amz-Target"},
		{"target of another service", s.request("{}", header("X-Amz-Target", "DynamoDB_20120810.ListTables")), 400, "UnknownOperationException", "Berth doesn't serve this operation of ecs."},
		{"malformed JSON", s.request(`{"maxResults": 1`), 400, "SerializationException", "not valid JSON"},
		{"no object", s.request(`[1]`), 400, "SerializationException", ""},
		{"wrong type", s.request(`{"maxResults": "seven"}`), 400, "SerializationException", "maxResults"},
		{"deep nesting", s.request(`{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"), 400, "SerializationException", ""},
		{"invalid UTF-8", s.request("{\"nextToken\": \"\xff\xfe\"}"), 400, "SerializationException", ""},
		{"a second value", s.request(`{} {}`), 400, "SerializationException", ""},
		{"5 MiB", s.request(`{"nextToken": "` + strings.Repeat("x", 5<<20) + `"}`), 413, "RequestEntityTooLargeException", "HTTP content length exceeded 4194304 bytes."},
		{"5 MiB in chunks", s.request(`{"nextToken": "`+strings.Repeat("x", 5<<20)+`"}`, func(r *http.Request) { r.ContentLength = -1 }), 413, "RequestEntityTooLargeException", "HTTP content length exceeded 4194304 bytes."},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := s.do(c.request)
			if got.status != c.status || got.Type != c.code || !strings.Contains(got.Text, c.message) {
				t.Errorf("got  %d %s: %s\nwant %d %s: %s", got.status, got.Type, got.Text, c.status, c.code, c.message)
			}
			if !uuid.MatchString(got.header.Get("x-amzn-RequestId")) || got.header.Get("Date") == "" || got.header.Get("Content-Type") != "application/x-amz-json-1.1" {
				t.Errorf("headers %v", got.header)
			}
		})
	}
	if logged := s.logs.records(t); len(logged) > 0 {
		t.Errorf("clients' mistakes were logged: %v", logged)
	}
}

// Most clients send all of a body before they look for an answer: they must get one, not a broken pipe.
func TestTheReasonReachesClientsThatSendTooMuch(t *testing.T) {
	s := start(t, options(answerWith(nil)), nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetWriteBuffer(64 << 10)
	const size = 20 << 20 // the limit and maxDiscard, and more than sockets buffer
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 413 {
		t.Errorf("%d %s %v", response.StatusCode, body, err)
	}
}

func TestBodiesUpToTheLimitAreRead(t *testing.T) {
	o := options(answerWith(nil))
	o.MaxRequestBytes = 100
	s := start(t, o, nil)
	pad := func(n int) string { return "{" + strings.Repeat(" ", n-2) + "}" }
	if got := s.do(s.request(pad(100))); got.status != 200 || got.body != "{}" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.do(s.request(pad(101))); got.status != 413 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// What a client that sends other services' calls here is told; its parser must understand it.
func TestServicesThatAreNotServed(t *testing.T) {
	s := start(t, options(answerWith(nil)), nil)
	form := func(service string, c sigv4.Credentials) *http.Request {
		r := s.unsigned("Action=GetCallerIdentity&Version=2011-06-15")
		r.Header.Del("X-Amz-Target")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		sigv4.Sign(r, []byte("Action=GetCallerIdentity&Version=2011-06-15"), c, service, "us-east-1", testNow)
		return r
	}
	got := s.do(form("sts", testCreds))
	want := "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Berth doesn&#39;t serve this operation of sts.</Message></Error><RequestId>" +
		got.header.Get("x-amzn-RequestId") + "</RequestId></ErrorResponse>"
	if got.status != 400 || got.body != want || got.header.Get("Content-Type") != "text/xml" {
		t.Errorf("%d %s", got.status, got.body)
	}
	list := s.unsigned("")
	list.Method = "GET"
	list.Header = http.Header{}
	sigv4.Sign(list, nil, testCreds, "s3", "us-east-1", testNow)
	if got := s.do(list); got.status != 400 || !strings.Contains(got.body, "<Message>Berth doesn&#39;t serve this operation of s3.</Message>") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.do(form("sts", sigv4.Credentials{AccessKeyID: testCreds.AccessKeyID})); got.status != 403 || !strings.Contains(got.body, "<Code>SignatureDoesNotMatch</Code>") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestGlobalServicesMayBeSignedForTheGlobalRegion(t *testing.T) {
	for partition, region := range map[string]string{"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"} {
		o := options(nil)
		o.Scope.Partition, o.Scope.Region = partition, "xx-home-1"
		g := New(o)
		for service, want := range map[string]int{"iam": 2, "sts": 2, "ecs": 1} {
			r := httptest.NewRequest("POST", "/", nil)
			sigv4.Sign(r, nil, testCreds, service, region, testNow)
			accept := g.accepts(&call{}, r)
			if len(accept.Regions) != want || accept.Regions[0] != "xx-home-1" || accept.Regions[len(accept.Regions)-1] != region && want == 2 {
				t.Errorf("%s %s: %v", partition, service, accept)
			}
		}
	}
}

func TestFailuresOfHandlers(t *testing.T) {
	var list listClusters
	s := start(t, options(func(ctx context.Context, in *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		return list(ctx, in)
	}), nil)
	for _, c := range []struct {
		name    string
		list    listClusters
		status  int
		code    string
		message string // a part of it; %s is the request id
		logged  string // of the one record; "" for none
	}{
		{"fault", answerWith(fault.New("ClusterNotFoundException", "Cluster not found.")), 400, "ClusterNotFoundException", "Cluster not found.", ""},
		{"wrapped fault", answerWith(fmt.Errorf("while listing: %w", fault.ClientError("no"))), 400, "ClientException", "no", ""},
		{"throttled", answerWith(&fault.Error{Kind: fault.Throttled, Code: "ThrottlingException", Message: "Rate exceeded"}), 400, "ThrottlingException", "Rate exceeded", ""},
		{"server fault", answerWith(fault.Internal(errors.New("disk on fire"), "Try again.")), 500, "ServerException", "Try again.", "disk on fire"},
		{"unknown error", answerWith(errors.New("secret detail")), 500, "ServerException", "under request id %s.", "secret detail"},
		{"deadline of its own", answerWith(fmt.Errorf("ask etcd: %w", context.DeadlineExceeded)), 500, "ServerException", "under request id %s.", "ask etcd"},
		{"panic", func(context.Context, *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
			panic("secret bug")
		}, 500, "ServerException", "under request id %s.", "secret bug"},
		{"panic with nil map", func(context.Context, *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
			var m map[string]int
			m["a"] = 1
			return nil, nil
		}, 500, "ServerException", "under request id %s.", "nil map"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list = c.list
			before := len(s.logs.records(t))
			got := s.do(s.request("{}"))
			id := got.header.Get("x-amzn-RequestId")
			if got.status != c.status || got.Type != c.code || !strings.Contains(got.Text, strings.ReplaceAll(c.message, "%s", id)) {
				t.Errorf("got  %d %s: %s\nwant %d %s: %s", got.status, got.Type, got.Text, c.status, c.code, c.message)
			}
			if strings.Contains(got.body, "secret") || strings.Contains(got.body, "etcd") || strings.Contains(got.body, "disk") {
				t.Errorf("the answer tells what belongs in the log: %s", got.body)
			}
			logged := s.logs.records(t)[before:]
			if c.logged == "" {
				if len(logged) > 0 {
					t.Errorf("logged %v", logged)
				}
				return
			}
			if len(logged) != 1 || logged[0]["level"] != "ERROR" || logged[0]["requestId"] != id || logged[0]["operation"] != "ListClusters" ||
				!strings.Contains(fmt.Sprint(logged[0]["error"]), c.logged) {
				t.Errorf("logged %v", logged)
			}
			if strings.HasPrefix(c.name, "panic") && !strings.Contains(fmt.Sprint(logged[0]["stack"]), "api_test.go") {
				t.Errorf("stack %v", logged[0]["stack"])
			}
		})
	}
}

func TestAbortHandlerCutsTheConnection(t *testing.T) {
	s := start(t, options(func(context.Context, *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		panic(http.ErrAbortHandler)
	}), nil)
	if response, err := http.DefaultTransport.RoundTrip(s.request("{}")); err == nil {
		t.Errorf("answered %d", response.StatusCode)
	}
}

// halfway is a protocol whose encoder breaks in the middle.
type halfway struct{ wire.Protocol }

func (halfway) Encode(w http.ResponseWriter, _ any) {
	w.Write([]byte(`{"clusterArns":[`))
	panic("encoder broke")
}

func TestHalfAnAnswerIsCutOff(t *testing.T) {
	o := options(answerWith(nil))
	o.Services[0].Protocol = halfway{o.Services[0].Protocol}
	s := start(t, o, nil)
	response, err := http.DefaultTransport.RoundTrip(s.request("{}"))
	if err == nil {
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err == nil {
			t.Errorf("taken for whole: %s", body)
		}
	}
	if logged := s.logs.records(t); len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0]["error"]), "encoder broke") {
		t.Errorf("logged %v", logged)
	}
}

func TestFailedKeyLookUpIsAServerError(t *testing.T) {
	o := options(answerWith(nil))
	o.Keys = testKeys{errors.New("store is down")}
	s := start(t, o, nil)
	if got := s.do(s.request("{}")); got.status != 500 || got.Type != "ServerException" || strings.Contains(got.body, "store") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if logged := s.logs.records(t); len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0]["error"]), "store is down") {
		t.Errorf("logged %v", logged)
	}
}

func TestSlowCallsEnd(t *testing.T) {
	o := options(func(ctx context.Context, _ *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("wait for a leader: %w", ctx.Err())
	})
	o.RequestTimeout = time.Millisecond
	s := start(t, o, nil)
	got := s.do(s.request("{}"))
	if got.status != 500 || got.Type != "ServerException" || got.Text != "The request took longer than 1ms. Its request id is "+got.header.Get("x-amzn-RequestId")+"." {
		t.Errorf("%d %s", got.status, got.body)
	}
	if logged := s.logs.records(t); len(logged) != 1 || logged[0]["msg"] != "request timed out" {
		t.Errorf("logged %v", logged)
	}
}

func TestClientsThatGoAwayAreNoFailure(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	s := start(t, options(func(ctx context.Context, _ *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		close(entered)
		<-ctx.Done()
		defer close(left)
		return nil, ctx.Err()
	}), nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := http.DefaultTransport.RoundTrip(s.request("{}").WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-left
	if err := s.stop(); err != nil { // the request has been recorded then
		t.Error(err)
	}
	if logged := s.logs.records(t); len(logged) > 0 {
		t.Errorf("logged %v", logged)
	}
	w := httptest.NewRecorder()
	s.g.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), `berth_api_request_seconds_count{code="ClientClosedRequest",operation="ListClusters",service="ecs"} 1`) {
		t.Error(w.Body)
	}
}

// An API call's path that isn't clean must not be redirected, as a ServeMux would: AWS clients don't follow.
func TestUncleanPathsAreNotRedirected(t *testing.T) {
	s := start(t, options(answerWith(nil)), nil)
	for _, path := range []string{"//", "/x/../", "/./", "/metrics/../"} {
		r := s.request("{}", func(r *http.Request) { r.URL.Path = path; r.URL.Opaque = path })
		if got := s.do(r); got.status != 200 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// deadlines records the read deadlines that are set on a connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = append(d.read, t); return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = append(d.write, t); return nil }

func TestSlowClientsAreBounded(t *testing.T) {
	g := New(options(answerWith(nil)))
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	before := time.Now()
	g.ServeHTTP(d, httptest.NewRequest("POST", "/", strings.NewReader("{}")))
	if len(d.read) != 2 || d.read[0].Before(before.Add(readTimeout)) || !d.read[1].IsZero() {
		t.Errorf("read deadlines %v", d.read)
	}
	if len(d.write) != 1 || d.write[0].Before(before.Add(readTimeout)) {
		t.Errorf("write deadlines %v", d.write)
	}
}

func TestMetrics(t *testing.T) {
	s := start(t, options(answerWith(fault.ClientError("no"))), nil)
	s.do(s.request("{}"))
	s.do(s.request("{}"))
	s.do(s.request("{}", func(r *http.Request) { r.Header.Set("X-Amz-Target", "Evil.Label") }))
	s.do(s.unsigned("{}"))
	got := s.get("/metrics")
	for _, want := range []string{
		`berth_api_request_seconds_count{code="ClientException",operation="ListClusters",service="ecs"} 2`,
		`berth_api_request_seconds_count{code="UnknownOperationException",operation="",service=""} 1`,
		`berth_api_request_seconds_count{code="MissingAuthenticationTokenException",operation="",service="ecs"} 1`,
		`berth_api_requests_in_flight 0`,
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("no %s in\n%s", want, got.body)
		}
	}
	if strings.Contains(got.body, "Evil") {
		t.Error("clients can add series")
	}
}

func TestServicesMustFitTheirHandlers(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"two handlers": func(o *Options) { o.Services[0].Handlers = append(o.Services[0].Handlers, o.Services[0].Handlers...) },
		"another's":    func(o *Options) { o.Services[0].API = &wire.Service{ID: "other"} },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			o := options(answerWith(nil))
			spoil(&o)
			New(o)
		}()
	}
}

// FuzzBody posts arbitrary signed bodies and headers: nothing may panic, and every answer must be one that clients parse.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{"", "{}", "null", `{"maxResults":1e99}`, `{"nextToken":"\ud800"}`, "\xef\xbb\xbf{}", `{"a":[[[[`, "[", `{"maxResults":1,"maxResults":2}`, "Action=X"} {
		f.Add(seed, "AmazonEC2ContainerServiceV20141113.ListClusters", "application/x-amz-json-1.1", "/")
	}
	f.Add("Action=GetCallerIdentity", "", "application/x-www-form-urlencoded", "//x/../?a=%zz&b=+")
	g := New(options(func(context.Context, *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		return &ecsapi.ListClustersOutput{}, nil
	}))
	f.Fuzz(func(t *testing.T, body, target, contentType, path string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		if u, err := r.URL.Parse(path); err == nil {
			r.URL = u
			r.RequestURI = ""
		}
		r.Header.Set("X-Amz-Target", target)
		r.Header.Set("Content-Type", contentType)
		sigv4.Sign(r, []byte(body), testCreds, "ecs", "us-east-1", testNow)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != 200 && w.Code/100 != 4 && w.Code/100 != 3 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
