package placement

import (
	"slices"

	"github.com/openberth/berth/internal/ecs"
)

// Instance is a container instance with the tasks that hold resources on it, those included that the caller has decided
// to put there and not yet stored. It counts them once: append to Tasks (or call Add), but never take one away.
type Instance struct {
	Record *ecs.ContainerInstance
	Tasks  []*ecs.Task

	load     func() []*ecs.Task // the tasks that aren't in Tasks yet; nil: all are
	counted  int                // how many of Tasks stand in the next four
	cpu      int
	memory   int
	tcp, udp []int // ports of tasks, as they come

	group        string // the group that was asked for last
	groupCounted int    // how many of Tasks stand in groupTasks
	groupTasks   int
}

// Lazy is an instance whose tasks are read only when a decision depends on them: a task that goes to any instance needs
// to look at one, most of the time.
func Lazy(ci *ecs.ContainerInstance, load func() []*ecs.Task) *Instance {
	return &Instance{Record: ci, load: load}
}

// Add puts one more task on the instance.
func (in *Instance) Add(t *ecs.Task) { in.Tasks = append(in.Tasks, t) }

// tasks are all tasks that hold resources here.
func (in *Instance) tasks() []*ecs.Task {
	if in.load != nil {
		in.Tasks = append(in.load(), in.Tasks...)
		in.load = nil
	}
	return in.Tasks
}

// count takes in the tasks that have come since it was last called.
func (in *Instance) count() *Instance {
	tasks := in.tasks()
	for ; in.counted < len(tasks); in.counted++ {
		t := tasks[in.counted]
		if t.Stopped() {
			continue
		}
		in.cpu += t.Reserved.CPU
		in.memory += t.Reserved.Memory
		in.tcp = append(in.tcp, t.Reserved.Ports...)
		in.udp = append(in.udp, t.Reserved.PortsUDP...)
	}
	return in
}

// Free is what DescribeContainerInstances calls remaining: CPU and Memory are what is left, but Ports and PortsUDP are
// the ports in USE, the host's own and the tasks' static ones. It never goes below zero, though the instance may have been
// registered again with less than its tasks hold.
func (in *Instance) Free() ecs.Resources {
	in.count()
	r := &in.Record.Resources
	return ecs.Resources{
		CPU: max(0, r.CPU-in.cpu), Memory: max(0, r.Memory-in.memory),
		Ports: sorted(r.Ports, in.tcp), PortsUDP: sorted(r.PortsUDP, in.udp), GPUs: r.GPUs,
	}
}

func sorted(a, b []int) []int {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func (in *Instance) freeCPU() int    { return in.Record.Resources.CPU - in.count().cpu }
func (in *Instance) freeMemory() int { return in.Record.Resources.Memory - in.count().memory }

// inGroup counts the tasks of a group that are to run here. ECS looks at the desired status: a task that was asked to stop
// isn't counted, though it still runs.
func (in *Instance) inGroup(group string) int {
	if in.group != group {
		in.group, in.groupCounted, in.groupTasks = group, 0, 0
	}
	tasks := in.tasks()
	for ; in.groupCounted < len(tasks); in.groupCounted++ {
		t := tasks[in.groupCounted]
		if t.Group == group && t.DesiredStatus == ecs.TaskRunning && !t.Stopped() {
			in.groupTasks++
		}
	}
	return in.groupTasks
}

// active tells whether the instance may take tasks at all.
func (in *Instance) active() bool { return in.Record.Status == ecs.InstanceActive }

// RunningTasks and PendingTasks are the instance's task counts as DescribeContainerInstances and the query language have
// them: a task counts as pending until its containers have started, and as running while it is meant to run.
func (in *Instance) RunningTasks() (n int) {
	for _, t := range in.tasks() {
		if t.DesiredStatus == ecs.TaskRunning && !t.Stopped() && !pending(t) {
			n++
		}
	}
	return n
}

// PendingTasks: see RunningTasks.
func (in *Instance) PendingTasks() (n int) {
	for _, t := range in.tasks() {
		if pending(t) {
			n++
		}
	}
	return n
}

func pending(t *ecs.Task) bool {
	return t.LastStatus == ecs.TaskPending || t.LastStatus == ecs.TaskProvisioning
}
