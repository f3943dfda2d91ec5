package definition

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// AWS's quotas (ecs-semantics 1.4).
const (
	maxContainers           = 10
	maxDocument             = 65536 // bytes of the document as JSON
	maxPlacementConstraints = 10    // the definition's and the run's together
	maxEnvironmentFiles     = 10
	maxIgnoredExitCodes     = 50

	minTaskCPU, maxTaskCPU = 128, 196608 // 0.125 to 192 vCPU
	minContainerMemory     = 4           // MiB; Docker 20.10 wants 6 and says so itself when the container is created
)

// Requirable compatibilities.
const (
	fargate          = ecs.LaunchTypeFargate
	managedInstances = ecs.LaunchTypeManagedInstances
	external         = ecs.LaunchTypeExternal
	ec2              = ecs.LaunchTypeEC2
)

var (
	namePattern  = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	imagePattern = regexp.MustCompile(`^[a-zA-Z0-9_./:@#-]+$`)
	rolePattern  = regexp.MustCompile(`^(arn:[a-z-]+:iam::\d{12}:role/)?[\w+=,.@/-]+$`)
)

// Validate refuses what AWS refuses at registration. td is normalised. The first problem found is reported, in an order
// that never depends on anything but the document.
func Validate(td *ecs.TaskDefinition) error {
	checks := []func(*ecs.TaskDefinition) error{
		family, size, containers, dependencies, volumes, taskLevel, compatible, length,
	}
	for _, check := range checks {
		if err := check(td); err != nil {
			return err
		}
	}
	return nil
}

func family(td *ecs.TaskDefinition) error { return name("Family", td.Family) }

// name checks the rule that names share: 1 to 255 letters, digits, hyphens and underscores.
func name(what, s string) error {
	switch {
	case s == "":
		return fault.ClientError("%s should not be null or empty.", what)
	case len(s) > 255:
		return fault.ClientError("%s should be 255 characters or less.", what)
	case !namePattern.MatchString(s):
		return fault.ClientError("%s contains invalid characters.", what)
	}
	return nil
}

// size checks what the containers take against what the task has.
func size(td *ecs.TaskDefinition) error {
	if cpu, ok := number(td.CPU); ok && (cpu < minTaskCPU || cpu > maxTaskCPU) {
		return fault.ClientError("Invalid 'cpu' setting for task. For more information, see the Troubleshooting section of " +
			"the Amazon ECS Developer Guide.")
	}
	return nil
}

// number reads a task's normalised cpu or memory; ok is false when it has none.
func number(s string) (n int, ok bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func containers(td *ecs.TaskDefinition) error {
	if len(td.ContainerDefinitions) == 0 {
		return fault.ClientError("Container list cannot be empty.")
	}
	if len(td.ContainerDefinitions) > maxContainers {
		return fault.ClientError("Too many containers.")
	}
	seen := map[string]bool{}
	essential := false
	for i := range td.ContainerDefinitions {
		c := &td.ContainerDefinitions[i]
		if err := name("Container.name", c.Name); err != nil {
			return err
		}
		if seen[c.Name] {
			return fault.ClientError("Container names must be unique within a Task Definition.")
		}
		seen[c.Name] = true
		essential = essential || *c.Essential
		for _, check := range []func(*ecs.TaskDefinition, *ecs.ContainerDefinition) error{
			image, resources, networking, portMappings, environment, timeouts, healthCheck, restartPolicy, linuxParameters, logging,
		} {
			if err := check(td, c); err != nil {
				return err
			}
		}
	}
	if !essential {
		return fault.ClientError("Task definition doesn't have any essential container.")
	}
	if err := portsOfTask(td); err != nil {
		return err
	}
	return sums(td)
}

func image(_ *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	switch {
	case c.Image == "":
		return fault.ClientError("Container.image should not be null or empty.")
	case len(c.Image) > 255:
		return fault.ClientError("Container.image should be 255 characters or less.")
	case !imagePattern.MatchString(c.Image):
		return fault.ClientError("Container.image contains invalid characters.")
	}
	return nil
}

// resources checks one container's cpu and memory. Both memory limits may be given: memory is the hard one (the
// container is killed beyond it), memoryReservation the soft one (what placement counts).
func resources(td *ecs.TaskDefinition, c *ecs.ContainerDefinition) error {
	if *c.CPU < 0 {
		return fault.ClientError("Invalid setting for container '%s'. 'cpu' must be greater than or equal to 0.", c.Name)
	}
	taskMemory, hasTaskMemory := number(td.Memory)
	if c.Memory == nil && c.MemoryReservation == nil && !hasTaskMemory {
		return fault.ClientError("Invalid setting for container '%s'. At least one of 'memory' or 'memoryReservation' must be specified.", c.Name)
	}
	for _, m := range []struct {
		setting string
		value   *int
	}{{"memory", c.Memory}, {"memoryReservation", c.MemoryReservation}} {
		if m.value != nil && *m.value < minContainerMemory {
			return fault.ClientError("Invalid setting for container '%s'. '%s' must be at least %d MiB.", c.Name, m.setting, minContainerMemory)
		}
		if m.value != nil && hasTaskMemory && *m.value > taskMemory {
			return fault.ClientError("The '%s' setting for container '%s' is greater than for the task.", m.setting, c.Name)
		}
	}
	if c.Memory != nil && c.MemoryReservation != nil && *c.Memory < *c.MemoryReservation {
		return fault.ClientError("Invalid setting for container '%s'. 'memory' must be greater than or equal to 'memoryReservation'.", c.Name)
	}
	gpus := 0
	for _, r := range c.ResourceRequirements {
		if r.Type == "GPU" {
			if n, err := strconv.Atoi(r.Value); err != nil || n < 1 {
				return fault.ClientError("Invalid setting for container '%s'. The value of a GPU resource requirement must be a positive number.", c.Name)
			}
			if gpus++; gpus > 1 {
				return fault.ClientError("Invalid setting for container '%s'. Only one GPU resource requirement is supported.", c.Name)
			}
		}
	}
	return nil
}

// sums checks the containers together: with a task cpu of 512, containers of 256, 256 and 128 are 128 too many. Of memory
// it is what is reserved that counts, the soft limit where there is one, as placement counts it.
func sums(td *ecs.TaskDefinition) error {
	cpu, memory := 0, 0
	for i := range td.ContainerDefinitions {
		c := &td.ContainerDefinitions[i]
		cpu += *c.CPU
		switch {
		case c.MemoryReservation != nil:
			memory += *c.MemoryReservation
		case c.Memory != nil:
			memory += *c.Memory
		}
	}
	if task, ok := number(td.CPU); ok && cpu > task {
		return fault.ClientError("The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.")
	}
	if task, ok := number(td.Memory); ok && memory > task {
		return fault.ClientError("The sum of all container 'memory' values cannot be greater than the value of the task 'memory'.")
	}
	return nil
}

// taskLevel checks the members of the task that concern no container in particular.
func taskLevel(td *ecs.TaskDefinition) error {
	for _, role := range []string{td.TaskRoleARN, td.ExecutionRoleARN} {
		if role != "" && !rolePattern.MatchString(role) {
			return fault.ClientError("Role is not valid")
		}
	}
	if len(td.PlacementConstraints) > maxPlacementConstraints {
		return fault.ClientError("Maximum number of placement constraints is %d.", maxPlacementConstraints)
	}
	for _, p := range td.PlacementConstraints {
		switch {
		case p.Type != ecs.ConstraintMemberOf:
			return fault.ClientError("Task definition placement constraints support only the type 'memberOf'.")
		case p.Expression == "":
			return fault.ClientError("memberOf expression should be specified.")
		case len(p.Expression) > 2000:
			return fault.ClientError("Placement constraint expression should be 2000 characters or less.")
		}
	}
	if len(td.InferenceAccelerators) > 0 {
		return fault.ClientError("Unsupported field 'inferenceAccelerators'.")
	}
	if e := td.EphemeralStorage; e != nil {
		switch {
		case !slices.Contains(td.RequiresCompatibilities, fargate):
			return fault.ClientError("Tasks using the EC2 launch type do not support EphemeralStorage.")
		case e.SizeInGiB < 21:
			return fault.ClientError("EphemeralStorage size should be at least 21.")
		case e.SizeInGiB > 200:
			return fault.ClientError("EphemeralStorage size should be at most 200.")
		}
	}
	return proxy(td)
}

// proxy checks the App Mesh proxy of the task.
func proxy(td *ecs.TaskDefinition) error {
	p := td.ProxyConfiguration
	if p == nil {
		return nil
	}
	if td.NetworkMode != ecs.NetworkAwsvpc {
		return fault.ClientError("APPMESH proxy configuration is only supported in networkMode=awsvpc.")
	}
	if _, ok := td.Container(p.ContainerName); !ok {
		return fault.ClientError("Proxy container [%s] does not exist.", p.ContainerName)
	}
	has := func(property string) bool {
		return slices.ContainsFunc(p.Properties, func(kv ecs.KeyValuePair) bool { return kv.Name == property })
	}
	switch {
	case !has("ProxyIngressPort"):
		return fault.ClientError("Ingress port not found.")
	case !has("ProxyEgressPort"):
		return fault.ClientError("Egress port not found.")
	case !has("AppPorts"):
		return fault.ClientError("App ports not found.")
	case !has("IgnoredUID") && !has("IgnoredGID"):
		return fault.ClientError("Either IgnoredUID or IgnoredGID must be specified.")
	}
	return nil
}

// length checks the document's size. It is the normalised document that is measured, so that a document which was
// accepted is accepted again when it is registered as it came back.
func length(td *ecs.TaskDefinition) error {
	document := *td
	document.Compatibilities, document.RequiresAttributes, document.Tags = nil, nil, nil
	b, err := json.Marshal(&document)
	if err != nil {
		return fault.Internal(err, "The task definition could not be encoded.")
	}
	if len(b) > maxDocument {
		return fault.ClientError("Actual length: '%d'. Max allowed length is '%d' bytes.", len(b), maxDocument)
	}
	return nil
}

// isARN is the syntax check that AWS makes of S3 objects: arn:partition:s3:::bucket/key.
func isARN(s, service string) bool {
	a, ok := arn.Parse(s)
	return ok && a.Service == service && !strings.HasSuffix(s, "/")
}
