package placement

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// node is a part of a parsed expression.
type node interface{ matches(*Instance) bool }

type either struct{ a, b node }
type both struct{ a, b node }
type negation struct{ x node }

func (n either) matches(in *Instance) bool   { return n.a.matches(in) || n.b.matches(in) }
func (n both) matches(in *Instance) bool     { return n.a.matches(in) && n.b.matches(in) }
func (n negation) matches(in *Instance) bool { return !n.x.matches(in) }

// subject is what a predicate is about.
type subject struct {
	kind subjectKind
	name string // of the attribute
}

type subjectKind int

const (
	subjectAttribute subjectKind = iota
	subjectTaskGroup
	subjectAgentConnected
	subjectAgentVersion
	subjectEC2InstanceID
	subjectRegisteredAt
	subjectRunningTasksCount
)

var (
	textOperators    = []operator{opEqual, opNotEqual, opIn, opNotIn, opMatches, opNotMatches}
	orderedOperators = []operator{opEqual, opNotEqual, opGreater, opGreaterEqual, opLess, opLessEqual}
	allOperators     = []operator{opEqual, opNotEqual, opGreater, opGreaterEqual, opLess, opLessEqual,
		opExists, opNotExists, opIn, opNotIn, opMatches, opNotMatches}
)

func subjectNamed(name string) (subject, []operator, bool) {
	switch name {
	case "task:group":
		return subject{kind: subjectTaskGroup}, allOperators, true
	case "agentConnected":
		return subject{kind: subjectAgentConnected}, textOperators, true
	case "agentVersion":
		return subject{kind: subjectAgentVersion}, orderedOperators, true
	case "ec2InstanceId":
		return subject{kind: subjectEC2InstanceID}, textOperators, true
	case "registeredAt":
		return subject{kind: subjectRegisteredAt}, orderedOperators, true
	case "runningTasksCount":
		return subject{kind: subjectRunningTasksCount}, orderedOperators, true
	}
	if attribute, ok := strings.CutPrefix(name, attributePrefix); ok && attribute != "" {
		return subject{subjectAttribute, attribute}, allOperators, true
	}
	return subject{}, nil, false
}

// predicate is "subject operator argument".
type predicate struct {
	subject   subject
	operator  operator
	arguments []string

	regex   *regexp.Regexp
	time    time.Time
	second  bool
	version []int
	number  int
}

func (x *predicate) matches(in *Instance) bool {
	switch x.subject.kind {
	case subjectTaskGroup:
		return x.matchesGroups(in)
	case subjectAgentConnected:
		return x.matchesText(strconv.FormatBool(in.Record.AgentConnected))
	case subjectEC2InstanceID:
		return x.matchesText(in.Record.EC2InstanceID)
	case subjectAgentVersion:
		v, ok := parseVersion(in.Record.AgentVersion)
		return ok && x.ordered(compareVersions(v, x.version))
	case subjectRegisteredAt:
		at := in.Record.RegisteredAt
		if x.second {
			at = at.Truncate(time.Second)
		}
		return x.ordered(at.Compare(x.time))
	case subjectRunningTasksCount:
		return x.ordered(cmp.Compare(in.RunningTasks(), x.number))
	}
	value, ok := in.Record.Attribute(x.subject.name)
	switch x.operator {
	case opExists:
		return ok
	case opNotExists:
		return !ok
	}
	// "attribute:stack != prod" selects the instances that HAVE the attribute, with another value; not(attribute:stack ==
	// prod) selects the ones without it too.
	return ok && x.matchesText(value)
}

// matchesGroups asks the groups of the tasks on the instance. A positive operator is true when one task is in such a group;
// a negative one when none is, an instance with no tasks included: both forms of anti-affinity, "task:group != db" and
// "not(task:group == db)", say the same.
func (x *predicate) matchesGroups(in *Instance) bool {
	some := func(f func(group string) bool) bool {
		for _, t := range in.tasks() {
			if !t.Stopped() && f(t.Group) {
				return true
			}
		}
		return false
	}
	switch x.operator {
	case opExists:
		return some(func(string) bool { return true })
	case opNotExists:
		return !some(func(string) bool { return true })
	}
	if positive, negated := opposite[x.operator]; negated {
		y := *x
		y.operator = positive
		return !some(y.matchesText)
	}
	return some(x.matchesText)
}

var opposite = map[operator]operator{opNotEqual: opEqual, opNotIn: opIn, opNotMatches: opMatches}

func (x *predicate) matchesText(value string) bool {
	switch x.operator {
	case opIn:
		return slices.Contains(x.arguments, value)
	case opNotIn:
		return !slices.Contains(x.arguments, value)
	case opMatches:
		return x.regex.MatchString(value)
	case opNotMatches:
		return !x.regex.MatchString(value)
	case opEqual:
		return value == x.arguments[0]
	case opNotEqual:
		return value != x.arguments[0]
	}
	// Two numbers are compared as numbers (10 > 9), everything else by its characters.
	a, errA := strconv.ParseFloat(value, 64)
	b, errB := strconv.ParseFloat(x.arguments[0], 64)
	if errA == nil && errB == nil {
		return x.ordered(cmp.Compare(a, b))
	}
	return x.ordered(strings.Compare(value, x.arguments[0]))
}

// ordered applies the operator to the outcome of a comparison.
func (x *predicate) ordered(c int) bool {
	switch x.operator {
	case opEqual:
		return c == 0
	case opNotEqual:
		return c != 0
	case opGreater:
		return c > 0
	case opGreaterEqual:
		return c >= 0
	case opLess:
		return c < 0
	case opLessEqual:
		return c <= 0
	}
	return false
}

// compareVersions compares part by part; a part that is missing counts as 0: 1.5 equals 1.5.0.
func compareVersions(a, b []int) int {
	for i := range max(len(a), len(b)) {
		var x, y int
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return 0
}
