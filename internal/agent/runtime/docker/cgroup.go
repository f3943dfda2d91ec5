package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/openberth/berth/internal/agent/runtime"
)

// cgroupRoot is the parent of all tasks' cgroups, in each hierarchy.
const cgroupRoot = "berth"

const (
	cpuPeriod   = 100_000 // microseconds
	minCPUQuota = 1_000   // the kernel's minimum
)

// cgroups limits tasks as a whole: a cgroup per task, /berth/<task id>, with the task's cpu as quota and its memory as limit,
// and the containers' own cgroups below it.
//
// It is possible where Docker uses the cgroupfs driver and the agent sees the host's cgroup file system, writable. With the
// systemd driver the slices are systemd's to write: each container then gets the task's limits as its own, so that two
// containers of one task can together use twice of what the task has. Info tells (TaskLimits).
type cgroups struct {
	mount string // "/sys/fs/cgroup"

	mu sync.Mutex // between making a task's cgroup and removing the root
}

func newCgroups(mount string) *cgroups { return &cgroups{mount: mount} }

func (c *cgroups) usable(driver, version string) bool {
	if driver != "cgroupfs" {
		return false
	}
	for _, dir := range c.dirs(version, "") {
		if info, err := os.Stat(filepath.Dir(dir)); err != nil || !info.IsDir() {
			return false
		}
	}
	return os.Geteuid() == 0
}

// dirs are the directories of a task's cgroup; of the root for an empty id.
func (c *cgroups) dirs(version, id string) []string {
	if version == "2" {
		return []string{filepath.Join(c.mount, cgroupRoot, id)}
	}
	return []string{filepath.Join(c.mount, "cpu", cgroupRoot, id), filepath.Join(c.mount, "memory", cgroupRoot, id)}
}

// make sets the limits and returns the cgroup parent for the task's containers; empty where there can't be one.
func (c *cgroups) make(driver, version string, spec runtime.TaskSpec) (string, error) {
	if !c.usable(driver, version) {
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	create := c.makeV1
	if version == "2" {
		create = c.makeV2
	}
	err := create(spec)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(spec) // another agent's last task took the root away in between
	}
	if err != nil {
		return "", err
	}
	return "/" + cgroupRoot + "/" + spec.ID, nil
}

func (c *cgroups) makeV1(spec runtime.TaskSpec) error {
	dirs := c.dirs("1", spec.ID)
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if spec.CPU > 0 {
		if err := write(dirs[0], "cpu.cfs_period_us", strconv.Itoa(cpuPeriod)); err != nil {
			return err
		}
		if err := write(dirs[0], "cpu.cfs_quota_us", strconv.Itoa(quota(spec.CPU))); err != nil {
			return err
		}
	}
	if spec.Memory > 0 {
		// Before the limit, or containers below wouldn't count. Kernels since 5.11 know nothing else, and refuse.
		_ = write(dirs[1], "memory.use_hierarchy", "1")
		return write(dirs[1], "memory.limit_in_bytes", strconv.FormatInt(spec.Memory<<20, 10))
	}
	return nil
}

func (c *cgroups) makeV2(spec runtime.TaskSpec) error {
	dir := c.dirs("2", spec.ID)[0]
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Controllers go down one level at a time; the task's own level hands them to the containers.
	for _, d := range []string{c.mount, filepath.Dir(dir), dir} {
		if err := write(d, "cgroup.subtree_control", "+cpu +memory +pids"); err != nil {
			return err
		}
	}
	if spec.CPU > 0 {
		if err := write(dir, "cpu.max", fmt.Sprintf("%d %d", quota(spec.CPU), cpuPeriod)); err != nil {
			return err
		}
	}
	if spec.Memory > 0 {
		return write(dir, "memory.max", strconv.FormatInt(spec.Memory<<20, 10))
	}
	return nil
}

// quota is vCPUs in microseconds of CPU per period: 0.25 vCPU is 25,000 of 100,000.
func quota(cpu float64) int { return max(int(cpu*cpuPeriod), minCPUQuota) }

// remove removes the task's cgroup, wherever it was made; one that isn't there is fine. The containers are gone by now, and
// with them the cgroups below, but in hierarchies that Docker made the directory in it is Docker's child that was removed.
func (c *cgroups) remove(id string) error {
	if id == "" || strings.ContainsAny(id, "/.") {
		return fmt.Errorf("cgroup of task %q: not an id", id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	found, _ := filepath.Glob(filepath.Join(c.mount, "*", cgroupRoot, id))
	v2, _ := filepath.Glob(filepath.Join(c.mount, cgroupRoot, id))
	for _, dir := range append(found, v2...) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		_ = os.Remove(filepath.Dir(dir)) // the root, once it is empty
	}
	return errors.Join(errs...)
}

func write(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
