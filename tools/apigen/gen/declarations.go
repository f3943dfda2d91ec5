package gen

import (
	"strconv"
	"strings"

	"github.com/openberth/berth/tools/apigen/model"
)

// goType is the Go type of a value of a shape: the element type of a list, the value type of a map.
func (g *generator) goType(shape string) string {
	s := g.Model.Shapes[shape]
	switch s.Type {
	case "string":
		if len(s.Enum) > 0 {
			return g.goNames[shape]
		}
		return "string"
	case "integer":
		return "int32"
	case "long":
		return "int64"
	case "float":
		return "float32"
	case "double":
		return "float64"
	case "boolean":
		return "bool"
	case "timestamp":
		return "time.Time"
	case "blob":
		return "[]byte"
	case "list":
		return "[]" + g.goType(s.Member.Shape)
	case "map":
		return "map[string]" + g.goType(s.Value.Shape)
	default: // structure
		if s.Document {
			return "json.RawMessage"
		}
		return g.goNames[shape]
	}
}

// memberType is the Go type of a member: goType, or a pointer to it where nil must mean "absent".
func (g *generator) memberType(shape string) string {
	t := g.goType(shape)
	if g.nillable(shape) {
		return t
	}
	return "*" + t
}

func (g *generator) nillable(shape string) bool {
	s := g.Model.Shapes[shape]
	return s.Type == "list" || s.Type == "map" || s.Type == "blob" || s.Document
}

// wireName is how a member is spelled in JSON.
func wireName(member string, ref model.Ref) string {
	if ref.LocationName != "" {
		return ref.LocationName
	}
	return member
}

func (g *generator) structs(f *file, shapes []string) {
	for _, shape := range shapes {
		name := g.goNames[shape]
		s := g.Model.Shapes[shape]
		f.pf("// %s is %s.\n", name, g.describe(shape))
		f.pf("type %s struct {\n", name)
		for _, member := range model.Names(s.Members) {
			ref := s.Members[member]
			t := g.memberType(ref.Shape)
			if strings.Contains(t, "time.") {
				f.use("time")
			}
			if strings.Contains(t, "json.") {
				f.use("encoding/json")
			}
			f.pf("\t%s %s `json:%q`\n", Exported(member), t, wireName(member, ref))
		}
		if s.Encoded {
			f.pf("\n\t// Encoded, if set, is what AppendJSON appends: the members, encoded before.\n\tEncoded []byte `json:\"-\"`\n")
		}
		f.pf("}\n\n")
	}
}

func (g *generator) describe(shape string) string {
	name := g.goNames[shape]
	switch {
	case strings.HasSuffix(name, "Input") && g.Model.Operations[strings.TrimSuffix(name, "Input")] != nil:
		return "what a " + strings.TrimSuffix(name, "Input") + " request carries"
	case strings.HasSuffix(name, "Output") && g.Model.Operations[strings.TrimSuffix(name, "Output")] != nil:
		return "what a " + strings.TrimSuffix(name, "Output") + " answer carries"
	case g.Model.Shapes[shape].Union:
		return "a union of the API: exactly one member is set"
	default:
		return "a shape of the API"
	}
}

func (g *generator) enums(f *file) {
	taken := map[string]bool{}
	for _, name := range g.goNames {
		taken[name] = true
	}
	for _, shape := range model.Names(g.Model.Shapes) {
		s := g.Model.Shapes[shape]
		if s.Type != "string" || len(s.Enum) == 0 {
			continue
		}
		name := g.goNames[shape]
		f.pf("// %s is an enum of the API; an alias, so that its values are plain strings.\n", name)
		f.pf("type %s = string\n\n// Values of %s.\nconst (\n", name, name)
		for _, value := range s.Enum {
			c := EnumConst(name, value)
			for i := 2; taken[c]; i++ {
				c = EnumConst(name, value) + strconv.Itoa(i)
			}
			taken[c] = true
			f.pf("\t%s %s = %q\n", c, name, value)
		}
		f.pf(")\n\n")
	}
}

func (g *generator) errors(f *file) {
	f.pf("// Error codes of the API, as they stand in \"__type\".\nconst (\n")
	for _, shape := range model.Names(g.Model.Shapes) {
		if g.Model.Shapes[shape].Exception {
			f.pf("\t%s = %q\n", ErrorConst(shape), shape)
		}
	}
	f.pf(")\n")
}

func (g *generator) service(f *file) {
	f.use(wirePath)
	md := g.Model.Metadata
	signing := md.SigningName
	if signing == "" {
		signing = md.EndpointPrefix
	}
	f.pf("// API describes the service: its names on the wire and every operation of the model.\nvar API = wire.Service{\n")
	for _, field := range [][2]string{{"ID", g.ID}, {"Title", md.ServiceFullName}, {"SigningName", signing},
		{"APIVersion", md.APIVersion}, {"Protocol", md.Protocol}, {"JSONVersion", md.JSONVersion},
		{"TargetPrefix", md.TargetPrefix}} {
		f.pf("\t%s: %q,\n", field[0], field[1])
	}
	f.pf("\tOperations: []string{\n")
	ops := model.Names(g.Model.Operations)
	for _, op := range ops {
		f.pf("\t\t%q,\n", op)
	}
	f.pf("\t},\n}\n\n// The operations, for wire.Handle.\nvar (\n")
	for _, op := range ops {
		f.pf("\t%s = wire.Operation[%sInput, %sOutput]{Service: &API, Name: %q}\n", op, op, op, op)
	}
	f.pf(")\n\n")
	for _, alias := range model.Names(g.aliases) {
		switch target := g.aliases[alias]; target {
		case "":
			f.pf("// %s is empty.\ntype %s struct{}\n\n", alias, alias)
		default:
			f.pf("// %s is shared with other operations, or with the other end of this one.\ntype %s = %s\n\n", alias, alias, target)
		}
	}
}

// emptyStructs are the inputs and outputs that the model doesn't have; they need codecs like any other.
func (g *generator) emptyStructs() []string {
	var names []string
	for _, alias := range model.Names(g.aliases) {
		if g.aliases[alias] == "" {
			names = append(names, alias)
		}
	}
	return names
}

// eachStruct calls write for every generated struct with its Go name; s is nil for the empty ones.
func (g *generator) eachStruct(write func(name, shape string, s *model.Shape)) {
	for _, shape := range g.structShapes() {
		write(g.goNames[shape], shape, g.Model.Shapes[shape])
	}
	for _, name := range g.emptyStructs() {
		write(name, "", &model.Shape{})
	}
}

// collections are the list and map shapes that structs reach and that awsjson has no ready-made code for; each gets its
// own append and decode function.
func (g *generator) collections() []string {
	var names []string
	for _, shape := range model.Names(g.Model.Shapes) {
		s := g.Model.Shapes[shape]
		if (s.Type == "list" || s.Type == "map") && g.ready(shape) == "" {
			names = append(names, shape)
		}
	}
	return names
}

// ready names the awsjson code that handles a whole collection: "Strings", "StringMap", or "".
func (g *generator) ready(shape string) string {
	switch s := g.Model.Shapes[shape]; {
	case s.Type == "list" && g.Model.Shapes[s.Member.Shape].Type == "string":
		return "Strings"
	case s.Type == "map" && g.Model.Shapes[s.Value.Shape].Type == "string":
		return "StringMap"
	}
	return ""
}

// scalar names the awsjson code that handles a scalar: "String", "Int32" ...
func (g *generator) scalar(ref model.Ref) string {
	s := g.Model.Shapes[ref.Shape]
	switch s.Type {
	case "string":
		return "String"
	case "integer":
		return "Int32"
	case "long":
		return "Int64"
	case "float":
		return "Float32"
	case "double":
		return "Float64"
	case "boolean":
		return "Bool"
	case "blob":
		return "Blob"
	case "timestamp":
		format := s.TimestampFormat
		if ref.TimestampFormat != "" {
			format = ref.TimestampFormat
		}
		switch format {
		case "iso8601":
			return "TimeISO"
		case "rfc822":
			return "TimeHTTP"
		}
		return "Time"
	case "structure":
		if s.Document {
			return "Document"
		}
	}
	return ""
}

// all lists every input and output, so that a test can put all of them through their paces.
func (g *generator) all(f *file) {
	f.pf("// all has one of every input and output.\nfunc all() []any {\n\treturn []any{\n")
	for _, op := range model.Names(g.Model.Operations) {
		f.pf("\t\tnew(%sInput), new(%sOutput),\n", op, op)
	}
	f.pf("\t}\n}\n")
}
