package control

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/lifecycle"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

func TestNewestConnectionWins(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		b := w.connect()
		next[*agentlink.TaskManifestMessage](b)
		if err := a.closedAtOnce(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
			t.Errorf("the old connection ended with %v", err)
		}
		synctest.Wait()
		if !w.instance().AgentConnected {
			t.Error("the goodbye of the old connection hid the new one")
		}
		w.run("t1")
		_, tasks := b.payload()
		wantTasks(t, tasks, "t1 RUNNING")
	})
}

// TestOlderConnectionComesLate: both have been recorded, but the older one takes its place second.
func TestOlderConnectionComesLate(t *testing.T) {
	bubble(t, func(w *world) {
		newer := &session{instance: &ecs.ContainerInstance{ID: "ci", AgentSequence: 20}, ended: make(chan closing, 1)}
		older := &session{instance: &ecs.ContainerInstance{ID: "ci", AgentSequence: 10}, ended: make(chan closing, 1)}
		if !w.server.join(newer) || w.server.join(older) {
			t.Error("the older connection took the newer one's place")
		}
		if len(newer.ended) != 0 {
			t.Error("the newer connection was told to end")
		}
		w.server.leave(newer)
	})
}

func TestSilentAgentIsGivenUp(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		a.mute.Store(true)
		start := time.Now()
		err := a.closed()
		if d := time.Since(start); d < 80*time.Second || d > 2*time.Minute {
			t.Errorf("ended after %v with %v", d, err)
		}
		synctest.Wait()
		if w.instance().AgentConnected {
			t.Error("still connected")
		}
	})
}

func TestHeartbeatsKeepTheConnection(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		last := time.Now()
		for range 10 {
			h := next[*agentlink.HeartbeatMessage](a)
			if d := time.Since(last); d > 30*time.Second || !h.Healthy || h.MessageID == "" {
				t.Errorf("%+v after %v", h, d)
			}
			last = time.Now()
		}
	})
}

func TestConnectionExpires(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		start := time.Now()
		err := a.closed()
		if d := time.Since(start); d < 25*time.Minute || d > 30*time.Minute || !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("ended after %v with %v", d, err)
		}
		synctest.Wait()
		if !w.instance().AgentConnected {
			t.Error("an agent that only renews its connection was shown as gone")
		}
		// It comes back within the grace period.
		b := w.connect()
		next[*agentlink.TaskManifestMessage](b)
		b.quiet(time.Minute)
		if !w.instance().AgentConnected {
			t.Error("not connected")
		}
		// It says the same words, and doesn't come back.
		b.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "ConnectionExpired: Reconnect to continue"), time.Now().Add(time.Second))
		b.closed()
		synctest.Wait()
		if !w.instance().AgentConnected {
			t.Error("no grace for an agent that renews its connection by itself")
		}
		<-time.After(6 * time.Second)
		synctest.Wait()
		if w.instance().AgentConnected {
			t.Error("still connected after the grace period")
		}
	})
}

func TestCrashOfTheServer(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		w.run("t1")
		w.stop()
		if err := a.closed(); err == nil {
			t.Error("the connection survived")
		}
		w.start()
		synctest.Wait()
		if w.instance().AgentConnected {
			t.Error("nobody has connected to this server, but the record says so")
		}
		b := w.connect()
		_, tasks := b.payload()
		wantTasks(t, tasks, "t1 RUNNING")
		if !w.instance().AgentConnected {
			t.Error("not connected")
		}
		// The sweep leaves the living alone.
		next[*agentlink.TaskManifestMessage](b)
		<-time.After(2 * time.Minute)
		if !w.instance().AgentConnected {
			t.Error("the sweep took a living agent for a dead one")
		}
	})
}

// TestGoodbyeThatFails: a record that nobody took back is found by the sweep.
func TestGoodbyeThatFails(t *testing.T) {
	bubble(t, func(w *world) {
		w.update(func(tx *store.Tx) {
			state.Instances.Put(tx, &ecs.ContainerInstance{ID: "ci", Cluster: "default", Status: ecs.InstanceActive, Version: 1,
				AgentConnected: true, Session: "of a goodbye that the store refused"})
		})
		<-time.After(31 * time.Second)
		synctest.Wait()
		if w.instance().AgentConnected {
			t.Error("still connected")
		}
	})
}

func TestDeregistered(t *testing.T) {
	bubble(t, func(w *world) {
		w.run("t1")
		a := w.connect()
		a.payload()
		// By hand, as a crash between two transactions might leave it: the instance is gone, its task is not.
		w.update(func(tx *store.Tx) {
			ci, _ := state.Instances.Get(tx, "ci")
			next := *ci
			next.Status, next.AgentConnected = ecs.InstanceInactive, false
			state.Instances.Put(tx, &next)
		})
		if err := a.closedAtOnce(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("ended with %v", err)
		}
		if _, refused := w.dial("/acs/ws", acsQuery(nil)); !strings.HasPrefix(refused, "400 InactiveInstanceException") {
			t.Errorf("refused with %q", refused)
		}
		synctest.Wait()
		if task := w.task("t1"); !task.Stopped() || task.StoppedReason != lifecycle.ReasonDeregistrationForced {
			t.Errorf("the task of a machine that is gone: %s %q", task.LastStatus, task.StoppedReason)
		}
	})
}
