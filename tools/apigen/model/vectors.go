package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// ParseVectors reads a file of protocol test vectors and merges the small models in it into one, from which the types
// that the vectors need are generated.
func ParseVectors(data []byte) (*Model, error) {
	var suites []struct {
		Description string            `json:"description"`
		Metadata    Metadata          `json:"metadata"`
		Shapes      map[string]*Shape `json:"shapes"`
		Cases       []struct {
			Given Operation `json:"given"`
		} `json:"cases"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&suites); err != nil {
		return nil, err
	}
	m := &Model{Operations: map[string]*Operation{}, Shapes: map[string]*Shape{}}
	for _, suite := range suites {
		m.Metadata = suite.Metadata
		for name, s := range suite.Shapes {
			if have := m.Shapes[name]; have != nil && !reflect.DeepEqual(have, s) {
				return nil, fmt.Errorf("%s: shape %s differs from another suite's", suite.Description, name)
			}
			m.Shapes[name] = s
		}
		for _, c := range suite.Cases {
			op := c.Given
			if have := m.Operations[op.Name]; have != nil && !reflect.DeepEqual(have, &op) {
				return nil, fmt.Errorf("%s: operation %s differs from another case's", suite.Description, op.Name)
			}
			m.Operations[op.Name] = &op
		}
	}
	return m, m.check()
}
