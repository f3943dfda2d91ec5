package agent

import (
	"slices"
	"testing"

	"github.com/openberth/berth/internal/agent/runtime"
)

// TestCapabilities: a task definition that uses one of these fields requires the attribute, and isn't placed without it.
func TestCapabilities(t *testing.T) {
	always := []string{
		"ecs.capability.pid-ipc-namespace-sharing", // pidMode, ipcMode
		"com.amazonaws.ecs.capability.ecr-auth",    // an image of ECR
		"ecs.capability.execution-role-ecr-pull",   // the same with an executionRoleArn
		"ecs.capability.container-restart-policy",  // restartPolicy
		"com.amazonaws.ecs.capability.privileged-container",
	}
	const docker = "com.amazonaws.ecs.capability."
	for _, c := range []struct {
		name    string
		info    runtime.Info
		has     []string
		without []string
	}{
		{name: "plain Docker", info: runtime.Info{LogDrivers: []string{"json-file"}, Security: []string{"seccomp"}},
			has: []string{docker + "logging-driver.json-file"}, without: []string{docker + "apparmor", docker + "selinux", docker + "logging-driver.syslog", docker + "logging-driver.awslogs"}},
		{name: "Debian or Ubuntu", info: runtime.Info{LogDrivers: []string{"awslogs", "syslog"}, Security: []string{"apparmor", "seccomp"}},
			has: []string{docker + "apparmor", docker + "logging-driver.syslog"}, without: []string{docker + "selinux", docker + "logging-driver.awslogs"}},
		{name: "Fedora", info: runtime.Info{Security: []string{"seccomp", "selinux"}}, has: []string{docker + "selinux"}, without: []string{docker + "apparmor"}},
	} {
		got := capabilities(c.info)
		for _, name := range slices.Concat(always, c.has) {
			if !slices.Contains(got, name) {
				t.Errorf("%s: %s isn't registered", c.name, name)
			}
		}
		for _, name := range c.without {
			if slices.Contains(got, name) {
				t.Errorf("%s: %s is registered", c.name, name)
			}
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("%s: not sorted, or twice the same: %v", c.name, got)
		}
	}
}
