package gen

import (
	"fmt"

	"github.com/openberth/berth/tools/apigen/model"
)

// encode writes AppendJSON for every struct. Each member appends ,"name":value when it is present; EndObject turns the
// first comma into the brace, so that no member has to know whether it is the first.
func (g *generator) encode(f *file) {
	f.use(awsjsonPath)
	g.eachStruct(func(name, _ string, s *model.Shape) {
		f.pf("// AppendJSON appends x as awsJson.\nfunc (x *%s) AppendJSON(b []byte) []byte {\n", name)
		if s.Encoded {
			f.pf("\tif x.Encoded != nil {\n\t\treturn append(b, x.Encoded...)\n\t}\n")
		}
		f.pf("\tstart := len(b)\n")
		for _, member := range model.Names(s.Members) {
			ref := s.Members[member]
			field, key := "x."+Exported(member), fmt.Sprintf("`,%q:`", wireName(member, ref))
			switch kind, ready := g.scalar(ref), g.ready(ref.Shape); {
			case kind != "":
				f.pf("\tb = awsjson.%s(b, %s, %s)\n", kind, key, field)
			case ready != "":
				f.pf("\tb = awsjson.%s(b, %s, %s)\n", ready, key, field)
			case g.Model.Shapes[ref.Shape].Type == "structure":
				f.pf("\tif %s != nil {\n\t\tb = %s.AppendJSON(append(b, %s...))\n\t}\n", field, field, key)
			default:
				f.pf("\tif %s != nil {\n\t\tb = append%s(append(b, %s...), %s)\n\t}\n", field, g.goNames[ref.Shape], key, field)
			}
		}
		f.pf("\treturn awsjson.EndObject(b, start)\n}\n\n")
	})
	for _, shape := range g.collections() {
		s := g.Model.Shapes[shape]
		f.pf("func append%s(b []byte, list %s) []byte {\n", g.goNames[shape], g.goType(shape))
		if s.Type == "list" {
			f.pf("\tb = append(b, '[')\n\tfor i := range list {\n\t\tif i > 0 {\n\t\t\tb = append(b, ',')\n\t\t}\n")
			f.pf("\t\tb = %s\n\t}\n\treturn append(b, ']')\n}\n\n", g.appendValue(*s.Member, "list[i]"))
			continue
		}
		f.pf("\tstart := len(b)\n\tfor _, key := range awsjson.Keys(list) {\n\t\tvalue := list[key]\n")
		f.pf("\t\tb = awsjson.AppendKey(b, key)\n\t\tb = %s\n\t}\n\treturn awsjson.EndObject(b, start)\n}\n\n",
			g.appendValue(*s.Value, "value"))
	}
}

// appendValue is the expression that appends one element of a collection.
func (g *generator) appendValue(ref model.Ref, expr string) string {
	if kind := g.scalar(ref); kind != "" {
		return fmt.Sprintf("awsjson.Append%s(b, %s)", kind, expr)
	}
	if ready := g.ready(ref.Shape); ready != "" {
		return fmt.Sprintf("awsjson.Append%s(b, %s)", ready, expr)
	}
	if g.Model.Shapes[ref.Shape].Type == "structure" {
		return expr + ".AppendJSON(b)"
	}
	return fmt.Sprintf("append%s(b, %s)", g.goNames[ref.Shape], expr)
}

// decode writes DecodeJSON for every struct. The decoder keeps the first error and then does nothing, so the generated
// code needn't ask after every value.
func (g *generator) decode(f *file) {
	f.use(awsjsonPath)
	g.eachStruct(func(name, _ string, s *model.Shape) {
		f.pf("// DecodeJSON fills x from d; members that the model doesn't have are skipped.\n")
		f.pf("func (x *%s) DecodeJSON(d *awsjson.Decoder) {\n\tfor d.Object(); d.Member(); {\n", name)
		if len(s.Members) == 0 {
			f.pf("\t\td.Skip()\n\t}\n}\n\n")
			return
		}
		f.pf("\t\tswitch string(d.Name()) {\n")
		for _, member := range model.Names(s.Members) {
			ref := s.Members[member]
			field := "x." + Exported(member)
			f.pf("\t\tcase %q:\n", wireName(member, ref))
			switch kind, ready := g.scalar(ref), g.ready(ref.Shape); {
			case kind == "TimeISO" || kind == "TimeHTTP":
				f.pf("\t\t\td.Time(&%s)\n", field)
			case kind != "":
				f.pf("\t\t\td.%s(&%s)\n", kind, field)
			case ready != "":
				f.pf("\t\t\td.%s(&%s)\n", ready, field)
			case g.Model.Shapes[ref.Shape].Type == "structure":
				f.pf("\t\t\tif !d.Null() {\n\t\t\t\t%s = new(%s)\n\t\t\t\t%s.DecodeJSON(d)\n\t\t\t}\n",
					field, g.goType(ref.Shape), field)
			default:
				f.pf("\t\t\tif !d.Null() {\n\t\t\t\t%s = decode%s(d)\n\t\t\t}\n", field, g.goNames[ref.Shape])
			}
		}
		f.pf("\t\tdefault:\n\t\t\td.Skip()\n\t\t}\n\t}\n}\n\n")
	})
	for _, shape := range g.collections() {
		g.decodeCollection(f, shape)
	}
}

func (g *generator) decodeCollection(f *file, shape string) {
	s := g.Model.Shapes[shape]
	t := g.goType(shape)
	f.pf("func decode%s(d *awsjson.Decoder) %s {\n\tlist := %s{}\n", g.goNames[shape], t, t)
	ref := s.Member
	if s.Type == "map" {
		ref = s.Value
		f.pf("\tfor d.Object(); d.Member(); {\n\t\tkey := d.Key()\n")
	} else {
		f.pf("\tfor d.List(); d.Element(); {\n")
	}
	kind, ready := g.scalar(*ref), g.ready(ref.Shape)
	switch {
	case kind == "TimeISO" || kind == "TimeHTTP":
		f.pf("\t\tvalue := d.TimeValue()\n")
	case kind != "":
		f.pf("\t\tvalue := d.%sValue()\n", kind)
	case ready != "":
		f.pf("\t\tvalue := d.%sValue()\n", ready)
	case g.Model.Shapes[ref.Shape].Type == "structure" && s.Type == "list":
		// Decoded in place: the elements are large.
		f.pf("\t\tlist = append(list, %s{})\n\t\tlist[len(list)-1].DecodeJSON(d)\n\t}\n\treturn list\n}\n\n", g.goType(ref.Shape))
		return
	case g.Model.Shapes[ref.Shape].Type == "structure":
		f.pf("\t\tvar value %s\n\t\tvalue.DecodeJSON(d)\n", g.goType(ref.Shape))
	default:
		f.pf("\t\tvalue := decode%s(d)\n", g.goNames[ref.Shape])
	}
	if s.Type == "map" {
		f.pf("\t\tlist[key] = value\n\t}\n\treturn list\n}\n\n")
		return
	}
	f.pf("\t\tlist = append(list, value)\n\t}\n\treturn list\n}\n\n")
}

// stdjson makes the structs work with encoding/json too: domain records are converted to and from wire types by a JSON
// round trip.
func (g *generator) stdjson(f *file) {
	f.use(awsjsonPath)
	g.eachStruct(func(name, _ string, _ *model.Shape) {
		f.pf("// MarshalJSON writes what AppendJSON writes.\n")
		f.pf("func (x %s) MarshalJSON() ([]byte, error) { return x.AppendJSON(nil), nil }\n\n", name)
		f.pf("// UnmarshalJSON reads what DecodeJSON reads.\n")
		f.pf("func (x *%s) UnmarshalJSON(b []byte) error { return awsjson.Unmarshal(b, x) }\n\n", name)
	})
}
