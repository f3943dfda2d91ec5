package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/agent/checkpoint"
	"github.com/openberth/berth/internal/agent/controlplane"
	"github.com/openberth/berth/internal/agent/engine"
	"github.com/openberth/berth/internal/agent/runtime"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/fault"
)

// resources is what tasks get of this machine.
func (a *Agent) resources(info runtime.Info) (engine.Resources, error) {
	r := engine.Resources{CPU: int64(info.CPUs) * 1024, Memory: info.Memory>>20 - a.cfg.ReservedMemory}
	if r.Memory <= 0 {
		return r, fmt.Errorf("ReservedMemory of %d MiB leaves nothing of the machine's %d MiB", a.cfg.ReservedMemory, info.Memory>>20)
	}
	return r, nil
}

// register registers the instance, however long the control plane takes to answer, and returns its ARN. An instance that the
// checkpoint knows is registered again under its ARN; a new one with a client token that is on disk before the call, so
// that an agent that dies in between gets the same instance and not a second one.
//
// An instance that was deregistered doesn't come back. This machine does, as a new instance: somebody has started the agent
// again. The first manifest then ends the tasks of the old one, which nobody has looked after since.
func (a *Agent) register(ctx context.Context, info runtime.Info, total engine.Resources) (string, error) {
	known, token, err := a.identity()
	if err != nil {
		return "", err
	}
	in := a.registration(info, total, known, token)
	b := newBackoff(waitMin, waitMax, 2)
	for {
		instance, err := a.cp.Register(ctx, in)
		switch {
		case err == nil:
			a.checkEcho(in, instance)
			a.db.Put(checkpoint.Meta, checkpoint.KeyInstanceARN, []byte(*instance.ContainerInstanceArn), nil)
			a.db.Delete(checkpoint.Meta, checkpoint.KeyClientToken, nil)
			if err := a.db.Sync(ctx); err != nil {
				return "", err
			}
			return *instance.ContainerInstanceArn, a.announce(*instance.ContainerInstanceArn)
		case ctx.Err() != nil:
			return "", ctx.Err()
		case fault.Code(err) == "ClusterNotFoundException":
			if a.cfg.Cluster == DefaultCluster {
				if err = a.cp.CreateCluster(ctx, a.cfg.Cluster); err == nil {
					continue
				}
			} // another one: somebody may be about to create it
		case controlplane.Permanent(err) && known == "":
			return "", fmt.Errorf("the control plane refuses the registration: %w", err)
		case controlplane.Permanent(err):
			gone, askErr := a.cp.Deregistered(ctx, a.cfg.Cluster, known)
			switch {
			case askErr == nil && !gone:
				return "", fmt.Errorf("the control plane doesn't take back %s: %w (to register as a new instance, remove %s)", known, err, a.cfg.DataDir)
			case askErr == nil:
				a.log.Warn("this container instance was deregistered; registering a new one", "containerInstance", known)
				if err := a.forgetIdentity(ctx); err != nil {
					return "", err
				}
				if known, token, err = a.identity(); err != nil {
					return "", err
				}
				in = a.registration(info, total, known, token)
				continue
			}
			err = askErr
		}
		wait := b.next()
		a.log.Warn("not registered yet", "endpoint", a.cfg.Endpoint, "err", err, "again in", wait)
		if !sleep(ctx, wait) {
			return "", ctx.Err()
		}
	}
}

// identity is the ARN of the instance that this machine is, or the token to become one with.
func (a *Agent) identity() (known, token string, err error) {
	b, err := a.db.Get(checkpoint.Meta, checkpoint.KeyInstanceARN)
	if err != nil {
		return "", "", err
	}
	if token = arn.NewUUID(); len(b) == 0 {
		token, err = a.once(checkpoint.KeyClientToken, token)
	}
	return string(b), token, err
}

// forgetIdentity makes the next registration one of a new instance. The sequence number belongs to the old one: the new
// one's messages may count from below it. The ARN goes last, so that a crash in between only repeats this.
func (a *Agent) forgetIdentity(ctx context.Context) error {
	a.mu.Lock()
	a.seqNum = 0
	a.mu.Unlock()
	a.db.Delete(checkpoint.Meta, checkpoint.KeySeqNum, nil)
	a.db.Delete(checkpoint.Meta, checkpoint.KeyClientToken, nil)
	if err := a.db.Sync(ctx); err != nil {
		return err
	}
	a.db.Delete(checkpoint.Meta, checkpoint.KeyInstanceARN, nil)
	return a.db.Sync(ctx)
}

// instanceFile says for others on this machine which instance it is; the checkpoint is locked while the agent runs.
const instanceFile = "container-instance"

// announce writes the ARN for InstanceARN, whole or not at all.
func (a *Agent) announce(arn string) error {
	path := filepath.Join(a.cfg.DataDir, instanceFile)
	if err := os.WriteFile(path+".new", []byte(arn+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// InstanceARN is the container instance as which the agent of a data directory has registered last; empty when it hasn't.
func InstanceARN(dataDir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dataDir, instanceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

func (a *Agent) registration(info runtime.Info, total engine.Resources, known, token string) *ecsapi.RegisterContainerInstanceInput {
	empty := ""
	in := &ecsapi.RegisterContainerInstanceInput{
		Cluster: &a.cfg.Cluster, ClientToken: &token,
		InstanceIdentityDocument: &empty, InstanceIdentityDocumentSignature: &empty,
		TotalResources: []ecsapi.Resource{
			integer("CPU", total.CPU), integer("MEMORY", total.Memory),
			set("PORTS", a.cfg.ReservedPorts), set("PORTS_UDP", a.cfg.ReservedPortsUDP),
		},
		VersionInfo: &ecsapi.VersionInfo{AgentVersion: &a.cfg.Version, AgentHash: &a.cfg.Hash},
	}
	docker := "DockerVersion: " + info.Version
	in.VersionInfo.DockerVersion = &docker
	if known != "" {
		in.ContainerInstanceArn = &known
	} else {
		for _, name := range slices.Sorted(maps.Keys(a.cfg.Attributes)) {
			in.Attributes = append(in.Attributes, attribute(name, a.cfg.Attributes[name]))
		}
	}
	for _, name := range capabilities(info) {
		in.Attributes = append(in.Attributes, ecsapi.Attribute{Name: &name})
	}
	in.Attributes = append(in.Attributes, attribute("ecs.os-type", "linux"), attribute("ecs.os-family", "LINUX"),
		attribute("ecs.cpu-architecture", architecture()), attribute("ecs.availability-zone", a.cfg.AvailabilityZone))
	return in
}

// architecture is the machine's, as ECS spells it.
func architecture() string {
	if goruntime.GOARCH == "amd64" {
		return "x86_64"
	}
	return goruntime.GOARCH
}

// remoteAPIs are the versions of Docker's API that task definitions can ask for; any daemon that this agent runs on has them.
var remoteAPIs = []string{"1.17", "1.18", "1.19", "1.20", "1.21", "1.22", "1.23", "1.24", "1.25", "1.28", "1.29", "1.30", "1.32"}

// loggingDrivers are those of ECS's logging drivers that Docker can serve alone. awslogs is not among them: it needs
// credentials that this agent doesn't hand to Docker.
var loggingDrivers = []string{"fluentd", "gelf", "journald", "json-file", "splunk", "syslog"}

// capabilities are what this agent honours: a task definition that needs something else isn't placed here.
func capabilities(info runtime.Info) []string {
	const docker, ecs = "com.amazonaws.ecs.capability.", "ecs.capability."
	list := []string{
		docker + "privileged-container", docker + "logging-driver.none",
		// Images of ECR are pulled like all others, without credentials; a refusal says so when the task starts.
		docker + "ecr-auth", ecs + "execution-role-ecr-pull",
		ecs + "pid-ipc-namespace-sharing", // the host's; what else there is, validate refuses
		ecs + "container-health-check", ecs + "container-ordering", ecs + "container-restart-policy", ecs + "full-sync",
		ecs + "docker-plugin.local", ecs + "increased-task-cpu-limit", ecs + "task-cpu-mem-limit",
	}
	for _, v := range remoteAPIs {
		list = append(list, docker+"docker-remote-api."+v)
	}
	for _, d := range loggingDrivers {
		if slices.Contains(info.LogDrivers, d) {
			list = append(list, docker+"logging-driver."+d)
		}
	}
	for _, module := range []string{"apparmor", "selinux"} {
		if slices.Contains(info.Security, module) {
			list = append(list, docker+module)
		}
	}
	slices.Sort(list)
	return list
}

// checkEcho warns when the control plane dropped an attribute: tasks that need it won't be placed here.
func (a *Agent) checkEcho(in *ecsapi.RegisterContainerInstanceInput, got *ecsapi.ContainerInstance) {
	have := map[string]string{}
	for _, at := range got.Attributes {
		have[*at.Name] = value(at)
	}
	for _, at := range in.Attributes {
		if v, ok := have[*at.Name]; !ok || v != value(at) {
			a.log.Warn("the control plane didn't take an attribute over", "attribute", *at.Name)
		}
	}
}

func value(a ecsapi.Attribute) string {
	if a.Value == nil {
		return ""
	}
	return *a.Value
}

func attribute(name, value string) ecsapi.Attribute {
	return ecsapi.Attribute{Name: &name, Value: &value}
}

func integer(name string, n int64) ecsapi.Resource {
	kind, v := "INTEGER", int32(min(n, 1<<31-1))
	return ecsapi.Resource{Name: &name, Type: &kind, IntegerValue: &v}
}

func set(name string, ports []int) ecsapi.Resource {
	kind, v := "STRINGSET", []string{}
	for _, p := range ports {
		v = append(v, strconv.Itoa(p))
	}
	return ecsapi.Resource{Name: &name, Type: &kind, StringSetValue: v}
}

// refusedForGood tells a state change that will never be taken in (agent-protocol 4.3).
func refusedForGood(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Code == "InvalidParameterException"
}
