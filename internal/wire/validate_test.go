package wire_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire"
)

type checks func(*wire.Validator)

func (c checks) Validate(v *wire.Validator) { c(v) }

func TestValidator(t *testing.T) {
	s := func(s string) *string { return &s }
	n := func(n int32) *int32 { return &n }
	nan := math.NaN()
	pattern := wire.NewPattern("[a-z]+|[0-9]+")
	for _, c := range []struct {
		name  string
		check checks
		want  string // "" = valid
	}{
		{"present", func(v *wire.Validator) { v.Required("a", true) }, ""},
		{"missing", func(v *wire.Validator) { v.Required("a", false) },
			"1 validation error detected: Value null at 'a' failed to satisfy constraint: Member must not be null"},
		{"enum", func(v *wire.Validator) { v.Enum("a", s("EC2"), []string{"EC2", "FARGATE"}); v.Enum("b", nil, nil) }, ""},
		{"not in the enum", func(v *wire.Validator) { v.Enum("a", s("ec2"), []string{"EC2", "FARGATE"}) },
			"1 validation error detected: Value 'ec2' at 'a' failed to satisfy constraint: Member must satisfy enum value set: [EC2, FARGATE]"},
		{"enums", func(v *wire.Validator) { v.EnumList("a", []string{"X", "X"}, []string{"X"}) }, ""},
		{"not in the enums", func(v *wire.Validator) { v.EnumList("a", []string{"X", "Y", "Z"}, []string{"X"}) },
			"1 validation error detected: Value '[X, Y, Z]' at 'a' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [X]]"},
		{"length", func(v *wire.Validator) {
			v.Length("a", s("é"), 1, 1)
			v.Length("b", s(""), -1, 1)
			v.Length("c", nil, 1, 1)
		}, ""},
		{"too short", func(v *wire.Validator) { v.Length("a", s(""), 1, 2) },
			"1 validation error detected: Value '' at 'a' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"too long", func(v *wire.Validator) { v.Length("a", s("abc"), 1, 2) },
			"1 validation error detected: Value 'abc' at 'a' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{"too many", func(v *wire.Validator) { v.Size("a", 3, -1, 2) },
			"1 validation error detected: Value at 'a' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{"range", func(v *wire.Validator) {
			wire.Min(v, "a", n(1), 1)
			wire.Max(v, "a", n(1), 1)
			wire.Max[int32](v, "b", nil, 1)
		}, ""},
		{"too small", func(v *wire.Validator) { wire.Min(v, "a", n(0), 1) },
			"1 validation error detected: Value '0' at 'a' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"too large", func(v *wire.Validator) { wire.Max(v, "a", n(2), 1) },
			"1 validation error detected: Value '2' at 'a' failed to satisfy constraint: Member must have value less than or equal to 1"},
		{"not a number", func(v *wire.Validator) { wire.Max(v, "a", &nan, 1) },
			"1 validation error detected: Value 'NaN' at 'a' failed to satisfy constraint: Member must have value less than or equal to 1"},
		{"pattern", func(v *wire.Validator) { v.Pattern("a", s("abc"), pattern); v.Pattern("b", nil, pattern) }, ""},
		{"pattern, whole string", func(v *wire.Validator) { v.Pattern("a", s("abc\n"), pattern); v.Pattern("b", s("1a"), pattern) },
			"2 validation errors detected: Value 'abc\n' at 'a' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+|[0-9]+; " +
				"Value '1a' at 'b' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+|[0-9]+"},
		{"path", func(v *wire.Validator) {
			v.In("a")
			v.At("b", 0)
			v.Key("c", "k")
			v.Required("d", false)
			v.Out()
			v.Out()
			v.Out()
			v.Required("e", false)
		}, "2 validation errors detected: Value null at 'a.b.1.member.c.k.member.d' failed to satisfy constraint: Member must not be null; " +
			"Value null at 'e' failed to satisfy constraint: Member must not be null"},
	} {
		err := wire.Validate(c.check)
		var f *fault.Error
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.As(err, &f) || f.Code != "ValidationException" || f.Message != c.want):
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// TestOwnWords: a service's own words are said alone, the first of them, under their own code.
func TestOwnWords(t *testing.T) {
	value := "'quoted'"
	err := wire.Validate(checks(func(v *wire.Validator) {
		v.Code("InvalidParameterException")
		v.Required("a", false)
		v.Enum("b", &value, nil, wire.Words{Code: "ClientException", Message: "%s is wrong, 100% sure"})
		v.Required("c", false, wire.Words{Code: "Other", Message: "later"})
	}))
	if want := "ClientException: 'quoted' is wrong, 100% sure"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	err = wire.Validate(checks(func(v *wire.Validator) {
		v.Code("InvalidParameterException")
		v.Required("a", false)
	}))
	if err == nil || !strings.HasPrefix(err.Error(), "InvalidParameterException: 1 validation error") {
		t.Errorf("got %v", err)
	}
}
