package e2e

import (
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// fieldsAtOnce is how many cases of TestFields run at the same time. Nearly all of a case is waiting: eight keep two cores
// busy without starving the health checks' and stop timeouts' clocks.
const fieldsAtOnce = 8

// fieldCase is one promise about a field of a task definition or of RunTask: a definition that uses it, and what must then
// be true of the real container.
type fieldCase struct {
	name string
	// edit changes the default: one container, app, that runs `see`.
	edit func(d *document)
	// check looks at the task. It is RUNNING by then, unless ends is set.
	check func(l *lab)
	// ends says that the task ends by itself, or doesn't get as far as RUNNING.
	ends bool
	// refused is a pattern that the failure or error of RunTask matches: nothing may start.
	refused string
}

// document is a task definition to register, and how to run it.
type document struct {
	*ecs.RegisterTaskDefinitionInput
	run *ecs.RunTaskInput
	lab *lab
}

// app is the first container.
func (d *document) app() *types.ContainerDefinition { return &d.ContainerDefinitions[0] }

// linux is the linuxParameters of the first container.
func (d *document) linux() *types.LinuxParameters {
	if d.app().LinuxParameters == nil {
		d.app().LinuxParameters = &types.LinuxParameters{}
	}
	return d.app().LinuxParameters
}

// add adds a container that is not essential, after those that are there.
func (d *document) add(name string, command ...string) *types.ContainerDefinition {
	c := container(name, command...)
	c.Essential = aws.Bool(false)
	d.ContainerDefinitions = append(d.ContainerDefinitions, c)
	return &d.ContainerDefinitions[len(d.ContainerDefinitions)-1]
}

// override adds an override of a container.
func (d *document) override(o types.ContainerOverride) {
	d.overrides().ContainerOverrides = append(d.overrides().ContainerOverrides, o)
}

func (d *document) overrides() *types.TaskOverride {
	if d.run.Overrides == nil {
		d.run.Overrides = &types.TaskOverride{}
	}
	return d.run.Overrides
}

func container(name string, command ...string) types.ContainerDefinition {
	return types.ContainerDefinition{Name: &name, Image: aws.String(fieldsImage), Command: command, Memory: aws.Int32(32)}
}

// TestFields proves field by field that what Berth says it honours (docs/compat/ecs.md) happens to the containers: every
// case registers a definition, runs it, and looks inside the real container; docker inspect is the second witness.
func TestFields(t *testing.T) {
	c := startFieldsCluster(t)
	cases := slices.Concat(
		lifecycleFields, // first: some take a minute
		logFields, healthFields, processFields, identityFields, networkFields, portFields, securityFields, kernelFields, resourceFields,
		taskResourceFields, volumeFields, namespaceFields, overrideFields, labelFields,
	)
	seen := map[string]bool{}
	for _, f := range cases {
		if seen[f.name] {
			t.Errorf("two cases are called %s", f.name)
		}
		seen[f.name] = true
	}
	// Not t.Parallel: its limit is the number of cores, and the cases wait much more than they work.
	var all sync.WaitGroup
	slots := make(chan struct{}, fieldsAtOnce)
	for _, f := range cases {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			t.Run(f.name, func(t *testing.T) { c.try(t, f) })
		})
	}
	all.Wait()
}
