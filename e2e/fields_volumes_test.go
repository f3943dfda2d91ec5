package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

var volumeFields = []fieldCase{
	{name: "volumes host path", edit: func(d *document) {
		dir := d.lab.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "given"), []byte("by the host"), 0o644); err != nil {
			d.lab.Fatal(err)
		}
		d.volume(types.Volume{Host: &types.HostVolumeProperties{SourcePath: &dir}}, "/data", false)
	}, check: func(l *lab) {
		l.equal("the host's file", l.must("app", "read", "/data/given"), "by the host")
		l.must("app", "write", "/data/made", "by the container")
		b, err := os.ReadFile(filepath.Join(*l.document.Volumes[0].Host.SourcePath, "made"))
		l.equal("the container's file", string(b), "by the container")
		l.equal("error", err, nil)
	}},
	{name: "mountPoints readOnly", edit: func(d *document) {
		dir := d.lab.TempDir()
		d.volume(types.Volume{Host: &types.HostVolumeProperties{SourcePath: &dir}}, "/data", true)
	}, check: func(l *lab) {
		l.mustFail("app", "read-only file system", "write", "/data/made", "x")
		l.has("mount", l.see("app").Mounts["/data"].Options, "ro,")
	}},
	{name: "volumes empty, shared by two containers", edit: func(d *document) {
		d.volume(types.Volume{}, "/data", false)
		d.add("other", "see").MountPoints = []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/elsewhere"), ReadOnly: aws.Bool(true)}}
	}, check: func(l *lab) {
		l.must("app", "write", "/data/file", "shared")
		l.equal("the other container's view", l.must("other", "read", "/elsewhere/file"), "shared")
		l.mustFail("other", "read-only file system", "write", "/elsewhere/file", "x")
	}},
	{name: "volumes two in one container", edit: func(d *document) {
		d.volume(types.Volume{}, "/one", false)
		d.Volumes = append(d.Volumes, types.Volume{Name: aws.String("w")})
		d.app().MountPoints = append(d.app().MountPoints, types.MountPoint{SourceVolume: aws.String("w"), ContainerPath: aws.String("/two")})
	}, check: func(l *lab) {
		l.must("app", "write", "/one/file", "1")
		l.mustFail("app", "no such file", "read", "/two/file")
		l.must("app", "write", "/two/file", "2")
	}},
	{name: "volumes keep what the image has there", edit: func(d *document) { d.volume(types.Volume{}, "/srv", false) }, check: func(l *lab) {
		l.has("file", l.must("app", "read", "/srv/image"), "from the image")
		l.equal("mount", l.see("app").Mounts["/srv"].Type != "", true)
	}},
	{name: "dockerVolumeConfiguration of the task", edit: func(d *document) {
		d.volume(types.Volume{DockerVolumeConfiguration: &types.DockerVolumeConfiguration{
			Scope: types.ScopeTask, Driver: aws.String("local"), Labels: map[string]string{"kept": "for the task"},
			DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=6m"},
		}}, "/data", false)
	}, check: func(l *lab) {
		m := l.see("app").Mounts["/data"]
		l.equal("file system", m.Type, "tmpfs")
		l.equal("size", m.Size, int64(6*mib))
		name := l.volume("app", "/data")
		l.has("labels", mustDocker(l.T, "volume", "inspect", "--format", "{{json .Labels}}", name), `"kept":"for the task"`)
		// It goes with the task: nothingLeft looks, after berth down has removed the stopped containers.
		if !strings.HasPrefix(name, "ecs-fields-") {
			l.Errorf("the volume is called %s", name)
		}
	}},
	{name: "dockerVolumeConfiguration shared, provisioned", edit: func(d *document) {
		d.sharedVolume(true)
	}, check: func(l *lab) {
		l.must("app", "write", "/data/file", "outlives")
		l.stop()
		arn, err := l.runAnother()
		if err != nil {
			l.Fatal(err)
		}
		l.arn = arn
		l.running()
		l.equal("what the task before wrote", l.must("app", "read", "/data/file"), "outlives")
		l.equal("name", l.volume("app", "/data"), *l.document.Volumes[0].Name)
		l.has("labels", mustDocker(l.T, "volume", "inspect", "--format", "{{json .Labels}}", *l.document.Volumes[0].Name), `"kept":"for ever"`)
	}},
	{name: "dockerVolumeConfiguration shared, there already", edit: func(d *document) {
		mustDocker(d.lab.T, "volume", "create", d.sharedVolume(false))
	}, check: func(l *lab) {
		l.must("app", "write", "/data/file", "x")
		l.equal("name", l.volume("app", "/data"), *l.document.Volumes[0].Name)
	}},
	{name: "dockerVolumeConfiguration shared, missing", edit: func(d *document) { d.sharedVolume(false) }, ends: true, check: func(l *lab) {
		l.stopped()
		l.has("reason", aws.ToString(l.task.StoppedReason), "doesn't exist and autoprovision is off")
	}},
	{name: "dockerVolumeConfiguration of a driver that isn't there", edit: func(d *document) {
		d.volume(types.Volume{DockerVolumeConfiguration: &types.DockerVolumeConfiguration{Driver: aws.String("no-such-driver")}}, "/data", false)
	}, refused: "ATTRIBUTE"},
	{name: "volumesFrom", edit: func(d *document) {
		d.volume(types.Volume{}, "/data", false)
		d.add("other", "see").VolumesFrom = []types.VolumeFrom{{SourceContainer: aws.String("app")}}
	}, check: func(l *lab) {
		l.must("other", "write", "/data/file", "from the other")
		l.equal("what the other wrote", l.must("app", "read", "/data/file"), "from the other")
	}},
	{name: "volumesFrom readOnly", edit: func(d *document) {
		d.volume(types.Volume{}, "/data", false)
		d.add("other", "see").VolumesFrom = []types.VolumeFrom{{SourceContainer: aws.String("app"), ReadOnly: aws.Bool(true)}}
	}, check: func(l *lab) {
		l.must("app", "write", "/data/file", "x")
		l.must("other", "read", "/data/file")
		l.mustFail("other", "read-only file system", "write", "/data/file", "y")
	}},
}

// volume adds a volume called v, unless it has a name, and mounts it into the first container.
func (d *document) volume(v types.Volume, path string, readOnly bool) {
	if v.Name == nil {
		v.Name = aws.String("v")
	}
	d.Volumes = append(d.Volumes, v)
	d.app().MountPoints = append(d.app().MountPoints, types.MountPoint{SourceVolume: v.Name, ContainerPath: &path, ReadOnly: &readOnly})
}

// sharedVolume adds a shared volume with a name of its own on this machine.
func (d *document) sharedVolume(provision bool) string {
	name := fmt.Sprintf("berth-e2e-shared-%d", time.Now().UnixNano())
	d.volume(types.Volume{Name: &name, DockerVolumeConfiguration: &types.DockerVolumeConfiguration{
		Scope: types.ScopeShared, Autoprovision: &provision, Labels: map[string]string{"kept": "for ever"},
	}}, "/data", false)
	d.lab.cluster.forget(name)
	return name
}

// namespaceFields: what is shared with the host.
var namespaceFields = []fieldCase{
	{name: "pidMode host", edit: func(d *document) { d.PidMode = types.PidModeHost }, check: func(l *lab) {
		v := l.see("app")
		l.equal("process namespace", v.Namespaces["pid"], hostNamespace("pid"))
		l.equal("its own process is seen as on the host", v.PID, l.inspect("app").State.Pid)
	}},
	{name: "pidMode of its own", edit: func(d *document) { d.app().Hostname = aws.String("apart") }, check: func(l *lab) {
		v := l.see("app")
		l.equal("process", v.PID, 1)
		l.equal("hostname", v.Hostname, "apart")
	}},
	{name: "pidMode task", edit: func(d *document) { d.PidMode = types.PidModeTask }, refused: "pidMode 'task' is not supported"},
	{name: "ipcMode host", edit: func(d *document) { d.IpcMode = types.IpcModeHost }, check: func(l *lab) {
		l.equal("IPC namespace", l.see("app").Namespaces["ipc"], hostNamespace("ipc"))
	}},
	{name: "ipcMode none", edit: func(d *document) { d.IpcMode = types.IpcModeNone }, check: func(l *lab) {
		v := l.see("app")
		_, there := v.Mounts["/dev/shm"]
		l.equal("/dev/shm is mounted", there, false)
		l.equal("it has the host's IPC", v.Namespaces["ipc"] == hostNamespace("ipc"), false)
		l.equal("IpcMode", l.inspect("app").HostConfig.IpcMode, "none")
	}},
	{name: "ipcMode task", edit: func(d *document) { d.IpcMode = types.IpcModeTask }, refused: "ipcMode 'task' is not supported"},
}
