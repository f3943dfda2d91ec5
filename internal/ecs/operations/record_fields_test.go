package operations

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
)

// TestRecordsHoldEveryWireField walks the wire types of the documents that go through convert, and their records beside
// them: every member must have a field of the same JSON name and a fitting kind, all the way down, or it would be lost
// without a word. A member that is new in the model fails here until the record has it.
func TestRecordsHoldEveryWireField(t *testing.T) {
	for _, pair := range []struct {
		wire, record any
		elsewhere    []string // members that handlers read and render by hand
	}{
		{ecsapi.RegisterTaskDefinitionInput{}, ecs.TaskDefinition{}, nil},
		{ecsapi.TaskDefinition{}, ecs.TaskDefinition{}, []string{"taskDefinitionArn"}},
		{ecsapi.ContainerDefinition{}, ecs.ContainerDefinition{}, nil},
		{ecsapi.Volume{}, ecs.Volume{}, nil},
		{ecsapi.TaskOverride{}, ecs.TaskOverride{}, nil},
		{ecsapi.ClusterConfiguration{}, ecs.ClusterConfiguration{}, nil},
		{ecsapi.CapacityProviderStrategyItem{}, ecs.CapacityProviderStrategyItem{}, nil},
		{ecsapi.NetworkConfiguration{}, ecs.NetworkConfiguration{}, nil},
		{ecsapi.PlacementConstraint{}, ecs.PlacementConstraint{}, nil},
		{ecsapi.PlacementStrategy{}, ecs.PlacementStrategy{}, nil},
	} {
		name := reflect.TypeOf(pair.wire).Name()
		for _, problem := range missing(name, reflect.TypeOf(pair.wire), reflect.TypeOf(pair.record), pair.elsewhere) {
			t.Error(problem)
		}
	}
}

// TestMissingIsNoticed proves that the walk above sees what it should.
func TestMissingIsNoticed(t *testing.T) {
	type inner struct {
		Deep *int32 `json:"deep"`
	}
	type wire struct {
		Kept *string  `json:"kept"`
		Lost *string  `json:"lost"`
		Text *string  `json:"text"`
		List []inner  `json:"list"`
		Map  []string `json:"map"`
	}
	type recordInner struct{}
	type record struct {
		Kept string            `json:"kept"`
		Text int               `json:"text"`
		List []recordInner     `json:"list"`
		Map  map[string]string `json:"map"`
	}
	got := missing("w", reflect.TypeFor[wire](), reflect.TypeFor[record](), nil)
	want := []string{"w.lost: the record record has no such field", "w.text: string on the wire, int in the record",
		"w.list.deep: the record recordInner has no such field", "w.map: slice on the wire, map in the record"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// missing lists what a record can't hold of a wire type.
func missing(path string, wire, record reflect.Type, elsewhere []string) (problems []string) {
	for wire.Kind() == reflect.Pointer {
		wire = wire.Elem()
	}
	for record.Kind() == reflect.Pointer {
		record = record.Elem()
	}
	if w, r := kind(wire), kind(record); w != r {
		return []string{path + ": " + w + " on the wire, " + r + " in the record"}
	}
	switch {
	case wire == reflect.TypeFor[time.Time]():
	case wire.Kind() == reflect.Slice, wire.Kind() == reflect.Map:
		return missing(path, wire.Elem(), record.Elem(), elsewhere)
	case wire.Kind() == reflect.Struct:
		fields := map[string]reflect.Type{}
		for f := range record.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields[name] = f.Type
		}
		for f := range wire.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			held, ok := fields[name]
			switch {
			case ok:
				problems = append(problems, missing(path+"."+name, f.Type, held, nil)...)
			case !contains(elsewhere, name):
				problems = append(problems, path+"."+name+": the record "+record.Name()+" has no such field")
			}
		}
	}
	return problems
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// kind is a type's kind, all integers being the same.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Float32, reflect.Float64:
		return "float"
	}
	return t.Kind().String()
}
