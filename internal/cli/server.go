package cli

import (
	"github.com/spf13/cobra"

	"github.com/openberth/berth/internal/server"
)

func (a *app) serverCommand() *cobra.Command {
	return a.common(&cobra.Command{
		Use: "server", GroupID: "parts", Short: "Run the control plane in the foreground", Args: cobra.NoArgs,
		Long: `Runs the control plane: the AWS API, the state and the schedulers. Agents join with berth agent.

The state is kept in an etcd inside the process, under the data directory; --store-endpoints keeps it in an etcd
cluster of yours instead. Several servers may share one: the one that leads answers, which /health/ready tells a load
balancer, and another takes over when it ends. Give them the same root-access-key.json in their data directories.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.validate(); err != nil {
				return err
			}
			lock, err := lockProcess(a.cfg.DataDir, "server")
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
			return s.Run(cmd.Context())
		},
	}, "store", "scheduler")
}
