package agent

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/openberth/berth/internal/agentlink"
)

const (
	cluster     = "default"
	clusterARN  = "arn:aws:ecs:us-east-1:123456789012:cluster/default"
	instanceARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/0123456789abcdef0123456789abcdef"
)

// controlPlane is a scripted control plane over real HTTP: it answers the API as the live run recorded it, and the test says
// what it sends and expects on the websockets.
type controlPlane struct {
	t   *testing.T
	srv *httptest.Server

	calls chan call     // API calls, in order
	acs   chan *session // sessions as they are opened
	tcs   chan *session
	mu    sync.Mutex
	last  map[string]string                                             // the last report about each task
	reply func(op string, body map[string]any) (status int, answer any) // nil: answers in its own way
	deny  func(path string) (status int, body string)                   // nil: nobody
}

type call struct {
	op   string
	body map[string]any
	auth string
}

// session is an open websocket.
type session struct {
	t      *testing.T
	ws     *websocket.Conn
	query  map[string]string
	auth   string
	frames chan string
	closed chan error
	mu     sync.Mutex
}

const patience = 10 * time.Second

func newControlPlane(t *testing.T) *controlPlane {
	c := &controlPlane{t: t, calls: make(chan call, 1000), acs: make(chan *session, 100), tcs: make(chan *session, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", c.api)
	mux.HandleFunc("GET /acs/ws", func(w http.ResponseWriter, r *http.Request) { c.upgrade(w, r, c.acs) })
	mux.HandleFunc("GET /tcs/ws", func(w http.ResponseWriter, r *http.Request) { c.upgrade(w, r, c.tcs) })
	c.srv = httptest.NewServer(mux)
	t.Cleanup(c.srv.Close)
	return c
}

// script says how to answer; a nil answer falls back to the control plane's own.
func (c *controlPlane) script(reply func(op string, body map[string]any) (int, any)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = reply
}

func (c *controlPlane) refuse(deny func(path string) (int, string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deny = deny
}

func (c *controlPlane) api(w http.ResponseWriter, r *http.Request) {
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonEC2ContainerServiceV20141113.")
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		c.t.Errorf("%s: %v", op, err)
	}
	c.mu.Lock()
	reply := c.reply
	c.mu.Unlock()
	status, answer := 200, any(nil)
	if reply != nil {
		status, answer = reply(op, body)
	}
	if answer == nil {
		status, answer = 200, c.own(op, body)
	}
	if !c.repeated(op, body) {
		c.calls <- call{op, body, r.Header.Get("Authorization")}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// repeated tells a report that says nothing new: an agent that ends before it has noted the answer sends it again.
func (c *controlPlane) repeated(op string, body map[string]any) bool {
	if op != "SubmitTaskStateChange" {
		return false
	}
	b, _ := json.Marshal(body)
	task, _ := body["task"].(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[string]string{}
	}
	was := c.last[task]
	c.last[task] = string(b)
	return was == string(b)
}

func (c *controlPlane) own(op string, body map[string]any) any {
	switch op {
	case "RegisterContainerInstance":
		return map[string]any{"containerInstance": map[string]any{"containerInstanceArn": instanceARN, "attributes": body["attributes"],
			"status": "ACTIVE", "agentConnected": true, "version": 1, "registeredResources": body["totalResources"]}}
	case "DiscoverPollEndpoint":
		return map[string]any{"endpoint": c.srv.URL + "/acs/", "telemetryEndpoint": c.srv.URL + "/tcs/"}
	case "SubmitTaskStateChange":
		return map[string]any{"acknowledgment": "ACK"}
	}
	return map[string]any{}
}

func (c *controlPlane) upgrade(w http.ResponseWriter, r *http.Request, to chan *session) {
	c.mu.Lock()
	deny := c.deny
	c.mu.Unlock()
	if deny != nil {
		if status, body := deny(r.URL.Path); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
	}
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		c.t.Error(err)
		return
	}
	s := &session{t: c.t, ws: ws, query: map[string]string{}, auth: r.Header.Get("Authorization"), frames: make(chan string, 1000), closed: make(chan error, 1)}
	for k := range r.URL.Query() {
		s.query[k] = r.URL.Query().Get(k)
	}
	to <- s
	for {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			s.closed <- err
			return
		}
		s.frames <- string(frame)
	}
}

// expectCall returns the next API call, which has to be op.
func (c *controlPlane) expectCall(op string) map[string]any {
	c.t.Helper()
	select {
	case got := <-c.calls:
		if got.op != op {
			c.t.Fatalf("call %s %v, want %s", got.op, got.body, op)
		}
		if !strings.HasPrefix(got.auth, "AWS4-HMAC-SHA256 Credential=AKID/") || !strings.Contains(got.auth, "/us-east-1/ecs/aws4_request") {
			c.t.Fatalf("%s isn't signed: %q", op, got.auth)
		}
		return got.body
	case <-time.After(patience):
		c.t.Fatalf("no call of %s", op)
	}
	return nil
}

func (c *controlPlane) open(ch chan *session, name string) *session {
	c.t.Helper()
	select {
	case s := <-ch:
		return s
	case <-time.After(patience):
		c.t.Fatalf("no %s session", name)
	}
	return nil
}

func (s *session) send(typ string, message any) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ws.WriteJSON(map[string]any{"type": typ, "message": message}); err != nil {
		s.t.Errorf("send %s: %v", typ, err)
	}
}

// next returns the next frame of that type, as JSON, skipping others.
func (s *session) next(typ string) map[string]any {
	s.t.Helper()
	for {
		select {
		case frame := <-s.frames:
			_, body, err := agentlink.SplitSigned([]byte(frame))
			if err != nil {
				s.t.Fatal(err)
			}
			var env struct {
				Type    string
				Message map[string]any
			}
			if err := json.Unmarshal(body, &env); err != nil {
				s.t.Fatalf("frame %q: %v", frame, err)
			}
			if env.Type == typ {
				return env.Message
			}
		case <-time.After(patience):
			s.t.Fatalf("no %s", typ)
		}
	}
}
