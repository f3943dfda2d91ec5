package control

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

// world is a control plane in a synctest bubble: a store, the server end and a listener whose connections are pipes. Time
// stands still while anybody has something to do, so "nothing happens for ten minutes" takes no time.
type world struct {
	t       *testing.T
	backend *memory.Backend
	server  *Server
	store   *store.Store
	now     func() time.Time

	listener *pipeListener
	http     *http.Server
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// bubble runs fn in a synctest bubble with a world that has the cluster "default", the instance "ci" and the task
// definition "web:1".
func bubble(t *testing.T, fn func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, backend: memory.New(), now: time.Now}
		w.start()
		defer w.stop()
		w.update(func(tx *store.Tx) {
			state.Clusters.Put(tx, &ecs.Cluster{Name: "default", Status: ecs.ClusterActive})
			state.TaskDefinitions.Put(tx, &ecs.TaskDefinition{Family: "web", Revision: 1, Status: ecs.TaskDefinitionActive,
				ContainerDefinitions: []ecs.ContainerDefinition{{Name: "app", Image: "web:1"}}})
			state.Instances.Put(tx, &ecs.ContainerInstance{ID: "ci", Cluster: "default", Status: ecs.InstanceActive, Version: 1})
		})
		fn(w)
	})
}

// start brings a server up on the backend, as after a start of the process.
func (w *world) start() {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.store = store.Open(w.backend, store.Options{ID: "server", Logger: log, CheckMutation: true}, state.Tables()...)
	w.server = New(Config{Store: w.store, Scope: scope, Now: func() time.Time { return w.now() }, Log: log})
	w.running.Go(func() {
		if err := w.store.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	w.running.Go(func() {
		if err := w.store.Lead(ctx, w.server.Run); err != nil {
			w.t.Error(err)
		}
	})
	w.listener = &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	w.http = &http.Server{Handler: w.server.Handler()}
	w.running.Go(func() { w.http.Serve(w.listener) })
	<-w.store.Ready()
	synctest.Wait() // Run has begun
}

// stop is what a crash leaves of the server: nobody says goodbye in the store.
func (w *world) stop() {
	w.cancel()
	w.http.Close()
	w.listener.Close()
	w.running.Wait()
}

func (w *world) restart() {
	w.stop()
	w.start()
}

func (w *world) update(fn func(tx *store.Tx)) {
	w.t.Helper()
	if _, err := w.store.Update(context.Background(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) instance() (ci ecs.ContainerInstance) {
	w.t.Helper()
	if err := w.store.View(func(r store.Reader) error {
		p, ok := state.Instances.Get(r, "ci")
		if ok {
			ci = *p
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return ci
}

// revision grows with every write.
func (w *world) revision() (rev store.Rev) {
	w.t.Helper()
	if err := w.store.View(func(r store.Reader) error { rev = r.Rev(); return nil }); err != nil {
		w.t.Fatal(err)
	}
	return rev
}

func (w *world) task(id string) (t ecs.Task) {
	w.t.Helper()
	if err := w.store.View(func(r store.Reader) error {
		p, ok := state.Tasks.Get(r, id)
		if ok {
			t = *p
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return t
}

// run places tasks on the instance.
func (w *world) run(ids ...string) {
	w.t.Helper()
	w.update(func(tx *store.Tx) {
		for _, id := range ids {
			state.Tasks.Put(tx, &ecs.Task{ID: id, Cluster: "default", TaskDefinition: ecs.TaskDefinitionID{Family: "web", Revision: 1},
				ContainerInstance: "ci", DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskPending, Version: 1,
				Containers: []ecs.Container{{ID: "c", Name: "app", Essential: true, HealthChecked: true, LastStatus: ecs.TaskPending}}})
		}
	})
}

// set changes a task.
func (w *world) set(id string, change func(t *ecs.Task)) {
	w.t.Helper()
	w.update(func(tx *store.Tx) {
		old, ok := state.Tasks.Get(tx, id)
		if !ok {
			w.t.Fatalf("no task %s", id)
		}
		next := *old
		change(&next)
		next.Version++
		state.Tasks.Put(tx, &next)
	})
}

// pipeListener hands out the server ends of pipes: real sockets would keep the bubble's clock from moving.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// agent is a scripted agent. It answers heartbeats by itself, as long as it isn't mute.
type agent struct {
	t    *testing.T
	ws   *websocket.Conn
	in   chan agentlink.Message // closed when the connection ends
	mute atomic.Bool
	mu   sync.Mutex
	end  error // why it ended; after in is closed
	arn  string
}

const instanceARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/ci"

func taskARN(id string) string { return "arn:aws:ecs:us-east-1:123456789012:task/default/" + id }

func acsQuery(change func(*agentlink.ACSHandshake)) url.Values {
	h := agentlink.ACSHandshake{AgentVersion: "1.105.1", AgentHash: "a8b3e7d3", Cluster: "default",
		ContainerInstanceARN: instanceARN, DockerVersion: "DockerVersion: 20.10.24", ProtocolVersion: 2, SeqNum: 1}
	if change != nil {
		change(&h)
	}
	return h.Query()
}

// dial connects, or returns the refusal.
func (w *world) dial(path string, query url.Values) (*agent, string) {
	w.t.Helper()
	dialer := websocket.Dialer{NetDialContext: w.listener.dial}
	ws, answer, err := dialer.Dial("ws://berth"+path+"?"+query.Encode(), nil)
	if err != nil {
		if answer == nil {
			w.t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		code, message := agentlink.DecodeRefusal(body)
		return nil, fmt.Sprintf("%d %s: %s", answer.StatusCode, code, message)
	}
	a := &agent{t: w.t, ws: ws, in: make(chan agentlink.Message, 1000)}
	w.running.Go(func() {
		defer close(a.in)
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				a.end = err
				ws.Close()
				return
			}
			m, err := agentlink.Decode(frame)
			if err != nil {
				w.t.Error(err)
				continue
			}
			a.in <- m
			if h, ok := m.(*agentlink.HeartbeatMessage); ok && !a.mute.Load() && h.MessageID != "" {
				a.send(&agentlink.HeartbeatAckRequest{MessageID: h.MessageID})
			}
		}
	})
	w.t.Cleanup(func() { ws.Close() })
	return a, ""
}

func (w *world) connect() *agent {
	w.t.Helper()
	a, refused := w.dial("/acs/ws", acsQuery(nil))
	if refused != "" {
		w.t.Fatal(refused)
	}
	return a
}

func (a *agent) send(m agentlink.Message) {
	frame, err := agentlink.Encode(m)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.write(frame)
}

func (a *agent) write(frame []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ws.WriteMessage(websocket.TextMessage, frame) // a closed connection shows by reading
}

// next waits up to an hour for a message of type T; others that are no heartbeats fail the test.
func next[T agentlink.Message](a *agent) (m T) {
	a.t.Helper()
	timeout := time.After(time.Hour)
	for {
		select {
		case got, ok := <-a.in:
			if !ok {
				a.t.Fatalf("the connection ended (%v) while waiting for %T", a.end, m)
			}
			if m, ok := got.(T); ok {
				return m
			}
			if _, ok := got.(*agentlink.HeartbeatMessage); !ok {
				a.t.Fatalf("got %T %+v while waiting for %T", got, got, m)
			}
		case <-timeout:
			a.t.Fatalf("no %T", m)
		}
	}
}

// quiet checks that nothing but heartbeats and manifests comes for a while.
func (a *agent) quiet(d time.Duration) {
	a.t.Helper()
	timeout := time.After(d)
	for {
		select {
		case got, ok := <-a.in:
			if !ok {
				a.t.Fatalf("the connection ended: %v", a.end)
			}
			switch got.(type) {
			case *agentlink.HeartbeatMessage, *agentlink.TaskManifestMessage:
			default:
				a.t.Fatalf("got %T %+v", got, got)
			}
		case <-timeout:
			return
		}
	}
}

// closed waits up to an hour for the end of the connection.
func (a *agent) closed() error {
	a.t.Helper()
	timeout := time.After(time.Hour)
	for {
		select {
		case _, ok := <-a.in:
			if !ok {
				return a.end
			}
		case <-timeout:
			a.t.Fatal("the connection lasts")
		}
	}
}

// closedAtOnce is closed, for an end that nobody waits for.
func (a *agent) closedAtOnce() error {
	a.t.Helper()
	start := time.Now()
	err := a.closed()
	if d := time.Since(start); d > 2*time.Second {
		a.t.Errorf("the connection ended after %v", d)
	}
	return err
}

// payload waits for a payload and returns it with its tasks' ids and desired statuses: "t1 RUNNING".
func (a *agent) payload() (*agentlink.PayloadMessage, []string) {
	a.t.Helper()
	p := next[*agentlink.PayloadMessage](a)
	if p.MessageID == "" || p.ClusterARN != "arn:aws:ecs:us-east-1:123456789012:cluster/default" || p.ContainerInstanceARN != instanceARN {
		a.t.Errorf("agents ignore such a payload: %+v", p)
	}
	tasks, bad := p.DecodeTasks()
	for _, err := range bad {
		a.t.Error(err)
	}
	var list []string
	for _, t := range tasks {
		if len(t.Containers) != 1 {
			a.t.Errorf("%s has %d containers", t.ARN, len(t.Containers))
		}
		list = append(list, t.ARN[len(taskARN("")):]+" "+t.DesiredStatus)
	}
	return p, list
}

func (a *agent) ack(messageID string) {
	a.send(&agentlink.AckRequest{Cluster: "default", ContainerInstance: instanceARN, MessageID: messageID})
}
