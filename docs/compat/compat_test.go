// Package compat keeps the support matrix true: docs/compat/ecs.md is what the handlers and patches.json say, and what
// patches.json says of task definitions is what the code does.
package compat

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/definition"
	"github.com/openberth/berth/internal/ecs/operations"
	"github.com/openberth/berth/tools/apigen/compat"
	"github.com/openberth/berth/tools/apigen/model"
)

//go:generate go test . -run TestECS -update

var update = flag.Bool("update", false, "rewrite the pages")

func TestECS(t *testing.T) {
	want, err := compat.Load("../..", &ecsapi.API, new(operations.Service).Handlers())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("ecs.md", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile("ecs.md"); err != nil || !bytes.Equal(have, want) {
		t.Errorf("ecs.md is out of date (%v): run go test ./docs/compat -update", err)
	}
}

// TestTaskDefinitions gives each member of a task definition alone a value, and asks whether such a task may start: what
// patches.json says is refused must be, and what it says is honoured or accepted without a remark mustn't.
func TestTaskDefinitions(t *testing.T) {
	data, err := os.ReadFile("../../api/models/patches.json")
	if err != nil {
		t.Fatal(err)
	}
	patches, err := model.ParsePatches(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		shape string
		of    any
		whole func(member json.RawMessage) string // a definition with the part in it
	}{
		{"RegisterTaskDefinitionRequest", ecsapi.RegisterTaskDefinitionInput{},
			func(m json.RawMessage) string { return string(m) }},
		{"ContainerDefinition", ecsapi.ContainerDefinition{},
			func(m json.RawMessage) string { return `{"containerDefinitions":[` + string(m) + `]}` }},
		{"LogConfiguration", ecsapi.LogConfiguration{},
			func(m json.RawMessage) string {
				return `{"containerDefinitions":[{"logConfiguration":` + strings.Replace(string(m), "{", `{"logDriver":"json-file",`, 1) + `}]}`
			}},
		{"PortMapping", ecsapi.PortMapping{},
			func(m json.RawMessage) string {
				return `{"containerDefinitions":[{"portMappings":[` + string(m) + `]}]}`
			}},
		{"Volume", ecsapi.Volume{},
			func(m json.RawMessage) string { return `{"volumes":[` + string(m) + `]}` }},
	} {
		structure := reflect.TypeOf(part.of)
		for i := range structure.NumField() {
			name := structure.Field(i).Tag.Get("json")
			said := patches["ecs"].Support[part.shape][name]
			if said.Status == "honoured" && (said.Why != "" || nestedElsewhere[name]) {
				continue // it depends on the value
			}
			v := reflect.New(structure).Elem()
			sample(v.Field(i))
			member, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			var td ecs.TaskDefinition
			if err := json.Unmarshal([]byte(part.whole(member)), &td); err != nil {
				t.Fatalf("%s.%s: %v", part.shape, name, err)
			}
			switch refused := definition.Unhonoured(&td); {
			case said.Status == "refused" && len(refused) == 0:
				t.Errorf("%s.%s: patches.json says that it is refused, but a task with %s may start", part.shape, name, member)
			case said.Status != "refused" && len(refused) > 0:
				t.Errorf("%s.%s: patches.json says that it is %s, but a task with %s may not start: %v", part.shape, name, said.Status, member, refused)
			}
		}
	}
}

// nestedElsewhere are members whose own shapes are told apart.
var nestedElsewhere = map[string]bool{"containerDefinitions": true, "volumes": true, "logConfiguration": true, "portMappings": true}

// sample fills v, however deep, with what isn't zero.
func sample(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		sample(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			sample(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		sample(v.Index(0))
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		sample(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	}
}
