package agent

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/openberth/berth/internal/agent/runtime/docker"
)

func TestZZBench(t *testing.T) {
	image := os.Getenv("BENCH_IMAGE")
	if image == "" {
		t.Skip()
	}
	par, _ := strconv.Atoi(os.Getenv("BENCH_PAR"))
	rt, err := docker.New(docker.Options{Parallel: par})
	if err != nil {
		t.Fatal(err)
	}
	i := newInstance(t)
	i.cfg.Runtime = rt
	i.cfg.Log = nil
	i.cfg.DisableMetrics = os.Getenv("BENCH_NOMETRICS") != ""
	acs, _ := i.connect()
	n := 0
	send := func() string {
		n++
		arn := fmt.Sprintf("arn:aws:ecs:us-east-1:123456789012:task/default/%032d", n)
		acs.send("PayloadMessage", payload(fmt.Sprint(n), n, map[string]any{"arn": arn, "desiredStatus": "RUNNING", "family": "b", "version": "1",
			"containers": []any{map[string]any{"name": "app", "image": image, "essential": true}}}))
		return arn
	}
	var ours, theirs []time.Duration
	for range 5 {
		b := time.Now()
		send()
		i.cp.expectCall("SubmitTaskStateChange")
		ours = append(ours, time.Since(b))
		b = time.Now()
		if out, err := exec.Command("docker", "run", "-d", "--label", "agentbench=1", image).CombinedOutput(); err != nil {
			t.Fatal(string(out))
		}
		theirs = append(theirs, time.Since(b))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	fmt.Printf("one: ours %v docker %v ratio %.2f\n", ours[2], theirs[2], float64(ours[2])/float64(theirs[2]))
	for range 3 {
		exec.Command("sh", "-c", "docker rm -f $(docker ps -aq --filter label=agentbench=1)").Run()
		b := time.Now()
		for range 40 {
			send()
		}
		for range 40 {
			<-i.cp.calls
		}
		us := time.Since(b)
		best := time.Hour
		for _, p := range []int{4} {
			b = time.Now()
			exec.Command("sh", "-c", fmt.Sprintf("seq 40 | xargs -P %d -I{} docker run -d --label agentbench=1 %s >/dev/null", p, image)).Run()
			if d := time.Since(b); d < best {
				best = d
			}
			exec.Command("sh", "-c", "docker rm -f $(docker ps -aq --filter label=agentbench=1)").Run()
		}
		fmt.Printf("40 at once par=%d: ours %v docker %v ratio %.2f\n", par, us, best, float64(us)/float64(best))
	}
	i.stop()
	if n, err := i.agent.Teardown(t.Context()); err != nil {
		t.Error(n, err)
	} else {
		fmt.Println("removed", n)
	}
}
