package lifecycle

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/openberth/berth/internal/ecs"
)

// history draws what an agent may report of a task, in its order: each container goes PENDING, RUNNING, STOPPED, perhaps
// skipping, the events batched at random into messages; the task's own status is never behind.
func history(rt *rapid.T, task ecs.Task) (messages []TaskChange) {
	var events []ContainerChange
	var rest [][]ContainerChange
	for _, c := range task.Containers {
		var own []ContainerChange
		for _, status := range []string{ecs.TaskPending, ecs.TaskRunning, ecs.TaskStopped} {
			if !rapid.Bool().Draw(rt, "reported "+c.Name+" "+status) {
				continue
			}
			e := ContainerChange{Name: c.Name, Status: status}
			if rapid.Bool().Draw(rt, "digest") {
				e.ImageDigest = "sha256:" + c.Name
			}
			if status != ecs.TaskPending {
				e.RuntimeID = rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "id")
				e.Reason = rapid.SampledFrom([]string{"", "CannotPullContainerError: x", "OutOfMemoryError: y"}).Draw(rt, "reason")
				if rapid.Bool().Draw(rt, "bound") {
					e.NetworkBindings = []ecs.NetworkBinding{{ContainerPort: 80, HostPort: rapid.IntRange(1, 3).Draw(rt, "port")}}
				}
			}
			if status == ecs.TaskStopped && rapid.Bool().Draw(rt, "exited") {
				code := rapid.IntRange(0, 2).Draw(rt, "code")
				e.ExitCode = &code
			}
			own = append(own, e)
		}
		rest = append(rest, own)
	}
	for {
		rest = slices.DeleteFunc(rest, func(own []ContainerChange) bool { return len(own) == 0 })
		if len(rest) == 0 {
			break
		}
		i := rapid.IntRange(0, len(rest)-1).Draw(rt, "next container")
		events = append(events, rest[i][0])
		rest[i] = rest[i][1:]
	}
	statuses := []string{ecs.TaskPending, ecs.TaskRunning, ecs.TaskStopped}
	for len(events) > 0 || len(messages) == 0 {
		n := rapid.IntRange(0, len(events)).Draw(rt, "batch")
		m := TaskChange{Containers: events[:n]}
		events = events[n:]
		k := rapid.IntRange(0, len(statuses)-1).Draw(rt, "status")
		m.Status, statuses = statuses[k], statuses[k:]
		if rapid.Bool().Draw(rt, "pulled") {
			m.PullStartedAt, m.PullStoppedAt = at(1), at(2)
		}
		if m.Status == ecs.TaskStopped {
			m.ExecutionStoppedAt = at(rapid.IntRange(3, 5).Draw(rt, "ended"))
		}
		messages = append(messages, m)
		if len(messages) > 12 {
			break
		}
	}
	return messages
}

func drawTask(rt *rapid.T) ecs.Task {
	fields := []string{"a:essential", "b", "c:essential"}
	return newTask(fields[:rapid.IntRange(1, 3).Draw(rt, "containers")]...)
}

// TestRepetitionChangesNothing: whatever copies of a task's messages arrive, and however late, the record ends as if each
// had come once. The first copies keep their order, as the agent sends a task's reports one after the other.
func TestRepetitionChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		task := drawTask(rt)
		messages := history(rt, task)
		once, noisy := task, task
		for i, m := range messages {
			once = Apply(once, m, at(i))
			noisy = Apply(noisy, m, at(i))
			if d := cmp.Diff(once, noisy); d != "" {
				rt.Fatalf("message %d (-once +noisy):\n%s", i, d)
			}
			for range rapid.IntRange(0, 3).Draw(rt, "copies") {
				j := rapid.IntRange(0, i).Draw(rt, "copy of")
				noisy = Apply(noisy, messages[j], at(1000))
			}
		}
		if d := cmp.Diff(once, noisy); d != "" {
			rt.Fatalf("in the end (-once +noisy):\n%s", d)
		}
	})
}

// TestForwardOnly: statuses never go back, what was written once stays, and Version tells truly whether anything changed.
func TestForwardOnly(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		task := drawTask(rt)
		messages := history(rt, task)
		for i := range 20 {
			before := task
			frozen := clone(before)
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				task = RequestStop(task, ecs.StopUserInitiated, "r", at(i))
			case 1:
				task = InstanceGone(task, "gone", at(i))
			case 2:
				task = ApplyHealth(task, []ContainerHealth{{"a", ecs.Healthy, at(i)}, {"b", ecs.Unhealthy, at(i)}})
			default:
				task = Apply(task, messages[rapid.IntRange(0, len(messages)-1).Draw(rt, "message")], at(i))
			}
			if d := cmp.Diff(frozen, before); d != "" {
				rt.Fatalf("the old record was changed:\n%s", d)
			}
			same := reflect.DeepEqual(before, task)
			if same != (task.Version == before.Version) {
				rt.Fatalf("version %d -> %d, but same = %v\n%s", before.Version, task.Version, same, cmp.Diff(before, task))
			}
			if after(before.LastStatus, task.LastStatus) {
				rt.Fatalf("went back: %s -> %s", before.LastStatus, task.LastStatus)
			}
			if before.DesiredStatus == ecs.TaskStopped && task.DesiredStatus != ecs.TaskStopped {
				rt.Fatal("a stop was taken back")
			}
			if task.LastStatus == ecs.TaskStopped && (task.DesiredStatus != ecs.TaskStopped || task.StoppedAt.IsZero()) {
				rt.Fatalf("stopped, but %+v", task)
			}
			if before.DesiredStatus == ecs.TaskStopped && (before.StopCode != task.StopCode || before.StoppedReason != task.StoppedReason ||
				!before.StoppingAt.Equal(task.StoppingAt)) {
				rt.Fatal("the first reason didn't stand")
			}
			for k := range task.Containers {
				b, a := before.Containers[k], task.Containers[k]
				if after(b.LastStatus, a.LastStatus) {
					rt.Fatalf("container went back: %s -> %s", b.LastStatus, a.LastStatus)
				}
				if b.ExitCode != nil && a.ExitCode == nil || b.Reason != "" && a.Reason == "" {
					rt.Fatal("an exit code or a reason was lost")
				}
				if task.LastStatus == ecs.TaskStopped && a.LastStatus != ecs.TaskStopped {
					rt.Fatal("a stopped task with a container that isn't")
				}
			}
		}
	})
}

func clone(t ecs.Task) ecs.Task {
	t.Containers = slices.Clone(t.Containers)
	for i := range t.Containers {
		t.Containers[i].NetworkBindings = slices.Clone(t.Containers[i].NetworkBindings)
		if c := t.Containers[i].ExitCode; c != nil {
			n := *c
			t.Containers[i].ExitCode = &n
		}
	}
	return t
}

func TestAttachmentsMoveForward(t *testing.T) {
	task := newTask("app:essential")
	task.Attachments = []ecs.Attachment{{ID: "e1", Status: "ATTACHING"}}
	const arn = "arn:aws:ecs:us-east-1:123456789012:attachment/e1"
	next := Apply(task, TaskChange{Attachments: []AttachmentChange{{arn, "ATTACHED"}, {"other/e2", "ATTACHED"}}}, at(1))
	if got := next.Attachments[0].Status; got != "ATTACHED" || next.Version != task.Version+1 {
		t.Fatalf("status %s, version %d", got, next.Version)
	}
	if task.Attachments[0].Status != "ATTACHING" {
		t.Error("the old record was changed")
	}
	again := Apply(next, TaskChange{Attachments: []AttachmentChange{{arn, "ATTACHING"}}}, at(2))
	if fmt.Sprint(again) != fmt.Sprint(next) {
		t.Errorf("went back: %+v", again.Attachments)
	}
}
