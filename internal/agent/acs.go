package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openberth/berth/internal/agent/controlplane"
	"github.com/openberth/berth/internal/agentlink"
)

// How long a session lives (agent-protocol 2.3): each inbound frame resets the idle time, and after half an hour the agent
// connects anew, so that connections spread over the servers that there are.
const (
	idleMin        = time.Minute
	idleSlack      = time.Minute
	lifetime       = 30 * time.Minute
	lifetimeSlack  = 5 * time.Minute
	acsWaitMin     = 250 * time.Millisecond
	acsWaitMax     = 2 * time.Minute
	steadyAfter    = time.Minute // of a connection's life, the backoff starts over
	tooShort       = time.Second // a connection that ends sooner isn't followed by another at once
	deregistered   = time.Hour   // between attempts of an instance that the control plane has deregistered
	updatesRefused = "Updates are disabled"
)

// runACS keeps an ACS session open until ctx ends.
func (a *Agent) runACS(ctx context.Context) error {
	b := newBackoff(acsWaitMin, acsWaitMax, 1.5)
	first := true
	for {
		began := time.Now()
		connected, err := a.acsSession(ctx, first)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		first = first && !connected
		lived := time.Since(began)
		if lived >= steadyAfter {
			b.reset()
		}
		var closed *controlplane.ClosedError
		var refused *controlplane.RefusedError
		wait := time.Duration(0)
		switch {
		case errors.As(err, &refused) && refused.Code == agentlink.RefusalInactiveInstance:
			a.log.Error("this container instance is deregistered; its tasks run on unmanaged", "containerInstance", a.arn, "err", err)
			a.telemetry.disconnect()
			b.reset()
			wait = deregistered
		case connected && errors.As(err, &closed) && closed.Normal() && lived >= tooShort:
			b.reset()
		default:
			wait = b.next()
		}
		a.log.Info("ACS session ended", "err", err, "again in", wait)
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// acsSession runs one session and tells whether it came about.
func (a *Agent) acsSession(ctx context.Context, sendCredentials bool) (connected bool, err error) {
	endpoints, err := a.discover(ctx)
	if err != nil {
		return false, err
	}
	conn, err := a.cp.DialACS(ctx, endpoints.ACS, a.cfg.Cluster, a.arn, sendCredentials)
	if err != nil {
		return false, err
	}
	a.log.Info("ACS session open", "endpoint", endpoints.ACS)
	a.engine.RetryNow() // the control plane is back: whoever waits to report needn't
	s := &acsSession{a: a, out: newOutbox()}
	return true, runSession(ctx, a.log, conn, s.out, s.handle)
}

// runSession reads until the connection ends, hands messages to handle, and writes what comes from out.
func runSession(ctx context.Context, log *slog.Logger, conn *controlplane.Conn, out *outbox, handle func(agentlink.Message)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		idle := idleMin + rand.N(idleSlack)
		for {
			m, err := conn.Read(idle)
			var closed *controlplane.ClosedError
			switch {
			case err == nil:
				handle(m)
			case errors.As(err, &closed):
				return err
			default: // a message of a newer peer, or a broken one: the connection is still good
				log.Warn("message ignored", "err", err)
			}
		}
	})
	g.Go(func() error {
		for {
			m, err := out.next(ctx)
			if err != nil {
				return err
			}
			if err := conn.Write(m); err != nil {
				return &controlplane.ClosedError{Err: err}
			}
		}
	})
	g.Go(func() error {
		t := time.NewTimer(lifetime + rand.N(lifetimeSlack))
		defer t.Stop()
		select {
		case <-t.C:
			// The reader sees the end. Ignored: the connection is over either way.
			_ = conn.Expire()
		case <-ctx.Done():
			_ = conn.Close()
		}
		return nil
	})
	return g.Wait()
}

// discover asks where the sessions are; where they were last will do if nobody answers.
func (a *Agent) discover(ctx context.Context) (controlplane.Endpoints, error) {
	e, err := a.cp.DiscoverPollEndpoint(ctx, a.cfg.Cluster, a.arn)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.endpoints = e
		return e, nil
	}
	if a.endpoints != (controlplane.Endpoints{}) && !controlplane.Permanent(err) {
		return a.endpoints, nil
	}
	return e, err
}

// acsSession is the state of one session.
type acsSession struct {
	a   *Agent
	out *outbox

	// manifest is the id of the last manifest that was accepted and not verified yet.
	manifest string
}

// handle takes in a message. Nothing here waits for the disk or the network, since the
// next message may be the one that stops something.
func (s *acsSession) handle(m agentlink.Message) {
	switch m := m.(type) {
	case *agentlink.HeartbeatMessage:
		s.out.put(&agentlink.HeartbeatAckRequest{MessageID: m.MessageID})
		s.a.telemetry.heartbeat()
	case *agentlink.PayloadMessage:
		s.payload(m)
	case *agentlink.TaskManifestMessage:
		s.taskManifest(m)
	case *agentlink.TaskStopVerificationAck:
		s.stopVerified(m)
	case *agentlink.IAMRoleCredentialsMessage:
		s.roleCredentials(m)
	case *agentlink.StageUpdateMessage:
		s.out.put(&agentlink.NackRequest{Cluster: m.ClusterARN, ContainerInstance: m.ContainerInstanceARN, MessageID: m.MessageID, Reason: updatesRefused})
	case *agentlink.PerformUpdateMessage:
		s.out.put(&agentlink.NackRequest{Cluster: m.ClusterARN, ContainerInstance: m.ContainerInstanceARN, MessageID: m.MessageID, Reason: updatesRefused})
	default:
		s.a.log.Warn("message without a meaning to this agent ignored", "type", m.MessageType())
	}
}

func (s *acsSession) payload(m *agentlink.PayloadMessage) {
	a := s.a
	if m.MessageID == "" || m.ClusterARN == "" || m.ContainerInstanceARN == "" {
		a.log.Warn("payload without id or ARNs ignored", "messageId", m.MessageID)
		return
	}
	tasks, bad := m.DecodeTasks()
	for _, b := range bad {
		a.log.Error("payload has a task that can't be read", "task", b.ARN, "err", b.Err)
		a.reportUnreadable(b)
	}
	var acks []agentlink.Message
	if len(bad) == 0 { // with one, the Amazon agent doesn't acknowledge: the STOPPED report says enough
		acks = append(acks, &agentlink.AckRequest{Cluster: m.ClusterARN, ContainerInstance: m.ContainerInstanceARN, MessageID: m.MessageID})
	}
	for _, t := range tasks {
		a.log.Info("task received", "task", t.ARN, "desiredStatus", t.DesiredStatus)
		// Nothing hands them to the containers yet: the agent doesn't advertise task roles.
		for _, c := range []*agentlink.IAMRoleCredentials{t.RoleCredentials, t.ExecutionRoleCredentials} {
			if c != nil && c.CredentialsID != "" {
				acks = append(acks, &agentlink.IAMRoleCredentialsAckRequest{MessageID: m.MessageID, CredentialsID: c.CredentialsID, Expiration: c.Expiration})
			}
		}
	}
	a.engine.Accept(tasks, a.raise(m.SeqNum), func() { s.out.put(acks...) })
}

// raise notes a sequence number, and returns it if it is the highest so far.
func (a *Agent) raise(n *int64) *int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n == nil || *n <= a.seqNum {
		return nil
	}
	a.seqNum = *n
	return n
}

// reportUnreadable tells the control plane that a task can't be run. It isn't kept on record: the payload comes again.
func (a *Agent) reportUnreadable(b *agentlink.TaskError) {
	if b.ARN == "" {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := a.cp.SubmitTaskStateChange(ctx, &agentlink.TaskStateChange{Cluster: a.cfg.Cluster, Task: b.ARN, Status: agentlink.StatusStopped,
			Reason: "UnrecogniedTaskError: Error loading task - " + b.Err.Error()}) // spelled as the Amazon agent spells it
		if err != nil {
			a.log.Warn("unreadable task not reported", "task", b.ARN, "err", err)
		}
	}()
}

func (s *acsSession) taskManifest(m *agentlink.TaskManifestMessage) {
	a := s.a
	n := a.raise(m.Timeline)
	if n == nil {
		a.log.Info("manifest that is older than what is known ignored", "messageId", m.MessageID)
		return
	}
	wanted := map[string]bool{}
	for _, t := range m.Tasks {
		wanted[t.TaskARN] = t.DesiredStatus == agentlink.StatusRunning
	}
	verify := &agentlink.TaskStopVerificationMessage{MessageID: m.MessageID}
	for _, t := range a.engine.Snapshot() {
		if t.Desired == agentlink.StatusRunning && !wanted[t.Spec.ARN] {
			verify.StopCandidates = append(verify.StopCandidates, agentlink.TaskIdentity{TaskARN: t.Spec.ARN,
				TaskClusterARN: t.Spec.TaskClusterARN, DesiredStatus: agentlink.StatusStopped})
		}
	}
	s.manifest = m.MessageID
	a.engine.SaveSeqNum(*n, func() {
		s.out.put(&agentlink.AckRequest{Cluster: m.ClusterARN, ContainerInstance: m.ContainerInstanceARN, MessageID: m.MessageID})
		if len(verify.StopCandidates) > 0 {
			a.log.Info("tasks that the manifest lacks", "count", len(verify.StopCandidates))
			s.out.put(verify)
		}
	})
}

func (s *acsSession) stopVerified(m *agentlink.TaskStopVerificationAck) {
	if m.MessageID == "" || m.MessageID != s.manifest {
		s.a.log.Warn("stop verification of another manifest ignored", "messageId", m.MessageID)
		return
	}
	s.manifest = "" // it counts once
	var arns []string
	for _, t := range m.StopTasks {
		if t.DesiredStatus == agentlink.StatusStopped {
			arns = append(arns, t.TaskARN)
		}
	}
	s.a.engine.Stop(arns)
}

func (s *acsSession) roleCredentials(m *agentlink.IAMRoleCredentialsMessage) {
	c := m.RoleCredentials
	if m.MessageID == "" || c == nil || c.CredentialsID == "" || s.a.engine.Task(m.TaskARN) == nil {
		s.a.log.Warn("credentials for no task of this agent ignored", "task", m.TaskARN)
		return
	}
	s.out.put(&agentlink.IAMRoleCredentialsAckRequest{MessageID: m.MessageID, CredentialsID: c.CredentialsID, Expiration: c.Expiration})
}

// outbox queues what a session has to write, without ever making the one wait who puts something in.
type outbox struct {
	mu    sync.Mutex
	queue []agentlink.Message
	wake  chan struct{}
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

func (o *outbox) put(m ...agentlink.Message) {
	o.mu.Lock()
	o.queue = append(o.queue, m...)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) next(ctx context.Context) (agentlink.Message, error) {
	for {
		o.mu.Lock()
		if len(o.queue) > 0 {
			m := o.queue[0]
			o.queue = o.queue[1:]
			o.mu.Unlock()
			return m, nil
		}
		o.mu.Unlock()
		select {
		case <-o.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
