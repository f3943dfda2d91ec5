package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/openberth/berth/internal/config"
	"github.com/openberth/berth/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	count := 2
	c := a.common(&cobra.Command{
		Use: "demo", GroupID: "cluster", Short: "Run a sample service on the cluster", Args: cobra.NoArgs,
		Long: `Loads a sample image (made of the berth binary itself: no registry is needed), registers a task definition,
creates a service of two tasks and waits until it is stable.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runDemo(cmd.Context(), count) },
	}, "agent")
	c.Flags().IntVar(&count, "count", count, "tasks of the sample service")
	c.AddCommand(&cobra.Command{
		Use: "serve", Hidden: true, Args: cobra.NoArgs, // what the sample container runs
		RunE: func(cmd *cobra.Command, args []string) error {
			return demo.Serve(cmd.Context(), fmt.Sprintf(":%d", demo.Port))
		},
	}, &cobra.Command{
		Use: "probe", Hidden: true, Args: cobra.NoArgs, // the sample container's health check
		RunE: func(cmd *cobra.Command, args []string) error {
			return demo.Probe(cmd.Context(), fmt.Sprintf("http://127.0.0.1:%d/health", demo.Port))
		},
	})
	return c
}

func (a *app) runDemo(ctx context.Context, count int) error {
	start := time.Now()
	api, err := a.client()
	if err != nil {
		return err
	}
	docker, err := dockerClient(a.cfg.Agent.DockerHost)
	if err != nil {
		return err
	}
	defer docker.Close()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	loaded, err := demo.LoadImage(ctx, docker, exe)
	if err != nil {
		return err
	}
	if loaded {
		a.progress(start, "loaded the sample image %s", demo.Image)
	}
	if err := demo.Deploy(ctx, api, count); err != nil {
		return a.explain(err)
	}
	wait, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err = demo.WaitStable(wait, api, func(running, desired int, event string) {
		a.progress(start, "service %s: %d of %d tasks running  %s", demo.Service, running, desired, event)
	})
	if err != nil {
		return a.explain(err)
	}
	endpoints, err := demo.Endpoints(ctx, api)
	if err != nil {
		return a.explain(err)
	}
	fmt.Fprintf(a.stdout, "\nThe service %s is stable in the cluster %s:\n\n", demo.Service, demo.Cluster)
	t := table{header: []string{"WHAT", "WHERE"}}
	t.add("AWS API", a.endpoint())
	for _, e := range endpoints {
		t.add("task "+e.Task[len(e.Task)-8:], e.URL)
	}
	t.print(a.stdout)
	fmt.Fprintf(a.stdout, "\nNext:\n\n  eval \"$(%s env%s)\"\n  aws ecs list-services\n", os.Args[0], a.dataDirFlag())
	if len(endpoints) > 0 {
		fmt.Fprintf(a.stdout, "  curl %s/\n", endpoints[0].URL)
	}
	return nil
}

// dataDirFlag repeats --data-dir in what the user is told to type next, when it isn't the default.
func (a *app) dataDirFlag() string {
	if a.cfg.DataDir == config.Default(config.System()).DataDir {
		return ""
	}
	return " --data-dir " + a.cfg.DataDir
}

func dockerClient(host string) (*client.Client, error) {
	opts := []client.Opt{client.FromEnv}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	return client.New(opts...)
}

// dockerAnswers says in one line what is missing when no Docker engine answers.
func dockerAnswers(ctx context.Context, host string) error {
	c, err := dockerClient(host)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := c.Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("no Docker engine answers at %s: install Docker Engine 20.10 or newer and start it (`make docker` does both on Debian and Ubuntu)", c.DaemonHost())
	}
	return nil
}
