// Command berth is a self-hosted Amazon ECS: control plane, agent and data plane in one binary.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/openberth/berth/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
