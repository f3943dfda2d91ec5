package control

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
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

func wantTasks(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("payload has %v, want %v", got, want)
	}
}

func TestConnectIsRecorded(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		m := next[*agentlink.TaskManifestMessage](a)
		ci := w.instance()
		if !ci.AgentConnected || ci.Session == "" || ci.AgentVersion != "1.105.1" || ci.AgentHash != "a8b3e7d3" ||
			ci.DockerVersion != "DockerVersion: 20.10.24" || ci.Version != 2 {
			t.Errorf("connected: %+v", ci)
		}
		if m.MessageID == "" || m.ContainerInstanceARN != instanceARN || *m.Timeline <= ci.AgentSequence {
			t.Errorf("manifest: %+v", m)
		}
		a.ws.Close()
		synctest.Wait()
		if ci := w.instance(); ci.AgentConnected || ci.Version != 3 {
			t.Errorf("the agent is gone, and still shown as connected: %+v", ci)
		}
	})
}

func TestRefusals(t *testing.T) {
	bubble(t, func(w *world) {
		w.update(func(tx *store.Tx) {
			state.Instances.Put(tx, &ecs.ContainerInstance{ID: "gone", Cluster: "default", Status: ecs.InstanceInactive})
		})
		arn := func(region, cluster, id string) string {
			return "arn:aws:ecs:" + region + ":123456789012:container-instance/" + cluster + "/" + id
		}
		for _, c := range []struct {
			cluster, instance, want string
		}{
			{"default", instanceARN, ""},
			{"arn:aws:ecs:us-east-1:123456789012:cluster/default", instanceARN, ""},
			{"other", instanceARN, "400 InvalidClusterException"},
			{"arn:aws:ecs:us-east-1:123456789012:service/default", instanceARN, "400 InvalidClusterException"},
			{"default", arn("us-east-1", "default", "nobody"), "400 InvalidInstanceException"},
			{"default", arn("us-east-1", "other", "ci"), "400 InvalidInstanceException"},
			{"default", arn("eu-west-1", "default", "ci"), "400 InvalidInstanceException"},
			{"default", "ci", "400 InvalidInstanceException"},
			{"default", arn("us-east-1", "default", "gone"), "400 InactiveInstanceException"},
		} {
			for path, q := range map[string]url.Values{
				"/acs/ws": acsQuery(func(h *agentlink.ACSHandshake) { h.Cluster, h.ContainerInstanceARN = c.cluster, c.instance }),
				"/tcs/ws": agentlink.TCSHandshake{Cluster: c.cluster, ContainerInstanceARN: c.instance}.Query(),
			} {
				a, got := w.dial(path, q)
				if a != nil {
					a.ws.Close()
				}
				if !strings.HasPrefix(got, c.want) || got != "" && c.want == "" {
					t.Errorf("%s %s %s: %q, want %q", path, c.cluster, c.instance, got, c.want)
				}
			}
		}
	})
}

func TestRefusedWhileNotLeading(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.mu.Lock()
		w.server.term = nil
		w.server.mu.Unlock()
		for path, q := range map[string]url.Values{"/acs/ws": acsQuery(nil),
			"/tcs/ws": agentlink.TCSHandshake{Cluster: "default", ContainerInstanceARN: instanceARN}.Query()} {
			if _, got := w.dial(path, q); !strings.HasPrefix(got, "503 ServerException") {
				t.Errorf("%s: %q", path, got)
			}
		}
		if w.instance().AgentConnected {
			t.Error("a refused agent counts as connected")
		}
	})
}

func TestDeliveryUntilAck(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		start := time.Now()
		w.run("t1")
		p, tasks := a.payload()
		wantTasks(t, tasks, "t1 RUNNING")
		if d := time.Since(start); d != 0 {
			t.Errorf("it waited %v", d)
		}
		// Lost: again after 5 s, 10 s, 20 s, with the same id and a new number.
		seq, at := *p.SeqNum, time.Now()
		for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
			again, tasks := a.payload()
			wantTasks(t, tasks, "t1 RUNNING")
			if again.MessageID != p.MessageID || *again.SeqNum <= seq {
				t.Errorf("id %s seq %d after id %s seq %d", again.MessageID, *again.SeqNum, p.MessageID, seq)
			}
			if d := time.Since(at); d < pause || d > pause+time.Second {
				t.Errorf("after %v, want %v", d, pause)
			}
			seq, at = *again.SeqNum, time.Now()
		}
		a.ack(p.MessageID)
		a.ack(p.MessageID) // of a copy
		a.ack("unknown")
		a.quiet(20 * time.Minute)
	})
}

func TestReconnect(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		w.run("pending", "running", "stopping")
		p, tasks := a.payload()
		wantTasks(t, tasks, "pending RUNNING", "running RUNNING", "stopping RUNNING")
		a.ack(p.MessageID)
		w.set("running", func(t *ecs.Task) { t.LastStatus = ecs.TaskRunning })
		w.set("stopping", func(t *ecs.Task) { t.LastStatus, t.DesiredStatus = ecs.TaskRunning, ecs.TaskStopped })
		p, tasks = a.payload()
		wantTasks(t, tasks, "stopping STOPPED")
		a.ack(p.MessageID)
		a.quiet(time.Minute)
		a.ws.Close()

		// What the agent has not answered for by a report, it is told again; what runs, it knows.
		b := w.connect()
		p, tasks = b.payload()
		wantTasks(t, tasks, "pending RUNNING", "stopping STOPPED")
		m := next[*agentlink.TaskManifestMessage](b)
		if *m.Timeline <= *p.SeqNum {
			t.Errorf("a manifest of timeline %d after a payload of %d is dropped by agents", *m.Timeline, *p.SeqNum)
		}
		if len(m.Tasks) != 3 {
			t.Errorf("manifest: %+v", m.Tasks)
		}
		b.ack(p.MessageID)
		w.set("stopping", func(t *ecs.Task) { t.LastStatus = ecs.TaskStopped })
		b.quiet(20 * time.Minute)
	})
}

func TestManyTasksAtOnce(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		var ids []string
		for i := range 100 {
			ids = append(ids, fmt.Sprintf("t%02d", i))
		}
		w.run(ids...)
		got := map[string]int{}
		for range 5 {
			p, tasks := a.payload()
			for _, s := range tasks {
				got[s]++
			}
			a.ack(p.MessageID)
		}
		a.quiet(10 * time.Minute)
		for _, id := range ids {
			if got[id+" RUNNING"] != 1 {
				t.Errorf("%s was delivered %d times", id, got[id+" RUNNING"])
			}
		}
	})
}

func TestStopOvertakesStart(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		w.run("t1")
		start, _ := a.payload()
		w.set("t1", func(t *ecs.Task) { *t = lifecycle.RequestStop(*t, ecs.StopUserInitiated, "r", time.Now()) })
		stop, tasks := a.payload()
		wantTasks(t, tasks, "t1 STOPPED")
		a.ack(start.MessageID) // says nothing about the stop
		again, tasks := a.payload()
		wantTasks(t, tasks, "t1 STOPPED")
		if again.MessageID != stop.MessageID {
			t.Errorf("redelivered %s, want %s", again.MessageID, stop.MessageID)
		}
		a.ack(stop.MessageID)
		a.quiet(10 * time.Minute)
	})
}

// TestRejectedTask: an agent that can't read a task says so by SubmitTaskStateChange and doesn't acknowledge the payload.
func TestRejectedTask(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		w.run("bad", "good")
		first, tasks := a.payload()
		wantTasks(t, tasks, "bad RUNNING", "good RUNNING")
		w.set("bad", func(t *ecs.Task) {
			*t = lifecycle.Apply(*t, lifecycle.TaskChange{Status: "STOPPED", Reason: "UnrecogniedTaskError: x"}, time.Now())
		})
		p, tasks := a.payload()
		wantTasks(t, tasks, "good RUNNING")
		if p.MessageID != first.MessageID {
			t.Errorf("another id: an ack of the first copy, which is on its way, would be lost")
		}
		a.ack(p.MessageID)
		a.quiet(20 * time.Minute)

		// Alone in its payload: nothing is left to be sent.
		w.run("worse")
		a.payload()
		w.set("worse", func(t *ecs.Task) {
			*t = lifecycle.Apply(*t, lifecycle.TaskChange{Status: "STOPPED", Reason: "UnrecogniedTaskError: x"}, time.Now())
		})
		a.quiet(4 * time.Minute)
	})
}

func TestNumbersNeverGoBack(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		last := *next[*agentlink.TaskManifestMessage](a).Timeline
		for _, id := range []string{"t1", "t2", "t3"} {
			w.run(id)
			p, _ := a.payload()
			if *p.SeqNum <= last {
				t.Errorf("%d after %d", *p.SeqNum, last)
			}
			last = *p.SeqNum
			a.ack(p.MessageID)
			w.set(id, func(t *ecs.Task) { t.LastStatus = ecs.TaskRunning })
		}
		// The server comes back with a clock that is a year behind.
		a.ws.Close()
		w.now = func() time.Time { return time.Now().AddDate(-1, 0, 0) }
		w.restart()
		m := next[*agentlink.TaskManifestMessage](w.connect())
		if *m.Timeline <= last {
			t.Errorf("%d after %d: the agent drops every manifest for a year", *m.Timeline, last)
		}
	})
}

func TestNumbersRunOut(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		synctest.Wait()
		w.server.mu.Lock()
		se := w.server.sessions["ci"]
		se.sequence = se.instance.AgentSequence + sequenceRoom - 1
		w.server.mu.Unlock()
		w.run("t1")
		if err := a.closedAtOnce(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("closed with %v", err)
		}
		if _, tasks := w.connect().payload(); len(tasks) != 1 {
			t.Errorf("got %v", tasks)
		}
	})
}

func TestManifestStopsOrphans(t *testing.T) {
	bubble(t, func(w *world) {
		w.run("mine", "stopping")
		w.set("mine", func(t *ecs.Task) { t.LastStatus = ecs.TaskRunning })
		w.update(func(tx *store.Tx) {
			state.Tasks.Put(tx, &ecs.Task{ID: "elsewhere", Cluster: "default", ContainerInstance: "other",
				DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskRunning})
		})
		w.set("stopping", func(t *ecs.Task) { t.DesiredStatus = ecs.TaskStopped })
		a := w.connect()
		p, _ := a.payload()
		a.ack(p.MessageID)
		m := next[*agentlink.TaskManifestMessage](a)
		listed := map[string]string{}
		for _, id := range m.Tasks {
			listed[id.TaskARN] = id.DesiredStatus
		}
		if want := map[string]string{taskARN("mine"): "RUNNING", taskARN("stopping"): "STOPPED"}; !reflect.DeepEqual(listed, want) {
			t.Errorf("manifest %v, want %v", listed, want)
		}
		w.run("late") // placed after the manifest was written
		p, _ = a.payload()
		a.ack(p.MessageID)
		ask := &agentlink.TaskStopVerificationMessage{MessageID: m.MessageID}
		for _, id := range []string{"late", "mine", "forgotten", "elsewhere", "stopping"} {
			ask.StopCandidates = append(ask.StopCandidates, agentlink.TaskIdentity{TaskARN: taskARN(id), DesiredStatus: "STOPPED"})
		}
		a.send(ask)
		answer := next[*agentlink.TaskStopVerificationAck](a)
		var confirmed []string
		for _, id := range answer.StopTasks {
			confirmed = append(confirmed, id.TaskARN[len(taskARN("")):]+" "+id.DesiredStatus)
		}
		wantTasks(t, confirmed, "elsewhere STOPPED", "forgotten STOPPED", "stopping STOPPED")
		if answer.MessageID != m.MessageID {
			t.Errorf("answer to %s, want %s", answer.MessageID, m.MessageID)
		}
		a.send(ask) // once only
		a.quiet(4 * time.Minute)
		// The next manifest comes by itself, with a greater timeline.
		if again := next[*agentlink.TaskManifestMessage](a); *again.Timeline <= *m.Timeline || again.MessageID == m.MessageID {
			t.Errorf("manifest %+v after %+v", again, m)
		}
	})
}

func TestDefinitionIsGone(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		w.update(func(tx *store.Tx) {
			state.TaskDefinitions.Delete(tx, ecs.TaskDefinitionID{Family: "web", Revision: 1}.Key())
		})
		w.run("t1")
		p := next[*agentlink.PayloadMessage](a)
		tasks, _ := p.DecodeTasks()
		if len(tasks) != 1 || tasks[0].DesiredStatus != "STOPPED" {
			t.Fatalf("payload: %s", p.Tasks)
		}
		if task := w.task("t1"); task.DesiredStatus != ecs.TaskStopped || task.StopCode != ecs.StopTaskFailedToStart {
			t.Errorf("task: %+v", task)
		}
	})
}

func TestNonsenseIsIgnored(t *testing.T) {
	bubble(t, func(w *world) {
		a := w.connect()
		next[*agentlink.TaskManifestMessage](a)
		a.write([]byte("{"))
		a.write([]byte(`{"type":"FutureMessage","message":{}}`))
		a.write([]byte(`{"type":"PayloadMessage","message":{}}`))
		a.send(&agentlink.NackRequest{MessageID: "x", Reason: "Updates are disabled"})
		w.run("t1")
		_, tasks := a.payload()
		wantTasks(t, tasks, "t1 RUNNING")
	})
}
