package ecsapi

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/awsjson"
)

// sample fills every member, however deep, with a value of its own, and returns what it must look like as JSON. It goes
// by reflection and the struct tags, so it shares nothing with the generated codecs.
func sample(v reflect.Value, n *int) any {
	*n++
	switch p := v.Addr().Interface().(type) {
	case *json.RawMessage:
		*p = json.RawMessage(`{"any":["thing"]}`)
		return map[string]any{"any": []any{"thing"}}
	case *time.Time:
		*p = time.UnixMilli(int64(1_795_310_439_000 + *n)).UTC()
		return float64(p.UnixMilli()) / 1000
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return sample(v.Elem(), n)
	case reflect.Struct:
		object := map[string]any{}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("json"); name != "-" { // Encoded is no member
				object[name] = sample(v.Field(i), n)
			}
		}
		return object
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		return []any{sample(v.Index(0), n), sample(v.Index(1), n)}
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		want := sample(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), value)
		return map[string]any{"key": want}
	case reflect.String:
		v.SetString("\"s\u2028" + string(rune('a'+*n%26)))
		return v.String()
	case reflect.Bool:
		v.SetBool(*n%2 == 0)
		return v.Bool()
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
		return float64(*n)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
		return v.Float()
	}
	panic(v.Type())
}

type codec interface {
	AppendJSON([]byte) []byte
	awsjson.Decodable
}

// TestEveryMember writes and reads back every member of every input and output.
func TestEveryMember(t *testing.T) {
	for _, x := range all() {
		n := 0
		want := sample(reflect.ValueOf(x).Elem(), &n)
		b := x.(codec).AppendJSON(nil)
		var got any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%T: %v in %s", x, err, b)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%T as JSON (-want +got):\n%s", x, diff)
		}
		back := reflect.New(reflect.TypeOf(x).Elem()).Interface()
		if err := awsjson.Unmarshal(b, back.(codec)); err != nil {
			t.Fatalf("%T: %v", x, err)
		}
		if !reflect.DeepEqual(x, back) {
			t.Errorf("%T read back (-want +got):\n%s", x, cmp.Diff(x, back))
		}
		viaStd := reflect.New(reflect.TypeOf(x).Elem()).Interface()
		if std, err := json.Marshal(reflect.ValueOf(x).Elem().Interface()); err != nil {
			t.Errorf("%T: json.Marshal: %v", x, err)
		} else if err := json.Unmarshal(std, viaStd); err != nil {
			t.Errorf("%T: json.Unmarshal: %v", x, err)
		} else if !reflect.DeepEqual(x, viaStd) {
			t.Errorf("%T doesn't survive encoding/json", x)
		}
	}
}

func TestOperations(t *testing.T) {
	if got := len(API.Operations); got != 77 {
		t.Errorf("%d operations, the model has 77", got)
	}
	if RunTask.Service != &API || RunTask.Name != "RunTask" || API.TargetPrefix != "AmazonEC2ContainerServiceV20141113" ||
		API.SigningName != "ecs" || API.ID != "ecs" || API.JSONVersion != "1.1" {
		t.Errorf("got %+v, %+v", RunTask, API)
	}
}

func TestPatches(t *testing.T) {
	var in CreateServiceInput
	err := awsjson.Unmarshal([]byte(`{"deploymentConfiguration":{"deploymentCircuitBreaker":{"enable":true,"rollback":true,
		"resetOnHealthyTask":false,"thresholdConfiguration":{"type":"COUNT","value":5}}}}`), &in)
	if err != nil {
		t.Fatal(err)
	}
	cb := in.DeploymentConfiguration.DeploymentCircuitBreaker
	if *cb.ResetOnHealthyTask || *cb.ThresholdConfiguration.Type != DeploymentCircuitBreakerThresholdTypeCount ||
		*cb.ThresholdConfiguration.Value != 5 {
		t.Errorf("got %+v", cb)
	}
	if SettingNameDualStackIPv6 != "dualStackIPv6" {
		t.Error("the setting that the enum lacks")
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		in   codec
		body string
		want string
	}{
		{new(RunTaskInput), `{"taskDefinition":"web"}`, ""},
		{new(RunTaskInput), `{}`, "InvalidParameterException: 1 validation error detected: Value null at 'taskDefinition' " +
			"failed to satisfy constraint: Member must not be null"},
		{new(RunTaskInput), `{"taskDefinition":"web","launchType":"MOON"}`,
			"InvalidParameterException: launch type should be one of [EC2,FARGATE,EXTERNAL,MANAGED_INSTANCES]"},
		{new(RunTaskInput), `{"taskDefinition":"web","tags":[{"key":"a"},{"key":"b!","value":"c"}]}`,
			"InvalidParameterException: 1 validation error detected: Value 'b!' at 'tags.2.member.key' failed to satisfy " +
				`constraint: Member must satisfy regular expression pattern: ([\p{L}\p{Z}\p{N}_.:/=+\-@]*)`},
		{new(RunTaskInput), `{"taskDefinition":"web","networkConfiguration":{"awsvpcConfiguration":{"subnets":[]}}}`,
			"InvalidParameterException: subnets can not be empty."},
		{new(RegisterTaskDefinitionInput), `{"family":"f","containerDefinitions":[{}]}`, ""},
		{new(RegisterTaskDefinitionInput), `{"containerDefinitions":[{}]}`, "ClientException: Family can not be blank."},
		{new(RegisterTaskDefinitionInput), `{"family":"","containerDefinitions":[{}]}`, "ClientException: Family can not be blank."},
		{new(RegisterTaskDefinitionInput), `{"family":"f","containerDefinitions":[]}`, "ClientException: Container list cannot be empty."},
		{new(RegisterTaskDefinitionInput),
			`{"family":"f","containerDefinitions":[{},{"healthCheck":{},"portMappings":[{"protocol":"icmp"}]}]}`,
			"ClientException: 2 validation errors detected: Value null at 'containerDefinitions.2.member.healthCheck.command' failed " +
				"to satisfy constraint: Member must not be null; Value 'icmp' at 'containerDefinitions.2.member.portMappings.1.member" +
				".protocol' failed to satisfy constraint: Member must satisfy enum value set: [tcp, udp]"},
		{new(DescribeServicesInput), `{"services":[]}`, "InvalidParameterException: Services cannot be empty."},
		{new(DescribeTasksInput), `{}`, "InvalidParameterException: Tasks cannot be empty."},
		{new(DescribeClustersInput), `{"include":["TAGS","NAMES"]}`, "InvalidParameterException: 1 validation error detected: " +
			"Value '[TAGS, NAMES]' at 'include' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy " +
			"enum value set: [ATTACHMENTS, CONFIGURATIONS, SETTINGS, STATISTICS, TAGS]]"},
		{new(PutAccountSettingInput), `{"name":"moon","value":"enabled"}`, "InvalidParameterException: moon should be one of [" +
			"serviceLongArnFormat,taskLongArnFormat,containerInstanceLongArnFormat,awsvpcTrunking,containerInsights,dualStackIPv6," +
			"fargateFIPSMode,tagResourceAuthorization,fargateTaskRetirementWaitPeriod,guardDutyActivate,defaultLogDriverMode,fargateEventWindows]"},
		{new(PutAccountSettingInput), `{"name":"dualStackIPv6","value":"enabled"}`, ""},
		{new(CreateCapacityProviderInput), `{"name":"cp","autoScalingGroupProvider":{"autoScalingGroupArn":"a","managedScaling":{"targetCapacity":101}}}`,
			"InvalidParameterException: 1 validation error detected: Value '101' at 'autoScalingGroupProvider.managedScaling." +
				"targetCapacity' failed to satisfy constraint: Member must have value less than or equal to 100"},
	} {
		if err := awsjson.Unmarshal([]byte(c.body), c.in); err != nil {
			t.Fatalf("%s: %v", c.body, err)
		}
		got := ""
		if err := wire.Validate(c.in); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%T %s:\ngot  %s\nwant %s", c.in, c.body, got, c.want)
		}
	}
}

// TestGolden pins the bytes of one answer: a change of the encoder shows here as what a client would see.
func TestGolden(t *testing.T) {
	s := func(s string) *string { return &s }
	created, zero, yes := time.UnixMilli(1795310439489), int32(0), true
	out := &DescribeTasksOutput{
		Failures: []Failure{},
		Tasks: []Task{{
			TaskArn: s("arn:aws:ecs:eu-central-1:123456789012:task/default/0123456789abcdef0123456789abcdef"), CreatedAt: &created,
			LaunchType: s(LaunchTypeEC2), StoppedReason: s("<a> & \"b\"\n\u2028"), EnableExecuteCommand: &yes,
			Containers: []Container{{Name: s("web"), ExitCode: &zero, NetworkBindings: []NetworkBinding{}}},
			Overrides:  &TaskOverride{ContainerOverrides: []ContainerOverride{{Name: s("web"), Command: []string{"sh", "-c", ""}}}},
			Tags:       []Tag{{Key: s("k"), Value: s("")}},
		}},
	}
	got := string(out.AppendJSON(nil)) + "\n"
	want, err := os.ReadFile("testdata/describe_tasks.json")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got  %swant %s", got, want)
	}
}

func fuzz[T any, P interface {
	*T
	codec
}](f *testing.F, seeds ...string) {
	n := 0
	full := P(new(T))
	sample(reflect.ValueOf(full).Elem(), &n)
	f.Add(full.AppendJSON(nil))
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x := P(new(T))
		if err := awsjson.Unmarshal(b, x); err != nil {
			if fault.Code(err) != "SerializationException" {
				t.Fatalf("%v", err)
			}
			return
		}
		wire.Validate(x) //nolint:errcheck // whatever it says, it must not panic
		again := P(new(T))
		if err := awsjson.Unmarshal(x.AppendJSON(nil), again); err != nil {
			t.Fatalf("%s became %s: %v", b, x.AppendJSON(nil), err)
		}
		if !reflect.DeepEqual(x, again) {
			t.Fatalf("%s\n%s", b, cmp.Diff(x, again))
		}
	})
}

func FuzzRegisterTaskDefinition(f *testing.F) {
	fuzz[RegisterTaskDefinitionInput](f, `{"family":"web","containerDefinitions":[{"name":"web","cpu":1e1,"environment":null}]}`,
		`{"tags":[{"key":"\ud83d\ude00"}],"containerDefinitions":[{"dockerLabels":{"":""}}]}`, `[]`, `{"family":`, `null`)
}

func FuzzCreateService(f *testing.F) {
	fuzz[CreateServiceInput](f, `{"serviceName":"web","deploymentConfiguration":{"lifecycleHooks":[{"hookDetails":{"a":[1]}}]}}`,
		`{"deploymentConfiguration":{"lifecycleHooks":[{"hookDetails": null}]}}`, `{"desiredCount":-0.0}`)
}

func describeTasks(n int) *DescribeTasksOutput {
	out := &DescribeTasksOutput{}
	k := 0
	for range n {
		var task Task
		sample(reflect.ValueOf(&task).Elem(), &k)
		out.Tasks = append(out.Tasks, task)
	}
	return out
}

// BenchmarkEncodeDescribeTasks encodes 100 tasks with every member set, several times the size of usual ones.
func BenchmarkEncodeDescribeTasks(b *testing.B) {
	out := describeTasks(100)
	buf := out.AppendJSON(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = out.AppendJSON(buf[:0])
	}
}

func BenchmarkDecodeDescribeTasks(b *testing.B) {
	buf := describeTasks(100).AppendJSON(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := awsjson.Unmarshal(buf, new(DescribeTasksOutput)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidateRegisterTaskDefinition(b *testing.B) {
	var in RegisterTaskDefinitionInput
	n := 0
	sample(reflect.ValueOf(&in).Elem(), &n)
	b.ReportAllocs()
	for b.Loop() {
		wire.Validate(&in) //nolint:errcheck // the sample is invalid all over: the slow path
	}
}
