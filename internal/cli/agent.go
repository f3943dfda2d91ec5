package cli

import (
	"log/slog"
	"os"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/openberth/berth/internal/agent"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/wire/sigv4"
)

func (a *app) agentCommand() *cobra.Command {
	return a.common(&cobra.Command{
		Use: "agent", GroupID: "parts", Short: "Run the agent in the foreground, and register this machine", Args: cobra.NoArgs,
		Long: `Registers this machine as a container instance of a control plane elsewhere, and runs its tasks on Docker.

It signs with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or with the key in the data directory where there is one.
Stopping the agent leaves its containers running; it finds them again when it starts.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.validate(); err != nil {
				return err
			}
			creds := sigv4.Credentials{
				AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
				SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
				SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
			}
			if creds.AccessKeyID == "" {
				var err error
				if creds, err = a.credentials(); err != nil {
					return err
				}
			}
			lock, err := lockProcess(a.cfg.DataDir, "agent")
			if err != nil {
				return err
			}
			defer lock.release()
			log, err := a.logger()
			if err != nil {
				return err
			}
			ag, err := agent.New(a.agentConfig(creds, log))
			if err != nil {
				return err
			}
			return ag.Run(cmd.Context())
		},
	}, "agent")
}

// agentConfig is the configuration, as the agent wants it.
func (a *app) agentConfig(creds sigv4.Credentials, log *slog.Logger) agent.Config {
	c := a.cfg.Agent
	return agent.Config{
		Endpoint:         a.cfg.AgentEndpoint(),
		Region:           a.cfg.Region,
		Credentials:      creds,
		Cluster:          c.Cluster,
		DataDir:          a.cfg.AgentDataDir(),
		DockerHost:       c.DockerHost,
		AvailabilityZone: c.AvailabilityZone,
		Attributes:       c.Attributes,
		ReservedMemory:   int64(c.ReservedMemory),
		ReservedPorts:    c.ReservedPorts,
		PullBehaviour:    runtime.PullBehaviour(c.ImagePullBehavior),
		StopTimeout:      c.StopTimeout,
		CleanupWait:      c.TaskCleanupWait,
		Version:          agentVersion(Version),
		Log:              log.With("part", "agent"),
	}
}

// agentVersion is the version as AWS agents report theirs, three numbers: "v1.2.3-4-gabc" is 1.2.3, a build that isn't of
// a release is 0.0.0.
func agentVersion(version string) string {
	if m := threeNumbers.FindString(version); m != "" {
		return m
	}
	return "0.0.0"
}

var threeNumbers = regexp.MustCompile(`\d+\.\d+\.\d+`)
