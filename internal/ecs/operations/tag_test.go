package operations

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

const ecsARN = "arn:aws:ecs:us-east-1:123456789012:"

// taggable has a resource of every kind; the ARNs' ends.
var taggable = []string{"cluster/c", "task-definition/web:1", "service/c/s", "task/c/t", "container-instance/c/i"}

func taggableService(t *testing.T) *testService {
	s := newTestService(t)
	ok(s, s.CreateCluster, `{"clusterName":"c"}`)
	register(s, family("web"))
	s.put(func(tx *store.Tx) {
		state.Services.Put(tx, &ecs.Service{Name: "s", Cluster: "c", Status: ecs.ServiceActive})
		state.Tasks.Put(tx, &ecs.Task{ID: "t", Cluster: "c", LastStatus: ecs.TaskRunning})
		state.Instances.Put(tx, &ecs.ContainerInstance{ID: "i", Cluster: "c", Status: ecs.InstanceActive})
	})
	return s
}

func TestTagEveryResource(t *testing.T) {
	s := taggableService(t)
	for _, r := range taggable {
		named := `"resourceArn":"` + ecsARN + r + `"`
		wantJSON(t, ok(s, s.ListTagsForResource, `{`+named+`}`), `{"tags":[]}`)
		ok(s, s.TagResource, `{`+named+`,"tags":[{"key":"a","value":"1"},{"key":"b","value":""}]}`)
		ok(s, s.TagResource, `{`+named+`,"tags":[{"key":"a","value":"2"},{"key":"A","value":"3"}]}`) // merged; keys are case-sensitive
		wantJSON(t, ok(s, s.ListTagsForResource, `{`+named+`}`), `{"tags":[{"key":"a","value":"2"},{"key":"b","value":""},{"key":"A","value":"3"}]}`)
		ok(s, s.UntagResource, `{`+named+`,"tagKeys":["a","unknown"]}`)
		wantJSON(t, ok(s, s.ListTagsForResource, `{`+named+`}`), `{"tags":[{"key":"b","value":""},{"key":"A","value":"3"}]}`)
	}
	wantJSON(t, ok(s, s.DescribeClusters, `{"clusters":["c"],"include":["TAGS"]}`).Clusters[0].Tags, `[{"key":"b","value":""},{"key":"A","value":"3"}]`)
}

func TestTagRefusals(t *testing.T) {
	s := taggableService(t)
	s.put(func(tx *store.Tx) {
		state.Clusters.Put(tx, &ecs.Cluster{Name: "old", Status: ecs.ClusterInactive})
		state.Services.Put(tx, &ecs.Service{Name: "old", Cluster: "c", Status: ecs.ServiceInactive})
		state.Tasks.Put(tx, &ecs.Task{ID: "old", Cluster: "c", LastStatus: ecs.TaskStopped})
		state.Instances.Put(tx, &ecs.ContainerInstance{ID: "old", Cluster: "c", Status: ecs.InstanceInactive})
	})
	const short = "InvalidParameterException: Long arn format must be used for tagging operations"
	for arn, want := range map[string]string{
		"nonsense":                                     "InvalidParameterException: Invalid ARN: nonsense",
		"arn:aws:s3:::bucket/key":                      "InvalidParameterException: Invalid ARN: arn:aws:s3:::bucket/key",
		ecsARN + "service/s":                           short,
		ecsARN + "task/t":                              short,
		ecsARN + "container-instance/i":                short,
		ecsARN + "cluster/x":                           "ClusterNotFoundException: Cluster not found.",
		ecsARN + "service/x/s":                         "ClusterNotFoundException: Cluster not found.",
		ecsARN + "service/c/x":                         "ResourceNotFoundException: The specified service could not be found.",
		ecsARN + "task/c/x":                            "ResourceNotFoundException: The specified task could not be found.",
		ecsARN + "container-instance/c/x":              "ResourceNotFoundException: The specified container instance could not be found.",
		ecsARN + "task-definition/web:2":               "ResourceNotFoundException: The specified task definition could not be found.",
		ecsARN + "task-definition/web":                 "ResourceNotFoundException: The specified task definition could not be found.",
		ecsARN + "capacity-provider/x":                 "ResourceNotFoundException: The specified capacity provider could not be found.",
		ecsARN + "service-deployment/c/s/x":            "InvalidParameterException: Resources of the type service-deployment can't be tagged.",
		ecsARN + "cluster/old":                         "InvalidParameterException: The specified cluster is inactive. Specify an active cluster and try again.",
		ecsARN + "service/c/old":                       "InvalidParameterException: The specified service is inactive. Specify an active service and try again.",
		ecsARN + "task/c/old":                          "InvalidParameterException: The specified task is stopped. Specify a running task and try again.",
		ecsARN + "container-instance/c/old":            "InvalidParameterException: The specified container instance is inactive. Specify an active container instance and try again.",
		"arn:aws:ecs:eu-west-1:123456789012:cluster/c": "ResourceNotFoundException: The specified cluster could not be found.",
		"arn:aws:ecs:us-east-1:999999999999:task/c/t":  "ResourceNotFoundException: The specified task could not be found.",
	} {
		refused(s, s.TagResource, `{"resourceArn":"`+arn+`","tags":[{"key":"a","value":"1"}]}`, want)
		refused(s, s.UntagResource, `{"resourceArn":"`+arn+`","tagKeys":["a"]}`, want)
		refused(s, s.ListTagsForResource, `{"resourceArn":"`+arn+`"}`, want)
	}
	const named = `"resourceArn":"` + ecsARN + `cluster/c"`
	refused(s, s.TagResource, `{`+named+`,"tags":[{"key":"aWs:x","value":"1"}]}`, "InvalidParameterException: Tag keys that start with 'aws:' are reserved for system use: 'aWs:x'.")
	refused(s, s.TagResource, `{`+named+`,"tags":[{"key":"aws:","value":"1"}]}`, "InvalidParameterException: Tag keys that start with 'aws:' are reserved for system use: 'aws:'.")
	ok(s, s.TagResource, `{`+named+`,"tags":[{"key":"aws","value":"1"}]}`)
	refused(s, s.UntagResource, `{`+named+`,"tagKeys":["aws:ecs:clusterName"]}`, "InvalidParameterException: Tag keys that start with 'aws:' are reserved for system use: 'aws:ecs:clusterName'.")
	refused(s, s.TagResource, `{`+named+`,"tags":[{"key":"a","value":"1"},{"key":"a","value":"1"}]}`, "InvalidParameterException: Tag keys must be unique: 'a' is given more than once.")
	refused(s, s.TagResource, `{`+named+`,"tags":[{"value":"1"}]}`, "InvalidParameterException: Tag key should not be null or empty.")
}

// TestTagLimit: 50 tags of the user's, however many ECS has added.
func TestTagLimit(t *testing.T) {
	s := taggableService(t)
	s.put(func(tx *store.Tx) {
		state.Tasks.Put(tx, &ecs.Task{ID: "t", Cluster: "c", LastStatus: ecs.TaskRunning, Tags: []ecs.Tag{{Key: "aws:ecs:clusterName", Value: "c"}}})
	})
	var fifty []string
	for i := range 50 {
		fifty = append(fifty, fmt.Sprintf(`{"key":"k%d","value":""}`, i))
	}
	const named = `"resourceArn":"` + ecsARN + `task/c/t"`
	ok(s, s.TagResource, `{`+named+`,"tags":[`+strings.Join(fifty, ",")+`]}`)
	ok(s, s.TagResource, `{`+named+`,"tags":[{"key":"k0","value":"again"}]}`)
	refused(s, s.TagResource, `{`+named+`,"tags":[{"key":"more","value":""}]}`, "LimitExceededException: Number of tags should be at most 50.")
	if n := len(ok(s, s.ListTagsForResource, `{`+named+`}`).Tags); n != 51 {
		t.Errorf("%d tags", n)
	}
}
