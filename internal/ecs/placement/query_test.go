package placement

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/internal/ecs"
)

var update = flag.Bool("update", false, "write what comes out into testdata")

// TestQueryScenarios reads testdata/query.txt: lines that start with "instance" set the cluster up; then come an
// expression, a line "----" and the instances that it selects, or what is wrong with it.
func TestQueryScenarios(t *testing.T) {
	const file = "testdata/query.txt"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var instances []*Instance
	var out strings.Builder
	lines := strings.Split(string(data), "\n")
	scenarios := 0
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "----" {
			t.Fatalf("%s:%d: ---- without an expression", file, i+1)
		}
		out.WriteString(line + "\n")
		if spec, ok := strings.CutPrefix(line, "instance "); ok {
			instances = append(instances, scenarioInstance(t, spec))
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") || i+1 >= len(lines) || lines[i+1] != "----" {
			continue
		}
		got := evaluate(line, instances)
		if want := lines[i+2]; got != want && !*update {
			t.Errorf("%s:%d: %s\n got %s\nwant %s", file, i+1, line, got, want)
		}
		scenarios++
		out.WriteString("----\n" + got + "\n")
		i += 2
	}
	if scenarios < 60 {
		t.Errorf("only %d scenarios were read", scenarios)
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func evaluate(expression string, instances []*Instance) string {
	q, err := ParseQuery(expression)
	if err != nil {
		var qe *QueryError
		if !errors.As(err, &qe) {
			return "error is no QueryError: " + err.Error()
		}
		return "error: " + err.Error()
	}
	var ids []string
	for _, in := range instances {
		if q.Matches(in) {
			ids = append(ids, in.Record.ID)
		}
	}
	if ids == nil {
		return "none"
	}
	return strings.Join(ids, " ")
}

// scenarioInstance reads "a connected version=1.2.3 ec2=i-1 registered=<time> stack=prod group:db*2 group:web(PENDING)".
func scenarioInstance(t *testing.T, spec string) *Instance {
	fields := strings.Fields(spec)
	in := &Instance{Record: &ecs.ContainerInstance{ID: fields[0], Status: ecs.InstanceActive}}
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		switch {
		case f == "connected":
			in.Record.AgentConnected = true
		case name == "version":
			in.Record.AgentVersion = value
		case name == "ec2":
			in.Record.EC2InstanceID = value
		case name == "registered":
			at, err := time.Parse(time.RFC3339Nano, value)
			if err != nil {
				t.Fatal(err)
			}
			in.Record.RegisteredAt = at
		case strings.HasPrefix(f, "group:"):
			group, status, _ := strings.Cut(strings.TrimPrefix(f, "group:"), "(")
			status = strings.TrimSuffix(status, ")")
			if status == "" {
				status = ecs.TaskRunning
			}
			in.Tasks = append(in.Tasks, &ecs.Task{ID: fmt.Sprint(len(in.Tasks)), Group: group, LastStatus: status, DesiredStatus: ecs.TaskRunning})
		default:
			in.Record.Attributes = append(in.Record.Attributes, ecs.Attribute{Name: name, Value: value})
		}
	}
	return in
}

// FuzzParseQuery: no input panics, an error always says where, and what parses can be asked.
func FuzzParseQuery(f *testing.F) {
	data, err := os.ReadFile("testdata/query.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f.Add(strings.TrimSuffix(line, "\n"))
	}
	in := &Instance{Record: &ecs.ContainerInstance{ID: "a", AgentVersion: "1.2", Attributes: []ecs.Attribute{{Name: "stack", Value: "prod"}}},
		Tasks: []*ecs.Task{{Group: "db"}}}
	f.Fuzz(func(t *testing.T, expression string) {
		q, err := ParseQuery(expression)
		if err != nil {
			var qe *QueryError
			if !errors.As(err, &qe) || qe.Offset < 0 || qe.Offset > len(expression) || qe.Message == "" {
				t.Fatalf("%q: error %#v", expression, err)
			}
			return
		}
		not, err := ParseQuery("not(" + expression + ")")
		if err != nil {
			if len(expression)+5 > MaxQueryLength {
				return
			}
			t.Fatalf("%q parses, but not inside not(): %v", expression, err)
		}
		if q.Matches(in) == not.Matches(in) {
			t.Fatalf("%q and its negation are both %v", expression, q.Matches(in))
		}
	})
}
