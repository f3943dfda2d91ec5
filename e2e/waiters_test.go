package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// TestPagesOfTheCLI goes through 250 task definitions and 130 services with the real AWS CLI's paginators.
func TestPagesOfTheCLI(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	address := listenOn(t)
	m := newMachine(t, "pages", "BERTH_LISTEN="+address)
	m.run("server")
	api := m.client("http://" + address)
	eventuallyOK(t, "there is a cluster", func() error {
		_, err := api.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("default")})
		return err
	})
	const definitions, services = 250, 130
	together(10, func(n int) {
		for i := n; i < definitions; i += 10 {
			_, err := api.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: aws.String(fmt.Sprintf("f%d", i%3)),
				ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("a"), Image: aws.String("i"), Memory: aws.Int32(16)}}})
			if err != nil {
				t.Error(err)
			}
		}
	})
	together(10, func(n int) {
		for i := n; i < services; i += 10 {
			_, err := api.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String(fmt.Sprintf("s%d", i)), TaskDefinition: aws.String("f0:1"), DesiredCount: aws.Int32(0)})
			if err != nil {
				t.Error(err)
			}
		}
	})
	cli := newCLI(t, m, address)

	for _, list := range []struct {
		command, member string
		want            int
	}{{"list-task-definitions", "taskDefinitionArns", definitions}, {"list-services", "serviceArns", services}} {
		// All of them, in pages of each size: whole, without repetition, in the same order.
		var all []string
		for _, size := range []string{"100", "7"} {
			got, token := cli.page(list.command, list.member, "--page-size", size)
			distinct := slices.Compact(slices.Sorted(slices.Values(got)))
			if len(got) != list.want || len(distinct) != list.want || token != "" {
				t.Errorf("%s in pages of %s: %d, %d of them distinct, want %d; next token %q", list.command, size, len(got), len(distinct), list.want, token)
			}
			if all != nil && !slices.Equal(got, all) {
				t.Errorf("%s in pages of %s is in another order", list.command, size)
			}
			all = got
		}
		// In portions, which end in the middle of a page.
		var pieces []string
		token := ""
		for {
			args := []string{"--page-size", "30", "--max-items", "110"}
			if token != "" {
				args = append(args, "--starting-token", token)
			}
			var got []string
			got, token = cli.page(list.command, list.member, args...)
			pieces = append(pieces, got...)
			if token == "" || len(pieces) > list.want {
				break
			}
		}
		if !slices.Equal(pieces, all) {
			t.Errorf("%s in portions of 110: %d of %d, or in another order", list.command, len(pieces), len(all))
		}
	}
	down, _ := cli.page("list-task-definitions", "taskDefinitionArns", "--sort", "DESC", "--family-prefix", "f1", "--page-size", "9")
	if len(down) != 83 || !strings.HasSuffix(down[0], "/f1:83") || !strings.HasSuffix(down[82], "/f1:1") {
		t.Errorf("descending: %d, from %s to %s", len(down), down[0], down[len(down)-1])
	}
	if out, err := cli.run("list-services", "--max-results", "101"); err == nil {
		t.Errorf("a page of 101 services: %s", out)
	}
	if out, err := cli.run("list-services", "--next-token", "bogus"); err == nil || !strings.Contains(out, "InvalidParameterException") {
		t.Errorf("a token that nobody has given out: %v %s", err, out)
	}
}

// TestWaitersThatFail has the AWS CLI wait for what won't come: it says so at once, as against AWS, instead of for ten
// minutes. The tour has the waiters that succeed.
func TestWaitersThatFail(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	address := listenOn(t)
	m := newMachine(t, "waiters", "BERTH_LISTEN="+address)
	if out, err := m.berth("up"); err != nil {
		t.Fatalf("berth up: %v\n%s", err, out)
	}
	api := m.client("http://" + address)
	cli := newCLI(t, m, address)
	registerSleeper(t, api, "waiters")
	const nobody = "0123456789abcdef0123456789abcdef"

	run, err := api.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("waiters")})
	if err != nil || len(run.Tasks) != 1 {
		t.Fatal(err, run)
	}
	task := *run.Tasks[0].TaskArn
	cli.must("wait", "tasks-running", "--tasks", task)
	cli.must("stop-task", "--task", task)
	cli.must("wait", "tasks-stopped", "--tasks", task)
	for what, args := range map[string][]string{
		"a stopped task to run":            {"tasks-running", "--tasks", task},
		"no task to run":                   {"tasks-running", "--tasks", nobody},
		"no service to be stable":          {"services-stable", "--services", "nobody"},
		"no service to be inactive":        {"services-inactive", "--services", "nobody"},
		"a deleted service's being stable": {"services-stable", "--services", "deleted"},
	} {
		if strings.HasPrefix(what, "a deleted") {
			if _, err := api.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: aws.String("deleted"), TaskDefinition: aws.String("waiters"), DesiredCount: aws.Int32(0)}); err != nil {
				t.Fatal(err)
			}
			cli.must("wait", "services-stable", "--services", "deleted")
			cli.must("delete-service", "--service", "deleted")
			cli.must("wait", "services-inactive", "--services", "deleted")
		}
		if out, err := cli.run(append([]string{"wait"}, args...)...); err == nil || !strings.Contains(out, "terminal failure state") {
			t.Errorf("waiting for %s: %v %s", what, err, out)
		}
	}
}

// cli is the AWS CLI, pointed at a machine.
type cli struct {
	t    *testing.T
	path string
	env  []string
}

func newCLI(t *testing.T, m *machine, address string) *cli {
	t.Helper()
	c := &cli{t: t, path: filepath.Join(m.dir, "aws"), env: append(slices.Clone(m.env), "HOME="+m.dir)}
	if err := writeAWS(c.path, "http://"+address); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cli) run(args ...string) (string, error) {
	// A waiter that doesn't see the end would go on for ten minutes.
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, append([]string{"ecs"}, args...)...)
	cmd.Env = c.env
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *cli) must(args ...string) {
	c.t.Helper()
	if out, err := c.run(args...); err != nil {
		c.t.Fatalf("aws ecs %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// page is what a list command prints: the items, and the token with which it goes on.
func (c *cli) page(command, member string, args ...string) (items []string, next string) {
	c.t.Helper()
	cmd := exec.Command(c.path, append([]string{"ecs", command, "--output", "json"}, args...)...)
	cmd.Env, cmd.Stderr = c.env, os.Stderr
	b, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("aws ecs %s %s: %v", command, strings.Join(args, " "), err)
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(b, &out); err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(out[member], &items); err != nil {
		c.t.Fatalf("%s: %v", b, err)
	}
	if raw, ok := out["NextToken"]; ok {
		if err := json.Unmarshal(raw, &next); err != nil {
			c.t.Fatal(err)
		}
	}
	return items, next
}
