package compat

import (
	"strings"
	"testing"

	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/tools/apigen/model"
)

func TestRender(t *testing.T) {
	service := &wire.Service{ID: "toy", Title: "Toy Service", APIVersion: "2020-02-02", Operations: []string{"GetToy", "PutToy"}}
	other := &wire.Service{ID: "other"}
	patches := &model.Patches{
		Operations: map[string]string{"PutToy": "No toys yet."},
		Support: map[string]map[string]model.Support{"PutToyRequest": {
			"name":  {Status: "honoured"},
			"size":  {Status: "honoured", Why: "Up to 5."},
			"owner": {Status: "accepted", Why: "Nobody owns toys."},
			"price": {Status: "refused", Why: "Toys are free."},
		}},
	}
	got, err := Render(service, []wire.Handler{{Service: service, Operation: "GetToy"}, {Service: other, Operation: "PutToy"}}, patches)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Toy Service\n", "Berth has 1 of the 2 operations of API version 2020-02-02.",
		"| GetToy | works |  |\n| PutToy | not built yet | No toys yet. |\n",
		"### PutToy\n\nHonoured: `name`.\n\n| field | | |\n|---|---|---|\n| `size` | honoured | Up to 5. |\n" +
			"| `owner` | accepted | Nobody owns toys. |\n| `price` | refused | Toys are free. |\n",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if _, err := Render(service, []wire.Handler{{Service: service, Operation: "EatToy"}}, patches); err == nil {
		t.Error("a handler for an operation that doesn't exist must be an error")
	}
}
