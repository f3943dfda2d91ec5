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

	counted  int // how many of Tasks stand in what follows
	cpu      int
	memory   int
	tcp, udp map[int]bool
	groups   map[string]int // tasks that are to run, by group
}

// Add puts one more task on the instance.
func (in *Instance) Add(t *ecs.Task) { in.Tasks = append(in.Tasks, t) }

// count takes in the tasks that have come since it was last called.
func (in *Instance) count() *Instance {
	if in.groups == nil {
		in.groups, in.tcp, in.udp = map[string]int{}, map[int]bool{}, map[int]bool{}
		for _, p := range in.Record.Resources.Ports {
			in.tcp[p] = true
		}
		for _, p := range in.Record.Resources.PortsUDP {
			in.udp[p] = true
		}
	}
	for ; in.counted < len(in.Tasks); in.counted++ {
		t := in.Tasks[in.counted]
		if t.Stopped() {
			continue
		}
		in.cpu += t.Reserved.CPU
		in.memory += t.Reserved.Memory
		for _, p := range t.Reserved.Ports {
			in.tcp[p] = true
		}
		for _, p := range t.Reserved.PortsUDP {
			in.udp[p] = true
		}
		if t.DesiredStatus == ecs.TaskRunning {
			in.groups[t.Group]++
		}
	}
	return in
}

// Free is what DescribeContainerInstances calls remaining: CPU and Memory are what is left, but Ports and PortsUDP are
// the ports in USE, the host's own and the tasks' static ones. It never goes below zero, though the instance may have been
// registered again with less than its tasks hold.
func (in *Instance) Free() ecs.Resources {
	in.count()
	return ecs.Resources{
		CPU:    max(0, in.Record.Resources.CPU-in.cpu),
		Memory: max(0, in.Record.Resources.Memory-in.memory),
		Ports:  sorted(in.tcp), PortsUDP: sorted(in.udp), GPUs: in.Record.Resources.GPUs,
	}
}

func (in *Instance) freeCPU() int    { return in.Record.Resources.CPU - in.count().cpu }
func (in *Instance) freeMemory() int { return in.Record.Resources.Memory - in.count().memory }

// inGroup counts the tasks of a group that are to run here. ECS looks at the desired status: a task that was asked to stop
// isn't counted, though it still runs.
func (in *Instance) inGroup(group string) int { return in.count().groups[group] }

// active tells whether the instance may take tasks at all.
func (in *Instance) active() bool { return in.Record.Status == ecs.InstanceActive }

// RunningTasks and PendingTasks are the instance's task counts as DescribeContainerInstances and the query language have
// them: a task counts as pending until its containers have started, and as running while it is meant to run.
func (in *Instance) RunningTasks() (n int) {
	for _, t := range in.Tasks {
		if t.DesiredStatus == ecs.TaskRunning && !t.Stopped() && !pending(t) {
			n++
		}
	}
	return n
}

// PendingTasks: see RunningTasks.
func (in *Instance) PendingTasks() (n int) {
	for _, t := range in.Tasks {
		if pending(t) {
			n++
		}
	}
	return n
}

func pending(t *ecs.Task) bool {
	return t.LastStatus == ecs.TaskPending || t.LastStatus == ecs.TaskProvisioning
}

func sorted(set map[int]bool) []int {
	if len(set) == 0 {
		return nil
	}
	list := make([]int, 0, len(set))
	for p := range set {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}
