package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestAbuse treats a server as nobody should: whatever comes, the answer is an error in AWS's form and no 5xx, nothing
// panics, nothing leaks, and the next proper call is answered.
func TestAbuse(t *testing.T) {
	t.Parallel()
	s := startAbused(t)
	before := s.goroutines()
	// One after the other: they share the server that is looked at in the end.
	for _, abuse := range []struct {
		name string
		run  func(t *testing.T, s *abused)
	}{
		{"bodies", abusedBodies},
		{"every string of a request", abusedStrings},
		{"every member with a wrong type", abusedTypes},
		{"signatures", abusedSignatures},
		{"connections", abusedConnections},
	} {
		t.Run(abuse.name, func(t *testing.T) { abuse.run(t, s) })
	}
	if status, body := s.call(t, "ListClusters", []byte(`{}`)); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, body)
	}
	eventuallyOK(t, "no goroutine is left over", func() error {
		if n := s.goroutines(); n > before+20 {
			return fmt.Errorf("%d goroutines, %d before", n, before)
		}
		return nil
	})
	log, err := os.ReadFile(s.process.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "panic") || strings.Contains(line, `"ERROR"`) {
			t.Errorf("logged: %.2000s", line)
		}
	}
}

// abused is a server without agents, and a client that sends what it is told to.
type abused struct {
	t         *testing.T
	address   string
	process   *process
	key       aws.Credentials
	transport *http.Client
}

func startAbused(t *testing.T) *abused {
	t.Helper()
	address := listenOn(t)
	m := newMachine(t, "abused", "BERTH_LISTEN="+address, "BERTH_DEBUG_ENDPOINTS=true", "BERTH_LOG_LEVEL=info", "BERTH_LOG_FORMAT=json")
	s := &abused{t: t, address: address, process: m.run("server"), transport: &http.Client{Timeout: 30 * time.Second}}
	eventuallyOK(t, "the server is ready", func() error { return ready(address) })
	show := exec.Command(berthBinary, "env")
	show.Env = m.env
	env, err := show.Output()
	if err != nil {
		t.Fatal(err)
	}
	s.key = aws.Credentials{AccessKeyID: exported(env, "AWS_ACCESS_KEY_ID"), SecretAccessKey: exported(env, "AWS_SECRET_ACCESS_KEY")}
	if status, body := s.call(t, "CreateCluster", []byte(`{"clusterName": "default"}`)); status != http.StatusOK {
		t.Fatalf("CreateCluster: %d %s", status, body)
	}
	return s
}

// request is a signed call.
func (s *abused) request(t *testing.T, operation string, body []byte, at time.Time) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+operation)
	s.sign(t, r, body, at)
	return r
}

func (s *abused) sign(t *testing.T, r *http.Request, body []byte, at time.Time) {
	t.Helper()
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), s.key, r, hex.EncodeToString(hash[:]), "ecs", "us-east-1", at); err != nil {
		t.Fatal(err)
	}
}

func (s *abused) do(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	resp, err := s.transport.Do(r)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("half an answer: %v", err)
	}
	return resp.StatusCode, string(b)
}

func (s *abused) call(t *testing.T, operation string, body []byte) (int, string) {
	t.Helper()
	return s.do(t, s.request(t, operation, body, time.Now()))
}

// refused wants an error in AWS's form that is the client's own fault.
func (s *abused) refused(t *testing.T, what, operation string, body []byte) {
	t.Helper()
	status, answer := s.call(t, operation, body)
	expectError(t, what, status, answer)
}

func expectError(t *testing.T, what string, status int, answer string) {
	t.Helper()
	var e struct {
		Type string `json:"__type"`
	}
	if err := json.Unmarshal([]byte(answer), &e); err != nil || e.Type == "" || status < 400 || status > 499 {
		t.Errorf("%s: %d %.300s", what, status, answer)
	}
}

var goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)

func (s *abused) goroutines() int {
	s.t.Helper()
	s.transport.CloseIdleConnections()
	resp, err := s.transport.Get("http://" + s.address + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	m := goroutineTotal.FindSubmatch(b)
	if m == nil {
		s.t.Fatalf("no profile: %.200s", b)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

func abusedBodies(t *testing.T, s *abused) {
	const mib = 1 << 20
	for what, body := range map[string]string{
		"half an object":           `{"cluster": "a`,
		"no JSON":                  `\x00\x01<xml/>`,
		"an array":                 `[]`,
		"a string":                 `"RunTask"`,
		"two objects":              `{"taskDefinition":"a"}{"taskDefinition":"b"}`,
		"a trailing comma":         `{"taskDefinition":"a",}`,
		"deep arrays":              `{"taskDefinition":"a","overrides":` + strings.Repeat("[", mib) + strings.Repeat("]", mib) + `}`,
		"deep objects":             `{"taskDefinition":"a","x":` + strings.Repeat(`{"a":`, mib/5) + `1` + strings.Repeat("}", mib/5) + `}`,
		"deep arrays without end":  strings.Repeat("[", 3*mib),
		"deep objects without end": strings.Repeat(`{"overrides":`, 3*mib/13),
		"invalid UTF-8":            "{\"taskDefinition\":\"\xff\xfe\"}",
		"half a surrogate":         `{"taskDefinition":"\ud800"}`,
		"a NUL":                    `{"taskDefinition":"a\u0000b"}`,
		"a number too large":       `{"taskDefinition":"a","count":1e400}`,
		"a count too large":        `{"taskDefinition":"a","count":99999999999999999999}`,
		"half a count":             `{"taskDefinition":"a","count":1.5}`,
		"5 MiB":                    `{"taskDefinition":"` + strings.Repeat("a", 5*mib) + `"}`,
		"a list of 200,000":        `{"taskDefinition":"a","tags":[` + strings.Repeat(`{"key":"a"},`, 200_000) + `{"key":"b"}]}`,
		"a map of 100,000":         `{"taskDefinition":"a","overrides":{"containerOverrides":[{"environment":[` + strings.Repeat(`{"name":"A","value":"b"},`, 100_000) + `{}]}]}}`,
	} {
		s.refused(t, what, "RunTask", []byte(body))
	}
	s.refused(t, "no such operation", "LaunchMissiles", []byte(`{}`))
	s.refused(t, "an operation with a strange name", strings.Repeat("A", 8000), []byte(`{}`))
}

// models reads the API model: what members a request has.
type model struct {
	Operations map[string]struct{ Input struct{ Shape string } }
	Shapes     map[string]modelShape
}

type modelShape struct {
	Type     string
	Members  map[string]struct{ Shape string }
	Member   struct{ Shape string }
	Value    struct{ Shape string }
	Required []string
	Enum     []string
}

func readModel(t *testing.T) model {
	t.Helper()
	b, err := os.ReadFile("../api/models/ecs.json")
	if err != nil {
		t.Fatal(err)
	}
	var m model
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// walk calls each for every scalar, list, map and structure of an operation's input, with a function that makes an otherwise
// plausible request with that one replaced.
func (m model) walk(operation string, base map[string]any, each func(path, kind string, with func(value any) map[string]any)) {
	var visit func(shape, path string, depth int, wrap func(any) map[string]any)
	visit = func(shape, path string, depth int, wrap func(any) map[string]any) {
		sh := m.Shapes[shape]
		if path != "" {
			each(path, sh.Type, wrap)
		}
		if depth == 0 {
			return
		}
		switch sh.Type {
		case "structure":
			for name, member := range sh.Members {
				visit(member.Shape, path+"."+name, depth-1, func(v any) map[string]any {
					object := map[string]any{}
					for _, required := range sh.Required {
						if r := m.Shapes[sh.Members[required].Shape]; len(r.Enum) > 0 {
							object[required] = r.Enum[0]
						} else if r.Type == "string" {
							object[required] = "a"
						}
					}
					if path == "" {
						for k, v := range base {
							object[k] = v
						}
						object[name] = v
						return object
					}
					object[name] = v
					return wrap(object)
				})
			}
		case "list":
			visit(sh.Member.Shape, path+"[]", depth-1, func(v any) map[string]any { return wrap([]any{v}) })
		case "map":
			visit(sh.Value.Shape, path+"{}", depth-1, func(v any) map[string]any { return wrap(map[string]any{"k": v}) })
		}
	}
	visit(m.Operations[operation].Input.Shape, "", 7, nil)
}

// plausible are requests that, but for what is replaced in them, are in order.
var plausible = map[string]map[string]any{
	"RegisterTaskDefinition": {"family": "abused", "containerDefinitions": []any{map[string]any{"name": "a", "image": "i", "memory": 16}}},
	"RunTask":                {"taskDefinition": "abused"},
	"CreateService":          {"serviceName": "abused", "taskDefinition": "abused", "desiredCount": 0},
}

// abusedStrings puts 1 MiB into every string there is. Task definitions may be accepted where AWS sets no limit of its own,
// but none is stored that is larger than ECS allows (64 KiB).
func abusedStrings(t *testing.T, s *abused) {
	m := readModel(t)
	long := strings.Repeat("A", 1<<20)
	s.all(t, m, func(operation string, each func(what string, body map[string]any)) {
		m.walk(operation, plausible[operation], func(path, kind string, with func(any) map[string]any) {
			if kind == "string" {
				each(path, with(long))
			}
		})
	}, func(t *testing.T, operation, path string, status int, answer string) {
		if status == http.StatusOK {
			t.Errorf("%s takes 1 MiB as %s", operation, path)
		} else {
			expectError(t, operation+" "+path, status, answer)
		}
	})
}

// abusedTypes puts what doesn't belong there everywhere.
func abusedTypes(t *testing.T, s *abused) {
	m := readModel(t)
	fits := map[string][]string{"string": {"string"}, "boolean": {"bool"}, "integer": {"number"}, "long": {"number"}, "double": {"number"},
		"float": {"number"}, "timestamp": {"number", "string"}, "structure": {"object"}, "map": {"object"}, "list": {"array"}}
	values := []struct {
		kind  string
		value any
	}{
		{"string", "a"}, {"bool", true}, {"number", -1}, {"number", 1 << 31}, {"number", 1.5}, {"number", json.Number("1e300")},
		{"object", map[string]any{"x": 1}}, {"array", []any{[]any{}, nil}}, {"null", nil},
	}
	s.all(t, m, func(operation string, each func(what string, body map[string]any)) {
		m.walk(operation, plausible[operation], func(path, kind string, with func(any) map[string]any) {
			for _, v := range values {
				right := ""
				if v.kind == "null" || slices.Contains(fits[kind], v.kind) {
					right = "may " // be accepted: null is absent, a structure takes any member
				}
				each(fmt.Sprintf("%s%s = %v", right, path, v.value), with(v.value))
			}
		})
	}, func(t *testing.T, operation, what string, status int, answer string) {
		if status == http.StatusOK && strings.HasPrefix(what, "may ") {
			return
		}
		expectError(t, operation+" "+what, status, answer)
	})
}

// all sends what make makes for the plausible operations, a few at a time, and has check look at the answers.
func (s *abused) all(t *testing.T, m model, make_ func(operation string, each func(what string, body map[string]any)),
	check func(t *testing.T, operation, what string, status int, answer string)) {
	t.Helper()
	slots := make(chan struct{}, 4)
	var sent sync.WaitGroup
	n := 0
	for operation := range plausible {
		make_(operation, func(what string, body map[string]any) {
			b, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			n++
			slots <- struct{}{}
			sent.Go(func() {
				defer func() { <-slots }()
				status, answer := s.call(t, operation, b)
				check(t, operation, what, status, answer)
			})
		})
	}
	sent.Wait()
	if n < 100 {
		t.Errorf("only %d requests: the model has changed its form", n)
	}
	t.Logf("%d requests", n)
}

func abusedSignatures(t *testing.T, s *abused) {
	body := []byte(`{}`)
	now := time.Now()
	for what, change := range map[string]func(r *http.Request){
		"unsigned":            func(r *http.Request) { r.Header.Del("Authorization") },
		"an empty signature":  func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256") },
		"a strange signature": func(r *http.Request) { r.Header.Set("Authorization", strings.Repeat("Credential=,", 2000)) },
		"without a date":      func(r *http.Request) { r.Header.Del("X-Amz-Date") },
		"another operation": func(r *http.Request) {
			r.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.DeleteCluster")
		},
		"another host":        func(r *http.Request) { r.Host = "evil.example" },
		"another body":        func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`[]`)) },
		"signed 20 min ago":   func(r *http.Request) { s.sign(t, r, body, now.Add(-20*time.Minute)) },
		"signed in 20 min":    func(r *http.Request) { s.sign(t, r, body, now.Add(20*time.Minute)) },
		"signed for 1970":     func(r *http.Request) { s.sign(t, r, body, time.Unix(0, 0)) },
		"an unsigned payload": func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
		"a signature that is cut": func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1])
		},
	} {
		r := s.request(t, "ListClusters", body, now)
		change(r)
		status, answer := s.do(t, r)
		expectError(t, what, status, answer)
	}
	// An agent's websocket is no way around it.
	for _, path := range []string{"/acs/ws", "/tcs/ws"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+path+"?clusterArn=default&containerInstanceArn=x", nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			r.Header.Set(k, v)
		}
		status, answer := s.do(t, r)
		expectError(t, "an unsigned "+path, status, answer)
		s.sign(t, r, nil, time.Now()) // signed, but of no instance
		if status, answer = s.do(t, r); status != http.StatusBadRequest {
			t.Errorf("%s of no instance: %d %s", path, status, answer)
		}
	}
}

// abusedConnections leaves requests half done, and holds a thousand connections that do nothing.
func abusedConnections(t *testing.T, s *abused) {
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var open []net.Conn
	for n := range 1000 {
		c := dial()
		open = append(open, c)
		for _, text := range []string{"", "P", "POST / HT", "POST / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"}[n%5:][:1] {
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if status, answer := s.call(t, "ListClusters", []byte(`{}`)); status != http.StatusOK {
		t.Errorf("with 1,000 connections open: %d %s", status, answer)
	}
	for _, c := range open {
		c.Close()
	}
	for what, text := range map[string]string{
		"no HTTP":                  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"HTTP/2 without asking":    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"no host":                  "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
		"two hosts":                "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
		"two lengths":              "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
		"a length and chunks":      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
		"broken chunks":            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"a negative length":        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
		"a header too large":       "POST / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 200<<10) + "\r\n\r\n",
		"a header with a NUL":      "POST / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
		"an address too long":      "GET /" + strings.Repeat("a", 200<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"a path out of the house":  "GET /debug/pprof/../../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
		"a method of its own":      "LAUNCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"a body that is promised":  "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n",
		"a body that never ends":   "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n{",
		"a target that is nothing": "POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: .\r\nContent-Length: 2\r\n\r\n{}",
	} {
		c := dial()
		if _, err := io.WriteString(c, text); err == nil {
			c.(*net.TCPConn).CloseWrite()
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		from := bufio.NewReader(c)
		resp, err := http.ReadResponse(from, nil)
		if err == nil && resp.StatusCode == http.StatusContinue {
			resp, err = http.ReadResponse(from, nil)
		}
		if err == nil && (resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusHTTPVersionNotSupported || resp.StatusCode < 300) {
			t.Errorf("%s: %s", what, resp.Status)
		}
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("%s: the connection is held", what)
		}
		c.Close()
	}
}
