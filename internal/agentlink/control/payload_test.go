package control

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/definition"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

var scope = arn.Scope{Partition: "aws", Region: "us-east-1", Account: "123456789012"}

// golden are documents as RegisterTaskDefinition stores them, and what RunTask overrides, with the payloads that they make.
var golden = []struct{ name, definition, overrides string }{
	{"minimal", `{"family":"web","revision":3,"containerDefinitions":[{"name":"app","image":"web:1","memory":64}]}`, `{}`},
	{"full", `{"family":"web","revision":12,"cpu":"256","memory":"512","networkMode":"bridge","pidMode":"host","ipcMode":"none",
	 "volumes":[
	  {"name":"data","host":{"sourcePath":"/srv/data"}},
	  {"name":"scratch"},
	  {"name":"shared","dockerVolumeConfiguration":{"scope":"shared","autoprovision":true,"driver":"local","driverOpts":{"type":"tmpfs"},"labels":{"a":"b"}}},
	  {"name":"own","dockerVolumeConfiguration":{"driver":"local"}}],
	 "containerDefinitions":[
	  {"name":"init","image":"web:1","cpu":10,"memory":32,"essential":false,"command":["migrate"]},
	  {"name":"app","image":"web:1","cpu":64,"memory":256,"memoryReservation":128,
	   "command":["serve"],"entryPoint":["/bin/app","-v"],
	   "environment":[{"name":"A","value":"1"},{"name":"B","value":"2"}],
	   "portMappings":[{"containerPort":80,"hostPort":0,"protocol":"tcp"},{"containerPort":53,"hostPort":5353,"protocol":"udp"}],
	   "mountPoints":[{"sourceVolume":"data","containerPath":"/data","readOnly":true},{"sourceVolume":"scratch","containerPath":"/tmp/x"}],
	   "volumesFrom":[{"sourceContainer":"init","readOnly":true}],"links":["init:db"],
	   "dependsOn":[{"containerName":"init","condition":"SUCCESS"}],"startTimeout":60,"stopTimeout":4,
	   "restartPolicy":{"enabled":true,"ignoredExitCodes":[0,3],"restartAttemptPeriod":120},
	   "user":"1000:1000","workingDirectory":"/srv","hostname":"web","pseudoTerminal":true,"interactive":true,
	   "disableNetworking":false,"privileged":true,"readonlyRootFilesystem":true,
	   "dnsServers":["10.0.0.2"],"dnsSearchDomains":["example.test"],"extraHosts":[{"hostname":"db","ipAddress":"10.0.0.9"}],
	   "dockerSecurityOptions":["no-new-privileges"],"dockerLabels":{"team":"blue"},
	   "ulimits":[{"name":"nofile","softLimit":1024,"hardLimit":2048}],
	   "systemControls":[{"namespace":"net.core.somaxconn","value":"1024"}],
	   "logConfiguration":{"logDriver":"json-file","options":{"max-size":"1m"}},
	   "linuxParameters":{"capabilities":{"add":["NET_ADMIN"],"drop":["NET_RAW"]},
	    "devices":[{"hostPath":"/dev/null","containerPath":"/dev/x","permissions":["read","write"]},{"hostPath":"/dev/zero"}],
	    "initProcessEnabled":true,"sharedMemorySize":128,"maxSwap":64,"swappiness":10,
	    "tmpfs":[{"containerPath":"/run","size":16,"mountOptions":["rw","noexec"]}]},
	   "healthCheck":{"command":["CMD-SHELL","curl -f localhost"],"interval":10,"retries":2,"startPeriod":7}}]}`, `{}`},
	{"overrides", `{"family":"web","revision":1,"cpu":"256","networkMode":"host","containerDefinitions":[
	   {"name":"app","image":"web:1","cpu":1,"memory":64,"memoryReservation":32,"command":["serve"],
	    "environment":[{"name":"A","value":"1"},{"name":"B","value":"2"}],"portMappings":[{"containerPort":80}],
	    "healthCheck":{"command":["NONE"]}},
	   {"name":"other","image":"x","memory":16}]}`,
		`{"cpu":"512","memory":"1024","containerOverrides":[{"name":"app","command":["once","--fast"],"cpu":7,"memory":96,"memoryReservation":48,
	    "environment":[{"name":"B","value":"two"},{"name":"C","value":"3"}]}]}`},
}

func TestPayloads(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			td := parse[ecs.TaskDefinition](t, g.definition)
			task := ecs.Task{ID: "0123456789abcdef0123456789abcdef", Cluster: "default", TaskDefinition: td.ID(),
				Group: "family:web", LaunchType: "EC2", AvailabilityZone: "us-east-1a", DesiredStatus: ecs.TaskRunning,
				LastStatus: ecs.TaskPending, Overrides: parse[ecs.TaskOverride](t, g.overrides)}
			for _, c := range td.ContainerDefinitions {
				task.Containers = append(task.Containers, ecs.Container{ID: "c-" + c.Name, Name: c.Name})
			}
			got, err := json.MarshalIndent(BuildTask(scope, &task, &td), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(bytes.ReplaceAll(bytes.ReplaceAll(got, []byte(`\u003c`), []byte("<")), []byte(`\u0026`), []byte("&")), '\n')
			file := "testdata/" + g.name + ".json"
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			// What goes out can be read by the other end.
			raw, err := agentlink.EncodeTasks(BuildTask(scope, &task, &td))
			if err != nil {
				t.Fatal(err)
			}
			if tasks, bad := (&agentlink.PayloadMessage{Tasks: raw}).DecodeTasks(); len(bad) > 0 || len(tasks) != 1 {
				t.Errorf("the agent can't read it: %v", bad)
			}
		})
	}
}

func parse[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// elsewhere are the fields that change nothing on the instance, and why that is right.
var elsewhere = map[string]string{
	"ContainerDefinitions[].VersionConsistency":         "the control plane's: it chooses the image's digest",
	"ContainerDefinitions[].PortMappings[].Name":        "names the port for Service Connect",
	"ContainerDefinitions[].PortMappings[].AppProtocol": "for Service Connect's proxy",
	"Status":                  "of the definition's record",
	"PlacementConstraints":    "for placement",
	"RequiresCompatibilities": "for registration",
	"ExecutionRoleARN":        "accepted by definition.Unhonoured, which says why",
	"RuntimePlatform":         "for placement",
	"Compatibilities":         "computed at registration",
	"RequiresAttributes":      "for placement",
	"RegisteredBy":            "of the definition's record",
	"RegisteredAt":            "of the definition's record",
	"DeregisteredAt":          "of the definition's record",
	"DeleteRequestedAt":       "of the definition's record",
	"Tags":                    "of the definition's record",
}

// TestEveryFieldIsCarriedOrRefused changes each leaf of a task definition in turn. The payload must change with it, or
// definition.Unhonoured must refuse the field, or the field must stand in elsewhere with its reason.
func TestEveryFieldIsCarriedOrRefused(t *testing.T) {
	var full ecs.TaskDefinition
	fill(reflect.ValueOf(&full).Elem())
	// One kind a volume; the first is a host volume, the others follow.
	volumes := full.Volumes
	full.Volumes = nil
	kinds := []string{"Host", "DockerVolumeConfiguration", "EFSVolumeConfiguration", "FSxWindowsFileServerVolumeConfiguration",
		"S3FilesVolumeConfiguration", "ConfiguredAtLaunch"}
	for _, kind := range kinds {
		v := ecs.Volume{Name: kind}
		reflect.ValueOf(&v).Elem().FieldByName(kind).Set(reflect.ValueOf(volumes[0]).FieldByName(kind))
		full.Volumes = append(full.Volumes, v)
	}
	full.NetworkMode = "bridge"
	full.PIDMode, full.IPCMode = "host", "host"
	full.CPU, full.Memory = "1024", "512"
	task := &ecs.Task{ID: "t", Cluster: "default", DesiredStatus: ecs.TaskRunning}
	payload := func(td *ecs.TaskDefinition) string {
		b, err := json.Marshal(BuildTask(scope, task, td))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := payload(&full)
	refused := map[string]bool{}
	for _, r := range definition.Unhonoured(&full) {
		refused[strings.ToLower(r.Field)] = true
	}
	used := map[string]bool{}
	tried := 0
	leaves(reflect.ValueOf(&full).Elem(), "", func(path string, v reflect.Value) {
		tried++
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		change(v)
		after := payload(&full)
		v.Set(old)
		if after != before {
			return
		}
		for prefix := range elsewhere {
			if path == prefix || strings.HasPrefix(path, prefix+".") || strings.HasPrefix(path, prefix+"[]") {
				used[prefix] = true
				return
			}
		}
		name := strings.ToLower(strings.NewReplacer("ContainerDefinitions[].", "", "Volumes[].", "", "[]", "").Replace(path))
		for r := range refused {
			if name == r || strings.HasPrefix(name, r+".") {
				return
			}
		}
		t.Errorf("%s reaches no agent and nobody refuses it", path)
	})
	if tried < 100 {
		t.Errorf("only %d leaves: the walk is broken", tried)
	}
	for prefix := range elsewhere {
		if !used[prefix] {
			t.Errorf("elsewhere has %s, which isn't needed", prefix)
		}
	}
}

// fill sets everything to something: one element a list.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"k": "v"}))
	case reflect.String:
		v.SetString("read")
	case reflect.Int:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(fmt.Sprint("fill: ", v.Type()))
	}
}

// leaves visits every value that has no parts; a list counts by its first element.
func leaves(v reflect.Value, path string, visit func(string, reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			leaves(v.Elem(), path, visit)
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			visit(path, v)
			return
		}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if path != "" {
				name = path + "." + name
			}
			leaves(v.Field(i), name, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			leaves(v.Index(i), path+"[]", visit)
		}
	default:
		visit(path, v)
	}
}

func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.String() == "1024" || v.String() == "512" {
			v.SetString("2048")
			return
		}
		v.SetString(v.String() + "x")
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"k": "v", "more": "x"}))
	}
}

func TestEssential(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		given *bool
		want  bool
	}{{nil, true}, {&yes, true}, {&no, false}} {
		td := &ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{{Name: "a", Essential: c.given}}}
		if got := BuildTask(scope, &ecs.Task{}, td).Containers[0].Essential; got != c.want {
			t.Errorf("essential %v: %v", c.given, got)
		}
	}
}

func TestStopIsDescribedCompletely(t *testing.T) {
	td := parse[ecs.TaskDefinition](t, golden[0].definition)
	got := BuildTask(scope, &ecs.Task{ID: "t", Cluster: "default", DesiredStatus: ecs.TaskStopped}, &td)
	if got.DesiredStatus != "STOPPED" || !slices.ContainsFunc(got.Containers, func(c agentlink.Container) bool { return c.Name == "app" }) {
		t.Errorf("an agent that never had the task couldn't end it: %+v", got)
	}
}
