package placement

import (
	"slices"
	"strings"

	"github.com/openberth/berth/internal/ecs"
)

// Reasons why an instance can't take a task, as failures[] says them (ecs-semantics 1.6).
const (
	ReasonCPU              = "RESOURCE:CPU"
	ReasonMemory           = "RESOURCE:MEMORY"
	ReasonPorts            = "RESOURCE:PORTS"
	ReasonAgent            = "AGENT"
	ReasonAttribute        = "ATTRIBUTE"
	ReasonMemberOf         = "MemberOf placement constraint unsatisfied."
	ReasonDistinctInstance = "DistinctInstance placement constraint unsatisfied."
)

// filter is one binding rule. check tells whether the instance passes; reason is what failures[] says when it doesn't, and
// words what the service event says of it: "The closest matching (container-instance x) <words>."
type filter struct {
	name   string
	check  func(*request, *Instance) bool
	reason string
	words  string
}

// Explain is the rejection in the words of the service event.
func (f *filter) Explain() string {
	if f.words != "" {
		return f.words
	}
	return `encountered error "` + f.reason + `"`
}

// filters are all rules. Their order decides nothing but which instance counts as the closest match when none fits: the one
// that fell at the last hurdle. So what the user chose (attributes, constraints) comes before what passes with time (room).
var filters = []filter{
	{name: "attributes", reason: ReasonAttribute, words: "is missing an attribute required by your task", check: hasAttributes},
	{name: "memberOf", reason: ReasonMemberOf, check: isMember},
	{name: "distinctInstance", reason: ReasonDistinctInstance, check: isDistinct},
	{name: "agent", reason: ReasonAgent, check: func(_ *request, in *Instance) bool { return in.Record.AgentConnected }},
	{name: "cpu", reason: ReasonCPU, words: "has insufficient CPU units available", check: func(r *request, in *Instance) bool {
		return r.Task.Reserved.CPU <= in.freeCPU()
	}},
	{name: "memory", reason: ReasonMemory, words: "has insufficient memory available", check: func(r *request, in *Instance) bool {
		return r.Task.Reserved.Memory <= in.freeMemory()
	}},
	{name: "ports", reason: ReasonPorts, words: "is already using a port required by your task", check: hasPorts},
}

// matching is how many of the filters, from the first on, say whether an instance is meant at all; the others say whether
// it can take the task now. A DAEMON wants one task on each instance that is meant.
const matching = 2

// capabilityExternal is the attribute of machines that aren't EC2 instances.
const capabilityExternal = "ecs.capability.external"

// External tells whether the instance takes tasks of launch type EXTERNAL instead of EC2.
func External(ci *ecs.ContainerInstance) bool {
	_, ok := ci.Attribute(capabilityExternal)
	return ok
}

// hasAttributes: a required attribute is there, with the value if one is required; and the instance is of the task's
// launch type, which is an attribute too.
func hasAttributes(r *request, in *Instance) bool {
	if (r.Task.LaunchType == ecs.LaunchTypeExternal) != External(in.Record) {
		return false
	}
	for _, want := range r.RequiresAttributes {
		have, ok := in.Record.Attribute(want.Name)
		if !ok || (want.Value != "" && have != want.Value) {
			return false
		}
	}
	return hasArchitecture(r.Platform, in)
}

// hasArchitecture: AWS spells X86_64 in a task definition and x86_64 on an instance. An instance that doesn't say what it
// is gets the task: agents on EC2 leave that to AWS.
func hasArchitecture(p *ecs.RuntimePlatform, in *Instance) bool {
	if p == nil || p.CPUArchitecture == "" {
		return true
	}
	have, ok := in.Record.Attribute("ecs.cpu-architecture")
	return !ok || strings.EqualFold(have, p.CPUArchitecture)
}

func isMember(r *request, in *Instance) bool {
	if r.invalid {
		return false
	}
	for _, q := range r.memberOf {
		if !q.Matches(in) {
			return false
		}
	}
	return true
}

func isDistinct(r *request, in *Instance) bool {
	return !r.distinct || in.inGroup(r.Task.Group) == 0
}

func hasPorts(r *request, in *Instance) bool {
	in.count()
	want, host := &r.Task.Reserved, &in.Record.Resources
	return apart(want.Ports, host.Ports) && apart(want.Ports, in.tcp) &&
		apart(want.PortsUDP, host.PortsUDP) && apart(want.PortsUDP, in.udp)
}

// apart tells whether two lists of ports have none in common.
func apart(a, b []int) bool {
	return !slices.ContainsFunc(a, func(port int) bool { return slices.Contains(b, port) })
}

// request is a Request made ready: its expressions parsed, its strategy never empty.
type request struct {
	Request
	memberOf []*Query
	distinct bool
	invalid  bool // an expression doesn't parse: nothing is a member
}

func prepare(req Request) *request {
	r := &request{Request: req}
	if len(r.Strategy) == 0 {
		r.Strategy = DefaultStrategy(r.Task)
	}
	for _, c := range req.Constraints {
		if c.Type == ecs.ConstraintDistinctInstance {
			r.distinct = true
			continue
		}
		q, err := ParseQuery(c.Expression)
		if err != nil { // refused by the API already; a record that holds one all the same matches nothing
			r.invalid = true
			continue
		}
		r.memberOf = append(r.memberOf, q)
	}
	return r
}
