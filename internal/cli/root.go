// Package cli is the berth command: thin commands over the server, the agent and the API.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openberth/berth/internal/client"
	"github.com/openberth/berth/internal/config"
	"github.com/openberth/berth/internal/iam/rootkey"
	"github.com/openberth/berth/internal/observe"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// Version is set by the linker.
var Version = "dev"

// Run runs the command line and returns the exit code: 0 done, 1 failed, 2 the command line was wrong.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := &app{stdout: stdout, stderr: stderr}
	root := app.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "berth: %v\n", err)
		return 2
	default:
		fmt.Fprintf(stderr, "berth: %v\n", err)
		return 1
	}
}

// usageError is a mistake in the command line itself.
type usageError struct{ error }

// app is one invocation.
type app struct {
	stdout, stderr io.Writer
	cfg            config.Config // defaults, then file, environment and flags
	configFile     string
	json           bool
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "berth",
		Short: "Amazon ECS that anyone can run",
		Long: `Berth is a self-hosted Amazon ECS: a control plane that speaks the AWS APIs, and an agent that runs
real containers on Docker.

  berth up                  start a one-machine cluster in the background
  berth demo                run a sample service on it
  eval "$(berth env)"       point the AWS CLI and the SDKs at it
  berth status              see what runs
  berth down                stop it, containers included`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; berth help lists the commands", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddGroup(&cobra.Group{ID: "cluster", Title: "A cluster on this machine:"},
		&cobra.Group{ID: "parts", Title: "Its parts, on machines of their own:"})
	for _, c := range []*cobra.Command{
		a.upCommand(), a.downCommand(), a.demoCommand(), a.envCommand(), a.statusCommand(),
		a.serverCommand(), a.agentCommand(), a.versionCommand(),
	} {
		root.AddCommand(c)
	}
	return root
}

// common adds the flags of the settings that every command understands, and of those under the given names ("agent",
// "store"), and loads the configuration before the command runs: defaults, file, environment, flags.
func (a *app) common(c *cobra.Command, sections ...string) *cobra.Command {
	flags := c.Flags()
	flags.StringVar(&a.configFile, "config", "", "configuration file, YAML or JSON (default $"+config.FileVariable+")")
	type chosen struct {
		setting config.Setting
		value   *string
	}
	var settings []chosen
	defaults := config.Default(config.System())
	for _, setting := range config.Settings() {
		section, _, nested := strings.Cut(setting.Name, ".")
		if nested && !slices.Contains(sections, section) {
			continue
		}
		help := setting.Help
		if def := setting.Get(&defaults); def != "" && def != "false" && def != "0" {
			help += " (default " + def + ")"
		}
		settings = append(settings, chosen{setting, flags.String(setting.Flag, "", help)})
	}
	c.PreRunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(a.configFile, config.System())
		if err != nil {
			return err
		}
		for _, s := range settings {
			if flags.Changed(s.setting.Flag) {
				if err := s.setting.Set(&cfg, *s.value); err != nil {
					return usageError{fmt.Errorf("--%s: %w", s.setting.Flag, err)}
				}
			}
		}
		a.cfg = cfg
		return nil
	}
	return c
}

// withJSON adds --json, for machines.
func (a *app) withJSON(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON instead of a table")
	return c
}

// logger logs to the terminal, or wherever standard error goes.
func (a *app) logger() (*slog.Logger, error) {
	return observe.NewLogger(a.stderr, a.cfg.LogFormat, a.cfg.LogLevel)
}

// validate reports all problems of the configuration, and warns of what is legal but dangerous.
func (a *app) validate() error {
	if err := a.cfg.Validate(); err != nil {
		return fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	for _, w := range a.cfg.Warnings() {
		fmt.Fprintf(a.stderr, "berth: warning: %s\n", w)
	}
	return nil
}

// client makes an API client for the cluster of the data directory.
func (a *app) client() (*client.Client, error) {
	creds, err := a.credentials()
	if err != nil {
		return nil, err
	}
	return &client.Client{Endpoint: a.endpoint(), Region: a.cfg.Region, Credentials: creds}, nil
}

// endpoint is the API's URL for a client on this machine.
func (a *app) endpoint() string { return a.cfg.Endpoint() }

// credentials are the root access key of the cluster whose data directory this is.
func (a *app) credentials() (sigv4.Credentials, error) {
	key, err := rootkey.Load(a.cfg.DataDir)
	if errors.Is(err, os.ErrNotExist) {
		return sigv4.Credentials{}, fmt.Errorf("there is no cluster in %s: start one with `berth up`, or name its directory with --data-dir", a.cfg.DataDir)
	}
	if err != nil {
		return sigv4.Credentials{}, err
	}
	return rootkey.Credentials(key), nil
}

// explain adds the remedy to an error of a call that reached nobody.
func (a *app) explain(err error) error {
	if client.Unreachable(err) {
		return fmt.Errorf("no Berth server answers at %s: start one with `berth up` (%w)", a.endpoint(), err)
	}
	return err
}

// progress prints one line of progress, with the time since start.
func (a *app) progress(start time.Time, format string, args ...any) {
	fmt.Fprintf(a.stderr, "%5.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, args []string) { fmt.Fprintf(a.stdout, "berth %s\n", Version) },
	}
}
