package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// cluster is a berth process of the benchmark's own.
type cluster struct {
	binary, endpoint string
	env              []string
	cmd              *exec.Cmd
	api              *ecs.Client
	keyID, secret    string
}

// startBerth starts `berth <args>` on a data directory and returns once the API answers; started says when that was.
func startBerth(ctx context.Context, binary, dir string, args ...string) (c *cluster, took time.Duration, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	addr := l.Addr().String()
	l.Close()
	c = &cluster{binary: binary, endpoint: "http://" + addr,
		env: append(os.Environ(), "BERTH_DATA_DIR="+dir, "BERTH_LISTEN="+addr, "BERTH_LOG_LEVEL=warn")}
	log, err := os.Create(filepath.Join(dir, "bench.log"))
	if err != nil {
		return nil, 0, err
	}
	defer log.Close()
	c.cmd = exec.Command(binary, args...)
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr = c.env, log, log
	begin := time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, 0, err
	}
	// The first API answer is a real one: a signed ListClusters. The key file appears early in the start.
	deadline := time.Now().Add(30 * time.Second)
	for {
		if time.Now().After(deadline) || ctx.Err() != nil {
			c.stop()
			b, _ := os.ReadFile(filepath.Join(dir, "bench.log"))
			return nil, 0, fmt.Errorf("no API answer within 30 s; log:\n%s", b)
		}
		if c.api == nil {
			c.readKeys(dir)
		}
		if c.api != nil {
			if _, err := c.api.ListClusters(ctx, &ecs.ListClustersInput{}); err == nil {
				return c, time.Since(begin), nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// readKeys reads the root key as soon as it is there; parsing `berth env` would cost a process start in the measurement.
func (c *cluster) readKeys(dir string) {
	show, err := os.ReadFile(filepath.Join(dir, "root-access-key.json"))
	if err != nil {
		return
	}
	field := func(names ...string) string {
		for _, name := range names {
			if _, rest, ok := strings.Cut(string(show), `"`+name+`"`); ok {
				parts := strings.SplitN(rest, `"`, 3)
				if len(parts) == 3 {
					return parts[1]
				}
			}
		}
		return ""
	}
	c.keyID, c.secret = field("accessKeyId", "AccessKeyId", "id", "ID"), field("secretAccessKey", "SecretAccessKey", "secret", "Secret")
	if c.keyID == "" || c.secret == "" {
		return
	}
	c.api = ecs.New(ecs.Options{Region: "us-east-1", BaseEndpoint: &c.endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.keyID, c.secret, "")})
}

func (c *cluster) stop() {
	c.cmd.Process.Signal(syscall.SIGTERM)
	c.cmd.Wait()
}

// down stops the process and removes its containers.
func (c *cluster) down() {
	c.stop()
	down := exec.Command(c.binary, "down", "--delete-data")
	down.Env = c.env
	down.Run()
}

// waitAgent waits until the agent is connected.
func (c *cluster) waitAgent(ctx context.Context) error {
	for ctx.Err() == nil {
		list, err := c.api.ListContainerInstances(ctx, &ecs.ListContainerInstancesInput{})
		if err == nil && len(list.ContainerInstanceArns) > 0 {
			out, err := c.api.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{ContainerInstances: list.ContainerInstanceArns})
			if err == nil && out.ContainerInstances[0].AgentConnected {
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ctx.Err()
}

// register registers the benchmark's task definition.
func (c *cluster) register(ctx context.Context) error {
	_, err := c.api.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("bench"),
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("app"), Image: aws.String(image), Command: []string{"sleep"}, Memory: aws.Int32(32),
		}},
	})
	return err
}

// rss is the process's resident memory, in bytes.
func (c *cluster) rss() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS")
}

func median(d []time.Duration) time.Duration { return quantile(d, 0.5) }

func quantile(d []time.Duration, q float64) time.Duration {
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
