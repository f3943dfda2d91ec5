// Package inside is what a container of the end-to-end tests sees of itself: the test image writes it, the tests read it.
package inside

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// View is how the world looks to one process of a container.
type View struct {
	PID         int
	Args        []string
	Env         map[string]string
	Dir         string
	UID, GID    int
	Groups      []int
	Hostname    string
	ResolvConf  string
	Hosts       string
	Mounts      map[string]Mount     // by mount point; of those on top of each other the last
	Status      map[string]string    // /proc/self/status
	Limits      map[string][2]string // /proc/self/limits: soft, hard
	Namespaces  map[string]string    // "pid": "pid:[4026531836]"
	Cgroup      map[string]string    // the files of its own cgroup that bear limits, of version 1 or 2
	Interfaces  []string
	Devices     []string // names in /dev
	First       string   // the name of process 1
	Stdin       string   // "null", "pipe", "terminal", "closed" or "other"
	StdoutIsTTY bool
}

// Mount is one line of /proc/self/mountinfo, and the size of what is mounted.
type Mount struct {
	Type    string
	Options string // of the mount, then of the file system
	Size    int64  // bytes
}

// Look describes the calling process.
func Look() *View {
	v := &View{PID: os.Getpid(), Args: os.Args, Env: map[string]string{}, UID: os.Getuid(), GID: os.Getgid(), Mounts: map[string]Mount{},
		Status: map[string]string{}, Limits: map[string][2]string{}, Namespaces: map[string]string{}, Cgroup: map[string]string{}}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		v.Env[name] = value
	}
	v.Dir, _ = os.Readlink("/proc/self/cwd")
	v.Groups, _ = os.Getgroups()
	v.Hostname, _ = os.Hostname()
	v.ResolvConf, v.Hosts = text("/etc/resolv.conf"), text("/etc/hosts")
	for line := range strings.Lines(text("/proc/self/status")) {
		name, value, _ := strings.Cut(line, ":")
		v.Status[name] = strings.TrimSpace(value)
	}
	mounts(v)
	limits(v)
	for _, kind := range []string{"pid", "ipc", "net", "uts", "mnt"} {
		v.Namespaces[kind], _ = os.Readlink("/proc/self/ns/" + kind)
	}
	for _, file := range []string{
		"memory/memory.limit_in_bytes", "memory/memory.soft_limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "memory/memory.swappiness",
		"cpu/cpu.shares", "cpu/cpu.cfs_quota_us", "memory.max", "memory.low", "memory.swap.max", "cpu.weight", "cpu.max",
	} {
		if s := strings.TrimSpace(text("/sys/fs/cgroup/" + file)); s != "" {
			v.Cgroup[filepath.Base(file)] = s
		}
	}
	if all, err := net.Interfaces(); err == nil {
		for _, i := range all {
			v.Interfaces = append(v.Interfaces, i.Name)
		}
	}
	if entries, err := os.ReadDir("/dev"); err == nil {
		for _, e := range entries {
			v.Devices = append(v.Devices, e.Name())
		}
	}
	v.First = strings.TrimSpace(text("/proc/1/comm"))
	v.Stdin = kind(os.Stdin)
	v.StdoutIsTTY = kind(os.Stdout) == "terminal"
	return v
}

func text(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

func mounts(v *View) {
	s := bufio.NewScanner(strings.NewReader(text("/proc/self/mountinfo")))
	for s.Scan() {
		// 36 35 98:0 /root /mount/point options [optional fields] - type source options
		left, right, ok := strings.Cut(s.Text(), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 3 {
			continue
		}
		m := Mount{Type: r[0], Options: l[5] + "," + r[2]}
		var fs syscall.Statfs_t
		if syscall.Statfs(l[4], &fs) == nil {
			m.Size = int64(fs.Blocks) * int64(fs.Bsize)
		}
		v.Mounts[l[4]] = m
	}
}

func limits(v *View) {
	for line := range strings.Lines(text("/proc/self/limits")) {
		if len(line) < 67 || !strings.HasPrefix(line, "Max ") { // columns: 26 name, 21 soft, 21 hard, units
			continue
		}
		v.Limits[strings.TrimSpace(line[4:26])] = [2]string{strings.TrimSpace(line[26:47]), strings.TrimSpace(line[47:min(68, len(line))])}
	}
}

func kind(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return "closed"
	}
	var settings syscall.Termios
	if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&settings))); failed == 0 {
		return "terminal"
	}
	null, err := os.Stat(os.DevNull)
	switch {
	case err == nil && os.SameFile(info, null):
		return "null"
	case info.Mode()&os.ModeNamedPipe != 0:
		return "pipe"
	}
	return "other"
}
