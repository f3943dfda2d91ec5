package definition

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// Refusal says what Berth can't honour of a definition, and why.
type Refusal struct {
	Container string // its name; empty for a member of the task itself
	Field     string // as the document spells it: "logConfiguration.logDriver"
	Why       string // ends the sentence "<field> ... "; says what to do instead where something can be done
}

func (r Refusal) String() string {
	if r.Container == "" {
		return fmt.Sprintf("%s %s", r.Field, r.Why)
	}
	return fmt.Sprintf("%s of container '%s' %s", r.Field, r.Container, r.Why)
}

// Refuse is nil when a task of the definition can start, and otherwise the error to answer with; it names everything
// that stands in the way. RunTask, StartTask, CreateService and UpdateService ask it, with overrides already applied.
func Refuse(td *ecs.TaskDefinition) error {
	refusals := Unhonoured(td)
	if len(refusals) == 0 {
		return nil
	}
	all := make([]string, len(refusals))
	for i, r := range refusals {
		all[i] = r.String()
	}
	return fault.Unsupported("Berth can't run the task definition %s yet: %s.", td.ID(), strings.Join(all, "; "))
}

// honouredLogDrivers are Docker's own drivers that need nothing from AWS.
var honouredLogDrivers = []string{"json-file", "syslog", "journald", "gelf", "fluentd", "splunk"}

// Unhonoured lists what Berth can't honour when a task of the definition would start; empty when all can be.
//
// A role for execution alone is accepted, since everybody sets it: it is for pulling from ECR, for awslogs and for
// secrets, and whichever of those needs it is refused (or authorised otherwise) itself.
func Unhonoured(td *ecs.TaskDefinition) []Refusal {
	var all []Refusal
	task := func(refused bool, field, why string) {
		if refused {
			all = append(all, Refusal{Field: field, Why: why})
		}
	}
	task(td.NetworkMode == ecs.NetworkAwsvpc, "networkMode", "'awsvpc' is not supported; use bridge, host or none")
	task(td.TaskRoleARN != "", "taskRoleArn", "is not supported: tasks can't be given credentials of a role; pass credentials in the environment, or leave the role out")
	task(td.PIDMode == "task", "pidMode", "'task' is not supported; use host, or leave it out")
	task(td.IPCMode == "task", "ipcMode", "'task' is not supported; use host or none, or leave it out")
	task(td.ProxyConfiguration != nil, "proxyConfiguration", "is not supported")
	task(len(td.InferenceAccelerators) > 0, "inferenceAccelerators", "are not supported")
	task(td.EphemeralStorage != nil, "ephemeralStorage", "is not supported: it belongs to Fargate")
	task(isTrue(td.EnableFaultInjection), "enableFaultInjection", "is not supported")
	task(windows(td), "runtimePlatform.operatingSystemFamily", "is not supported: Berth runs Linux containers")
	if c := td.RequiresCompatibilities; len(c) > 0 && !slices.Contains(c, ec2) && !slices.Contains(c, external) {
		task(true, "requiresCompatibilities", fmt.Sprintf("%s is not supported; add EC2 or EXTERNAL", strings.Join(c, ", ")))
	}
	for i := range td.Volumes {
		v := &td.Volumes[i]
		for _, kind := range []struct {
			field string
			set   bool
		}{
			{"efsVolumeConfiguration", v.EFSVolumeConfiguration != nil},
			{"fsxWindowsFileServerVolumeConfiguration", v.FSxWindowsFileServerVolumeConfiguration != nil},
			{"s3filesVolumeConfiguration", v.S3FilesVolumeConfiguration != nil},
			{"configuredAtLaunch", isTrue(v.ConfiguredAtLaunch)},
		} {
			task(kind.set, kind.field, fmt.Sprintf("of volume '%s' is not supported; use a host or a Docker volume", v.Name))
		}
	}
	for i := range td.ContainerDefinitions {
		all = append(all, unhonouredContainer(&td.ContainerDefinitions[i])...)
	}
	return all
}

func unhonouredContainer(c *ecs.ContainerDefinition) []Refusal {
	var all []Refusal
	refuse := func(refused bool, field, why string) {
		if refused {
			all = append(all, Refusal{Container: c.Name, Field: field, Why: why})
		}
	}
	refuse(len(c.Secrets) > 0, "secrets", "are not supported; use environment")
	refuse(len(c.EnvironmentFiles) > 0, "environmentFiles", "are not supported; use environment")
	refuse(c.RepositoryCredentials != nil, "repositoryCredentials", "are not supported; pull the image on the instance beforehand")
	refuse(c.FirelensConfiguration != nil, "firelensConfiguration", "is not supported")
	refuse(len(c.CredentialSpecs) > 0, "credentialSpecs", "are not supported")
	for _, r := range c.ResourceRequirements {
		refuse(true, "resourceRequirements", fmt.Sprintf("of type '%s' are not supported", r.Type))
	}
	for _, p := range c.PortMappings {
		refuse(p.ContainerPortRange != "", "portMappings.containerPortRange", fmt.Sprintf("'%s' is not supported; map the ports one by one", p.ContainerPortRange))
	}
	if l := c.LogConfiguration; l != nil {
		refuse(!slices.Contains(honouredLogDrivers, l.LogDriver), "logConfiguration.logDriver",
			fmt.Sprintf("'%s' is not supported; use one of %s", l.LogDriver, strings.Join(honouredLogDrivers, ", ")))
		refuse(len(l.SecretOptions) > 0, "logConfiguration.secretOptions", "are not supported; use options")
	}
	return all
}
