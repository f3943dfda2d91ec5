package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openberth/berth/e2e/testimage/inside"
)

const mib = 1 << 20

var resourceFields = []fieldCase{
	{name: "cpu", edit: func(d *document) { d.app().Cpu = 96 }, check: func(l *lab) { l.shares("app", 96) }},
	{name: "cpu of none is the kernel's least", edit: func(d *document) { d.app().Cpu = 0 }, check: func(l *lab) { l.shares("app", 2) }},
	{name: "memory", edit: func(d *document) { d.app().Memory = aws.Int32(48) }, check: func(l *lab) {
		l.equal("limit", memoryLimit(l.see("app")), int64(48*mib))
		l.equal("Memory", l.inspect("app").HostConfig.Memory, int64(48*mib))
	}},
	{name: "memory exceeded", edit: func(d *document) {
		d.app().Command = []string{"eat", "400"}
		d.app().Memory = aws.Int32(24)
		d.linux().MaxSwap = aws.Int32(0)
	}, ends: true, check: func(l *lab) {
		l.stopped()
		l.equal("exit code", aws.ToInt32(l.container("app").ExitCode), int32(137))
		l.has("reason", aws.ToString(l.container("app").Reason), "OutOfMemoryError")
	}},
	{name: "memoryReservation", edit: func(d *document) { d.app().Memory, d.app().MemoryReservation = nil, aws.Int32(40) }, check: func(l *lab) {
		v := l.see("app")
		l.equal("reservation", memoryReservation(v), int64(40*mib))
		l.equal("there is a limit", memoryLimit(v) < 1<<40, false)
	}},
	{name: "memory and memoryReservation", edit: func(d *document) { d.app().Memory, d.app().MemoryReservation = aws.Int32(64), aws.Int32(40) }, check: func(l *lab) {
		v := l.see("app")
		l.equal("reservation", memoryReservation(v), int64(40*mib))
		l.equal("limit", memoryLimit(v), int64(64*mib))
	}},
	{name: "maxSwap and swappiness", edit: func(d *document) {
		d.linux().MaxSwap, d.linux().Swappiness = aws.Int32(16), aws.Int32(33)
	}, check: func(l *lab) {
		host := l.inspect("app").HostConfig
		l.equal("memory and swap", host.MemorySwap, int64((32+16)*mib))
		l.equal("swappiness", aws.ToInt64(host.MemorySwappiness), int64(33))
		v := l.see("app")
		if s, ok := v.Cgroup["memory.memsw.limit_in_bytes"]; ok {
			l.equal("limit of memory and swap", s, fmt.Sprint((32+16)*mib))
			l.equal("swappiness", v.Cgroup["memory.swappiness"], "33")
		} else if s, ok := v.Cgroup["memory.swap.max"]; ok {
			l.equal("limit of swap", s, fmt.Sprint(16*mib))
		}
	}},
	{name: "maxSwap 0", edit: func(d *document) { d.linux().MaxSwap = aws.Int32(0) }, check: func(l *lab) {
		l.equal("memory and swap", l.inspect("app").HostConfig.MemorySwap, int64(32*mib))
		if s, ok := l.see("app").Cgroup["memory.memsw.limit_in_bytes"]; ok {
			l.equal("limit of memory and swap", s, fmt.Sprint(32*mib))
		}
	}},
	{name: "swappiness without maxSwap is ignored", edit: func(d *document) {
		d.linux().Swappiness = aws.Int32(11)
		d.app().Cpu = 17
	}, check: func(l *lab) {
		l.shares("app", 17)
		l.equal("there is a swappiness", l.inspect("app").HostConfig.MemorySwappiness != nil && *l.inspect("app").HostConfig.MemorySwappiness == 11, false)
	}},
}

// taskResourceFields: limits on all containers of the task together.
var taskResourceFields = []fieldCase{
	{name: "task cpu", edit: func(d *document) { d.Cpu = aws.String("128") }, check: func(l *lab) { l.taskCPU(0.125) }},
	{name: "task cpu in vCPU", edit: func(d *document) { d.Cpu = aws.String(".25 vCPU") }, check: func(l *lab) { l.taskCPU(0.25) }},
	{name: "task memory", edit: func(d *document) {
		d.Memory = aws.String("80")
		d.app().Memory = nil
	}, check: func(l *lab) { l.taskMemory(80) }},
	{name: "task memory in GB", edit: func(d *document) {
		d.Memory = aws.String("0.125 GB")
		d.app().Memory = nil
	}, check: func(l *lab) { l.taskMemory(128) }},
	{name: "task memory with a container's own", edit: func(d *document) {
		d.Memory = aws.String("96")
		d.app().Memory = aws.Int32(33)
	}, check: func(l *lab) {
		l.taskMemory(96)
		l.equal("the container's limit", memoryLimit(l.see("app")), int64(33*mib))
	}},
	{name: "task cpu and memory with several containers", edit: func(d *document) {
		d.Cpu, d.Memory = aws.String("256"), aws.String("100")
		d.app().Memory = nil
		d.add("second", "see").Memory = nil
		d.ContainerDefinitions[1].Cpu = 64
	}, check: func(l *lab) {
		l.taskCPU(0.25)
		l.taskMemory(100)
		l.shares("second", 64)
		if a, b := l.inspect("app").HostConfig.CgroupParent, l.inspect("second").HostConfig.CgroupParent; a != b {
			l.Errorf("cgroup parents %q and %q", a, b)
		}
	}},
	{name: "task memory exceeded", edit: func(d *document) {
		d.Memory = aws.String("24")
		d.app().Memory = nil
		d.app().Command = []string{"eat", "600"}
	}, ends: true, check: func(l *lab) {
		l.stopped()
		l.equal("exit code", aws.ToInt32(l.container("app").ExitCode), int32(137))
	}},
}

// shares checks the container's weight against others; version 2 has it on a scale of its own.
func (l *lab) shares(name string, want int64) {
	l.Helper()
	l.equal("CpuShares", l.inspect(name).HostConfig.CPUShares, want)
	v := l.look(name)
	if s, ok := v.Cgroup["cpu.weight"]; ok {
		l.equal("weight", s, fmt.Sprint(1+((want-2)*9999)/262142))
	} else {
		l.equal("shares", v.Cgroup["cpu.shares"], fmt.Sprint(want))
	}
}

func memoryLimit(v inside.View) int64 {
	if s, ok := v.Cgroup["memory.max"]; ok {
		return amountOf(s)
	}
	return amountOf(v.Cgroup["memory.limit_in_bytes"])
}

func memoryReservation(v inside.View) int64 {
	if s, ok := v.Cgroup["memory.low"]; ok {
		return amountOf(s)
	}
	return amountOf(v.Cgroup["memory.soft_limit_in_bytes"])
}

func amountOf(s string) int64 {
	if s == "max" {
		return 1 << 62
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// taskCPU checks the CPU quota on the cgroup that is the parent of the containers'.
func (l *lab) taskCPU(vcpus float64) {
	l.Helper()
	if f, ok := l.taskCgroup("cpu", "cpu.cfs_quota_us"); ok {
		l.equal("the task's quota", f, fmt.Sprint(int(vcpus*100_000)))
	} else if f, ok := l.taskCgroup("", "cpu.max"); ok {
		l.equal("the task's quota", f, fmt.Sprintf("%d 100000", int(vcpus*100_000)))
	} else {
		l.Fatal("there is no cgroup of the task's own")
	}
}

func (l *lab) taskMemory(limit int64) {
	l.Helper()
	if f, ok := l.taskCgroup("memory", "memory.limit_in_bytes"); ok {
		l.equal("the task's memory", f, fmt.Sprint(limit*mib))
	} else if f, ok := l.taskCgroup("", "memory.max"); ok {
		l.equal("the task's memory", f, fmt.Sprint(limit*mib))
	} else {
		l.Fatal("there is no cgroup of the task's own")
	}
}

// taskCgroup reads a file of the parent of the cgroup that the container's first process really is in.
func (l *lab) taskCgroup(controller, file string) (string, bool) {
	l.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", l.inspect("app").State.Pid))
	if err != nil {
		l.Fatal(err)
	}
	for line := range strings.Lines(string(b)) { // 4:memory:/berth/<task>/<container>
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && parts[1] == controller {
			content, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", controller, filepath.Dir(parts[2]), file))
			return strings.TrimSpace(string(content)), err == nil
		}
	}
	return "", false
}

var thisArchitecture, otherArchitecture = map[string]types.CPUArchitecture{"amd64": types.CPUArchitectureX8664, "arm64": types.CPUArchitectureArm64}[runtime.GOARCH],
	map[string]types.CPUArchitecture{"amd64": types.CPUArchitectureArm64, "arm64": types.CPUArchitectureX8664}[runtime.GOARCH]
