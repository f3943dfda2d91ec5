package operations

import (
	"fmt"
	"testing"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
)

// TestKeptAnswersAreTrue describes a task again and again while everything that its answer depends on changes: the kept
// answer must always be what a server without any would say.
func TestKeptAnswersAreTrue(t *testing.T) {
	s := newCluster(t)
	ok(s, s.RunTask, `{"taskDefinition":"web","tags":[{"key":"a","value":"b"}]}`)
	task := stored(s, state.Tasks)[0]
	input := fmt.Sprintf(`{"tasks":["%s"]}`, task.ID)
	describe := func(why string) string {
		t.Helper()
		kept := ok(s, s.DescribeTasks, input)
		again := ok(s, s.DescribeTasks, input)
		s.answers = taskAnswers{}
		fresh := ok(s, s.DescribeTasks, input)
		want := string(encoded(fresh))
		if got := string(encoded(kept)); got != want {
			t.Errorf("after %s, kept:\n%s\nfresh:\n%s", why, got, want)
		}
		if got := string(encoded(again)); got != want {
			t.Errorf("after %s, second:\n%s\nfresh:\n%s", why, got, want)
		}
		// The members say the same as the encoding: callers in this process read those.
		for i := range again.Tasks {
			again.Tasks[i].Encoded = nil
		}
		if got := string(encoded(again)); got != want {
			t.Errorf("after %s, members:\n%s\nencoded:\n%s", why, got, want)
		}
		ok(s, s.DescribeTasks, input) // so that the next change meets a kept answer
		return want
	}
	seen := map[string]bool{describe("the start"): true}
	for _, change := range []struct {
		why string
		do  func()
	}{
		{"a start", func() {
			changeTask(s, task.ID, func(t *ecs.Task) { t.LastStatus, t.ConnectivityAt = ecs.TaskRunning, testStart })
		}},
		{"a lost connection", func() {
			changeInstance(s, task.ContainerInstance, func(ci *ecs.ContainerInstance) { ci.AgentConnected = false })
		}},
		{"a restored connection and a stop", func() {
			changeInstance(s, task.ContainerInstance, func(ci *ecs.ContainerInstance) { ci.AgentConnected = true })
			changeTask(s, task.ID, func(t *ecs.Task) { t.DesiredStatus, t.StopCode = ecs.TaskStopped, ecs.StopUserInitiated })
		}},
	} {
		change.do()
		answer := describe(change.why)
		if seen[answer] {
			t.Errorf("%s doesn't show", change.why)
		}
		seen[answer] = true
	}
	// Tags aren't part of a kept answer.
	if out := ok(s, s.DescribeTasks, fmt.Sprintf(`{"tasks":["%s"],"include":["TAGS"]}`, task.ID)); len(out.Tasks[0].Tags) != 1 {
		t.Errorf("tags: %+v", out.Tasks[0].Tags)
	}
}

func encoded(out *ecsapi.DescribeTasksOutput) []byte { return out.AppendJSON(nil) }
