package gen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/openberth/berth/tools/apigen/model"
)

// validate writes Validate for every struct that inputs reach and that has something to check, itself or further down.
func (g *generator) validate(f *file) {
	var roots []string
	for _, op := range g.Model.Operations {
		if op.Input != nil {
			roots = append(roots, op.Input.Shape)
		}
	}
	reached := g.Model.Reach(roots...)
	enums, patterns := map[string]bool{}, map[string]bool{}
	for _, shape := range g.structShapes() {
		if !reached[shape] || !g.checked(shape, map[string]bool{}) {
			continue
		}
		f.use(wirePath)
		f.pf("// Validate checks x against the model.\nfunc (x *%s) Validate(v *wire.Validator) {\n", g.goNames[shape])
		if code := g.validationCode(g.goNames[shape]); code != "" {
			f.pf("\tv.Code(%q)\n", code)
		}
		s := g.Model.Shapes[shape]
		for _, member := range model.Names(s.Members) {
			g.checkMember(f, shape, member, enums, patterns)
		}
		f.pf("}\n\n")
	}
	for _, shape := range model.Names(enums) {
		var values []string
		for _, value := range g.Model.Shapes[shape].Enum {
			values = append(values, strconv.Quote(value))
		}
		f.pf("var enum%s = []string{%s}\n\n", g.goNames[shape], strings.Join(values, ", "))
	}
	for _, shape := range model.Names(patterns) {
		f.pf("var pattern%s = wire.NewPattern(%q)\n\n", g.goNames[shape], g.Model.Shapes[shape].Pattern)
	}
}

// validationCode is the code that an input's problems are answered with; "" for shapes that aren't inputs.
func (g *generator) validationCode(name string) string {
	op, ok := strings.CutSuffix(name, "Input")
	if !ok || g.Model.Operations[op] == nil || g.Patches == nil {
		return ""
	}
	if code := g.Patches.Validation.Codes[op]; code != "" {
		return code
	}
	return g.Patches.Validation.Code
}

// checked reports whether a shape has anything to check; seen breaks cycles.
func (g *generator) checked(shape string, seen map[string]bool) bool {
	if seen[shape] {
		return false
	}
	seen[shape] = true
	s := g.Model.Shapes[shape]
	if len(s.Required) > 0 || len(s.Enum) > 0 || s.Min != nil || s.Max != nil || s.Pattern != "" {
		return true
	}
	for _, ref := range []*model.Ref{s.Member, s.Value} {
		if ref != nil && g.checked(ref.Shape, seen) {
			return true
		}
	}
	for _, ref := range s.Members {
		if g.checked(ref.Shape, seen) {
			return true
		}
	}
	return false
}

// rule returns the words to answer with, as further arguments of a check, and whether to check at all.
func (g *generator) rule(shape, member, constraint string) (words string, check bool) {
	if g.Patches == nil {
		return "", true
	}
	r, ok := g.Patches.Validation.Rule(shape, member, constraint)
	switch {
	case !ok:
		return "", true
	case r.Message == "":
		return "", false
	}
	return fmt.Sprintf(", wire.Words{Code: %q, Message: %q}", r.Code, r.Message), true
}

func (g *generator) checkMember(f *file, shape, member string, enums, patterns map[string]bool) {
	s := g.Model.Shapes[shape]
	ref := s.Members[member]
	name, field := wireName(member, ref), "x."+Exported(member)
	g.checkPresence(f, shape, member)
	switch t := g.Model.Shapes[ref.Shape]; t.Type {
	case "string":
		g.checkString(f, shape, member, name, field, enums, patterns)
	case "integer", "long", "float", "double":
		if words, check := g.rule(shape, member, "min"); t.Min != nil && check {
			f.pf("\twire.Min(v, %q, %s, %s%s)\n", name, field, number(*t.Min), words)
		}
		if words, check := g.rule(shape, member, "max"); t.Max != nil && check {
			f.pf("\twire.Max(v, %q, %s, %s%s)\n", name, field, number(*t.Max), words)
		}
	case "list", "map":
		g.checkCollection(f, shape, member, name, field, enums)
	case "structure":
		if g.checked(ref.Shape, map[string]bool{}) {
			f.pf("\tif %s != nil {\n\t\tv.In(%q)\n\t\t%s.Validate(v)\n\t\tv.Out()\n\t}\n", field, name, field)
		}
	}
}

func (g *generator) checkPresence(f *file, shape, member string) {
	s := g.Model.Shapes[shape]
	ref := s.Members[member]
	name, field := wireName(member, ref), "x."+Exported(member)
	if words, _ := g.rule(shape, member, "nonempty"); words != "" {
		present := "len(" + field + ") > 0"
		if g.Model.Shapes[ref.Shape].Type == "string" {
			present = field + ` != nil && *` + field + ` != ""`
		}
		f.pf("\tv.Required(%q, %s%s)\n", name, present, words)
		return
	}
	if words, check := g.rule(shape, member, "required"); slices.Contains(s.Required, member) && check {
		f.pf("\tv.Required(%q, %s != nil%s)\n", name, field, words)
	}
}

func (g *generator) checkString(f *file, shape, member, name, field string, enums, patterns map[string]bool) {
	target := g.Model.Shapes[shape].Members[member].Shape
	t := g.Model.Shapes[target]
	if words, check := g.rule(shape, member, "enum"); len(t.Enum) > 0 && check {
		enums[target] = true
		f.pf("\tv.Enum(%q, %s, enum%s%s)\n", name, field, g.goNames[target], words)
	}
	g.checkBounds(shape, member, t, func(low, high int, words string) {
		f.pf("\tv.Length(%q, %s, %d, %d%s)\n", name, field, low, high, words)
	})
	if words, check := g.rule(shape, member, "pattern"); t.Pattern != "" && check {
		patterns[target] = true
		f.pf("\tv.Pattern(%q, %s, pattern%s%s)\n", name, field, g.goNames[target], words)
	}
}

// checkBounds calls write for the bounds that are to be checked: once for both, unless they are answered in different words.
func (g *generator) checkBounds(shape, member string, t *model.Shape, write func(low, high int, words string)) {
	low, high := -1, -1
	lowWords, lowCheck := g.rule(shape, member, "min")
	highWords, highCheck := g.rule(shape, member, "max")
	if t.Min != nil && *t.Min > 0 && lowCheck { // a length of at least 0 always holds
		low = int(*t.Min)
	}
	if t.Max != nil && highCheck {
		high = int(*t.Max)
	}
	if lowWords == highWords && low >= 0 && high >= 0 {
		write(low, high, lowWords)
		return
	}
	if low >= 0 {
		write(low, -1, lowWords)
	}
	if high >= 0 {
		write(-1, high, highWords)
	}
}

func (g *generator) checkCollection(f *file, shape, member, name, field string, enums map[string]bool) {
	t := g.Model.Shapes[g.Model.Shapes[shape].Members[member].Shape]
	g.checkBounds(shape, member, t, func(low, high int, words string) {
		f.pf("\tif %s != nil {\n\t\tv.Size(%q, len(%s), %d, %d%s)\n\t}\n", field, name, field, low, high, words)
	})
	element, enter := t.Member, "for i := range %[1]s {\n\t\tv.At(%[2]q, i)\n\t\t%[1]s[i].Validate(v)"
	if t.Type == "map" {
		element = t.Value
		enter = "for key, value := range %[1]s {\n\t\tv.Key(%[2]q, key)\n\t\tvalue.Validate(v)"
	}
	e := g.Model.Shapes[element.Shape]
	switch {
	case e.Type == "structure" && g.checked(element.Shape, map[string]bool{}):
		f.pf("\t"+enter+"\n\t\tv.Out()\n\t}\n", field, name)
	case t.Type == "list" && len(e.Enum) > 0:
		if words, check := g.rule(shape, member, "enum"); check {
			enums[element.Shape] = true
			f.pf("\tv.EnumList(%q, %s, enum%s%s)\n", name, field, g.goNames[element.Shape], words)
		}
	}
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
