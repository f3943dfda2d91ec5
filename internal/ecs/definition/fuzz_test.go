package definition_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/definition"
	"github.com/openberth/berth/internal/fault"
)

// FuzzPrepare: whatever the document, there is an answer, and what was accepted is accepted again as it came back.
func FuzzPrepare(f *testing.F) {
	f.Add([]byte(`{"family":"f","containerDefinitions":[{"name":"a","image":"i","memory":64,"portMappings":[{"containerPort":80},{"containerPortRange":"1-2"}],"links":["a:b"],"dependsOn":[{"containerName":"a","condition":"START"}]}]}`))
	f.Add([]byte(`{"family":"f","cpu":"1 vCPU","memory":".5 GB","networkMode":"awsvpc","requiresCompatibilities":["FARGATE"],"containerDefinitions":[{"name":"a","image":"i","healthCheck":{"command":["CMD","x"]},"logConfiguration":{"logDriver":"awslogs"}}]}`))
	f.Add([]byte(`{"family":"f","networkMode":"host","volumes":[{"name":"v","dockerVolumeConfiguration":{}},{"efsVolumeConfiguration":{"authorizationConfig":{}}}],"containerDefinitions":[{},{"mountPoints":[{}],"volumesFrom":[{}],"linuxParameters":{"tmpfs":[{}]},"restartPolicy":{}}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		var td ecs.TaskDefinition
		if json.Unmarshal(document, &td) != nil {
			return
		}
		if err := definition.Prepare(&td); err != nil {
			if fault.Code(err) != "ClientException" {
				t.Fatal(err)
			}
			return
		}
		definition.Unhonoured(&td)
		b, err := json.Marshal(&td)
		if err != nil {
			t.Fatal(err)
		}
		var again ecs.TaskDefinition
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if err := definition.Prepare(&again); err != nil {
			t.Fatalf("accepted, but not as it came back: %v\n%s", err, b)
		}
		if diff := cmp.Diff(td, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
