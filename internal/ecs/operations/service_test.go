package operations

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/arn"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
)

const serviceARN = "arn:aws:ecs:us-east-1:123456789012:service/default/shop"

func TestCreateService(t *testing.T) {
	s := newCluster(t)
	out := ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web:1","desiredCount":3,"tags":[{"key":"a","value":"b"}]}`)
	d := stored(s, state.Deployments)[0]
	if len(d.ID) != len("ecs-svc/")+19 {
		t.Errorf("deployment id %s", d.ID)
	}
	want := fmt.Sprintf(`{"service":{
		"availabilityZoneRebalancing":"DISABLED","clusterArn":"arn:aws:ecs:us-east-1:123456789012:cluster/default","createdAt":1772366401,
		"createdBy":"arn:aws:iam::123456789012:root",
		"deploymentConfiguration":{"strategy":"ROLLING","minimumHealthyPercent":100,"maximumPercent":200,"bakeTimeInMinutes":0,
			"deploymentCircuitBreaker":{"enable":false,"rollback":false,"resetOnHealthyTask":true,"thresholdConfiguration":{"type":"BOUNDED_PERCENT","value":50}}},
		"deploymentController":{"type":"ECS"},
		"deployments":[{"createdAt":1772366401,"updatedAt":1772366401,"id":"%s","status":"PRIMARY","desiredCount":3,"runningCount":0,"pendingCount":0,
			"failedTasks":0,"launchType":"EC2","rolloutState":"IN_PROGRESS","rolloutStateReason":"ECS deployment %s in progress.",
			"taskDefinition":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:1"}],
		"desiredCount":3,"enableECSManagedTags":false,"enableExecuteCommand":false,"events":[],"launchType":"EC2","loadBalancers":[],
		"pendingCount":0,"placementConstraints":[],"placementStrategy":[],"propagateTags":"NONE","resourceManagementType":"CUSTOMER","runningCount":0,
		"schedulingStrategy":"REPLICA","serviceArn":"%s","serviceName":"shop","serviceRegistries":[],"status":"ACTIVE",
		"tags":[{"key":"a","value":"b"}],"taskDefinition":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:1"}}`, d.ID, d.ID, serviceARN)
	wantJSON(t, out, want)
	wantJSON(t, map[string]any{"service": ok(s, s.DescribeServices, `{"services":["shop"],"include":["TAGS"]}`).Services[0]}, want)
	if got := ok(s, s.DescribeServices, `{"services":["shop"]}`).Services[0]; got.Tags != nil {
		t.Error("tags are shown that weren't asked for")
	}
}

func TestCreateDaemon(t *testing.T) {
	s := newCluster(t)
	svc := ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","schedulingStrategy":"DAEMON","launchType":"EXTERNAL",
		"healthCheckGracePeriodSeconds":7,"propagateTags":"SERVICE","enableECSManagedTags":true,
		"placementConstraints":[{"type":"memberOf","expression":"attribute:a exists"}]}`).Service
	c := svc.DeploymentConfiguration
	if *svc.SchedulingStrategy != "DAEMON" || *svc.DesiredCount != 0 || *c.MinimumHealthyPercent != 0 || *c.MaximumPercent != 100 ||
		*svc.LaunchType != "EXTERNAL" || *svc.HealthCheckGracePeriodSeconds != 7 || *svc.PropagateTags != "SERVICE" || !*svc.EnableECSManagedTags {
		t.Errorf("got %+v", svc)
	}
	wantJSON(t, svc.PlacementConstraints, `[{"type":"memberOf","expression":"attribute:a exists"}]`)
}

func TestCreateServiceIsIdempotentByToken(t *testing.T) {
	s := newCluster(t)
	first := ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":1,"clientToken":"t"}`)
	again := ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":1,"clientToken":"t"}`)
	if *first.Service.Deployments[0].Id != *again.Service.Deployments[0].Id || len(stored(s, state.Deployments)) != 1 {
		t.Error("a repeated request made another deployment")
	}
	const notSame = "InvalidParameterException: Creation of service was not idempotent."
	refused(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":2,"clientToken":"t"}`, notSame)
	refused(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":1,"clientToken":"u"}`, notSame)
	refused(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":1}`, notSame)

	ok(s, s.DeleteService, `{"service":"shop","force":true}`)
	refused(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":1}`, "InvalidParameterException: Unable to Start a service that is still Draining.")
	s.put(func(tx *store.Tx) {
		svc := *stored(s, state.Services)[0]
		svc.Status = ecs.ServiceInactive
		state.Services.Put(tx, &svc)
		state.ServiceEvents.Put(tx, &ecs.ServiceEvent{ID: "e", Cluster: "default", Service: "shop", Sequence: 1, Message: "old"})
		state.ServiceEvents.Put(tx, &ecs.ServiceEvent{ID: "e", Cluster: "default", Service: "shop2", Sequence: 1, Message: "another's"})
	})
	svc := ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":1}`).Service
	if len(svc.Deployments) != 1 || *svc.Deployments[0].Id == *first.Service.Deployments[0].Id || len(svc.Events) != 0 || len(stored(s, state.Deployments)) != 1 {
		t.Errorf("the old service shows through: %+v", svc)
	}
	if len(stored(s, state.ServiceEvents)) != 1 {
		t.Error("another service's events are gone")
	}
}

func TestCreateServiceRefuses(t *testing.T) {
	s := newCluster(t)
	s.put(func(tx *store.Tx) {
		td := webDefinition(10)
		td.NetworkMode = "awsvpc"
		state.TaskDefinitions.Put(tx, td)
		td = webDefinition(11)
		td.TaskRoleARN = "role"
		state.TaskDefinitions.Put(tx, td)
		td = webDefinition(12)
		td.Status = ecs.TaskDefinitionInactive
		state.TaskDefinitions.Put(tx, td)
	})
	const invalid, unsupported = "InvalidParameterException: ", "UnsupportedFeatureException: "
	notYet := func(field string) string {
		return unsupported + "Berth doesn't support " + field + " yet. Leave it out and try again."
	}
	// Each is added to a request that is right.
	for _, c := range []struct{ more, want string }{
		{`"cluster":"nope"`, "ClusterNotFoundException: Cluster not found."},
		{`"cluster":"gone"`, "ClusterNotFoundException: The referenced cluster was inactive."},
		{`"serviceName":"a b"`, invalid + "Service name contains invalid characters."},
		{`"serviceName":"` + strings.Repeat("x", 256) + `"`, invalid + "Service name should be 255 characters or less."},
		{`"taskDefinition":"nope"`, "ClientException: TaskDefinition not found."},
		{`"taskDefinition":"web:12"`, invalid + "TaskDefinition is inactive"},
		{`"taskDefinition":null`, invalid + "TaskDefinition can not be blank."},
		{`"desiredCount":null`, invalid + "desiredCount is required when schedulingStrategy is REPLICA or isn't specified."},
		{`"desiredCount":-1`, invalid + "desiredCount must not be negative, but was -1"},
		{`"schedulingStrategy":"DAEMON"`, invalid + "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again"},
		{`"schedulingStrategy":"DAEMON","desiredCount":null,"placementStrategy":[{"type":"random"}]`, invalid + "The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try again"},
		{`"schedulingStrategy":"DAEMON","desiredCount":null,"deploymentConfiguration":{"maximumPercent":200}`, invalid + "The daemon scheduling strategy supports only a maximumPercent of 100, but it was 200"},
		{`"schedulingStrategy":"DAEMON","desiredCount":null,"deploymentConfiguration":{"minimumHealthyPercent":100}`, invalid + "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."},
		{`"deploymentConfiguration":{"maximumPercent":100}`, invalid + "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."},
		{`"deploymentConfiguration":{"maximumPercent":99,"minimumHealthyPercent":0}`, invalid + "maximumPercent must be at least 100, but was 99"},
		{`"deploymentConfiguration":{"minimumHealthyPercent":101}`, invalid + "minimumHealthyPercent must be between 0 and 100, but was 101"},
		{`"deploymentConfiguration":{"minimumHealthyPercent":-1}`, invalid + "minimumHealthyPercent must be between 0 and 100, but was -1"},
		{`"healthCheckGracePeriodSeconds":-1`, invalid + "healthCheckGracePeriodSeconds must be between 0 and 2147483647, but was -1"},
		{`"clientToken":"` + strings.Repeat("x", 37) + `"`, invalid + "clientToken must be at most 36 characters in the ASCII range of 33-126."},
		{`"platformVersion":"1.4.0"`, invalid + "The platform version must be null when specifying an EC2 launch type."},
		{`"launchType":"FARGATE"`, invalid + "Task definition does not support launch_type FARGATE."},
		{`"capacityProviderStrategy":[{"capacityProvider":"x"}]`, invalid + "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again."},
		{`"taskDefinition":"web:10"`, invalid + "Network Configuration must be provided when networkMode 'awsvpc' is specified."},
		{`"networkConfiguration":{"awsvpcConfiguration":{"subnets":["s"]}}`, invalid + "Network Configuration is not valid for the given networkMode of this task definition."},
		{`"taskDefinition":"web:11"`, unsupported + "Berth can't run the task definition web:11 yet: taskRoleArn is not supported: tasks can't be given credentials of a role; pass credentials in the environment, or leave the role out."},
		{`"placementConstraints":[{"type":"memberOf","expression":"nonsense"}]`, invalid + `Invalid expression 'nonsense': unknown subject "nonsense" at position 1.`},
		{`"placementStrategy":[{"type":"spread","field":"cpu"}]`, invalid + "The field 'cpu' is not valid for the spread placement strategy: use instanceId, host or attribute:<name>."},
		{`"tags":[{"key":"aws:x","value":""}]`, invalid + "Tag keys that start with 'aws:' are reserved for system use: 'aws:x'."},
		{`"deploymentController":{"type":"EXTERNAL"}`, unsupported + "Berth doesn't support deploymentController EXTERNAL yet. Use ECS."},
		{`"deploymentConfiguration":{"strategy":"BLUE_GREEN"}`, unsupported + "Berth doesn't support deploymentConfiguration.strategy BLUE_GREEN yet. Use ROLLING."},
		{`"deploymentConfiguration":{"deploymentCircuitBreaker":{"enable":true,"rollback":false}}`, notYet("deploymentConfiguration.deploymentCircuitBreaker.enable")},
		{`"deploymentConfiguration":{"alarms":{"alarmNames":["a"],"enable":true,"rollback":false}}`, notYet("deploymentConfiguration.alarms.enable")},
		{`"deploymentConfiguration":{"bakeTimeInMinutes":5}`, notYet("deploymentConfiguration.bakeTimeInMinutes")},
		{`"deploymentConfiguration":{"lifecycleHooks":[{"hookTargetArn":"h"}]}`, notYet("deploymentConfiguration.lifecycleHooks")},
		{`"loadBalancers":[{"containerName":"app"}]`, notYet("loadBalancers")},
		{`"serviceRegistries":[{"registryArn":"r"}]`, notYet("serviceRegistries")},
		{`"serviceConnectConfiguration":{"enabled":true}`, notYet("serviceConnectConfiguration")},
		{`"volumeConfigurations":[{"name":"v"}]`, notYet("volumeConfigurations")},
		{`"vpcLatticeConfigurations":[{"roleArn":"r","targetGroupArn":"t","portName":"p"}]`, notYet("vpcLatticeConfigurations")},
		{`"availabilityZoneRebalancing":"ENABLED"`, notYet("availabilityZoneRebalancing ENABLED")},
		{`"enableExecuteCommand":true`, notYet("enableExecuteCommand")},
		{`"role":"r"`, notYet("role")},
	} {
		refused(s, s.CreateService, overlay(t, `{"serviceName":"shop","taskDefinition":"web:1","desiredCount":1}`, `{`+c.more+`}`), c.want)
	}
	if len(stored(s, state.Services)) != 0 || len(stored(s, state.Deployments)) != 0 {
		t.Error("something was created all the same")
	}
	// What changes nothing is accepted.
	ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web:1","desiredCount":0,"loadBalancers":[],"serviceRegistries":[],
		"serviceConnectConfiguration":{"enabled":false},"availabilityZoneRebalancing":"DISABLED","enableExecuteCommand":false,
		"deploymentController":{"type":"ECS"},"deploymentConfiguration":{"strategy":"ROLLING","bakeTimeInMinutes":0,
		"deploymentCircuitBreaker":{"enable":false,"rollback":false},"alarms":{"alarmNames":[],"enable":false,"rollback":false}}}`)
}

// overlay replaces members of one JSON object by those of another; null takes a member away.
func overlay(t *testing.T, base, more string) string {
	t.Helper()
	members := map[string]json.RawMessage{}
	for _, object := range []string{base, more} {
		if err := json.Unmarshal([]byte(object), &members); err != nil {
			t.Fatalf("%s: %v", object, err)
		}
	}
	maps.DeleteFunc(members, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestUpdateServiceStartsDeployments(t *testing.T) {
	for _, c := range []struct {
		input   string
		deploys bool
	}{
		{`"taskDefinition":"web:2"`, true},
		{`"taskDefinition":"web"`, true}, // the latest is 2
		{`"taskDefinition":"web:1"`, false},
		{`"taskDefinition":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:1"`, false},
		{`"forceNewDeployment":true`, true},
		{`"forceNewDeployment":false`, false},
		{`"desiredCount":5`, false},
		{`"deploymentConfiguration":{"maximumPercent":150}`, false},
		{`"placementStrategy":[{"type":"random"}]`, false},
		{`"placementConstraints":[{"type":"distinctInstance"}]`, false},
		{`"healthCheckGracePeriodSeconds":3`, false},
		{`"enableECSManagedTags":true,"propagateTags":"SERVICE"`, false},
		{`"loadBalancers":[],"serviceRegistries":[],"capacityProviderStrategy":[]`, false},
	} {
		s := newCluster(t)
		first := *ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web:1","desiredCount":1}`).Service.Deployments[0].Id
		svc := ok(s, s.UpdateService, `{"service":"shop",`+c.input+`}`).Service
		if !c.deploys {
			if len(svc.Deployments) != 1 || *svc.Deployments[0].Id != first || *svc.Deployments[0].Status != "PRIMARY" {
				t.Errorf("%s: deployments %+v", c.input, svc.Deployments)
			}
			continue
		}
		if len(svc.Deployments) != 2 || *svc.Deployments[0].Status != "PRIMARY" || *svc.Deployments[1].Status != "ACTIVE" ||
			*svc.Deployments[1].Id != first || *svc.Deployments[0].RolloutState != "IN_PROGRESS" ||
			*svc.Deployments[0].TaskDefinition != *svc.TaskDefinition {
			t.Errorf("%s: deployments %+v", c.input, svc.Deployments)
		}
	}
}

func TestUpdateServiceSupersedes(t *testing.T) {
	s := newCluster(t)
	ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web:1","desiredCount":4}`)
	ok(s, s.UpdateService, `{"service":"shop","taskDefinition":"web:2"}`)
	svc := ok(s, s.UpdateService, `{"service":"shop","forceNewDeployment":true,"desiredCount":6}`).Service
	var statuses []string
	for _, d := range svc.Deployments {
		statuses = append(statuses, *d.Status)
	}
	if !slices.Equal(statuses, []string{"PRIMARY", "ACTIVE", "ACTIVE"}) {
		t.Fatalf("deployments are %v", statuses)
	}
	if !svc.Deployments[1].CreatedAt.After(*svc.Deployments[2].CreatedAt) {
		t.Error("older deployments aren't newest first")
	}
	// The PRIMARY wants all, the others what they have left.
	s.put(func(tx *store.Tx) {
		for i, last := range []string{"RUNNING", "RUNNING", "PENDING", "ACTIVATING", "STOPPING", "STOPPED"} {
			state.Tasks.Put(tx, &ecs.Task{ID: fmt.Sprint(i), Cluster: "default", Service: "shop", StartedBy: *svc.Deployments[1].Id, LastStatus: last, DesiredStatus: "RUNNING"})
		}
		state.Tasks.Put(tx, &ecs.Task{ID: "new", Cluster: "default", Service: "shop", StartedBy: *svc.Deployments[0].Id, LastStatus: "RUNNING", DesiredStatus: "STOPPED"})
		gone := *stored(s, state.Deployments)[slices.IndexFunc(stored(s, state.Deployments), func(d *ecs.Deployment) bool { return d.ID == *svc.Deployments[2].Id })]
		gone.Status = ecs.DeploymentInactive
		state.Deployments.Put(tx, &gone)
	})
	got := ok(s, s.DescribeServices, `{"services":["`+serviceARN+`"]}`).Services[0]
	counts := fmt.Sprint(*got.DesiredCount, *got.RunningCount, *got.PendingCount)
	for _, d := range got.Deployments {
		counts += fmt.Sprint(" ", *d.Status, *d.DesiredCount, *d.RunningCount, *d.PendingCount)
	}
	if counts != "6 3 2 PRIMARY6 1 0 ACTIVE4 2 2" {
		t.Errorf("got %s", counts)
	}
}

func TestUpdateServiceChanges(t *testing.T) {
	s := newCluster(t)
	ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web:1","desiredCount":1,"healthCheckGracePeriodSeconds":9,
		"deploymentConfiguration":{"minimumHealthyPercent":50},"placementStrategy":[{"type":"spread","field":"host"}],
		"placementConstraints":[{"type":"distinctInstance"}],"propagateTags":"SERVICE","enableECSManagedTags":true}`)
	before := stored(s, state.Services)[0]
	svc := ok(s, s.UpdateService, `{"service":"`+serviceARN+`","deploymentConfiguration":{"maximumPercent":150}}`).Service
	if *svc.DesiredCount != 1 || *svc.DeploymentConfiguration.MinimumHealthyPercent != 50 || *svc.DeploymentConfiguration.MaximumPercent != 150 ||
		*svc.HealthCheckGracePeriodSeconds != 9 || len(svc.PlacementStrategy) != 1 || len(svc.PlacementConstraints) != 1 ||
		*svc.PropagateTags != "SERVICE" || !*svc.EnableECSManagedTags || svc.DeploymentConfiguration.DeploymentCircuitBreaker == nil {
		t.Errorf("what was left out has changed: %+v", svc)
	}
	if *before.DeploymentConfiguration.MaximumPercent != 200 {
		t.Error("the stored record was changed")
	}
	svc = ok(s, s.UpdateService, `{"service":"shop","desiredCount":0,"placementStrategy":[],"placementConstraints":[],"healthCheckGracePeriodSeconds":0,
		"propagateTags":"NONE","enableECSManagedTags":false}`).Service
	if *svc.DesiredCount != 0 || len(svc.PlacementStrategy) != 0 || len(svc.PlacementConstraints) != 0 || *svc.HealthCheckGracePeriodSeconds != 0 ||
		*svc.PropagateTags != "NONE" || *svc.EnableECSManagedTags {
		t.Errorf("not cleared: %+v", svc)
	}
	// Failed launches are forgiven.
	s.put(func(tx *store.Tx) {
		svc := *stored(s, state.Services)[0]
		svc.LaunchBackoff = ecs.LaunchBackoff{Failures: 5, Until: testStart.AddDate(1, 0, 0)}
		state.Services.Put(tx, &svc)
	})
	ok(s, s.UpdateService, `{"service":"shop","desiredCount":2}`)
	if b := stored(s, state.Services)[0].LaunchBackoff; b.Failures != 0 || !b.Until.IsZero() || b.Since.IsZero() {
		t.Errorf("back-off %+v", b)
	}
	// A service goes on with a definition that is INACTIVE by now, but can't be given it.
	s.put(func(tx *store.Tx) {
		td := webDefinition(1)
		td.Status = ecs.TaskDefinitionInactive
		state.TaskDefinitions.Put(tx, td)
	})
	ok(s, s.UpdateService, `{"service":"shop","desiredCount":3}`)
	ok(s, s.UpdateService, `{"service":"shop","forceNewDeployment":true}`)
	const invalid = "InvalidParameterException: "
	for _, c := range []struct{ input, want string }{
		{`{"service":"nope"}`, "ServiceNotFoundException: Service not found."},
		{`{"service":"arn:aws:ecs:us-east-1:123456789012:service/other/shop"}`, invalid + "Invalid identifier: Identifier is for cluster other. Your cluster is default"},
		{`{"service":"shop","cluster":"nope"}`, "ClusterNotFoundException: Cluster not found."},
		{`{"service":"shop","taskDefinition":"web:1"}`, invalid + "TaskDefinition is inactive"},
		{`{"service":"shop","taskDefinition":"web:9"}`, "ClientException: TaskDefinition not found."},
		{`{"service":"shop","desiredCount":-1}`, invalid + "desiredCount must not be negative, but was -1"},
		{`{"service":"shop","deploymentConfiguration":{"minimumHealthyPercent":100,"maximumPercent":100}}`, invalid + "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."},
		{`{"service":"shop","platformVersion":"1"}`, invalid + "The platform version must be null when specifying an EC2 launch type."},
		{`{"service":"shop","networkConfiguration":{"awsvpcConfiguration":{"subnets":["s"]}}}`, invalid + "Network Configuration is not valid for the given networkMode of this task definition."},
		{`{"service":"shop","capacityProviderStrategy":[{"capacityProvider":"x"}]}`, invalid + "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again."},
		{`{"service":"shop","placementStrategy":[{"type":"binpack"}]}`, invalid + "The field '' is not valid for the binpack placement strategy: use cpu or memory."},
		{`{"service":"shop","healthCheckGracePeriodSeconds":-1}`, invalid + "healthCheckGracePeriodSeconds must be between 0 and 2147483647, but was -1"},
		{`{"service":"shop","loadBalancers":[{"containerName":"app"}]}`, "UnsupportedFeatureException: Berth doesn't support loadBalancers yet. Leave it out and try again."},
		{`{"service":"shop","deploymentConfiguration":{"deploymentCircuitBreaker":{"enable":true,"rollback":true}}}`, "UnsupportedFeatureException: Berth doesn't support deploymentConfiguration.deploymentCircuitBreaker.enable yet. Leave it out and try again."},
		{`{"service":"shop","deploymentController":{"type":"CODE_DEPLOY"}}`, "UnsupportedFeatureException: Berth doesn't support deploymentController CODE_DEPLOY yet. Use ECS."},
	} {
		refused(s, s.UpdateService, c.input, c.want)
	}
	ok(s, s.CreateService, `{"serviceName":"daemon","taskDefinition":"web:2","schedulingStrategy":"DAEMON"}`)
	refused(s, s.UpdateService, `{"service":"daemon","desiredCount":1}`, invalid+"The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again")
	refused(s, s.UpdateService, `{"service":"daemon","placementStrategy":[{"type":"random"}]}`, invalid+"The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try again")
}

func TestDeleteService(t *testing.T) {
	s := newCluster(t)
	ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":2}`)
	ok(s, s.CreateService, `{"serviceName":"empty","taskDefinition":"web","desiredCount":0}`)
	ok(s, s.CreateService, `{"serviceName":"daemon","taskDefinition":"web","schedulingStrategy":"DAEMON"}`)
	refused(s, s.DeleteService, `{"service":"shop"}`, "InvalidParameterException: The service cannot be stopped while it is scaled above 0.")
	refused(s, s.DeleteService, `{"service":"nope"}`, "ServiceNotFoundException: Service not found.")
	refused(s, s.DeleteService, `{"service":"shop","cluster":"nope"}`, "ClusterNotFoundException: Cluster not found.")
	for _, input := range []string{`{"service":"` + serviceARN + `","force":true}`, `{"service":"empty"}`, `{"service":"daemon"}`} {
		svc := ok(s, s.DeleteService, input).Service
		if *svc.Status != "DRAINING" || *svc.DesiredCount != 0 {
			t.Errorf("%s: %s, desired %d", input, *svc.Status, *svc.DesiredCount)
		}
	}
	refused(s, s.DeleteService, `{"service":"shop"}`, "ServiceNotActiveException: Service was not ACTIVE.")
	refused(s, s.UpdateService, `{"service":"shop","desiredCount":1}`, "ServiceNotActiveException: Service was not ACTIVE.")
	if out := ok(s, s.ListServices, `{}`); len(out.ServiceArns) != 0 {
		t.Errorf("listed: %v", out.ServiceArns)
	}
	if out := ok(s, s.DescribeServices, `{"services":["shop"]}`); *out.Services[0].Status != "DRAINING" {
		t.Errorf("described: %+v", out)
	}
}

func TestDescribeServices(t *testing.T) {
	s := newCluster(t)
	ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":2}`)
	s.put(func(tx *store.Tx) {
		for i := range int64(120) {
			state.ServiceEvents.Put(tx, &ecs.ServiceEvent{ID: fmt.Sprint("id", i), Cluster: "default", Service: "shop", Sequence: i, CreatedAt: testStart, Message: fmt.Sprint("m", i)})
		}
		state.ServiceEvents.Put(tx, &ecs.ServiceEvent{ID: "x", Cluster: "default", Service: "shop-2", Sequence: 999, Message: "another's"})
	})
	out := ok(s, s.DescribeServices, `{"services":["shop","nope","arn:aws:ecs:eu-west-1:123456789012:service/default/shop"]}`)
	events := out.Services[0].Events
	if len(events) != 100 {
		t.Fatalf("%d events", len(events))
	}
	wantJSON(t, events[0], `{"id":"id119","createdAt":1772366400,"message":"m119"}`)
	if *events[99].Message != "m20" {
		t.Errorf("the oldest shown is %s", *events[99].Message)
	}
	wantJSON(t, out.Failures, `[{"arn":"arn:aws:ecs:us-east-1:123456789012:service/default/nope","reason":"MISSING"},
		{"arn":"arn:aws:ecs:eu-west-1:123456789012:service/default/shop","reason":"MISSING"}]`)
	for _, c := range []struct{ input, want string }{
		{`{"services":[]}`, "InvalidParameterException: Services cannot be empty."},
		{`{"services":["a","a","a","a","a","a","a","a","a","a","a"]}`, "InvalidParameterException: Services cannot have more than 10 elements."},
		{`{"services":["a"],"cluster":"gone"}`, "ClusterNotFoundException: The referenced cluster was inactive."},
		{`{"services":["arn:aws:ecs:us-east-1:123456789012:service/other/a"]}`, "InvalidParameterException: Invalid identifier: Identifier is for cluster other. Your cluster is default"},
	} {
		refused(s, s.DescribeServices, c.input, c.want)
	}
}

func TestListServices(t *testing.T) {
	s := newCluster(t)
	s.put(func(tx *store.Tx) {
		put := func(cluster, name, status, launchType, scheduling string) {
			state.Services.Put(tx, &ecs.Service{Cluster: cluster, Name: name, Status: status, LaunchType: launchType, SchedulingStrategy: scheduling})
		}
		for i := range 12 {
			put("default", fmt.Sprintf("r%02d", i), ecs.ServiceActive, "EC2", ecs.SchedulingReplica)
		}
		put("default", "d", ecs.ServiceActive, "EXTERNAL", ecs.SchedulingDaemon)
		put("default", "gone", ecs.ServiceInactive, "EC2", ecs.SchedulingReplica)
		put("default", "going", ecs.ServiceDraining, "EC2", ecs.SchedulingReplica)
		put("default-2", "other", ecs.ServiceActive, "EC2", ecs.SchedulingReplica)
	})
	names := func(arns []string) string {
		var all []string
		for _, a := range arns {
			all = append(all, arn.Last(a))
		}
		return strings.Join(all, " ")
	}
	first := ok(s, s.ListServices, `{}`)
	if names(first.ServiceArns) != "d r00 r01 r02 r03 r04 r05 r06 r07 r08" || first.NextToken == nil {
		t.Fatalf("the first page has %s", names(first.ServiceArns))
	}
	second := ok(s, s.ListServices, `{"nextToken":"`+*first.NextToken+`"}`)
	if names(second.ServiceArns) != "r09 r10 r11" || second.NextToken != nil {
		t.Errorf("the second page has %s", names(second.ServiceArns))
	}
	for input, want := range map[string]string{
		`{"launchType":"EXTERNAL"}`:                            "d",
		`{"schedulingStrategy":"DAEMON"}`:                      "d",
		`{"resourceManagementType":"ECS"}`:                     "",
		`{"resourceManagementType":"CUSTOMER","maxResults":1}`: "d",
	} {
		if got := names(ok(s, s.ListServices, input).ServiceArns); got != want {
			t.Errorf("%s: %s", input, got)
		}
	}
	refused(s, s.ListServices, `{"cluster":"nope"}`, "ClusterNotFoundException: Cluster not found.")
	refused(s, s.ListServices, `{"nextToken":"x"}`, "InvalidParameterException: Invalid token")
}

func BenchmarkDescribeServices(b *testing.B) {
	s := newCluster(b)
	id := *ok(s, s.CreateService, `{"serviceName":"shop","taskDefinition":"web","desiredCount":1000}`).Service.Deployments[0].Id
	s.put(func(tx *store.Tx) {
		for range 1000 {
			state.Tasks.Put(tx, ecs.NewTask(ecs.Launch{ID: arn.NewID(), Cluster: "default", Service: "shop", StartedBy: id, Definition: webDefinition(1), Now: testStart}))
		}
		for i := range int64(100) {
			state.ServiceEvents.Put(tx, &ecs.ServiceEvent{ID: fmt.Sprint(i), Cluster: "default", Service: "shop", Sequence: i})
		}
	})
	for b.Loop() {
		ok(s, s.DescribeServices, `{"services":["shop"]}`)
	}
}
