package wire

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/openberth/berth/internal/fault"
)

// Validatable is a generated input whose model has constraints: required members, lengths, ranges, patterns, enums.
type Validatable interface{ Validate(*Validator) }

// Validate checks an input against its model and names all problems in one fault, as AWS does; nil when there are none,
// or when the model asks nothing of the input.
func Validate(in any) error {
	x, ok := in.(Validatable)
	if !ok {
		return nil
	}
	v := &Validator{code: "ValidationException"}
	x.Validate(v)
	if f := v.fault(); f != nil {
		return f
	}
	return nil
}

// Validator collects what generated Validate methods find. The checks take absent members (nil) for valid: that a member
// must be there is a check of its own.
type Validator struct {
	code     string
	path     []string
	problems []string
	own      *fault.Error // the first problem that the service has its own words for
}

// Words are a service's own answer to one broken constraint; %s stands for the value that was sent.
type Words struct{ Code, Message string }

// Code sets the AWS code of the error that names all problems.
func (v *Validator) Code(code string) { v.code = code }

// In goes into a member, At into element i of a list and Key into a value of a map; Out comes back.
func (v *Validator) In(member string) { v.path = append(v.path, member) }

// At counts from one, as AWS does: tags.1.member.key.
func (v *Validator) At(member string, i int) {
	v.path = append(v.path, member+"."+strconv.Itoa(i+1)+".member")
}

// Key goes into the value of a map.
func (v *Validator) Key(member, key string) { v.path = append(v.path, member+"."+key+".member") }

// Out leaves what In, At or Key entered.
func (v *Validator) Out() { v.path = v.path[:len(v.path)-1] }

func (v *Validator) report(member, value, constraint string, own []Words) {
	if len(own) > 0 {
		if v.own == nil {
			value = strings.TrimPrefix(strings.TrimSuffix(value, "'"), "'")
			v.own = fault.New(own[0].Code, "%s", strings.ReplaceAll(own[0].Message, "%s", value))
		}
		return
	}
	at := member
	if len(v.path) > 0 {
		at = strings.Join(v.path, ".") + "." + member
	}
	if value != "" {
		value += " "
	}
	v.problems = append(v.problems, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: %s", value, at, constraint))
}

func (v *Validator) fault() *fault.Error {
	switch n := len(v.problems); {
	case v.own != nil:
		// A service with words of its own stops at the first problem, so what else there is isn't said.
		return v.own
	case n == 0:
		return nil
	case n == 1:
		return fault.New(v.code, "1 validation error detected: %s", v.problems[0])
	default:
		return fault.New(v.code, "%d validation errors detected: %s", n, strings.Join(v.problems, "; "))
	}
}

// Required checks that a member is there.
func (v *Validator) Required(member string, present bool, own ...Words) {
	if !present {
		v.report(member, "null", "Member must not be null", own)
	}
}

// Enum checks a member against an enum.
func (v *Validator) Enum(member string, value *string, values []string, own ...Words) {
	if value != nil && !slices.Contains(values, *value) {
		v.report(member, quote(*value), "Member must satisfy enum value set: ["+strings.Join(values, ", ")+"]", own)
	}
}

// EnumList checks the elements of a list against an enum.
func (v *Validator) EnumList(member string, list []string, values []string, own ...Words) {
	for _, value := range list {
		if !slices.Contains(values, value) {
			v.report(member, quote("["+strings.Join(list, ", ")+"]"), "Member must satisfy constraint: [Member must satisfy "+
				"enum value set: ["+strings.Join(values, ", ")+"]]", own)
			return
		}
	}
}

// Length checks the characters of a string; a bound below zero means that there is none.
func (v *Validator) Length(member string, value *string, low, high int, own ...Words) {
	if value == nil {
		return
	}
	v.size(member, quote(*value), utf8.RuneCountInString(*value), low, high, own)
}

// Size checks the number of elements of a list or map that is there.
func (v *Validator) Size(member string, n, low, high int, own ...Words) {
	v.size(member, "", n, low, high, own)
}

func (v *Validator) size(member, value string, n, low, high int, own []Words) {
	if low >= 0 && n < low {
		v.report(member, value, "Member must have length greater than or equal to "+strconv.Itoa(low), own)
	}
	if high >= 0 && n > high {
		v.report(member, value, "Member must have length less than or equal to "+strconv.Itoa(high), own)
	}
}

// Min and Max check a number; they are functions because methods can't be generic.
func Min[N int32 | int64 | float32 | float64](v *Validator, member string, value *N, low N, own ...Words) {
	if value != nil && !(*value >= low) { // so that NaN fails
		v.report(member, quote(fmt.Sprint(*value)), fmt.Sprint("Member must have value greater than or equal to ", low), own)
	}
}

// Max is Min's other end.
func Max[N int32 | int64 | float32 | float64](v *Validator, member string, value *N, high N, own ...Words) {
	if value != nil && !(*value <= high) {
		v.report(member, quote(fmt.Sprint(*value)), fmt.Sprint("Member must have value less than or equal to ", high), own)
	}
}

// Pattern checks that the whole of a string matches.
func (v *Validator) Pattern(member string, value *string, p *Pattern, own ...Words) {
	if value != nil && !p.re().MatchString(*value) {
		v.report(member, quote(*value), "Member must satisfy regular expression pattern: "+p.text, own)
	}
}

// Pattern is a regular expression of a model, compiled when it is first needed: most never are.
type Pattern struct {
	text string
	re   func() *regexp.Regexp
}

// NewPattern is for generated code; tools/apigen has checked that the expression compiles.
func NewPattern(text string) *Pattern {
	return &Pattern{text: text, re: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(AnchorPattern(text)) })}
}

// AnchorPattern makes an expression match whole strings only, which is what a model's patterns mean.
func AnchorPattern(text string) string { return `\A(?:` + text + `)\z` }

func quote(value string) string { return "'" + value + "'" }
