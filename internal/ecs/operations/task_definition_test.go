package operations

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
	"pgregory.net/rapid"
)

const sleep = `{"family":"sleep360","containerDefinitions":[{"name":"sleep","image":"busybox","cpu":10,"command":["sleep","360"],"memory":10,"essential":true}]}`

func register(s *testService, document string) *ecsapi.TaskDefinition {
	s.t.Helper()
	return ok(s, s.RegisterTaskDefinition, document).TaskDefinition
}

func family(name string) string { return strings.Replace(sleep, "sleep360", name, 1) }

// TestRegisterAnswers compares a whole answer with the one that the real API gave to this document (the account, the region
// and the time are ours; systemControls came later).
func TestRegisterAnswers(t *testing.T) {
	s := newTestService(t)
	s.ctx = as(s.ctx, "arn:aws:iam::123456789012:user/jane")
	wantJSON(t, ok(s, s.RegisterTaskDefinition, sleep), `{"taskDefinition":{
		"taskDefinitionArn":"arn:aws:ecs:us-east-1:123456789012:task-definition/sleep360:1",
		"containerDefinitions":[{"name":"sleep","image":"busybox","cpu":10,"memory":10,"portMappings":[],"essential":true,"command":["sleep","360"],"environment":[],"mountPoints":[],"volumesFrom":[],"systemControls":[]}],
		"family":"sleep360","revision":1,"volumes":[],"status":"ACTIVE","placementConstraints":[],"compatibilities":["EXTERNAL","EC2"],
		"registeredAt":1772366401,"registeredBy":"arn:aws:iam::123456789012:user/jane"}}`)
	out := ok(s, s.RegisterTaskDefinition, strings.TrimSuffix(sleep, "}")+`,"tags":[{"key":"team","value":"a"}]}`)
	wantJSON(t, out.Tags, `[{"key":"team","value":"a"}]`)
}

func TestRegisterRefusesTags(t *testing.T) {
	s := newTestService(t)
	tagged := func(tags string) string { return strings.TrimSuffix(sleep, "}") + `,"tags":[` + tags + `]}` }
	refused(s, s.RegisterTaskDefinition, tagged(`{"key":"AWS:x","value":""}`), "InvalidParameterException: Tag keys that start with 'aws:' are reserved for system use: 'AWS:x'.")
	refused(s, s.RegisterTaskDefinition, tagged(`{"key":"a"},{"key":"a"}`), "InvalidParameterException: Tag keys must be unique: 'a' is given more than once.")
	refused(s, s.RegisterTaskDefinition, `{"family":"f","containerDefinitions":[]}`, "ClientException: Container list cannot be empty.")
	if n := len(ok(s, s.ListTaskDefinitionFamilies, `{}`).Families); n != 0 {
		t.Errorf("%d families after refused registrations", n)
	}
}

// TestRevisionsAreNeverReused: neither deregistration nor deletion gives a number back.
func TestRevisionsAreNeverReused(t *testing.T) {
	s := newTestService(t)
	for want := int32(1); want <= 3; want++ {
		td := register(s, family("web"))
		if *td.Revision != want {
			t.Fatalf("revision %d, want %d", *td.Revision, want)
		}
		ref := fmt.Sprintf(`{"taskDefinition":"web:%d"}`, want)
		if got := *ok(s, s.DeregisterTaskDefinition, ref).TaskDefinition.Status; got != "INACTIVE" {
			t.Fatal(got)
		}
		ok(s, s.DeleteTaskDefinitions, fmt.Sprintf(`{"taskDefinitions":["web:%d"]}`, want))
		if err := s.CollectTaskDefinitions(s.ctx); err != nil {
			t.Fatal(err)
		}
		refused(s, s.DescribeTaskDefinition, ref, "ClientException: Unable to describe task definition.")
	}
	s.put(func(tx *store.Tx) { state.Families.Put(tx, &ecs.Family{Name: "web", LastRevision: maxRevisions}) })
	refused(s, s.RegisterTaskDefinition, family("web"), "LimitExceededException: The family web has had 1000000 revisions, which is the limit. Register under another family.")
}

func TestTaskDefinitionReferences(t *testing.T) {
	s := newTestService(t)
	for range 3 {
		register(s, family("web"))
	}
	register(s, family("web-2"))
	ok(s, s.DeregisterTaskDefinition, `{"taskDefinition":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:3"}`)
	const notFound = "ClientException: TaskDefinition not found."
	for ref, want := range map[string]struct{ describe, run string }{
		"web":   {"web:2", "web:2"},
		"web:1": {"web:1", "web:1"},
		"web:3": {"web:3", "InvalidParameterException: TaskDefinition is inactive"},
		"arn:aws:ecs:us-east-1:123456789012:task-definition/web:2": {"web:2", "web:2"},
		"arn:aws:ecs:us-east-1:123456789012:task-definition/web":   {"web:2", "web:2"},
		"arn:aws:ecs:eu-west-1:123456789012:task-definition/web:2": {"", notFound},
		"arn:aws:ecs:us-east-1:999999999999:task-definition/web:2": {"", notFound},
		"arn:aws:s3:us-east-1:123456789012:task-definition/web:2":  {"", notFound},
		"arn:web:1": {"", notFound},
		"arn:aws:ecs:us-east-1:123456789012:cluster/web": {"", notFound},
		"we":     {"", notFound},
		"web:4":  {"", notFound},
		"":       {"", notFound},
		"web:x":  {"InvalidParameterException: Invalid revision number. Number: x", "InvalidParameterException: Invalid revision number. Number: x"},
		"web:0":  {"InvalidParameterException: Invalid revision number. Number: 0", "InvalidParameterException: Invalid revision number. Number: 0"},
		"web:-1": {"InvalidParameterException: Invalid revision number. Number: -1", "InvalidParameterException: Invalid revision number. Number: -1"},
	} {
		in, _ := json.Marshal(map[string]string{"taskDefinition": ref})
		out, err := call(s, s.ctx, s.DescribeTaskDefinition, string(in))
		got := ""
		switch {
		case err != nil && err.Error() != "ClientException: Unable to describe task definition.":
			got = err.Error()
		case err == nil:
			got = fmt.Sprintf("%s:%d", *out.TaskDefinition.Family, *out.TaskDefinition.Revision)
		}
		if got != want.describe {
			t.Errorf("describe %q: %q, want %q", ref, got, want.describe)
		}
		if err := s.Store.View(func(r store.Reader) error {
			td, err := s.taskDefinition(r, ref)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = td.ID().String()
			}
			if got != want.run {
				t.Errorf("run %q: %q, want %q", ref, got, want.run)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"web:1", "web:2"} {
		ok(s, s.DeregisterTaskDefinition, `{"taskDefinition":"`+ref+`"}`)
	}
	refused(s, s.DescribeTaskDefinition, `{"taskDefinition":"web"}`, "ClientException: Unable to describe task definition.")
}

func TestDescribeTaskDefinitionTags(t *testing.T) {
	s := newTestService(t)
	register(s, strings.TrimSuffix(sleep, "}")+`,"tags":[{"key":"team","value":"a"}]}`)
	wantJSON(t, ok(s, s.DescribeTaskDefinition, `{"taskDefinition":"sleep360"}`).Tags, `[]`)
	wantJSON(t, ok(s, s.DescribeTaskDefinition, `{"taskDefinition":"sleep360","include":["TAGS"]}`).Tags, `[{"key":"team","value":"a"}]`)
}

func TestDeregister(t *testing.T) {
	s := newTestService(t)
	register(s, family("web"))
	refused(s, s.DeregisterTaskDefinition, `{"taskDefinition":"web"}`, "ClientException: Revision is missing.")
	refused(s, s.DeregisterTaskDefinition, `{"taskDefinition":"web:2"}`, "ClientException: Unable to describe task definition.")
	first := ok(s, s.DeregisterTaskDefinition, `{"taskDefinition":"web:1"}`).TaskDefinition
	if *first.Status != "INACTIVE" || first.DeregisteredAt == nil || !first.DeregisteredAt.After(*first.RegisteredAt) {
		t.Errorf("status %s, registered %v, deregistered %v", *first.Status, first.RegisteredAt, first.DeregisteredAt)
	}
	again := ok(s, s.DeregisterTaskDefinition, `{"taskDefinition":"web:1"}`).TaskDefinition
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the second time: %s", diff)
	}
}

func TestListTaskDefinitions(t *testing.T) {
	s := newTestService(t)
	for range 12 {
		register(s, family("web"))
	}
	register(s, family("api"))
	register(s, family("web2"))
	ok(s, s.DeregisterTaskDefinition, `{"taskDefinition":"web:3"}`)
	var upTo12 []string
	for i := 1; i <= 12; i++ {
		if i != 3 {
			upTo12 = append(upTo12, fmt.Sprintf("web:%d", i))
		}
	}
	var down []string
	for _, w := range upTo12 {
		down = append([]string{w}, down...)
	}
	for _, c := range []struct {
		filter string
		want   []string
	}{
		{``, append(append([]string{"api:1"}, "web2:1"), upTo12...)},
		{`"familyPrefix":"web"`, upTo12},
		{`"familyPrefix":"web","sort":"ASC"`, upTo12},
		{`"familyPrefix":"web","sort":"DESC"`, down},
		{`"familyPrefix":"we"`, nil},
		{`"status":"INACTIVE"`, []string{"web:3"}},
		{`"status":"DELETE_IN_PROGRESS"`, nil},
	} {
		for _, size := range []int{100, 5, 1} {
			var got []string
			token := ""
			for calls := 1; ; calls++ {
				filter := fmt.Sprintf(`{"maxResults":%d`, size)
				if c.filter != "" {
					filter += "," + c.filter
				}
				out := ok(s, s.ListTaskDefinitions, filter+token+`}`)
				for _, a := range out.TaskDefinitionArns {
					got = append(got, strings.TrimPrefix(a, "arn:aws:ecs:us-east-1:123456789012:task-definition/"))
				}
				if out.NextToken == nil {
					break
				}
				if len(out.TaskDefinitionArns) != size || calls > 100 {
					t.Fatalf("page %d has %d elements", calls, len(out.TaskDefinitionArns))
				}
				token = `,"nextToken":"` + *out.NextToken + `"`
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("{%s} in pages of %d: -want +got:\n%s", c.filter, size, diff)
			}
		}
	}
	refused(s, s.ListTaskDefinitions, `{"maxResults":101}`, "InvalidParameterException: maxResults should be between 1 and 100")
	refused(s, s.ListTaskDefinitions, `{"maxResults":0}`, "InvalidParameterException: maxResults should be between 1 and 100")
	refused(s, s.ListTaskDefinitions, `{"nextToken":"bogus"}`, "InvalidParameterException: Invalid token")
}

func TestListTaskDefinitionFamilies(t *testing.T) {
	s := newTestService(t)
	for _, f := range []string{"api", "web", "web-old", "web-gone", "zoo"} {
		register(s, family(f))
	}
	for _, ref := range []string{"web-old:1", "web-gone:1"} {
		ok(s, s.DeregisterTaskDefinition, `{"taskDefinition":"`+ref+`"}`)
	}
	ok(s, s.DeleteTaskDefinitions, `{"taskDefinitions":["web-gone:1"]}`)
	wantJSON(t, ok(s, s.ListTaskDefinitionFamilies, `{"familyPrefix":"web"}`), `{"families":["web","web-gone","web-old"]}`)
	if err := s.CollectTaskDefinitions(s.ctx); err != nil {
		t.Fatal(err)
	}
	wantJSON(t, ok(s, s.ListTaskDefinitionFamilies, `{}`), `{"families":["api","web","web-old","zoo"]}`)
	wantJSON(t, ok(s, s.ListTaskDefinitionFamilies, `{"status":"ALL","familyPrefix":"web"}`), `{"families":["web","web-old"]}`)
	wantJSON(t, ok(s, s.ListTaskDefinitionFamilies, `{"status":"ACTIVE","familyPrefix":"web"}`), `{"families":["web"]}`)
	wantJSON(t, ok(s, s.ListTaskDefinitionFamilies, `{"status":"INACTIVE"}`), `{"families":["web-old"]}`)
	first := ok(s, s.ListTaskDefinitionFamilies, `{"familyPrefix":"web","maxResults":1}`)
	wantJSON(t, first.Families, `["web"]`)
	wantJSON(t, ok(s, s.ListTaskDefinitionFamilies, `{"familyPrefix":"web","nextToken":"`+*first.NextToken+`"}`), `{"families":["web-old"]}`)
}

func TestDeleteTaskDefinitions(t *testing.T) {
	s := newTestService(t)
	for range 2 {
		register(s, family("web"))
	}
	ok(s, s.DeregisterTaskDefinition, `{"taskDefinition":"web:1"}`)
	refused(s, s.DeleteTaskDefinitions, `{"taskDefinitions":[]}`, "InvalidParameterException: size of TaskDefinition references list must be greater than 0")
	refused(s, s.DeleteTaskDefinitions, `{"taskDefinitions":[`+strings.TrimSuffix(strings.Repeat(`"a:1",`, 11), ",")+`]}`, "InvalidParameterException: Size of TaskDefinition references list cannot exceed 10")
	out := ok(s, s.DeleteTaskDefinitions, `{"taskDefinitions":["web:1","web:2","web","web:9","a b:1","arn:aws:ecs:us-east-1:999999999999:task-definition/web:1"]}`)
	if len(out.TaskDefinitions) != 1 || *out.TaskDefinitions[0].Status != "DELETE_IN_PROGRESS" || out.TaskDefinitions[0].DeleteRequestedAt == nil {
		t.Errorf("deleting %+v", out.TaskDefinitions)
	}
	const invalid = "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."
	const gone = "The specified task definition does not exist. Specify a valid account, family, revision and try again."
	wantJSON(t, out.Failures, `[
		{"arn":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:2","reason":"The specified task definition is still in ACTIVE status. Please deregister the target and try again."},
		{"arn":"web","reason":"`+invalid+`"},
		{"arn":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:9","reason":"`+gone+`"},
		{"arn":"arn:aws:ecs:us-east-1:123456789012:task-definition/a b:1","reason":"`+invalid+`"},
		{"arn":"arn:aws:ecs:us-east-1:999999999999:task-definition/web:1","reason":"`+gone+`"}]`)
	again := ok(s, s.DeleteTaskDefinitions, `{"taskDefinitions":["web:1"]}`)
	if diff := cmp.Diff(out.TaskDefinitions, again.TaskDefinitions); diff != "" {
		t.Errorf("the second time: %s", diff)
	}
}

// TestCollectWaits: a definition stays while something of it is left, and goes when the last of it does.
func TestCollectWaits(t *testing.T) {
	s := newTestService(t)
	register(s, family("web"))
	ok(s, s.DeregisterTaskDefinition, `{"taskDefinition":"web:1"}`)
	ok(s, s.DeleteTaskDefinitions, `{"taskDefinitions":["web:1"]}`)
	id := ecs.TaskDefinitionID{Family: "web", Revision: 1}
	exists := func() (ok bool) {
		t.Helper()
		if err := s.CollectTaskDefinitions(s.ctx); err != nil {
			t.Fatal(err)
		}
		_ = s.Store.View(func(r store.Reader) error { _, ok = state.TaskDefinitions.Get(r, id.Key()); return nil })
		return ok
	}
	for name, c := range map[string]struct{ come, leave func(tx *store.Tx) }{
		"task": {
			func(tx *store.Tx) {
				state.Tasks.Put(tx, &ecs.Task{ID: "t", Cluster: "c", TaskDefinition: id, LastStatus: ecs.TaskStopped})
			},
			func(tx *store.Tx) { state.Tasks.Delete(tx, "t") },
		},
		"service": {
			func(tx *store.Tx) {
				state.Services.Put(tx, &ecs.Service{Cluster: "c", Name: "s", TaskDefinition: id, Status: ecs.ServiceDraining})
			},
			func(tx *store.Tx) {
				state.Services.Put(tx, &ecs.Service{Cluster: "c", Name: "s", TaskDefinition: id, Status: ecs.ServiceInactive})
			},
		},
		"deployment": {
			func(tx *store.Tx) {
				state.Deployments.Put(tx, &ecs.Deployment{ID: "d", Cluster: "c", Service: "s", TaskDefinition: id, Status: ecs.DeploymentActive})
			},
			func(tx *store.Tx) {
				state.Deployments.Put(tx, &ecs.Deployment{ID: "d", Cluster: "c", Service: "s", TaskDefinition: id, Status: ecs.DeploymentInactive})
			},
		},
	} {
		s.put(c.come)
		if !exists() {
			t.Fatalf("%s: the definition is gone while it is needed", name)
		}
		s.put(c.leave)
	}
	if exists() {
		t.Error("the definition is left when nothing needs it")
	}
	if err := s.CollectTaskDefinitions(context.Background()); err != nil { // nothing to do
		t.Error(err)
	}
}

// TestCollectMany: more than one transaction's worth, with one in the middle that must stay.
func TestCollectMany(t *testing.T) {
	s := newTestService(t)
	const n = 2*collectBatch + 1
	s.put(func(tx *store.Tx) {
		for i := 1; i <= n; i++ {
			state.TaskDefinitions.Put(tx, &ecs.TaskDefinition{Family: "web", Revision: i, Status: ecs.TaskDefinitionDeleteInProgress})
		}
		state.Tasks.Put(tx, &ecs.Task{ID: "t", Cluster: "c", TaskDefinition: ecs.TaskDefinitionID{Family: "web", Revision: collectBatch}})
	})
	if err := s.CollectTaskDefinitions(s.ctx); err != nil {
		t.Fatal(err)
	}
	wantJSON(t, ok(s, s.ListTaskDefinitions, `{"status":"DELETE_IN_PROGRESS"}`).TaskDefinitionArns, `["arn:aws:ecs:us-east-1:123456789012:task-definition/web:500"]`)
}

// TestDocumentsComeBack registers documents as their authors wrote them for AWS.
func TestDocumentsComeBack(t *testing.T) {
	files, err := filepath.Glob("testdata/task-definitions/*.json")
	if err != nil || len(files) != 20 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	s := newTestService(t)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if problem := comesBack(s, string(b)); problem != "" {
			t.Errorf("%s: %s", filepath.Base(f), problem)
		}
	}
}

// TestAnyDocumentComesBack is the same for documents that nobody wrote.
func TestAnyDocumentComesBack(t *testing.T) {
	s := newTestService(t)
	rapid.Check(t, func(t *rapid.T) {
		b, err := json.Marshal(anyDocument(t))
		if err != nil {
			t.Fatal(err)
		}
		if problem := comesBack(s, string(b)); problem != "" {
			t.Fatalf("%s:\n%s", b, problem)
		}
	})
}

// comesBack registers a document, describes it, and registers what came back. What was sent must be in the answer, and
// both answers must be the same, but for the revision and the time. It returns what is wrong.
func comesBack(s *testService, document string) string {
	s.t.Helper()
	out, err := call(s, s.ctx, s.RegisterTaskDefinition, document)
	if err != nil {
		return err.Error()
	}
	first := ok(s, s.DescribeTaskDefinition, `{"taskDefinition":"`+*out.TaskDefinition.TaskDefinitionArn+`"}`).TaskDefinition
	if diff := cmp.Diff(out.TaskDefinition, first); diff != "" {
		return "registered and described differ: " + diff
	}
	described, err := json.Marshal(first)
	if err != nil {
		return err.Error()
	}
	var sent, got map[string]any
	if err := json.Unmarshal([]byte(document), &sent); err != nil {
		return err.Error()
	}
	if err := json.Unmarshal(described, &got); err != nil {
		return err.Error()
	}
	delete(sent, "tags")
	if lost := notIn(sent, got, ""); lost != "" {
		return "lost: " + lost
	}
	again, err := call(s, s.ctx, s.RegisterTaskDefinition, string(described))
	if err != nil {
		return "as it came back: " + err.Error()
	}
	second := *again.TaskDefinition
	second.Revision, second.TaskDefinitionArn, second.RegisteredAt = first.Revision, first.TaskDefinitionArn, first.RegisteredAt
	return cmp.Diff(first, &second)
}

// notIn finds something of a that isn't in b: members may be added, values may not change.
func notIn(a, b any, path string) string {
	switch a := a.(type) {
	case map[string]any:
		b, _ := b.(map[string]any)
		for k, v := range a {
			if other, ok := b[k]; !ok {
				return path + "." + k
			} else if p := notIn(v, other, path+"."+k); p != "" {
				return p
			}
		}
		return ""
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return path
		}
		for i := range a {
			if p := notIn(a[i], b[i], fmt.Sprintf("%s[%d]", path, i)); p != "" {
				return p
			}
		}
		return ""
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Sprintf("%s: %v became %v", path, a, b)
	}
	return ""
}
