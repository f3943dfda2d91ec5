package gen

import (
	"slices"
	"strings"
	"unicode"

	"github.com/openberth/berth/tools/apigen/model"
)

// naming maps shapes to Go names and sorts the structures by where they are used.
type naming struct {
	goNames map[string]string
	inputs  []string // structures that are one operation's input, and nothing else's
	outputs []string
	shapes  []string // all others
	// aliases are XInput and XOutput names for shapes that several operations (or both ends of one) share, and empty
	// structs (value "") for operations without.
	aliases map[string]string
}

func newNaming(m *model.Model) *naming {
	n := &naming{goNames: map[string]string{}, aliases: map[string]string{}}
	roles := map[string][]string{} // shape -> names that operations want for it
	for _, op := range model.Names(m.Operations) {
		for role, ref := range map[string]*model.Ref{"Input": m.Operations[op].Input, "Output": m.Operations[op].Output} {
			if ref == nil {
				n.aliases[op+role] = ""
				continue
			}
			roles[ref.Shape] = append(roles[ref.Shape], op+role)
		}
	}
	for _, name := range model.Names(m.Shapes) {
		n.goNames[name] = Exported(name)
		if len(roles[name]) == 1 {
			n.goNames[name] = roles[name][0]
		}
		for _, alias := range roles[name] {
			if alias != n.goNames[name] {
				n.aliases[alias] = n.goNames[name]
			}
		}
		s := m.Shapes[name]
		if s.Type != "structure" || s.Document || s.Exception {
			continue
		}
		switch {
		case len(roles[name]) == 1 && strings.HasSuffix(roles[name][0], "Input"):
			n.inputs = append(n.inputs, name)
		case len(roles[name]) == 1:
			n.outputs = append(n.outputs, name)
		default:
			n.shapes = append(n.shapes, name)
		}
	}
	return n
}

// structShapes lists every structure that becomes a Go struct, in one order.
func (n *naming) structShapes() []string {
	all := slices.Concat(n.inputs, n.outputs, n.shapes)
	slices.Sort(all)
	return all
}

// Exported is a member's or shape's name with its first letter in upper case.
func Exported(name string) string {
	r := []rune(name)
	for i, c := range r {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '_' {
			r[i] = '_'
		}
	}
	if len(r) > 0 && !unicode.IsLetter(r[0]) {
		return "X" + string(r)
	}
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

// initialisms stay in capitals in the names of enum constants.
var initialisms = map[string]bool{"AMD": true, "ARN": true, "ASG": true, "AWS": true, "CPU": true, "DNS": true,
	"EBS": true, "ECS": true, "EFS": true, "ENI": true, "FIPS": true, "GPU": true, "HDD": true, "HTTP": true, "HTTPS": true,
	"IAM": true, "IO": true, "IP": true, "MAC": true, "SSD": true, "TCP": true, "TLS": true, "TTY": true, "UDP": true,
	"URL": true, "VPC": true}

// EnumConst is the name of an enum value's constant: LaunchType + MANAGED_INSTANCES = LaunchTypeManagedInstances,
// LaunchType + EC2 = LaunchTypeEC2, LogDriver + json-file = LogDriverJsonFile.
func EnumConst(enum, value string) string {
	words := strings.FieldsFunc(value, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	name := enum
	for _, w := range words {
		upper := w == strings.ToUpper(w)
		hasDigit := strings.ContainsFunc(w, unicode.IsDigit)
		switch {
		case upper && !hasDigit && !initialisms[w]:
			name += w[:1] + strings.ToLower(w[1:])
		default:
			name += strings.ToUpper(w[:1]) + w[1:]
		}
	}
	if len(words) == 0 {
		name += "Empty"
	}
	return name
}

// ErrorConst is the name of an error code's constant: ClusterNotFoundException = ErrClusterNotFound.
func ErrorConst(code string) string {
	return "Err" + strings.TrimSuffix(Exported(code), "Exception")
}
