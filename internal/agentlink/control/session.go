package control

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

// session is one ACS connection. All but touch and end belongs to the goroutine that runs it.
type session struct {
	server   *Server
	id       string
	instance *ecs.ContainerInstance // as it was at the start
	conn     *connection
	log      *slog.Logger

	outbox   *outbox
	sequence int64  // the last number used
	manifest string // id of the last TaskManifestMessage, while its verification is open
	heard    time.Time

	ended chan closing  // capacity 1
	wake  chan struct{} // capacity 1: touched isn't empty

	mu      sync.Mutex
	touched map[string]bool // ids of tasks to look at
}

// serveACS takes one connection from handshake to goodbye.
func (s *Server) serveACS(w http.ResponseWriter, r *http.Request) {
	term, ok := s.enter()
	if !ok {
		s.refuse(w, r, refuseNotLeading)
		return
	}
	defer s.running.Done()
	handshake := agentlink.ParseACSHandshake(r.URL.Query())
	id := arn.NewUUID()
	defer s.enterLive(id)()
	ci, refused, err := s.connect(r.Context(), id, handshake)
	if err != nil {
		s.Log.Warn("an agent's arrival could not be recorded", "error", err)
		refused = refuseNotLeading
	}
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	// From here on the instance counts as connected, so every way out says goodbye.
	how := closing{}
	defer func() {
		if term.Err() != nil {
			return // the next leader's sweep sees to it
		}
		if how == closeExpired {
			select {
			case <-time.After(s.Timing.Grace):
			case <-term.Done():
				return
			}
		}
		s.goodbye(term, ci, id)
	}()
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.Log.Info("agent's websocket handshake failed", "containerInstance", ci.ID, "error", err)
		return
	}
	se := &session{
		server: s, id: id, instance: ci, conn: newConnection(ws),
		log:      s.Log.With("containerInstance", ci.ID, "cluster", ci.Cluster, "session", id),
		outbox:   newOutbox(s.Timing.Redelivery),
		sequence: ci.AgentSequence,
		ended:    make(chan closing, 1),
		wake:     make(chan struct{}, 1),
		touched:  map[string]bool{},
	}
	if !s.join(se) {
		se.end(closeReplaced)
	}
	se.log.Info("agent connected", "agentVersion", ci.AgentVersion, "dockerVersion", ci.DockerVersion)
	how = se.run(term)
	s.leave(se)
	se.log.Info("agent disconnected", "reason", how.reason)
}

// touch makes the session look at tasks.
func (se *session) touch(tasks []string) {
	se.mu.Lock()
	for _, id := range tasks {
		se.touched[id] = true
	}
	se.mu.Unlock()
	select {
	case se.wake <- struct{}{}:
	default:
	}
}

// end makes the session close; the first reason counts.
func (se *session) end(how closing) {
	select {
	case se.ended <- how:
	default:
	}
}

var errOutOfNumbers = errors.New("the session has used up its sequence numbers")

// run talks to the agent until either side has had enough, and returns why.
func (se *session) run(term context.Context) (how closing) {
	done := make(chan struct{})
	frames := se.conn.frames(done)
	defer func() {
		close(done)
		se.conn.close(how, frames)
	}()
	timing := se.server.Timing
	expired := time.NewTimer(timing.life())
	defer expired.Stop()
	heartbeat := time.NewTicker(timing.Heartbeat)
	defer heartbeat.Stop()
	manifest := time.NewTicker(timing.Manifest)
	defer manifest.Stop()
	redelivery := time.NewTimer(time.Hour)
	defer redelivery.Stop()
	se.heard = time.Now()

	err := se.resync()
	if err == nil {
		err = se.flush(term)
	}
	if err == nil {
		err = se.sendManifest() // after the payloads, so that it lists what they brought
	}
	for err == nil {
		if due := se.outbox.due(); !due.IsZero() {
			redelivery.Reset(time.Until(due))
		}
		select {
		case <-term.Done():
			return closeNotLeading
		case how := <-se.ended:
			return how
		case <-expired.C:
			return closeExpired
		case frame, ok := <-frames:
			if !ok {
				return se.conn.left()
			}
			se.heard = time.Now()
			err = se.receive(frame)
		case <-se.wake:
			if err = se.look(); err == nil {
				err = se.flush(term)
			}
		case <-redelivery.C:
			err = se.flush(term)
		case <-heartbeat.C:
			if time.Since(se.heard) > timing.Silence {
				return closeSilent
			}
			err = se.conn.send(&agentlink.HeartbeatMessage{MessageID: arn.NewUUID(), Healthy: true})
		case <-manifest.C:
			err = se.sendManifest()
		}
	}
	if errors.Is(err, errOutOfNumbers) {
		return closeExpired
	}
	se.log.Info("agent session broke off", "error", err)
	return closeFailed
}

// resync looks at every task on the instance, as a new session must.
func (se *session) resync() error {
	return se.server.Store.View(func(r store.Reader) error {
		for t := range state.TasksByInstance.Each(r, se.instance.ID) {
			se.outbox.look(t.ID, t)
		}
		return nil
	})
}

// look looks at the tasks that have changed.
func (se *session) look() error {
	se.mu.Lock()
	touched := maps.Clone(se.touched)
	clear(se.touched)
	se.mu.Unlock()
	return se.server.Store.View(func(r store.Reader) error {
		for id := range touched {
			t, _ := state.Tasks.Get(r, id)
			se.outbox.look(id, t)
		}
		return nil
	})
}

// flush sends what the outbox has.
func (se *session) flush(ctx context.Context) error {
	for {
		p, ok := se.outbox.next(time.Now(), arn.NewUUID)
		if !ok {
			return nil
		}
		message, homeless, err := se.payload(p)
		if err != nil {
			return err
		}
		for _, id := range homeless {
			se.abandon(ctx, id)
		}
		if message == nil {
			continue
		}
		if err := se.conn.send(message); err != nil {
			return err
		}
		se.log.Debug("payload sent", "message", p.id, "tasks", len(message.Tasks))
	}
}

// payload builds a message from what the store says now. homeless are tasks that can't be built, because their definition
// is gone. The message is nil when nothing is left to be said; the outbox forgets the parcel when it is due.
func (se *session) payload(p *parcel) (message *agentlink.PayloadMessage, homeless []string, err error) {
	var tasks []*agentlink.Task
	err = se.server.Store.View(func(r store.Reader) error {
		for _, id := range p.tasks {
			t, ok := state.Tasks.Get(r, id)
			if !ok || wanted(t) == "" {
				continue
			}
			td, ok := state.TaskDefinitions.Get(r, t.TaskDefinition.Key())
			if !ok && t.DesiredStatus != ecs.TaskStopped {
				homeless = append(homeless, id)
				continue
			}
			if !ok { // enough for an agent that has the task
				tasks = append(tasks, &agentlink.Task{ARN: se.server.Scope.Task(t.Cluster, t.ID), DesiredStatus: t.DesiredStatus,
					Family: t.TaskDefinition.Family, Version: strconv.Itoa(t.TaskDefinition.Revision)})
				continue
			}
			tasks = append(tasks, BuildTask(se.server.Scope, t, td))
		}
		return nil
	})
	if err != nil || len(tasks) == 0 {
		return nil, homeless, err
	}
	raw, err := agentlink.EncodeTasks(tasks...)
	if err != nil {
		return nil, homeless, err
	}
	seq, err := se.number()
	if err != nil {
		return nil, homeless, err
	}
	return &agentlink.PayloadMessage{
		MessageID: p.id, ClusterARN: se.clusterARN(), ContainerInstanceARN: se.instanceARN(),
		GeneratedAt: se.server.Now().UnixMilli(), SeqNum: &seq, Tasks: raw,
	}, homeless, nil
}

// abandon stops a task that can't be described to the agent: it would wait for ever. Definitions outlive their tasks, so
// this takes a damaged store.
func (se *session) abandon(ctx context.Context, task string) {
	se.log.Error("a task's definition is gone; the task is stopped", "task", task)
	s := se.server
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		if t, ok := state.Tasks.Get(tx, task); ok {
			next := lifecycle.RequestStop(*t, ecs.StopTaskFailedToStart, "TaskDefinition not found.", s.Now())
			if next.Version != t.Version {
				state.Tasks.Put(tx, &next)
			}
		}
		return nil
	})
	if err != nil {
		se.log.Warn("a task without a definition could not be stopped", "task", task, "error", err)
	}
}

// sendManifest lists all tasks that are to run on the instance, so that the agent can ask about any other that it has.
func (se *session) sendManifest() error {
	seq, err := se.number()
	if err != nil {
		return err
	}
	m := &agentlink.TaskManifestMessage{
		MessageID: arn.NewUUID(), ClusterARN: se.clusterARN(), ContainerInstanceARN: se.instanceARN(),
		GeneratedAt: se.server.Now().UnixMilli(), Timeline: &seq, Tasks: []agentlink.TaskIdentity{},
	}
	err = se.server.Store.View(func(r store.Reader) error {
		for t := range state.TasksByInstance.Each(r, se.instance.ID) {
			m.Tasks = append(m.Tasks, agentlink.TaskIdentity{TaskARN: se.server.Scope.Task(t.Cluster, t.ID),
				TaskClusterARN: se.server.Scope.Cluster(t.Cluster), DesiredStatus: t.DesiredStatus})
		}
		return nil
	})
	if err != nil {
		return err
	}
	se.manifest = m.MessageID
	return se.conn.send(m)
}

// receive handles a frame of the agent.
func (se *session) receive(frame []byte) error {
	m, err := agentlink.Decode(frame)
	if err != nil {
		se.log.Warn("a message of the agent can't be read; it is ignored", "error", err)
		return nil
	}
	switch m := m.(type) {
	case *agentlink.AckRequest:
		se.outbox.ack(m.MessageID)
	case *agentlink.NackRequest:
		se.log.Warn("the agent refused a message", "message", m.MessageID, "reason", m.Reason)
	case *agentlink.TaskStopVerificationMessage:
		return se.verifyStops(m)
	case *agentlink.HeartbeatAckRequest, *agentlink.IAMRoleCredentialsAckRequest:
		// Having been heard is all that counts of the first; the second answers credentials, of which there are none yet.
	default:
		se.log.Warn("the agent sent what only a server sends; it is ignored", "type", m.MessageType())
	}
	return nil
}

// verifyStops answers which of the tasks that the manifest lacked are really to be stopped: those that the store, asked
// again, doesn't want to run on this instance. A task that was placed after the manifest stays.
func (se *session) verifyStops(m *agentlink.TaskStopVerificationMessage) error {
	if m.MessageID != se.manifest {
		return nil // of an older manifest: the agent would drop the answer
	}
	se.manifest = "" // one answer only
	answer := &agentlink.TaskStopVerificationAck{MessageID: m.MessageID, GeneratedAt: se.server.Now().UnixMilli()}
	err := se.server.Store.View(func(r store.Reader) error {
		for _, candidate := range m.StopCandidates {
			t, ok := state.Tasks.Get(r, arn.Last(candidate.TaskARN))
			if ok && t.ContainerInstance == se.instance.ID && t.DesiredStatus == ecs.TaskRunning && !t.Stopped() {
				continue
			}
			answer.StopTasks = append(answer.StopTasks, agentlink.TaskIdentity{TaskARN: candidate.TaskARN,
				TaskClusterARN: candidate.TaskClusterARN, DesiredStatus: agentlink.StatusStopped})
		}
		return nil
	})
	if err != nil || len(answer.StopTasks) == 0 {
		return err
	}
	se.log.Warn("the agent runs tasks that nobody wants; they are stopped", "tasks", len(answer.StopTasks))
	return se.conn.send(answer)
}

// number returns the next number for a message of this connection.
func (se *session) number() (int64, error) {
	if se.sequence >= se.instance.AgentSequence+sequenceRoom-1 {
		return 0, errOutOfNumbers
	}
	se.sequence++
	return se.sequence, nil
}

func (se *session) clusterARN() string { return se.server.Scope.Cluster(se.instance.Cluster) }

func (se *session) instanceARN() string {
	return se.server.Scope.Instance(se.instance.Cluster, se.instance.ID)
}
