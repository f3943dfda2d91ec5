// Package model reads AWS API models (botocore's JSON, prose removed) and the patches that Berth lays over them.
package model

import (
	"encoding/json"
	"fmt"
	"sort"
)

// Model is one AWS API.
type Model struct {
	Metadata   Metadata              `json:"metadata"`
	Operations map[string]*Operation `json:"operations"`
	Shapes     map[string]*Shape     `json:"shapes"`
}

// Metadata says how the API is spoken.
type Metadata struct {
	APIVersion      string `json:"apiVersion"`
	Protocol        string `json:"protocol"`
	JSONVersion     string `json:"jsonVersion"`
	ServiceFullName string `json:"serviceFullName"`
	SigningName     string `json:"signingName"`
	EndpointPrefix  string `json:"endpointPrefix"`
	TargetPrefix    string `json:"targetPrefix"`
}

// Operation is one call of the API.
type Operation struct {
	Name   string `json:"name"`
	Input  *Ref   `json:"input"`
	Output *Ref   `json:"output"`
	Errors []Ref  `json:"errors"`
}

// Ref is a use of a shape.
type Ref struct {
	Shape           string `json:"shape"`
	LocationName    string `json:"locationName"`
	TimestampFormat string `json:"timestampFormat"`
	JSONValue       bool   `json:"jsonvalue"`
}

// Shape is a type of the API.
type Shape struct {
	Type            string         `json:"type"`
	Members         map[string]Ref `json:"members"`
	Required        []string       `json:"required"`
	Member          *Ref           `json:"member"`
	Key             *Ref           `json:"key"`
	Value           *Ref           `json:"value"`
	Enum            []string       `json:"enum"`
	Min             *float64       `json:"min"`
	Max             *float64       `json:"max"`
	Pattern         string         `json:"pattern"`
	Document        bool           `json:"document"`
	Union           bool           `json:"union"`
	Exception       bool           `json:"exception"`
	Fault           bool           `json:"fault"`
	TimestampFormat string         `json:"timestampFormat"`
	Encoded         bool           `json:"-"` // by patches.json
}

// Parse reads a model and checks that every shape that it names exists, so that the generator needn't.
func Parse(data []byte) (*Model, error) {
	m := &Model{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, err
	}
	return m, m.check()
}

func (m *Model) check() error {
	ref := func(from string, r *Ref) error {
		if r != nil && m.Shapes[r.Shape] == nil {
			return fmt.Errorf("%s refers to shape %q, which the model lacks", from, r.Shape)
		}
		return nil
	}
	for name, op := range m.Operations {
		if err := ref(name, op.Input); err != nil {
			return err
		}
		if err := ref(name, op.Output); err != nil {
			return err
		}
		for i := range op.Errors {
			if err := ref(name, &op.Errors[i]); err != nil {
				return err
			}
		}
	}
	for name, s := range m.Shapes {
		for _, r := range []*Ref{s.Member, s.Key, s.Value} {
			if err := ref(name, r); err != nil {
				return err
			}
		}
		for member, r := range s.Members {
			if err := ref(name+"."+member, &r); err != nil {
				return err
			}
		}
		for _, member := range s.Required {
			if _, ok := s.Members[member]; !ok {
				return fmt.Errorf("%s requires member %q, which it lacks", name, member)
			}
		}
	}
	return nil
}

// Names returns the keys of a map in order: everything that is generated is generated in one order.
func Names[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Reach returns the shapes that can be reached from the named ones, themselves included.
func (m *Model) Reach(from ...string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		s := m.Shapes[name]
		for _, r := range []*Ref{s.Member, s.Key, s.Value} {
			if r != nil {
				visit(r.Shape)
			}
		}
		for _, r := range s.Members {
			visit(r.Shape)
		}
	}
	for _, name := range from {
		visit(name)
	}
	return seen
}
