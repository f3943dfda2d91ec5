package main

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// poll is how often a task's status is asked for; it bounds the error of a measurement.
const poll = 3 * time.Millisecond

// benchRunTask starts one task and one container of the same image in turns, and compares the medians.
func benchRunTask(ctx context.Context, binary, dir string, runs int, r *report) error {
	c, _, err := startBerth(ctx, binary, dir, "up", "--foreground")
	if err != nil {
		return err
	}
	defer c.down()
	if err := c.waitAgent(ctx); err != nil {
		return err
	}
	if err := c.register(ctx); err != nil {
		return err
	}
	var berth, docker []time.Duration
	for n := range runs + 1 {
		took, task, err := c.runOne(ctx)
		if err != nil {
			return err
		}
		begin := time.Now()
		id, err := dockerRun()
		if err != nil {
			return err
		}
		dockerTook := time.Since(begin)
		exec.Command("docker", "rm", "-f", id).Run()
		if err := c.stopTask(ctx, task); err != nil {
			return err
		}
		if n > 0 { // the first of each warms the caches
			berth, docker = append(berth, took), append(docker, dockerTook)
		}
	}
	b, d := median(berth), median(docker)
	r.add(fmt.Sprintf("RunTask to RUNNING, median of %d", runs), ms(b), "")
	r.add(fmt.Sprintf("docker run -d, median of %d", runs), ms(d), "")
	r.add("  ratio", fmt.Sprintf("%.2f", float64(b)/float64(d)), "<= 1.15")
	return nil
}

// runOne runs a task, and returns how long it took until DescribeTasks says RUNNING.
func (c *cluster) runOne(ctx context.Context) (time.Duration, string, error) {
	begin := time.Now()
	out, err := c.api.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("bench")})
	if err != nil {
		return 0, "", err
	}
	if len(out.Tasks) != 1 {
		return 0, "", fmt.Errorf("the task was not placed: %s", aws.ToString(out.Failures[0].Reason))
	}
	task := *out.Tasks[0].TaskArn
	err = c.waitStatus(ctx, task, "RUNNING")
	return time.Since(begin), task, err
}

func (c *cluster) waitStatus(ctx context.Context, task, status string) error {
	for {
		out, err := c.api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: []string{task}})
		if err != nil {
			return err
		}
		switch last := *out.Tasks[0].LastStatus; last {
		case status:
			return nil
		case "STOPPED":
			return fmt.Errorf("the task stopped: %s", aws.ToString(out.Tasks[0].StoppedReason))
		}
		time.Sleep(poll)
	}
}

func (c *cluster) stopTask(ctx context.Context, task string) error {
	if _, err := c.api.StopTask(ctx, &ecs.StopTaskInput{Task: &task}); err != nil {
		return err
	}
	return c.waitStatus(ctx, task, "STOPPED")
}

func dockerRun() (string, error) {
	out, err := exec.Command("docker", "run", "-d", "--memory", "32m", image, "sleep").Output()
	if err != nil {
		return "", fmt.Errorf("docker run: %w", err)
	}
	return string(out[:len(out)-1]), nil
}

// benchBurst starts many tasks at once, and compares with docker run -d at the best of several degrees of parallelism.
func benchBurst(ctx context.Context, binary, dir string, count int, r *report) error {
	best, bestParallel := time.Duration(0), 0
	for _, parallel := range []int{2, 4, 8, 16} {
		took, err := dockerBurst(count, parallel)
		if err != nil {
			return err
		}
		if best == 0 || took < best {
			best, bestParallel = took, parallel
		}
	}
	c, _, err := startBerth(ctx, binary, dir, "up", "--foreground")
	if err != nil {
		return err
	}
	defer c.down()
	if err := c.waitAgent(ctx); err != nil {
		return err
	}
	if err := c.register(ctx); err != nil {
		return err
	}
	var took []time.Duration
	for range 2 { // the first warms the caches
		d, err := c.burst(ctx, count)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	b := min(took[0], took[1])
	r.add(fmt.Sprintf("%d tasks at once, until all RUNNING", count), ms(b), "")
	r.add(fmt.Sprintf("docker run -d x %d, %d in parallel (best of 2, 4, 8, 16)", count, bestParallel), ms(best), "")
	r.add("  ratio", fmt.Sprintf("%.2f", float64(b)/float64(best)), "<= 1.10")
	return nil
}

// burst runs count tasks, ten a call as the API allows, and returns when all are RUNNING; then it stops them.
func (c *cluster) burst(ctx context.Context, count int) (time.Duration, error) {
	begin := time.Now()
	var arns []string
	for len(arns) < count {
		out, err := c.api.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("bench"), Count: aws.Int32(int32(min(10, count-len(arns))))})
		if err != nil {
			return 0, err
		}
		if len(out.Failures) > 0 {
			return 0, fmt.Errorf("a task was not placed: %s", aws.ToString(out.Failures[0].Reason))
		}
		for _, t := range out.Tasks {
			arns = append(arns, *t.TaskArn)
		}
	}
	if err := c.waitAll(ctx, arns, "RUNNING"); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	for _, t := range arns {
		if _, err := c.api.StopTask(ctx, &ecs.StopTaskInput{Task: &t}); err != nil {
			return 0, err
		}
	}
	return took, c.waitAll(ctx, arns, "STOPPED")
}

func (c *cluster) waitAll(ctx context.Context, arns []string, status string) error {
	for ctx.Err() == nil {
		reached := 0
		for i := 0; i < len(arns); i += 100 {
			out, err := c.api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: arns[i:min(i+100, len(arns))]})
			if err != nil {
				return err
			}
			for _, t := range out.Tasks {
				if *t.LastStatus == status {
					reached++
				} else if *t.LastStatus == "STOPPED" {
					return fmt.Errorf("a task stopped: %s", aws.ToString(t.StoppedReason))
				}
			}
		}
		if reached == len(arns) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ctx.Err()
}

// dockerBurst runs count containers, so many in parallel, and removes them again outside the measurement.
func dockerBurst(count, parallel int) (time.Duration, error) {
	ids := make(chan string, count)
	work := make(chan struct{}, count)
	for range count {
		work <- struct{}{}
	}
	close(work)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	begin := time.Now()
	for range parallel {
		wg.Go(func() {
			for range work {
				id, err := dockerRun()
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				ids <- id
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	close(ids)
	all := []string{"rm", "-f"}
	for id := range ids {
		all = append(all, id)
	}
	exec.Command("docker", all...).Run()
	return took, failed
}
