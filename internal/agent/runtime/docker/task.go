package docker

import (
	"context"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/openberth/berth/internal/agent/runtime"
)

// PrepareTask implements runtime.Tasks.
func (r *Runtime) PrepareTask(ctx context.Context, spec runtime.TaskSpec) (runtime.Prepared, error) {
	for _, v := range spec.Volumes {
		if err := r.makeVolume(ctx, spec, v); err != nil {
			return runtime.Prepared{}, fmt.Errorf("CannotCreateVolumeError: %w", err)
		}
	}
	if spec.CPU == 0 && spec.Memory == 0 {
		return runtime.Prepared{}, nil
	}
	d, err := r.describe(ctx)
	if err != nil {
		return runtime.Prepared{}, err
	}
	parent, err := r.cgroup.make(d.cgroupDriver, d.cgroupVersion, spec)
	if err != nil { // a read-only mount, as inside a container, or a hierarchy that somebody else manages
		return runtime.Prepared{Warning: "each container gets the task's limits as its own: " + err.Error()}, nil
	}
	return runtime.Prepared{CgroupParent: parent}, nil
}

func (r *Runtime) describe(ctx context.Context) (*daemon, error) {
	r.mu.Lock()
	d := r.daemon
	r.mu.Unlock()
	if d != nil {
		return d, nil
	}
	if _, err := r.Info(ctx); err != nil {
		return nil, err
	}
	return r.describe(ctx)
}

// makeVolume makes the volume; one that exists is left as it is.
func (r *Runtime) makeVolume(ctx context.Context, spec runtime.TaskSpec, v runtime.Volume) error {
	if v.Shared && !v.Provision {
		_, err := r.api.VolumeInspect(ctx, v.Name, client.VolumeInspectOptions{})
		if cerrdefs.IsNotFound(err) {
			return fmt.Errorf("shared volume %s doesn't exist and autoprovision is off", v.Name)
		}
		return unavailableOr(err)
	}
	labels := map[string]string{}
	for k, val := range v.Labels {
		labels[k] = val
	}
	if !v.Shared {
		labels[runtime.LabelOwner] = spec.Owner
	}
	_, err := r.api.VolumeCreate(ctx, client.VolumeCreateOptions{Name: v.Name, Driver: v.Driver, DriverOpts: v.Options, Labels: labels})
	return unavailableOr(err)
}

// unavailableOr is translate where a thing that isn't found is no container.
func unavailableOr(err error) error {
	if cerrdefs.IsNotFound(err) {
		return err
	}
	return translate(err)
}

// RemoveTask implements runtime.Tasks.
func (r *Runtime) RemoveTask(ctx context.Context, spec runtime.TaskSpec) error {
	var errs []error
	for _, v := range spec.Volumes {
		if v.Shared {
			continue
		}
		if _, err := r.api.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
			errs = append(errs, translate(err))
		}
	}
	if spec.CPU > 0 || spec.Memory > 0 {
		errs = append(errs, r.cgroup.remove(spec.ID))
	}
	return errors.Join(errs...)
}
