package operations

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

func TestCreateCluster(t *testing.T) {
	s := newTestService(t)
	const fresh = `{"cluster":{"clusterArn":"arn:aws:ecs:us-east-1:123456789012:cluster/%s","clusterName":"%[1]s","status":"ACTIVE",
		"registeredContainerInstancesCount":0,"runningTasksCount":0,"pendingTasksCount":0,"activeServicesCount":0,"statistics":[],
		"tags":[],"settings":[{"name":"containerInsights","value":"disabled"}],"capacityProviders":[],"defaultCapacityProviderStrategy":[]}}`
	wantJSON(t, ok(s, s.CreateCluster, `{}`), fmt.Sprintf(fresh, "default"))
	wantJSON(t, ok(s, s.CreateCluster, `{"clusterName":"My_cluster-1"}`), fmt.Sprintf(fresh, "My_cluster-1"))

	full := `{"clusterName":"full","settings":[{"name":"containerInsights","value":"enhanced"}],"tags":[{"key":"team","value":"a"}],
		"configuration":{"executeCommandConfiguration":{"kmsKeyId":"k","logging":"OVERRIDE","logConfiguration":{"cloudWatchLogGroupName":"g","s3EncryptionEnabled":false}},"managedStorageConfiguration":{"kmsKeyId":"m"}},
		"capacityProviders":["FARGATE","FARGATE_SPOT"],"defaultCapacityProviderStrategy":[{"capacityProvider":"FARGATE","weight":1,"base":2},{"capacityProvider":"FARGATE_SPOT","weight":3}]}`
	const want = `{"clusterArn":"arn:aws:ecs:us-east-1:123456789012:cluster/full","clusterName":"full","status":"ACTIVE",
		"registeredContainerInstancesCount":0,"runningTasksCount":0,"pendingTasksCount":0,"activeServicesCount":0,"statistics":[],
		"tags":[{"key":"team","value":"a"}],"settings":[{"name":"containerInsights","value":"enhanced"}],
		"configuration":{"executeCommandConfiguration":{"kmsKeyId":"k","logging":"OVERRIDE","logConfiguration":{"cloudWatchLogGroupName":"g","s3EncryptionEnabled":false}},"managedStorageConfiguration":{"kmsKeyId":"m"}},
		"capacityProviders":["FARGATE","FARGATE_SPOT"],"defaultCapacityProviderStrategy":[{"capacityProvider":"FARGATE","weight":1,"base":2},{"capacityProvider":"FARGATE_SPOT","weight":3,"base":0}]}`
	wantJSON(t, ok(s, s.CreateCluster, full).Cluster, want)
	// The second time it is the same cluster, whatever else is asked for.
	wantJSON(t, ok(s, s.CreateCluster, `{"clusterName":"full","tags":[{"key":"x","value":"y"}]}`).Cluster, want)
	// An INACTIVE cluster is made anew.
	ok(s, s.DeleteCluster, `{"cluster":"full"}`)
	wantJSON(t, ok(s, s.CreateCluster, `{"clusterName":"full"}`), fmt.Sprintf(fresh, "full"))
}

func TestCreateClusterRefuses(t *testing.T) {
	s := newTestService(t)
	const notAssociated = "InvalidParameterException: The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again."
	for input, want := range map[string]string{
		`"clusterName":"a b"`:                                                     "InvalidParameterException: Cluster name contains invalid characters.",
		`"clusterName":"` + strings.Repeat("c", 256) + `"`:                        "InvalidParameterException: Cluster name should be 255 characters or less.",
		`"settings":[{"name":"containerInsights","value":"on"}]`:                  "InvalidParameterException: Value for containerInsights should be one of [disabled,enabled,enhanced]",
		`"tags":[{"key":"aws:a","value":""}]`:                                     "InvalidParameterException: Tag keys that start with 'aws:' are reserved for system use: 'aws:a'.",
		`"serviceConnectDefaults":{"namespace":"n"}`:                              "UnsupportedFeatureException: Berth doesn't support serviceConnectDefaults yet: there are no namespaces. Leave it out and try again.",
		`"capacityProviders":["mine"]`:                                            "InvalidParameterException: The specified capacity provider 'mine' does not exist. Specify a valid name or ARN and try again.",
		`"defaultCapacityProviderStrategy":[{"capacityProvider":"FARGATE"}]`:      notAssociated,
		`"configuration":{"executeCommandConfiguration":{"logging":"OVERRIDE"}}`:  "InvalidParameterException: A CloudWatch log group name or S3 bucket name must be specified when overriding the default log configuration.",
		`"configuration":{"executeCommandConfiguration":{"logConfiguration":{}}}`: "InvalidParameterException: You must set logging to 'OVERRIDE' when you supply a log configuration.",
		`"capacityProviders":["FARGATE","FARGATE_SPOT"],"defaultCapacityProviderStrategy":[{"capacityProvider":"FARGATE","base":1},{"capacityProvider":"FARGATE_SPOT","base":1}]`: "InvalidParameterException: The specified capacity provider strategy contains multiple capacity providers with a base value defined. Only one is supported.",
		`"capacityProviders":["FARGATE","FARGATE_SPOT"],"defaultCapacityProviderStrategy":[{"capacityProvider":"FARGATE"},{"capacityProvider":"FARGATE_SPOT"}]`:                   "InvalidParameterException: There are no capacity providers in the capacity provider strategy with a weight value greater than zero.",
		`"capacityProviders":["FARGATE"],"defaultCapacityProviderStrategy":[{"capacityProvider":"FARGATE"},{"capacityProvider":"FARGATE"}]`:                                       "InvalidParameterException: The specified capacity provider strategy contains the capacity provider 'FARGATE' more than once.",
	} {
		refused(s, s.CreateCluster, `{`+input+`}`, want)
	}
	if n := len(ok(s, s.ListClusters, `{}`).ClusterArns); n != 0 {
		t.Errorf("%d clusters after refused creations", n)
	}
}

// TestClusterInsightsDefault: a cluster gets the account's setting unless the request has one.
func TestClusterInsightsDefault(t *testing.T) {
	s := newTestService(t)
	ok(s, s.PutAccountSettingDefault, `{"name":"containerInsights","value":"enabled"}`)
	s.ctx = as(s.ctx, "arn:aws:iam::123456789012:user/jane")
	wantJSON(t, ok(s, s.CreateCluster, `{"clusterName":"a"}`).Cluster.Settings, `[{"name":"containerInsights","value":"enabled"}]`)
	ok(s, s.PutAccountSetting, `{"name":"containerInsights","value":"enhanced"}`)
	wantJSON(t, ok(s, s.CreateCluster, `{"clusterName":"b"}`).Cluster.Settings, `[{"name":"containerInsights","value":"enhanced"}]`)
	wantJSON(t, ok(s, s.CreateCluster, `{"clusterName":"c","settings":[{"name":"containerInsights","value":"disabled"}]}`).Cluster.Settings, `[{"name":"containerInsights","value":"disabled"}]`)
}

// fill puts tasks, services and instances of every kind into a cluster, and some into another one.
func fill(tx *store.Tx) {
	n := 0
	for _, c := range []struct {
		cluster, launchType, status string
		count                       int
	}{
		{"c", "EC2", ecs.TaskRunning, 5}, {"c", "EC2", ecs.TaskPending, 1}, {"c", "EC2", ecs.TaskProvisioning, 1}, {"c", "EC2", ecs.TaskActivating, 1},
		{"c", "EXTERNAL", ecs.TaskRunning, 2}, {"c", "EXTERNAL", ecs.TaskPending, 4},
		{"c", "EC2", ecs.TaskStopped, 7}, {"c", "EC2", ecs.TaskDeactivating, 1}, {"cc", "EC2", ecs.TaskRunning, 9},
	} {
		for range c.count {
			n++
			state.Tasks.Put(tx, &ecs.Task{ID: fmt.Sprint("t", n), Cluster: c.cluster, LaunchType: c.launchType, LastStatus: c.status, DesiredStatus: "RUNNING"})
		}
	}
	for i, status := range []string{ecs.ServiceActive, ecs.ServiceActive, ecs.ServiceDraining, ecs.ServiceInactive} {
		state.Services.Put(tx, &ecs.Service{Cluster: "c", Name: fmt.Sprint("s", i), Status: status, LaunchType: "EC2"})
	}
	state.Services.Put(tx, &ecs.Service{Cluster: "c", Name: "outside", Status: ecs.ServiceActive, LaunchType: "EXTERNAL"})
	for i, status := range []string{ecs.InstanceActive, ecs.InstanceDraining, ecs.InstanceInactive} {
		state.Instances.Put(tx, &ecs.ContainerInstance{Cluster: "c", ID: fmt.Sprint("i", i), Status: status})
	}
}

func TestDescribeClusters(t *testing.T) {
	s := newTestService(t)
	ok(s, s.CreateCluster, `{"clusterName":"c","tags":[{"key":"k","value":"v"}],"configuration":{"executeCommandConfiguration":{"logging":"NONE"}}}`)
	s.put(fill)
	const counts = `"clusterArn":"arn:aws:ecs:us-east-1:123456789012:cluster/c","clusterName":"c","status":"ACTIVE","registeredContainerInstancesCount":2,"runningTasksCount":7,"pendingTasksCount":7,"activeServicesCount":3,"capacityProviders":[],"defaultCapacityProviderStrategy":[]`
	wantJSON(t, ok(s, s.DescribeClusters, `{"clusters":["c"]}`), `{"clusters":[{`+counts+`,"statistics":[],"tags":[],"settings":[]}],"failures":[]}`)
	var statistics []string
	for _, st := range []string{"runningEC2TasksCount 5", "pendingEC2TasksCount 3", "runningFargateTasksCount 0", "pendingFargateTasksCount 0", "runningExternalTasksCount 2", "pendingExternalTasksCount 4",
		"activeEC2ServiceCount 2", "drainingEC2ServiceCount 1", "activeFargateServiceCount 0", "drainingFargateServiceCount 0", "activeExternalServiceCount 1", "drainingExternalServiceCount 0"} {
		name, value, _ := strings.Cut(st, " ")
		statistics = append(statistics, `{"name":"`+name+`","value":"`+value+`"}`)
	}
	wantJSON(t, ok(s, s.DescribeClusters, `{"clusters":["arn:aws:ecs:us-east-1:123456789012:cluster/c"],"include":["ATTACHMENTS","CONFIGURATIONS","SETTINGS","STATISTICS","TAGS"]}`),
		`{"clusters":[{`+counts+`,"statistics":[`+strings.Join(statistics, ",")+`],"tags":[{"key":"k","value":"v"}],"settings":[{"name":"containerInsights","value":"disabled"}],"configuration":{"executeCommandConfiguration":{"logging":"NONE"}},"attachments":[]}],"failures":[]}`)

	// No name means the default cluster, missing ones are failures, and a cluster that is named twice is answered once.
	wantJSON(t, ok(s, s.DescribeClusters, `{}`), `{"clusters":[],"failures":[{"arn":"arn:aws:ecs:us-east-1:123456789012:cluster/default","reason":"MISSING"}]}`)
	out := ok(s, s.DescribeClusters, `{"clusters":["c","x","arn:aws:ecs:eu-west-1:123456789012:cluster/c","arn:aws:ecs:us-east-1:123456789012:cluster/c"]}`)
	if len(out.Clusters) != 1 {
		t.Errorf("%d clusters", len(out.Clusters))
	}
	wantJSON(t, out.Failures, `[{"arn":"arn:aws:ecs:us-east-1:123456789012:cluster/x","reason":"MISSING"},{"arn":"arn:aws:ecs:eu-west-1:123456789012:cluster/c","reason":"MISSING"}]`)
	refused(s, s.DescribeClusters, `{"clusters":["arn:aws:ecs:us-east-1:123456789012:task/c/t"]}`, "InvalidParameterException: Invalid identifier: arn:aws:ecs:us-east-1:123456789012:task/c/t")
	refused(s, s.DescribeClusters, `{"clusters":[`+strings.TrimSuffix(strings.Repeat(`"c",`, 101), ",")+`]}`, "InvalidParameterException: Clusters cannot have more than 100 elements.")
}

func TestListClusters(t *testing.T) {
	s := newTestService(t)
	for i := range 5 {
		ok(s, s.CreateCluster, fmt.Sprintf(`{"clusterName":"c%d"}`, i))
	}
	ok(s, s.DeleteCluster, `{"cluster":"c2"}`)
	first := ok(s, s.ListClusters, `{"maxResults":2}`)
	wantJSON(t, first.ClusterArns, `["arn:aws:ecs:us-east-1:123456789012:cluster/c0","arn:aws:ecs:us-east-1:123456789012:cluster/c1"]`)
	wantJSON(t, ok(s, s.ListClusters, `{"maxResults":2,"nextToken":"`+*first.NextToken+`"}`), `{"clusterArns":["arn:aws:ecs:us-east-1:123456789012:cluster/c3","arn:aws:ecs:us-east-1:123456789012:cluster/c4"]}`)
}

func TestDeleteCluster(t *testing.T) {
	s := newTestService(t)
	refused(s, s.DeleteCluster, `{"cluster":"c"}`, "ClusterNotFoundException: Cluster not found.")
	ok(s, s.CreateCluster, `{"clusterName":"c"}`)
	task := func(status string) *ecs.Task {
		return &ecs.Task{ID: "t", Cluster: "c", LaunchType: "EC2", LastStatus: status}
	}
	s.put(func(tx *store.Tx) {
		state.Instances.Put(tx, &ecs.ContainerInstance{ID: "i", Cluster: "c", Status: ecs.InstanceDraining})
		state.Services.Put(tx, &ecs.Service{Name: "s", Cluster: "c", Status: ecs.ServiceDraining})
		state.Tasks.Put(tx, task(ecs.TaskStopping))
	})
	refused(s, s.DeleteCluster, `{"cluster":"c"}`, "ClusterContainsContainerInstancesException: The Cluster cannot be deleted while Container Instances are active or draining.")
	s.put(func(tx *store.Tx) {
		state.Instances.Put(tx, &ecs.ContainerInstance{ID: "i", Cluster: "c", Status: ecs.InstanceInactive})
	})
	refused(s, s.DeleteCluster, `{"cluster":"c"}`, "ClusterContainsServicesException: The Cluster cannot be deleted while Services are active.")
	s.put(func(tx *store.Tx) {
		state.Services.Put(tx, &ecs.Service{Name: "s", Cluster: "c", Status: ecs.ServiceInactive})
	})
	refused(s, s.DeleteCluster, `{"cluster":"c"}`, "ClusterContainsTasksException: The Cluster cannot be deleted while Tasks are active.")
	s.put(func(tx *store.Tx) { state.Tasks.Put(tx, task(ecs.TaskStopped)) })
	for range 2 { // repeating it is harmless
		if got := *ok(s, s.DeleteCluster, `{"cluster":"c"}`).Cluster.Status; got != "INACTIVE" {
			t.Error(got)
		}
	}
	if got := *ok(s, s.DescribeClusters, `{"clusters":["c"]}`).Clusters[0].Status; got != "INACTIVE" {
		t.Errorf("described as %s", got)
	}
	refused(s, s.UpdateCluster, `{"cluster":"c"}`, "ClusterNotFoundException: The referenced cluster was inactive.")
	refused(s, s.PutClusterCapacityProviders, `{"cluster":"c","capacityProviders":[],"defaultCapacityProviderStrategy":[]}`, "ClientException: Cluster was not ACTIVE")
}

func TestUpdateCluster(t *testing.T) {
	s := newTestService(t)
	refused(s, s.UpdateCluster, `{"cluster":"c"}`, "ClusterNotFoundException: Cluster not found.")
	refused(s, s.UpdateClusterSettings, `{"cluster":"c","settings":[]}`, "ClusterNotFoundException: Cluster not found.")
	ok(s, s.CreateCluster, `{"clusterName":"c","configuration":{"executeCommandConfiguration":{"logging":"NONE"}}}`)
	wantJSON(t, ok(s, s.UpdateCluster, `{"cluster":"c","settings":[{"name":"containerInsights","value":"enabled"}]}`).Cluster.Settings, `[{"name":"containerInsights","value":"enabled"}]`)
	out := ok(s, s.UpdateCluster, `{"cluster":"c","configuration":{"executeCommandConfiguration":{"logging":"DEFAULT"}},"serviceConnectDefaults":{"namespace":""}}`)
	wantJSON(t, out.Cluster.Configuration, `{"executeCommandConfiguration":{"logging":"DEFAULT"}}`)
	wantJSON(t, out.Cluster.Settings, `[{"name":"containerInsights","value":"enabled"}]`)
	wantJSON(t, ok(s, s.UpdateClusterSettings, `{"cluster":"c","settings":[{"name":"containerInsights","value":"disabled"}]}`).Cluster.Settings, `[{"name":"containerInsights","value":"disabled"}]`)
	refused(s, s.UpdateClusterSettings, `{"cluster":"c","settings":[{"name":"containerInsights","value":"x"}]}`, "InvalidParameterException: Value for containerInsights should be one of [disabled,enabled,enhanced]")
	refused(s, s.UpdateCluster, `{"cluster":"c","serviceConnectDefaults":{"namespace":"n"}}`, "UnsupportedFeatureException: Berth doesn't support serviceConnectDefaults yet: there are no namespaces. Leave it out and try again.")
}

func TestPutClusterCapacityProviders(t *testing.T) {
	s := newTestService(t)
	refused(s, s.PutClusterCapacityProviders, `{"cluster":"c","capacityProviders":[],"defaultCapacityProviderStrategy":[]}`, "ClusterNotFoundException: Cluster not found.")
	ok(s, s.CreateCluster, `{"clusterName":"c"}`)
	out := ok(s, s.PutClusterCapacityProviders, `{"cluster":"c","capacityProviders":["FARGATE","arn:aws:ecs:us-east-1:123456789012:capacity-provider/FARGATE_SPOT"],"defaultCapacityProviderStrategy":[{"capacityProvider":"FARGATE_SPOT","weight":1}]}`)
	wantJSON(t, out.Cluster.CapacityProviders, `["FARGATE","FARGATE_SPOT"]`)
	wantJSON(t, out.Cluster.DefaultCapacityProviderStrategy, `[{"capacityProvider":"FARGATE_SPOT","weight":1,"base":0}]`)
	s.put(func(tx *store.Tx) {
		state.Services.Put(tx, &ecs.Service{Name: "s", Cluster: "c", Status: ecs.ServiceActive, CapacityProviderStrategy: []ecs.CapacityProviderStrategyItem{{CapacityProvider: "FARGATE"}}})
	})
	refused(s, s.PutClusterCapacityProviders, `{"cluster":"c","capacityProviders":["FARGATE_SPOT"],"defaultCapacityProviderStrategy":[]}`, "ResourceInUseException: The specified capacity provider is in use and cannot be removed.")
	wantJSON(t, ok(s, s.PutClusterCapacityProviders, `{"cluster":"c","capacityProviders":["FARGATE"],"defaultCapacityProviderStrategy":[]}`).Cluster.CapacityProviders, `["FARGATE"]`)
}

// BenchmarkDescribeClusters shows that counting doesn't cost more in a full cluster.
func BenchmarkDescribeClusters(b *testing.B) {
	for _, tasks := range []int{10, 10_000} {
		b.Run(fmt.Sprint(tasks, " tasks"), func(b *testing.B) {
			s := newTestService(b)
			ok(s, s.CreateCluster, `{"clusterName":"c"}`)
			for first := 0; first < tasks; first += 1000 {
				s.put(func(tx *store.Tx) {
					for i := first; i < min(first+1000, tasks); i++ {
						state.Tasks.Put(tx, &ecs.Task{ID: fmt.Sprint("t", i), Cluster: "c", LaunchType: "EC2", LastStatus: ecs.TaskRunning})
					}
				})
			}
			for b.Loop() {
				if n := *ok(s, s.DescribeClusters, `{"clusters":["c"]}`).Clusters[0].RunningTasksCount; int(n) != tasks {
					b.Fatal(n)
				}
			}
		})
	}
}
