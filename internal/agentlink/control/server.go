package control

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// Config is what a Server needs. Everything from Metrics on may be left out.
type Config struct {
	Store *store.Store
	Scope arn.Scope
	Now   func() time.Time
	Log   *slog.Logger

	// Metrics gets what agents measure; default: a LastSamples.
	Metrics MetricsSink
	Timing  Timing
}

// Timing says how long things take; a zero field takes the default.
type Timing struct {
	// Heartbeat is the pause between heartbeats, on both websockets. Agents give up after 60 s of silence; 25 s survive a
	// lost one. Default: 25 s.
	Heartbeat time.Duration
	// Silence is how long an agent may say nothing, not even answer heartbeats, before its connection is given up.
	// Default: 80 s, three heartbeats and some.
	Silence time.Duration
	// Redelivery is the first pause before a message without an ack is sent again; it doubles up to a minute. An agent acks
	// once the tasks are on its disk, which takes milliseconds. Default: 5 s.
	Redelivery time.Duration
	// Manifest is the pause between task manifests. Default: 5 min.
	Manifest time.Duration
	// Life is how long a connection lasts, before up to a sixth more at random. Agents leave after 30 to 35 min by
	// themselves; leaving first, and spread out, keeps it orderly. Default: 25 min.
	Life time.Duration
	// Grace is how long AgentConnected stays set after an orderly end of a connection, which agents follow with a new
	// one at once: placement shouldn't miss them for a blink every half hour. Default: 5 s.
	Grace time.Duration
	// Sweep is the pause between sweeps over AgentConnected. Default: 30 s.
	Sweep time.Duration
}

func (t *Timing) defaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Heartbeat, 25 * time.Second},
		{&t.Silence, 80 * time.Second},
		{&t.Redelivery, 5 * time.Second},
		{&t.Manifest, 5 * time.Minute},
		{&t.Life, 25 * time.Minute},
		{&t.Grace, 5 * time.Second},
		{&t.Sweep, 30 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
}

// life is how long one connection lasts.
func (t Timing) life() time.Duration { return t.Life + rand.N(t.Life/6+1) }

// Server is the control plane's end of both websockets.
type Server struct {
	Config
	upgrader websocket.Upgrader

	mu       sync.Mutex
	term     context.Context // nil while this server doesn't lead
	sessions map[string]*session
	live     map[string]bool // ids of the sessions that may have AgentConnected set, from before they set it
	running  sync.WaitGroup  // connections of this term
}

// New makes a Server. It refuses connections until Run runs.
func New(cfg Config) *Server {
	cfg.Timing.defaults()
	if cfg.Metrics == nil {
		cfg.Metrics = NewLastSamples(DefaultSamples)
	}
	return &Server{
		Config:   cfg,
		upgrader: websocket.Upgrader{HandshakeTimeout: 10 * time.Second, ReadBufferSize: 4096, WriteBufferSize: 32 << 10},
		sessions: map[string]*session{},
		live:     map[string]bool{},
	}
}

// ACS is the handler of "/acs/ws". The request's signature has been verified before it comes here.
func (s *Server) ACS() http.Handler { return http.HandlerFunc(s.serveACS) }

// TCS is the handler of "/tcs/ws".
func (s *Server) TCS() http.Handler { return http.HandlerFunc(s.serveTCS) }

// Handler serves both.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /acs/ws", s.ACS())
	mux.Handle("GET /tcs/ws", s.TCS())
	return mux
}

// Run accepts agents while this server leads: it is made for store.Lead, which calls it once a term. It returns when ctx
// has ended and all connections are closed.
func (s *Server) Run(ctx context.Context) error {
	// Cancelled before waiting for the connections, also when Run breaks off by itself.
	term, cancel := context.WithCancel(ctx)
	changes := s.Store.Watch(term, state.Tasks, state.Instances)
	s.mu.Lock()
	s.term = term
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.term = nil
		s.mu.Unlock()
		cancel()
		s.running.Wait()
	}()

	sweep := time.NewTicker(s.Timing.Sweep)
	defer sweep.Stop()
	s.sweep(term)
	for {
		select {
		case batch, ok := <-changes:
			if !ok {
				return nil
			}
			if s.dispatch(batch) {
				s.sweep(term)
			}
		case <-sweep.C:
			s.sweep(term)
		}
	}
}

// dispatch wakes the sessions that the changes concern, each once: what was committed together goes out together. It
// reports whether an instance was deregistered, whose tasks need looking after.
func (s *Server) dispatch(batch []store.Change) (gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	touched := map[*session][]string{}
	for _, c := range batch {
		if before, after, ok := state.Tasks.Change(c); ok {
			t := after
			if t == nil {
				t = before
				s.Metrics.Forget(t.ID)
			}
			if t.Stopped() {
				s.Metrics.Forget(t.ID)
			}
			if se := s.sessions[t.ContainerInstance]; se != nil {
				touched[se] = append(touched[se], t.ID)
			}
		}
		if _, after, ok := state.Instances.Change(c); ok && deregistered(after) {
			gone = true
			if se := s.sessions[c.Key]; se != nil {
				se.end(closeDeregistered)
			}
		}
	}
	for se, tasks := range touched {
		se.touch(tasks)
	}
	return gone
}

// join makes se the session of its instance. The newest connection wins: an agent has one, so the other one is dead, or
// belongs to a second agent with a copied state directory. Which one is newest, the store has decided: the numbering of a
// later connection starts higher.
func (s *Server) join(se *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.sessions[se.instance.ID]; old != nil {
		if old.instance.AgentSequence > se.instance.AgentSequence {
			return false
		}
		old.end(closeReplaced)
	}
	s.sessions[se.instance.ID] = se
	return true
}

func (s *Server) leave(se *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[se.instance.ID] == se {
		delete(s.sessions, se.instance.ID)
	}
}

// enter begins serving one connection; false while this server doesn't lead.
func (s *Server) enter() (term context.Context, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term == nil {
		return nil, false
	}
	s.running.Add(1)
	return s.term, true
}

// refuse answers a handshake in the form that agents understand (agent-protocol 2.1).
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, refusal *refusal) {
	s.Log.Info("agent refused", "path", r.URL.Path, "code", refusal.code, "error", refusal.message)
	status := http.StatusBadRequest
	if refusal.code == agentlink.RefusalServerException {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(agentlink.EncodeRefusal(refusal.code, refusal.message))
}
