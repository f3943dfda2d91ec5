package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openberth/berth/e2e/testimage/inside"
)

// Numbers of Linux's capabilities, bits in /proc/self/status.
const (
	capChown     = 0
	capKill      = 5
	capNetAdmin  = 12
	capSysPtrace = 19
)

func can(v inside.View, set string, capability int) bool {
	n, err := strconv.ParseUint(v.Status[set], 16, 64)
	return err == nil && n&(1<<capability) != 0
}

var securityFields = []fieldCase{
	allCapabilities(fieldCase{name: "privileged", edit: func(d *document) { d.app().Privileged = aws.Bool(true) }, check: func(l *lab) {
		v := l.see("app")
		l.equal("capabilities", v.Status["CapEff"], ownStatus("CapBnd"))
		l.equal("seccomp", v.Status["Seccomp"], "0")
		if !slices.Contains(v.Devices, "loop-control") && exists("/dev/loop-control") {
			l.Error("it hasn't the host's devices")
		}
		l.equal("Privileged", l.inspect("app").HostConfig.Privileged, true)
	}}, func(l *lab) { l.equal("Privileged", l.inspect("app").HostConfig.Privileged, true) }),
	{name: "privileged false", edit: func(d *document) {
		d.app().Privileged = aws.Bool(false)
		d.app().Hostname = aws.String("ordinary")
	}, check: func(l *lab) {
		v := l.see("app")
		l.equal("CAP_CHOWN", can(v, "CapEff", capChown), true)
		l.equal("CAP_NET_ADMIN", can(v, "CapEff", capNetAdmin), false)
		l.equal("hostname", v.Hostname, "ordinary")
	}},
	{name: "readonlyRootFilesystem", edit: func(d *document) { d.app().ReadonlyRootFilesystem = aws.Bool(true) }, check: func(l *lab) {
		l.mustFail("app", "read-only file system", "write", "/new", "x")
		l.equal("ReadonlyRootfs", l.inspect("app").HostConfig.ReadonlyRootfs, true)
	}},
	{name: "readonlyRootFilesystem with a tmpfs to write to", edit: func(d *document) {
		d.app().ReadonlyRootFilesystem = aws.Bool(true)
		d.linux().Tmpfs = []types.Tmpfs{{ContainerPath: aws.String("/tmp"), Size: 4}}
	}, check: func(l *lab) {
		l.mustFail("app", "read-only file system", "write", "/new", "x")
		l.must("app", "write", "/tmp/new", "x")
	}},
	{name: "dockerSecurityOptions no-new-privileges", edit: func(d *document) { d.app().DockerSecurityOptions = []string{"no-new-privileges"} }, check: func(l *lab) {
		l.equal("NoNewPrivs", l.see("app").Status["NoNewPrivs"], "1")
		l.equal("SecurityOpt", l.inspect("app").HostConfig.SecurityOpt, []string{"no-new-privileges"})
	}},
	{name: "dockerSecurityOptions seccomp", edit: func(d *document) { d.app().DockerSecurityOptions = []string{"seccomp=unconfined"} }, check: func(l *lab) {
		l.equal("seccomp", l.see("app").Status["Seccomp"], "0")
	}},
	securityModule("apparmor", "apparmor:unconfined"),
	securityModule("selinux", "label:disable"),
	{name: "capabilities add", edit: func(d *document) { d.linux().Capabilities = &types.KernelCapabilities{Add: []string{"NET_ADMIN"}} }, check: func(l *lab) {
		v := l.see("app")
		l.equal("CAP_NET_ADMIN", can(v, "CapEff", capNetAdmin), true)
		l.equal("CAP_SYS_PTRACE", can(v, "CapEff", capSysPtrace), false)
	}},
	{name: "capabilities drop", edit: func(d *document) {
		d.linux().Capabilities = &types.KernelCapabilities{Drop: []string{"CHOWN", "KILL"}}
	}, check: func(l *lab) {
		v := l.see("app")
		l.equal("CAP_CHOWN", can(v, "CapEff", capChown), false)
		l.equal("CAP_KILL", can(v, "CapBnd", capKill), false)
	}},
	{name: "capabilities drop ALL and add one", edit: func(d *document) {
		d.linux().Capabilities = &types.KernelCapabilities{Drop: []string{"ALL"}, Add: []string{"SYS_PTRACE"}}
	}, check: func(l *lab) {
		l.equal("capabilities", l.see("app").Status["CapEff"], fmt.Sprintf("%016x", 1<<capSysPtrace))
	}},
	allCapabilities(fieldCase{name: "capabilities add ALL", edit: func(d *document) {
		d.linux().Capabilities = &types.KernelCapabilities{Add: []string{"ALL"}}
	}, check: func(l *lab) {
		l.equal("capabilities", l.see("app").Status["CapEff"], ownStatus("CapBnd"))
		l.equal("Privileged", l.inspect("app").HostConfig.Privileged, false)
	}}, func(l *lab) { l.equal("CapAdd", l.inspect("app").HostConfig.CapAdd, []string{"ALL"}) }),
}

// allCapabilities: a host that lacks one itself (a sandbox) can't give a container all of them. Docker has been asked to all
// the same, which asked checks, and the task says why it couldn't start.
func allCapabilities(f fieldCase, asked func(l *lab)) fieldCase {
	last, err := strconv.Atoi(strings.TrimSpace(fileText("/proc/sys/kernel/cap_last_cap")))
	if err != nil || ownStatus("CapBnd") == fmt.Sprintf("%016x", uint64(1)<<(last+1)-1) {
		return f
	}
	f.ends, f.check = true, func(l *lab) {
		l.stopped()
		l.has("reason", aws.ToString(l.container("app").Reason), "unable to apply caps: operation not permitted")
		asked(l)
	}
	return f
}

// securityModule: what the host's Docker can't confine by isn't placed on it.
func securityModule(module, option string) fieldCase {
	f := fieldCase{name: "dockerSecurityOptions " + module, edit: func(d *document) {
		d.app().DockerSecurityOptions = []string{option}
	}, check: func(l *lab) { l.equal("SecurityOpt", l.inspect("app").HostConfig.SecurityOpt, []string{option}) }}
	if !strings.Contains(docker("info", "--format", "{{.SecurityOptions}}").out, "name="+module) {
		f.refused = "ATTRIBUTE"
	}
	return f
}

// kernelFields: limits, sysctls, devices, memory file systems.
var kernelFields = []fieldCase{
	{name: "ulimits nofile", edit: func(d *document) {
		d.app().Ulimits = []types.Ulimit{{Name: types.UlimitNameNofile, SoftLimit: 2048, HardLimit: 4096}}
		d.linux().InitProcessEnabled = aws.Bool(true)
	}, check: func(l *lab) {
		// Go programs raise their own soft limit; the init process doesn't.
		for line := range strings.Lines(l.must("app", "read", "/proc/1/limits")) {
			if strings.HasPrefix(line, "Max open files") {
				l.equal("open files", strings.Fields(line)[3:5], []string{"2048", "4096"})
				return
			}
		}
		l.Error("there is no limit of open files")
	}},
	{name: "ulimits several", edit: func(d *document) {
		d.app().Ulimits = []types.Ulimit{{Name: types.UlimitNameCore, SoftLimit: 0, HardLimit: 0}, {Name: types.UlimitNameStack, SoftLimit: 4 << 20, HardLimit: 16 << 20},
			{Name: types.UlimitNameMsgqueue, SoftLimit: 1000, HardLimit: 2000}}
	}, check: func(l *lab) {
		v := l.see("app")
		l.equal("core", v.Limits["core file size"], [2]string{"0", "0"})
		l.equal("stack", v.Limits["stack size"], [2]string{fmt.Sprint(4 << 20), fmt.Sprint(16 << 20)})
		l.equal("message queues", v.Limits["msgqueue size"], [2]string{"1000", "2000"})
	}},
	{name: "ulimits without a limit", edit: func(d *document) {
		d.app().Ulimits = []types.Ulimit{{Name: types.UlimitNameCore, SoftLimit: 4096, HardLimit: -1}, {Name: types.UlimitNameFsize, SoftLimit: -1, HardLimit: -1}}
	}, check: func(l *lab) {
		v := l.see("app")
		l.equal("core", v.Limits["core file size"], [2]string{"4096", "unlimited"})
		l.equal("file size", v.Limits["file size"], [2]string{"unlimited", "unlimited"})
	}},
	{name: "systemControls", edit: func(d *document) {
		d.app().SystemControls = []types.SystemControl{{Namespace: aws.String("net.core.somaxconn"), Value: aws.String("777")},
			{Namespace: aws.String("net.ipv4.ip_local_port_range"), Value: aws.String("20000 21000")}, {Namespace: aws.String("kernel.msgmax"), Value: aws.String("9999")}}
	}, check: func(l *lab) {
		l.equal("net.core.somaxconn", strings.TrimSpace(l.must("app", "read", "/proc/sys/net/core/somaxconn")), "777")
		l.equal("net.ipv4.ip_local_port_range", strings.Fields(l.must("app", "read", "/proc/sys/net/ipv4/ip_local_port_range")), []string{"20000", "21000"})
		l.equal("kernel.msgmax", strings.TrimSpace(l.must("app", "read", "/proc/sys/kernel/msgmax")), "9999")
	}},
	{name: "devices", edit: func(d *document) {
		d.linux().Devices = []types.Device{{HostPath: aws.String(spareDevice())}}
	}, check: func(l *lab) { l.must("app", "open", spareDevice(), "rw") }},
	{name: "devices under another path", edit: func(d *document) {
		d.linux().Devices = []types.Device{{HostPath: aws.String(spareDevice()), ContainerPath: aws.String("/dev/renamed")}}
	}, check: func(l *lab) { l.must("app", "open", "/dev/renamed", "rw") }},
	{name: "devices to read only", edit: func(d *document) {
		d.linux().Devices = []types.Device{{HostPath: aws.String(spareDevice()), ContainerPath: aws.String("/dev/renamed"), Permissions: []types.DeviceCgroupPermission{types.DeviceCgroupPermissionRead}}}
	}, check: func(l *lab) {
		l.must("app", "open", "/dev/renamed", "r")
		l.mustFail("app", "operation not permitted", "open", "/dev/renamed", "rw")
	}},
	{name: "sharedMemorySize", edit: func(d *document) { d.linux().SharedMemorySize = aws.Int32(48) }, check: func(l *lab) {
		l.equal("size of /dev/shm", l.see("app").Mounts["/dev/shm"].Size, int64(48<<20))
	}},
	{name: "tmpfs", edit: func(d *document) { d.linux().Tmpfs = []types.Tmpfs{{ContainerPath: aws.String("/scratch"), Size: 12}} }, check: func(l *lab) {
		m := l.see("app").Mounts["/scratch"]
		l.equal("type", m.Type, "tmpfs")
		l.equal("size", m.Size, int64(12<<20))
	}},
	{name: "tmpfs with mount options", edit: func(d *document) {
		d.linux().Tmpfs = []types.Tmpfs{{ContainerPath: aws.String("/a"), Size: 8, MountOptions: []string{"ro", "mode=700", "nr_inodes=50"}}, {ContainerPath: aws.String("/b"), Size: 4, MountOptions: []string{"exec"}}}
	}, check: func(l *lab) {
		v := l.see("app")
		l.has("/a", v.Mounts["/a"].Options, "ro,")
		l.has("/a", v.Mounts["/a"].Options, "mode=700")
		l.has("/a", v.Mounts["/a"].Options, "nr_inodes=50")
		l.equal("size of /a", v.Mounts["/a"].Size, int64(8<<20))
		l.equal("/b is noexec", strings.Contains(v.Mounts["/b"].Options, "noexec"), false)
		l.equal("size of /b", v.Mounts["/b"].Size, int64(4<<20))
	}},
}

func fileText(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// ownStatus is a line of this process's /proc/self/status.
func ownStatus(name string) string {
	for line := range strings.Lines(fileText("/proc/self/status")) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// spareDevice is a device of the host that containers don't have.
func spareDevice() string {
	for _, d := range []string{"/dev/fuse", "/dev/loop-control", "/dev/net/tun", "/dev/kmsg"} {
		if exists(d) {
			return d
		}
	}
	return "/dev/mem"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
