package model

import (
	"strings"
	"testing"
)

const toy = `{"operations": {"PutToy": {"name": "PutToy", "input": {"shape": "PutToyRequest"}}},
	"shapes": {
		"PutToyRequest": {"type": "structure", "required": ["name"], "members": {"name": {"shape": "Name"}, "kinds": {"shape": "Kinds"}}},
		"Name": {"type": "string", "min": 1},
		"Kinds": {"type": "list", "member": {"shape": "Kind"}},
		"Kind": {"type": "string", "enum": ["CAR", "DOLL"]}}}`

// TestPatchesThatDoNotFit: a patch that says something about what isn't there is a mistake, or has been overtaken by a
// newer model; either way somebody must look.
func TestPatchesThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ patch, want string }{
		{`{}`, ""},
		{`{"shapes": {"Kind": {"why": "w", "enum": ["BALL"]}}}`, ""},
		{`{"shapes": {"Kind": {"enum": ["BALL"]}}}`, "say why"},
		{`{"shapes": {"Kind": {"why": "w", "enum": ["CAR"]}}}`, "the model has it now"},
		{`{"shapes": {"Kind": {"why": "w", "type": "string"}}}`, "the model has it now"},
		{`{"shapes": {"Colour": {"why": "w", "enum": ["RED"]}}}`, "no such shape"},
		{`{"shapes": {"PutToyRequest": {"why": "w", "members": {"name": {"shape": "Name"}}}}}`, "the model has it now"},
		{`{"shapes": {"PutToyRequest": {"why": "w", "members": {"size": {"shape": "Size"}}}}}`, `shape "Size", which the model lacks`},
		{`{"shapes": {"PutToyRequest": {"why": "w", "members": {"size": {"shape": "Size"}}}, "Size": {"why": "w", "type": "integer"}}}`, ""},
		{`{"validation": {"codes": {"EatToy": "X"}}}`, "no such operation"},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "name", "constraint": "required"}]}}`, ""},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "name", "constraint": "min"}]}}`, ""},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "kinds", "constraint": "enum"}]}}`, ""},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "kinds", "constraint": "nonempty", "code": "C", "message": "M"}]}}`, ""},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "kinds", "constraint": "nonempty"}]}}`, "no constraint"},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "kinds", "constraint": "required"}]}}`, "no constraint"},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "name", "constraint": "max"}]}}`, "no constraint"},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "name", "constraint": "min", "code": "C"}]}}`, "go together"},
		{`{"validation": {"rules": [{"shape": "PutToyRequest", "member": "name", "constraint": "min"}]}}`, "say why"},
		{`{"validation": {"rules": [{"why": "w", "shape": "PutToyRequest", "member": "size", "constraint": "min"}]}}`, "no such member"},
		{`{"validation": {"rules": [{"why": "w", "shape": "EatToyRequest", "member": "name", "constraint": "min"}]}}`, "no such shape"},
		{`{"support": {"PutToyRequest": {"name": {"status": "honoured"}, "kinds": {"status": "refused", "why": "w"}}}}`, ""},
		{`{"support": {"PutToyRequest": {"name": {"status": "honoured"}}}}`, "kinds: say what Berth does with it"},
		{`{"support": {"PutToyRequest": {"name": {"status": "honoured"}, "kinds": {"status": "refused"}}}}`, "needs a reason"},
		{`{"support": {"PutToyRequest": {"name": {"status": "loved"}, "kinds": {"status": "honoured"}}}}`, "unknown status"},
		{`{"support": {"PutToyRequest": {"name": {"status": "honoured"}, "kinds": {"status": "honoured"}, "size": {"status": "honoured"}}}}`, "no such member"},
		{`{"support": {"EatToyRequest": {}}}`, "no such shape"},
		{`{"operations": {"EatToy": "Don't."}}`, "no such operation"},
	} {
		m, err := Parse([]byte(toy))
		if err != nil {
			t.Fatal(err)
		}
		all, err := ParsePatches([]byte(`{"toy": ` + c.patch + `}`))
		if err != nil {
			t.Fatal(err)
		}
		switch err := all["toy"].Apply(m); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.patch, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", c.patch, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ model, want string }{
		{`{`, "unexpected end"},
		{`{"operations": {"X": {"input": {"shape": "Y"}}}}`, `X refers to shape "Y"`},
		{`{"operations": {"X": {"errors": [{"shape": "Y"}]}}}`, `X refers to shape "Y"`},
		{`{"shapes": {"X": {"type": "list", "member": {"shape": "Y"}}}}`, `X refers to shape "Y"`},
		{`{"shapes": {"X": {"type": "structure", "members": {"m": {"shape": "Y"}}}}}`, `X.m refers to shape "Y"`},
		{`{"shapes": {"X": {"type": "structure", "required": ["m"]}}}`, `X requires member "m"`},
	} {
		if _, err := Parse([]byte(c.model)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.model, err, c.want)
		}
	}
}
