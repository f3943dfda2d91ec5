package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"sigs.k8s.io/yaml"
)

// FileVariable names the configuration file when the command line doesn't.
const FileVariable = "BERTH_CONFIG"

// Load puts a configuration together: defaults, then the file (path, or the one that BERTH_CONFIG names, or none), then
// the environment. It names every problem at once. The command line's flags come after it, then Validate.
func Load(path string, e Environment) (Config, error) {
	c := Default(e)
	if path == "" {
		path = e.get(FileVariable)
	}
	var problems []error
	if path != "" {
		data, err := os.ReadFile(path)
		if err == nil {
			err = c.readFile(data)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("configuration file %s: %w", path, err))
		}
	}
	return c, errors.Join(append(problems, c.readEnvironment(e)...)...)
}

// readFile takes over what the file says, YAML or JSON; what it leaves out stays. Unknown names are refused: they are
// misspelt ones.
func (c *Config) readFile(data []byte) error {
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return err
	}
	var tree any
	if err := json.Unmarshal(asJSON, &tree); err != nil {
		return err
	}
	if tree == nil { // nothing but comments
		return nil
	}
	if asJSON, err = json.Marshal(withoutNulls(tree)); err != nil {
		return err
	}
	spans := json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *time.Duration) error {
		if d.PeekKind() != '"' {
			return errors.New("a time span is wanted here, such as 30s, 5m or 1h30m")
		}
		var s string
		if err := json.UnmarshalDecode(d, &s); err != nil {
			return err
		}
		parsed, err := parseSpan(s)
		*v = parsed
		return err
	})
	err = json.UnmarshalRead(bytes.NewReader(asJSON), c, json.RejectUnknownMembers(true), json.WithUnmarshalers(spans))
	return explain(err)
}

// withoutNulls drops members without a value ("agent:" with all its settings commented out): they would reset what they
// stand for instead of leaving the default.
func withoutNulls(v any) any {
	if m, ok := v.(map[string]any); ok {
		for k, member := range m {
			if member == nil {
				delete(m, k)
			} else {
				m[k] = withoutNulls(member)
			}
		}
	}
	return v
}

// explain turns the decoder's errors into ones that speak of the file.
func explain(err error) error {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return err
	}
	name := strings.ReplaceAll(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/", ".")
	kind := reflect.Invalid
	if semantic.GoType != nil {
		kind = semantic.GoType.Kind()
	}
	switch {
	case errors.Is(err, json.ErrUnknownName):
		var names []string
		for _, s := range Settings() {
			names = append(names, s.Name)
		}
		return fmt.Errorf("%s: no such setting; there are %s", name, strings.Join(names, ", "))
	case semantic.Err != nil && semantic.GoType == reflect.TypeFor[*time.Duration]():
		return fmt.Errorf("%s: %w", name, semantic.Err)
	case kind == reflect.String && semantic.JSONKind == '0':
		// account: 123456789012 is a number to YAML, and 012345678901 isn't even the one that it looks like.
		return fmt.Errorf("%s: a text is wanted here, not a number: put it in quotes", name)
	case name == "":
		return errors.New("settings are wanted, one `name: value` to a line")
	case wanted[kind] != "":
		return fmt.Errorf("%s: %s is wanted here", name, wanted[kind])
	}
	return fmt.Errorf("%s: %w", name, err)
}

// wanted says in a reader's words what a field takes.
var wanted = map[reflect.Kind]string{
	reflect.String: "a text",
	reflect.Int:    "a whole number",
	reflect.Int64:  "a whole number",
	reflect.Bool:   "true or false",
	reflect.Slice:  "a list",
	reflect.Map:    "a section of names and values",
	reflect.Struct: "a section of settings",
}

// readEnvironment takes over BERTH_* variables; an empty one counts as not set, as compose files and units write it.
func (c *Config) readEnvironment(e Environment) []error {
	var problems []error
	known := []string{FileVariable}
	for _, s := range Settings() {
		known = append(known, s.Env)
		value := e.get(s.Env)
		if value == "" {
			continue
		}
		if err := s.Set(c, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", s.Env, err))
		}
	}
	for _, variable := range e.Variables {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "BERTH_") && !slices.Contains(known, name) {
			c.unknown = append(c.unknown, name)
		}
	}
	return problems
}
