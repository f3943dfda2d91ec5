package model

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Patches are Berth's notes on one AWS API: what the model lacks, what it gets wrong, and what Berth does with each
// field. They live in api/models/patches.json, keyed by service id.
type Patches struct {
	// Title replaces the model's serviceFullName where AWS has renamed the service since.
	Title string `json:"title"`
	// Shapes adds shapes and members, or enum values.
	Shapes map[string]ShapePatch `json:"shapes"`
	// Validation says what model validation answers, and what it leaves to the handlers.
	Validation Validation `json:"validation"`
	// Support says, by shape and member, what Berth does with a field; a shape that is listed is listed whole. Operations
	// are remarks on whole operations.
	Support    map[string]map[string]Support `json:"support"`
	Operations map[string]string             `json:"operations"`
}

// ShapePatch adds to a shape, or makes a new one when Type is set.
type ShapePatch struct {
	Why     string         `json:"why"`
	Type    string         `json:"type"`
	Members map[string]Ref `json:"members"`
	Enum    []string       `json:"enum"`
	// Encoded gives the structure a field for its own encoding, for answers that are asked for again and again.
	Encoded bool `json:"encoded"`
}

// Validation tunes the checks that are generated from the model.
type Validation struct {
	// Code is the AWS code of the one error that names all problems; Codes are for operations that answer otherwise.
	Code  string            `json:"code"`
	Codes map[string]string `json:"codes"`
	// Rules are for constraints that the service has words of its own for.
	Rules []Rule `json:"rules"`
}

// Rule changes the check of one constraint. With a message, the check answers in these words; without, there is no
// check: a handler makes it, because it depends on more than the model knows or the domain states it better.
type Rule struct {
	Why    string `json:"why"`
	Shape  string `json:"shape"`
	Member string `json:"member"`
	// Constraint is "required", "enum", "min", "max" or "pattern"; or "nonempty", which the model can't say and which
	// takes the place of "required".
	Constraint string `json:"constraint"`
	Code       string `json:"code"`
	Message    string `json:"message"` // %s = the value
}

// Support says what Berth does with a field.
type Support struct {
	// Status is "honoured", "accepted" (stored and shown, no effect) or "refused" (aloud, where it would take effect).
	Status string `json:"status"`
	Why    string `json:"why"`
}

// ParsePatches reads patches.json.
func ParsePatches(data []byte) (map[string]*Patches, error) {
	all := map[string]*Patches{}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("patches: %w", err)
	}
	return all, nil
}

// Apply lays the patches over the model. A patch that no longer applies (the model caught up, a name is wrong) is an
// error: stale patches would hide what the model says.
func (p *Patches) Apply(m *Model) error {
	if p.Title != "" {
		m.Metadata.ServiceFullName = p.Title
	}
	for _, name := range Names(p.Shapes) {
		if err := p.Shapes[name].apply(m, name); err != nil {
			return err
		}
	}
	if err := p.Validation.check(m); err != nil {
		return err
	}
	for _, shape := range Names(p.Support) {
		s := m.Shapes[shape]
		if s == nil {
			return fmt.Errorf("patches: support %s: no such shape", shape)
		}
		// A shape is told whole: a member that came with a newer model must be decided on, not forgotten.
		for _, member := range Names(s.Members) {
			if _, ok := p.Support[shape][member]; !ok {
				return fmt.Errorf("patches: support %s.%s: say what Berth does with it", shape, member)
			}
		}
		for _, member := range Names(p.Support[shape]) {
			if _, ok := s.Members[member]; !ok {
				return fmt.Errorf("patches: support %s.%s: no such member", shape, member)
			}
			sup := p.Support[shape][member]
			switch {
			case !slices.Contains([]string{"honoured", "accepted", "refused"}, sup.Status):
				return fmt.Errorf("patches: support %s.%s: unknown status %q", shape, member, sup.Status)
			case sup.Why == "" && sup.Status != "honoured":
				return fmt.Errorf("patches: support %s.%s: %s needs a reason", shape, member, sup.Status)
			}
		}
	}
	for _, op := range Names(p.Operations) {
		if m.Operations[op] == nil {
			return fmt.Errorf("patches: operations %s: no such operation", op)
		}
	}
	return m.check()
}

func (p ShapePatch) apply(m *Model, name string) error {
	s := m.Shapes[name]
	switch {
	case p.Why == "":
		return fmt.Errorf("patches: shape %s: say why", name)
	case p.Type != "" && s != nil:
		return fmt.Errorf("patches: shape %s: the model has it now", name)
	case p.Type != "":
		s = &Shape{Type: p.Type, Members: map[string]Ref{}}
		m.Shapes[name] = s
	case s == nil:
		return fmt.Errorf("patches: shape %s: no such shape", name)
	}
	for member, ref := range p.Members {
		if _, ok := s.Members[member]; ok {
			return fmt.Errorf("patches: %s.%s: the model has it now", name, member)
		}
		s.Members[member] = ref
	}
	for _, value := range p.Enum {
		if slices.Contains(s.Enum, value) {
			return fmt.Errorf("patches: %s value %q: the model has it now", name, value)
		}
		s.Enum = append(s.Enum, value)
	}
	s.Encoded = p.Encoded
	return nil
}

func (v Validation) check(m *Model) error {
	for _, op := range Names(v.Codes) {
		if m.Operations[op] == nil {
			return fmt.Errorf("patches: validation code of %s: no such operation", op)
		}
	}
	for _, r := range v.Rules {
		s := m.Shapes[r.Shape]
		if s == nil {
			return fmt.Errorf("patches: rule for %s: no such shape", r.Shape)
		}
		ref, ok := s.Members[r.Member]
		if !ok {
			return fmt.Errorf("patches: rule for %s.%s: no such member", r.Shape, r.Member)
		}
		target, there := m.Shapes[ref.Shape], false
		switch r.Constraint {
		case "required":
			there = slices.Contains(s.Required, r.Member)
		case "enum":
			there = len(target.Enum) > 0 || target.Member != nil && len(m.Shapes[target.Member.Shape].Enum) > 0
		case "min":
			there = target.Min != nil
		case "max":
			there = target.Max != nil
		case "pattern":
			there = target.Pattern != ""
		case "nonempty":
			there = (target.Type == "list" || target.Type == "string") && r.Message != ""
		}
		switch {
		case !there:
			return fmt.Errorf("patches: rule for %s.%s: the model has no constraint %q there", r.Shape, r.Member, r.Constraint)
		case r.Why == "":
			return fmt.Errorf("patches: rule for %s.%s: say why", r.Shape, r.Member)
		case (r.Code == "") != (r.Message == ""):
			return fmt.Errorf("patches: rule for %s.%s: code and message go together", r.Shape, r.Member)
		}
	}
	return nil
}

// Rule returns the rule for a constraint, if there is one.
func (v Validation) Rule(shape, member, constraint string) (Rule, bool) {
	for _, r := range v.Rules {
		if r.Shape == shape && r.Member == member && r.Constraint == constraint {
			return r, true
		}
	}
	return Rule{}, false
}
