package gen

import (
	"strings"
	"testing"

	"github.com/openberth/berth/tools/apigen/model"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Exported("taskDefinition"), "TaskDefinition"},
		{Exported("s3filesVolumeConfiguration"), "S3filesVolumeConfiguration"},
		{Exported("3d"), "X3d"},
		{Exported("x-y.z"), "X_y_z"},
		{EnumConst("LaunchType", "EC2"), "LaunchTypeEC2"},
		{EnumConst("LaunchType", "MANAGED_INSTANCES"), "LaunchTypeManagedInstances"},
		{EnumConst("LogDriver", "json-file"), "LogDriverJsonFile"},
		{EnumConst("CPUArchitecture", "X86_64"), "CPUArchitectureX8664"},
		{EnumConst("StopCode", "TaskFailedToStart"), "StopCodeTaskFailedToStart"},
		{EnumConst("Delimiter", "/"), "DelimiterEmpty"},
		{ErrorConst("ClusterNotFoundException"), "ErrClusterNotFound"},
		{ErrorConst("Throttled"), "ErrThrottled"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func generate(t *testing.T, shapes string, patches *model.Patches) (map[string][]byte, error) {
	t.Helper()
	m, err := model.Parse([]byte(`{"operations": {"PutToy": {"name": "PutToy", "input": {"shape": "PutToyRequest"}}},
		"shapes": {"String": {"type": "string"}, ` + shapes + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return Generate(Config{Package: "toyapi", ID: "toy", Model: m, Patches: patches})
}

func contains(t *testing.T, src []byte, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(string(src), w) {
			t.Errorf("no %q in\n%s", w, src)
		}
	}
}

func TestTypes(t *testing.T) {
	files, err := generate(t, `"PutToyRequest": {"type": "structure", "members": {
			"name": {"shape": "String"}, "when": {"shape": "Time"}, "parts": {"shape": "Toys"}, "labels": {"shape": "Labels"},
			"kind": {"shape": "Kind"}, "any": {"shape": "Any"}, "raw": {"shape": "Raw"}, "one": {"shape": "Toy"}}},
		"Toy": {"type": "structure", "members": {"inside": {"shape": "Toys"}}},
		"Toys": {"type": "list", "member": {"shape": "Toy"}},
		"Labels": {"type": "map", "key": {"shape": "String"}, "value": {"shape": "String"}},
		"Time": {"type": "timestamp"}, "Raw": {"type": "blob"},
		"Any": {"type": "structure", "members": {}, "document": true},
		"Kind": {"type": "string", "enum": ["A-B", "A_B"]}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range files {
		if !strings.HasPrefix(string(src), Header) {
			t.Errorf("%s lacks the header", name)
		}
	}
	contains(t, files["inputs.go"], "type PutToyInput struct", "*string", "*time.Time", "[]Toy", "map[string]string", "*Kind",
		"json.RawMessage", "[]byte", "*Toy")
	contains(t, files["service.go"], "type PutToyOutput struct{}", "PutToy = wire.Operation[PutToyInput, PutToyOutput]")
	contains(t, files["enums.go"], "type Kind = string", `KindAB  Kind = "A-B"`, `KindAB2 Kind = "A_B"`)
	contains(t, files["shapes.go"], "type Toy struct") // recursive, through a slice
}

func TestRules(t *testing.T) {
	shapes := `"PutToyRequest": {"type": "structure", "required": ["name", "kind"], "members": {"name": {"shape": "Name"}, "kind": {"shape": "Kind"}}},
		"Name": {"type": "string", "min": 1, "max": 5, "pattern": "[a-z]*"}, "Kind": {"type": "string", "enum": ["CAR"]}`
	files, err := generate(t, shapes, &model.Patches{Validation: model.Validation{Code: "Bad"}})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, files["validate.go"], `v.Code("Bad")`, `v.Required("name", x.Name != nil)`, `v.Required("kind", x.Kind != nil)`,
		`v.Enum("kind", x.Kind, enumKind)`, `v.Length("name", x.Name, 1, 5)`, `v.Pattern("name", x.Name, patternName)`)

	files, err = generate(t, shapes, &model.Patches{Validation: model.Validation{
		Code: "Bad", Codes: map[string]string{"PutToy": "Worse"}, Rules: []model.Rule{
			{Shape: "PutToyRequest", Member: "name", Constraint: "nonempty", Code: "C", Message: "No name."},
			{Shape: "PutToyRequest", Member: "name", Constraint: "max", Code: "C", Message: "Long name."},
			{Shape: "PutToyRequest", Member: "name", Constraint: "pattern"},
			{Shape: "PutToyRequest", Member: "kind", Constraint: "required"},
			{Shape: "PutToyRequest", Member: "kind", Constraint: "enum", Code: "C", Message: "No such kind."},
		}}})
	if err != nil {
		t.Fatal(err)
	}
	src := files["validate.go"]
	contains(t, src, `v.Code("Worse")`, `v.Required("name", x.Name != nil && *x.Name != "", wire.Words{Code: "C", Message: "No name."})`,
		`v.Length("name", x.Name, 1, -1)`, `v.Length("name", x.Name, -1, 5, wire.Words{Code: "C", Message: "Long name."})`,
		`v.Enum("kind", x.Kind, enumKind, wire.Words{Code: "C", Message: "No such kind."})`)
	for _, gone := range []string{"Pattern", `Required("kind"`} {
		if strings.Contains(string(src), gone) {
			t.Errorf("%s is still checked in\n%s", gone, src)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, c := range []struct{ shapes, want string }{
		{`"PutToyRequest": {"type": "structure", "members": {"a": {"shape": "A"}}}, "A": {"type": "tuple"}`, `type "tuple" isn't supported`},
		{`"PutToyRequest": {"type": "structure", "members": {"a": {"shape": "A"}}}, "A": {"type": "list", "member": {"shape": "D"}},
			"D": {"type": "structure", "document": true}`, "lists of documents"},
		{`"PutToyRequest": {"type": "structure", "members": {"a": {"shape": "A"}}}, "N": {"type": "integer"},
			"A": {"type": "map", "key": {"shape": "N"}, "value": {"shape": "N"}}`, "map keys of type integer"},
		{`"PutToyRequest": {"type": "structure", "members": {"a": {"shape": "A"}}}, "A": {"type": "string", "pattern": "(?!a).*"}`, "pattern"},
	} {
		if _, err := generate(t, c.shapes, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
