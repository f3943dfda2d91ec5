package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/agent"
	"github.com/openberth/berth/internal/client"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/server"
)

// logName is the log of a cluster in the background, in its data directory.
const logName = "berth.log"

func (a *app) upCommand() *cobra.Command {
	var foreground bool
	c := a.common(&cobra.Command{
		Use: "up", GroupID: "cluster", Short: "Start a one-machine cluster, in the background", Args: cobra.NoArgs,
		Long: `Starts the control plane and an agent in one process, and registers this machine in the cluster default.
Running it again is harmless. berth down stops it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.validate(); err != nil {
				return err
			}
			if foreground {
				return a.runBoth(cmd.Context())
			}
			return a.startInBackground(cmd.Context())
		},
	}, "store", "scheduler", "agent")
	c.Flags().BoolVar(&foreground, "foreground", false, "stay in the foreground, and log there")
	return c
}

// runBoth runs server and agent in this process until ctx ends. The agent speaks to the server as any agent does, over the
// API; neither shares anything else with the other.
func (a *app) runBoth(ctx context.Context) error {
	lock, err := lockProcess(a.cfg.DataDir, "server", "agent")
	if err != nil {
		return err
	}
	defer lock.release()
	log, err := a.logger()
	if err != nil {
		return err
	}
	s, err := server.New(a.cfg, Version, log)
	if err != nil {
		return err
	}
	creds, err := a.credentials() // server.New made the key
	if err != nil {
		return err
	}
	ag, err := agent.New(a.agentConfig(creds, log))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error { return ag.Run(ctx) })
	return g.Wait()
}

// startInBackground starts `berth up --foreground` as a process of its own, and waits until the machine is registered.
func (a *app) startInBackground(ctx context.Context) error {
	start := time.Now()
	if pid, ok := holder(a.cfg.DataDir, "server"); ok {
		err := a.waitRegistered(ctx, start, nil)
		if agentPID, _ := holder(a.cfg.DataDir, "agent"); errors.Is(err, errDeregistered) && agentPID == pid {
			// An agent leaves a deregistered instance alone until somebody starts it again, which is now.
			a.progress(start, "this machine's container instance was deregistered: starting berth again, for a new one ...")
			if _, _, err := stopHolder(a.cfg.DataDir, "server", stopPatience); err != nil {
				return err
			}
		} else if err != nil {
			return err
		} else {
			a.progress(start, "berth runs already (process %d) at %s", pid, a.endpoint())
			return nil
		}
	}
	if err := dockerAnswers(ctx, a.cfg.Agent.DockerHost); err != nil {
		return err
	}
	if err := os.MkdirAll(a.cfg.DataDir, 0o700); err != nil {
		return err
	}
	logPath := filepath.Join(a.cfg.DataDir, logName)
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(exe, append(os.Args[1:], "--foreground")...)
	child.Stdout, child.Stderr = logFile, logFile
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives this terminal
	if err := child.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- child.Wait() }()
	a.progress(start, "starting the control plane and the agent (process %d) ...", child.Process.Pid)
	if err := a.waitRegistered(ctx, start, exited); err != nil {
		tail := lastLines(logPath, 5)
		return fmt.Errorf("%w\nthe end of %s:\n%s", err, logPath, tail)
	}
	a.progress(start, "the API answers at %s, this machine is registered in the cluster %s", a.endpoint(), a.cfg.Agent.Cluster)
	return nil
}

// waitRegistered waits until the API is ready and an agent is connected. exited, if any, reports that the process ended.
func (a *app) waitRegistered(ctx context.Context, start time.Time, exited <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	said := false
	last := errors.New("the process has not answered yet")
	for {
		select {
		case err := <-exited:
			return fmt.Errorf("berth ended while it was starting: %v", err)
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not ready: %w", last)
		case <-tick.C:
		}
		if last = serverReady(ctx, a.endpoint()); last != nil {
			continue
		}
		if !said {
			said = true
			a.progress(start, "the control plane is ready, waiting for the agent ...")
		}
		last = a.agentConnected(ctx)
		if last == nil || exited == nil && errors.Is(last, errDeregistered) { // one that starts registers anew
			return last
		}
	}
}

// errDeregistered: the agent of this machine is a container instance that somebody has deregistered.
var errDeregistered = errors.New("this machine's container instance was deregistered: restart the agent to register a new one")

func (a *app) agentConnected(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	// This machine's, not any: a cluster may have others.
	instance, err := agent.InstanceARN(a.cfg.AgentDataDir())
	if err != nil {
		return err
	}
	if instance == "" {
		return errors.New("no container instance is registered yet")
	}
	out, err := client.Call(ctx, c, ecsapi.DescribeContainerInstances, &ecsapi.DescribeContainerInstancesInput{
		Cluster: &a.cfg.Agent.Cluster, ContainerInstances: []string{instance}})
	if fault.Code(err) == "ClusterNotFoundException" {
		return errDeregistered // the whole cluster was deleted
	}
	if err != nil {
		return err
	}
	if len(out.ContainerInstances) == 0 {
		return errDeregistered // and forgotten since
	}
	switch ci := out.ContainerInstances[0]; {
	case *ci.Status == ecs.InstanceInactive:
		return errDeregistered
	case !*ci.AgentConnected:
		return errors.New("the agent is not connected yet")
	}
	return nil
}

// serverReady asks the server whether it is ready to answer API calls.
func serverReady(ctx context.Context, endpoint string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/health/ready", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(body)))
	}
	return nil
}

// lastLines returns the last n lines of a file, for an error message.
func lastLines(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, "  "+s.Text())
		if len(lines) > n {
			lines = lines[1:]
		}
	}
	return strings.Join(lines, "\n")
}
