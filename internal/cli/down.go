package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/openberth/berth/internal/agent"
	"github.com/openberth/berth/internal/demo"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// stopPatience is how long a process may take to end after SIGTERM: it only flushes, containers aren't waited for.
const stopPatience = 30 * time.Second

func (a *app) downCommand() *cobra.Command {
	var deleteData bool
	c := a.common(&cobra.Command{
		Use: "down", GroupID: "cluster", Short: "Stop the cluster of this machine, and remove its containers", Args: cobra.NoArgs,
		Long: `Stops the berth process, then stops and removes every container, volume and cgroup that its agent made, and the
sample image. Containers of others are left alone. The cluster's state and keys are kept, so that berth up goes on with
the same services; --delete-data removes those too.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runDown(cmd.Context(), deleteData) },
	}, "agent")
	c.Flags().BoolVar(&deleteData, "delete-data", false, "delete the data directory too: clusters, services, keys")
	return c
}

func (a *app) runDown(ctx context.Context, deleteData bool) error {
	start := time.Now()
	for _, role := range []string{"server", "agent"} {
		pid, stopped, err := stopHolder(a.cfg.DataDir, role, stopPatience)
		if err != nil {
			return err
		}
		if stopped {
			a.progress(start, "stopped berth (process %d)", pid)
		}
	}
	if _, err := os.Stat(a.cfg.DataDir); errors.Is(err, os.ErrNotExist) {
		a.progress(start, "nothing to stop: there is no cluster in %s", a.cfg.DataDir)
		return nil
	}
	log, err := a.logger()
	if err != nil {
		return err
	}
	ag, err := agent.New(a.agentConfig(sigv4.Credentials{}, log))
	if err != nil {
		return err
	}
	removed, err := ag.Teardown(ctx)
	if err != nil {
		return fmt.Errorf("removing the containers: %w", err)
	}
	if removed > 0 {
		a.progress(start, "removed %d container%s", removed, plural(removed))
	}
	if docker, err := dockerClient(a.cfg.Agent.DockerHost); err == nil {
		// Ignored: the image may be in use by another cluster of this machine, or not be there.
		docker.ImageRemove(ctx, demo.Image, client.ImageRemoveOptions{PruneChildren: true})
		docker.Close()
	}
	if deleteData {
		if err := os.RemoveAll(a.cfg.DataDir); err != nil {
			return err
		}
		a.progress(start, "deleted %s", a.cfg.DataDir)
		return nil
	}
	a.progress(start, "down; the state is kept in %s (berth down --delete-data removes it)", a.cfg.DataDir)
	return nil
}
