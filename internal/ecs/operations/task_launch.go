package operations

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/placement"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/store"
)

// What RunTask, StartTask, CreateService and UpdateService have in common: which launch type, which parameters can be
// honoured, which instances there are.

// refuse says aloud that Berth can't honour a parameter; nil when it wasn't given.
func refuse(given bool, field string) error {
	if !given {
		return nil
	}
	return fault.Unsupported("Berth doesn't support %s yet. Leave it out and try again.", field)
}

// firstError returns the first of the errors that isn't nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// launchType finds out how tasks are launched: as the request says, else as the cluster's default strategy says, else on
// EC2. Berth runs what AWS calls EC2 and EXTERNAL: containers on machines that joined the cluster.
func launchType(c *ecs.Cluster, td *ecs.TaskDefinition, given *ecsapi.LaunchType, strategy []ecsapi.CapacityProviderStrategyItem) (string, error) {
	if len(strategy) > 0 {
		if given != nil {
			return "", fault.InvalidParameter("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
		}
		for _, item := range strategy {
			if !slices.Contains(c.CapacityProviders, deref(item.CapacityProvider)) {
				return "", fault.InvalidParameter("The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.")
			}
		}
		return "", refuse(true, "capacityProviderStrategy")
	}
	if given == nil && len(c.DefaultCapacityProviderStrategy) > 0 {
		return "", fault.Unsupported("Berth doesn't support the cluster's defaultCapacityProviderStrategy yet. Give a launchType (EC2 or EXTERNAL) and try again.")
	}
	lt := ecs.LaunchTypeEC2
	if given != nil {
		lt = string(*given)
	}
	if len(td.Compatibilities) > 0 && !slices.Contains(td.Compatibilities, lt) {
		return "", fault.InvalidParameter("Task definition does not support launch_type %s.", lt)
	}
	if lt != ecs.LaunchTypeEC2 && lt != ecs.LaunchTypeExternal {
		return "", fault.Unsupported("Berth doesn't support launchType %s: there are no machines but those that joined the cluster. Use EC2 or EXTERNAL.", lt)
	}
	return lt, nil
}

// checkNetwork compares the network configuration with the network mode of the definition.
func checkNetwork(td *ecs.TaskDefinition, given *ecsapi.NetworkConfiguration) error {
	awsvpc := td.NetworkMode == ecs.NetworkAwsvpc
	has := given != nil && given.AwsvpcConfiguration != nil
	switch {
	case awsvpc && !has:
		return fault.InvalidParameter("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	case !awsvpc && has:
		return fault.InvalidParameter("Network Configuration is not valid for the given networkMode of this task definition.")
	case awsvpc && len(given.AwsvpcConfiguration.Subnets) == 0:
		return fault.InvalidParameter("subnets can not be empty.")
	}
	return refuse(has, "networkConfiguration")
}

// checkPlatform refuses a platform version, which only Fargate has.
func checkPlatform(version *string) error {
	if deref(version) != "" {
		return fault.InvalidParameter("The platform version must be null when specifying an EC2 launch type.")
	}
	return nil
}

// maxOverridesLength is how long the overrides of one request may be, as JSON (ecs-semantics 1.4).
const maxOverridesLength = 8192

// overrides reads the overrides of RunTask and StartTask.
func overrides(given *ecsapi.TaskOverride) (o ecs.TaskOverride, err error) {
	if given == nil {
		return o, nil
	}
	b, err := json.Marshal(given)
	if err != nil {
		return o, err
	}
	if len(b) > maxOverridesLength {
		return o, fault.InvalidParameter("Container Overrides length must be at most %d", maxOverridesLength)
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, err
	}
	if err := firstError(checkAmount("cpu", o.CPU), checkAmount("memory", o.Memory)); err != nil {
		return o, err
	}
	for _, c := range o.ContainerOverrides {
		if c.Name == "" {
			return o, fault.InvalidParameter("Container override name cannot be empty.")
		}
		if negative(c.CPU) || negative(c.Memory) || negative(c.MemoryReservation) {
			return o, fault.InvalidParameter("Invalid setting for container '%s'. cpu, memory and memoryReservation cannot be negative.", c.Name)
		}
		if err := firstError(
			refuse(len(c.EnvironmentFiles) > 0, "overrides.containerOverrides.environmentFiles (container "+c.Name+")"),
			refuse(len(c.ResourceRequirements) > 0, "overrides.containerOverrides.resourceRequirements (container "+c.Name+")"),
		); err != nil {
			return o, err
		}
	}
	return o, firstError(
		refuse(o.EphemeralStorage != nil, "overrides.ephemeralStorage"),
		refuse(len(o.InferenceAcceleratorOverrides) > 0, "overrides.inferenceAcceleratorOverrides"),
		refuse(o.TaskRoleARN != "", "overrides.taskRoleArn"),
	)
}

func checkAmount(field, amount string) error {
	if n, err := strconv.Atoi(amount); amount != "" && (err != nil || n <= 0) {
		return fault.InvalidParameter("Invalid '%s' setting for task: %s", field, amount)
	}
	return nil
}

func negative(p *int) bool { return p != nil && *p < 0 }

// checkOverrides compares overrides with the definition: the containers exist, and a hard limit isn't below a soft one.
func checkOverrides(td *ecs.TaskDefinition, o ecs.TaskOverride) error {
	if err := ecs.CheckOverrides(td, o); err != nil {
		return err
	}
	for _, c := range o.ContainerOverrides {
		cd, _ := td.Container(c.Name)
		memory, reservation := cd.Memory, cd.MemoryReservation
		if c.Memory != nil {
			memory = c.Memory
		}
		if c.MemoryReservation != nil {
			reservation = c.MemoryReservation
		}
		if memory != nil && reservation != nil && *memory < *reservation {
			return fault.InvalidParameter("Invalid setting for container '%s'. 'memory' (%d) must not be less than 'memoryReservation' (%d).", c.Name, *memory, *reservation)
		}
	}
	return nil
}

// maxGroupLength is how long a group's name may be.
const maxGroupLength = 255

// reservedGroup matches the namespaces that ECS gives out itself.
var reservedGroup = regexp.MustCompile(`^(service|family|daemon):`)

// checkGroup refuses a group that the caller can't choose; "family:<family>" is what an absent one becomes, so it may be
// said.
func checkGroup(group *string, td *ecs.TaskDefinition) error {
	g := deref(group)
	switch {
	case len(g) > maxGroupLength:
		return fault.InvalidParameter("group must be at most %d characters.", maxGroupLength)
	case reservedGroup.MatchString(g) && g != "family:"+td.Family:
		return fault.InvalidParameter("Invalid namespace for group.")
	}
	return nil
}

var startedByPattern = regexp.MustCompile(`^[a-zA-Z0-9/_-]{0,128}$`)

func checkStartedBy(startedBy *string) error {
	if !startedByPattern.MatchString(deref(startedBy)) {
		return fault.InvalidParameter("startedBy must match ^[a-zA-Z0-9\\-_/]{0,128}$, but was %s", *startedBy)
	}
	return nil
}

// clientTokenPattern: printable ASCII without the space.
var clientTokenPattern = regexp.MustCompile(`^[!-~]*$`)

// maxRunTaskToken and maxCreateServiceToken are how long the client tokens may be.
const (
	maxRunTaskToken       = 64
	maxCreateServiceToken = 36
)

func checkClientToken(token *string, max int) error {
	if t := deref(token); len(t) > max || !clientTokenPattern.MatchString(t) {
		return fault.InvalidParameter("clientToken must be at most %d characters in the ASCII range of 33-126.", max)
	}
	return nil
}

// instances are the cluster's container instances that are not INACTIVE. Their tasks are read when they are needed.
func instances(r store.Reader, cluster string) []*placement.Instance {
	var all []*placement.Instance
	for ci := range state.InstancesByCluster.Each(r, cluster) {
		if ci.Status != ecs.InstanceInactive {
			all = append(all, lazyInstance(r, ci))
		}
	}
	return all
}

// instance is one container instance with the tasks that hold resources there.
func instance(r store.Reader, ci *ecs.ContainerInstance) *placement.Instance {
	return &placement.Instance{Record: ci, Tasks: tasksOn(r, ci.ID)}
}

// lazyInstance is the same, with its tasks read when they are needed: by then r must not have been written to on its behalf.
func lazyInstance(r store.Reader, ci *ecs.ContainerInstance) *placement.Instance {
	return placement.Lazy(ci, func() []*ecs.Task { return tasksOn(r, ci.ID) })
}

// tasksOn are the tasks that hold resources on an instance.
func tasksOn(r store.Reader, id string) []*ecs.Task {
	tasks := make([]*ecs.Task, 0, state.TasksByInstance.Count(r, id))
	for t := range state.TasksByInstance.Each(r, id) {
		tasks = append(tasks, t)
	}
	return tasks
}

// requestHash is what tells a repeated request from a different one with the same client token.
func requestHash(in any) (string, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
