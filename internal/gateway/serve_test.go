package gateway

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// No test may leave a goroutine behind: a gateway that has stopped holds nothing.
func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if fuzzing := flag.Lookup("test.fuzz").Value.String() != ""; code == 0 && !fuzzing {
		if err := goleak.Find(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

func TestHealth(t *testing.T) {
	var storeErr error
	o := options(answerWith(nil))
	o.Checks = []Check{
		{"store", func(context.Context) error { return storeErr }},
		{"certificates", func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("a check may hang for ever")
			}
			return nil
		}},
	}
	s := start(t, o, nil)
	for _, path := range []string{"/health", "/health?ready", "/health/ready"} {
		if got := s.get(path); got.status != 200 || got.body != `{"live":true,"ready":true,"version":"test","checks":{"certificates":"ok","store":"ok"}}`+"\n" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	storeErr = errors.New("no leader yet")
	for path, status := range map[string]int{"/health": 200, "/health?ready": 503, "/health/ready": 503} {
		if got := s.get(path); got.status != status || !strings.Contains(got.body, `"live":true,"ready":false`) || !strings.Contains(got.body, `"store":"no leader yet"`) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestACheckThatPanicsIsNotReady(t *testing.T) {
	o := options(nil)
	o.Checks = []Check{{"bug", func(context.Context) error { panic("oh") }}}
	s := start(t, o, nil)
	if got := s.get("/health/ready"); got.status != 503 || !strings.Contains(got.body, "panic: oh") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// echo answers every websocket message; on the end of its context it says goodbye and returns.
func echo(ended chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		stop := context.AfterFunc(r.Context(), func() {
			conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, "stopping"), time.Now().Add(time.Second))
			conn.Close()
		})
		defer stop()
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil {
				ended <- wire.CallerOf(r.Context()).ARN
				return
			}
			conn.WriteMessage(kind, message)
		}
	})
}

// dial opens a websocket the way an agent does: the header of a signed GET.
func (s *server) dial(path string, c sigv4.Credentials) (*websocket.Conn, *http.Response, error) {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if c != (sigv4.Credentials{}) {
		sigv4.Sign(r, nil, c, "ecs", "us-east-1", testNow)
	}
	return websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+path, r.Header)
}

func TestSignedWebsocketsEndGracefully(t *testing.T) {
	ended := make(chan string, 1)
	s := start(t, options(answerWith(nil)), func(g *Gateway) { g.Mount("GET /acs/ws", echo(ended), true) })
	const path = "/acs/ws?dockerVersion=DockerVersion%3A+20.10.24%2Bdfsg1&seqNum=1"

	for name, c := range map[string]sigv4.Credentials{"": {}, "bad": {AccessKeyID: testCreds.AccessKeyID, SecretAccessKey: "x"}} {
		_, response, err := s.dial(path, c)
		if !errors.Is(err, websocket.ErrBadHandshake) || response.StatusCode != 400 {
			t.Fatalf("with a %s signature: %v", name, err)
		}
		body, _ := io.ReadAll(response.Body)
		if want := map[string]string{"": "MissingAuthenticationTokenException", "bad": "InvalidSignatureException"}[name]; !strings.Contains(string(body), want) {
			t.Errorf("%s", body)
		}
	}

	conn, _, err := s.dial(path, testCreds)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := conn.ReadMessage(); err != nil || string(message) != "hello" {
		t.Fatalf("%s %v", message, err)
	}
	if got := s.get("/metrics"); !strings.Contains(got.body, `berth_connections{mount="GET /acs/ws"} 1`) {
		t.Error("the connection isn't counted")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the agent wasn't told: %v", err)
	}
	if arn := <-ended; arn != "arn:aws:iam::123456789012:root" {
		t.Errorf("caller %q", arn)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStubbornConnectionsAreCutOff(t *testing.T) {
	o := options(answerWith(nil))
	o.DrainTimeout = 10 * time.Millisecond
	returned := make(chan struct{})
	s := start(t, o, func(g *Gateway) {
		g.Mount("/stubborn", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(returned)
			conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			conn.ReadMessage() // doesn't look at its context
		}), false)
	})
	conn, _, err := s.dial("/stubborn", sigv4.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "still under way after 10ms") || !strings.Contains(err.Error(), "1 mounted handlers") {
		t.Error(err)
	}
	<-returned
	s.stop = func() error { return nil } // its error was the point
}

// A stop lets calls under way finish, and reports not ready while it does.
func TestCallsUnderWayFinish(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	s := start(t, options(func(ctx context.Context, _ *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		close(entered)
		<-finish
		return nil, ctx.Err()
	}), nil)
	answered := make(chan reply, 1)
	r := s.request("{}")
	go func() { answered <- s.do(r) }()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	<-s.g.draining.Done()
	if h := s.g.health(t.Context()); h.Ready || h.Checks["gateway"] != "stopping" {
		t.Errorf("%+v", h)
	}
	close(finish)
	if got := <-answered; got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestServeReportsAListenerThatBreaks(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := New(options(nil)).Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestMountedHandlersThatPanic(t *testing.T) {
	s := start(t, options(nil), func(g *Gateway) {
		g.Mount("/early", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret") }), false)
		g.Mount("/late", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half of it")
			http.NewResponseController(w).Flush()
			panic("secret")
		}), false)
		g.Mount("/hijacked", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, _, err := w.(http.Hijacker).Hijack(); err != nil {
				t.Error(err)
			}
			panic("secret")
		}), false)
	})
	got := s.get("/early")
	if got.status != 500 || got.Type != "ServerException" || strings.Contains(got.body, "secret") || !strings.Contains(got.Text, got.header.Get("x-amzn-RequestId")) {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, path := range []string{"/late", "/hijacked"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			if body, err := io.ReadAll(response.Body); err == nil {
				t.Errorf("%s: taken for whole: %s", path, body)
			}
		}
		conn.Close()
	}
	logged := s.logs.records(t)
	if len(logged) != 3 {
		t.Fatalf("logged %v", logged)
	}
	for i, mount := range []string{"/early", "/late", "/hijacked"} {
		if logged[i]["error"] != "secret" || logged[i]["operation"] != mount || !strings.Contains(fmt.Sprint(logged[i]["stack"]), "serve_test.go") {
			t.Errorf("logged %v", logged[i])
		}
	}
}

// Nobody has signed for the body of a request to a signed mount, so handlers don't see one.
func TestSignedMountsHaveNoBody(t *testing.T) {
	var body []byte
	s := start(t, options(nil), func(g *Gateway) {
		g.Mount("/m", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { body, _ = io.ReadAll(r.Body) }), true)
	})
	r, err := http.NewRequest("POST", s.url+"/m", strings.NewReader("smuggled"))
	if err != nil {
		t.Fatal(err)
	}
	sigv4.Sign(r, nil, testCreds, "ecs", "us-east-1", testNow)
	if got := s.do(r); got.status != 200 || len(body) > 0 {
		t.Errorf("%d, body %q", got.status, body)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	s := start(t, options(answerWith(nil)), nil)
	got := s.do(s.request("{}", func(r *http.Request) { r.Header.Set("X-Pad", strings.Repeat("x", 2*maxHeaderBytes)) }))
	if got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", got.status)
	}
}
