package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) envCommand() *cobra.Command {
	return a.common(&cobra.Command{
		Use: "env", GroupID: "cluster", Short: "Print the shell exports that point AWS clients at the cluster", Args: cobra.NoArgs,
		Long: `Prints shell exports: the endpoint, the region and the root access key of the cluster, for

  eval "$(berth env)"

AWS_DISABLE_HOST_PREFIX_INJECTION keeps boto3 and the AWS CLI from putting names such as "data-" in front of the
endpoint's host, which an address can't carry.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			creds, err := a.credentials()
			if err != nil {
				return err
			}
			for _, e := range [][2]string{
				{"AWS_ENDPOINT_URL", a.endpoint()},
				{"AWS_REGION", a.cfg.Region},
				{"AWS_DEFAULT_REGION", a.cfg.Region},
				{"AWS_ACCESS_KEY_ID", creds.AccessKeyID},
				{"AWS_SECRET_ACCESS_KEY", creds.SecretAccessKey},
				{"AWS_DISABLE_HOST_PREFIX_INJECTION", "true"},
				{"AWS_PAGER", ""},
			} {
				fmt.Fprintf(a.stdout, "export %s='%s'\n", e[0], e[1])
			}
			// A profile or session token left over from real AWS would win over, or spoil, the keys above.
			fmt.Fprintln(a.stdout, "unset AWS_PROFILE AWS_SESSION_TOKEN")
			fmt.Fprintln(a.stdout, "# An AWS CLI older than 1.29 or 2.13 (Debian 12 has 2.9) ignores AWS_ENDPOINT_URL; for that one:")
			fmt.Fprintln(a.stdout, `#   aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }`)
			return nil
		},
	})
}
