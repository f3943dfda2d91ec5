package definition

import (
	"strings"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/fault"
)

// Scopes of Docker volumes: task volumes end with the task, shared ones stay.
const (
	scopeTask   = "task"
	scopeShared = "shared"
)

// volumes checks the volumes of the task and who mounts them.
func volumes(td *ecs.TaskDefinition) error {
	names, mounted := map[string]bool{}, map[string]bool{}
	atLaunch := ""
	for i := range td.Volumes {
		v := &td.Volumes[i]
		if err := name("Volume.name", v.Name); err != nil {
			return err
		}
		if names[v.Name] {
			return fault.ClientError("Volume names must be unique within a Task Definition.")
		}
		names[v.Name] = true
		if err := volume(v); err != nil {
			return err
		}
		if isTrue(v.ConfiguredAtLaunch) {
			if atLaunch != "" {
				return fault.ClientError("Only one volume can be configured at launch.")
			}
			atLaunch = v.Name
		}
	}
	for i := range td.ContainerDefinitions {
		for _, m := range td.ContainerDefinitions[i].MountPoints {
			if !names[m.SourceVolume] {
				return fault.ClientError("Unknown volume '%s'.", m.SourceVolume)
			}
			if m.ContainerPath == "" {
				return fault.ClientError("MountPoint.containerPath should not be null or empty.")
			}
			mounted[m.SourceVolume] = true
		}
	}
	if atLaunch != "" && !mounted[atLaunch] {
		return fault.ClientError("Volumes [%s] are not referenced by any of the containers.", atLaunch)
	}
	return nil
}

// volume checks one volume: of the kinds, at most one; with none it is an empty directory of the task's own.
func volume(v *ecs.Volume) error {
	var kinds []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"host", v.Host != nil && v.Host.SourcePath != ""},
		{"dockerVolumeConfiguration", v.DockerVolumeConfiguration != nil},
		{"efsVolumeConfiguration", v.EFSVolumeConfiguration != nil},
		{"fsxWindowsFileServerVolumeConfiguration", v.FSxWindowsFileServerVolumeConfiguration != nil},
		{"s3filesVolumeConfiguration", v.S3FilesVolumeConfiguration != nil},
		{"configuredAtLaunch", isTrue(v.ConfiguredAtLaunch)},
	} {
		if k.set {
			kinds = append(kinds, k.name)
		}
	}
	if len(kinds) > 1 {
		return fault.ClientError("Only one volume configuration can be specified for volume '%s', not %s.", v.Name, strings.Join(kinds, " and "))
	}
	if d := v.DockerVolumeConfiguration; d != nil && d.Autoprovision != nil && d.Scope != scopeShared {
		return fault.ClientError("Autoprovision can only be specified for a Docker volume with the scope 'shared'.")
	}
	return efs(v.EFSVolumeConfiguration)
}

func efs(e *ecs.EFSVolumeConfiguration) error {
	if e == nil {
		return nil
	}
	encrypted := e.TransitEncryption == "ENABLED"
	auth := e.AuthorizationConfig
	switch {
	case e.TransitEncryptionPort != nil && !encrypted:
		return fault.ClientError("TransitEncryptionPort requires that TransitEncryption is enabled.")
	case auth != nil && auth.IAM == "ENABLED" && !encrypted:
		return fault.ClientError("EFS IAM authorization requires TransitEncryption to be enabled.")
	case auth != nil && auth.AccessPointID != "" && e.RootDirectory != "" && e.RootDirectory != "/":
		return fault.ClientError(`When using an EFS access point, the root directory must either be set to "/" or be omitted.`)
	}
	return nil
}
