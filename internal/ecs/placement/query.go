package placement

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The cluster query language (ecs-semantics 4.4): what memberOf constraints and ListContainerInstances.filter are written
// in. "or" binds weakest, then "and", then "not"; parentheses group whole predicates.
//
//	expr      = and { ("||" | "or") and }
//	and       = unary { ("&&" | "and") unary }
//	unary     = ("!" | "not") unary | "(" expr ")" | predicate
//	predicate = subject operator [ argument ]
//	argument  = literal | "[" literal { "," literal } "]"
//	literal   = bareword | 'quoted' | "quoted"
//
// A bareword ends at white space, a quote, a parenthesis, "&&" or "||", and in a list at "," and "]". A regular expression
// that needs one of these stands in quotes; there are no escapes inside quotes, so backslashes are the expression's own.

// MaxQueryLength is how long an expression may be.
const MaxQueryLength = 2000

// Query is a parsed expression.
type Query struct {
	expression string
	root       node
}

func (q *Query) String() string { return q.expression }

// Matches tells whether the expression is true of the instance.
func (q *Query) Matches(in *Instance) bool { return q.root.matches(in) }

// QueryError is what is wrong with an expression, and where.
type QueryError struct {
	Offset  int // in bytes, from 0
	Message string
}

func (e *QueryError) Error() string { return fmt.Sprintf("%s at position %d", e.Message, e.Offset+1) }

// ParseQuery reads an expression. The error is a *QueryError.
func ParseQuery(expression string) (*Query, error) {
	if len(expression) > MaxQueryLength {
		return nil, &QueryError{MaxQueryLength, fmt.Sprintf("the expression is longer than %d characters", MaxQueryLength)}
	}
	p := &parser{text: expression}
	root, err := p.or()
	if err == nil && p.skip() < len(p.text) {
		err = p.errorf(p.at, "unexpected %q", p.rest(12))
	}
	if err != nil {
		return nil, err
	}
	return &Query{expression, root}, nil
}

type parser struct {
	text string
	at   int
}

func (p *parser) errorf(at int, format string, args ...any) error {
	return &QueryError{at, fmt.Sprintf(format, args...)}
}

// skip passes white space and returns where it stands.
func (p *parser) skip() int {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	return p.at
}

// rest is what comes next, for an error message.
func (p *parser) rest(n int) string {
	if len(p.text)-p.at <= n {
		return p.text[p.at:]
	}
	return strings.ToValidUTF8(p.text[p.at:p.at+n], "") + "..."
}

// symbol passes s if it comes next.
func (p *parser) symbol(s string) bool {
	p.skip()
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

// word passes the word w if it comes next and ends there.
func (p *parser) word(w string) bool {
	p.skip()
	if !strings.HasPrefix(p.text[p.at:], w) {
		return false
	}
	if end := p.at + len(w); end == len(p.text) || !isWord(p.text[end]) {
		p.at = end
		return true
	}
	return false
}

// isWord tells the characters that subjects and spelled-out operators are made of; a subject's attribute name has all of
// [A-Za-z0-9_/\.-], and the ':' before it.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(`_/\.-:`, c) >= 0
}

func (p *parser) or() (node, error) {
	left, err := p.and()
	for err == nil && (p.symbol("||") || p.word("or")) {
		var right node
		if right, err = p.and(); err == nil {
			left = either{left, right}
		}
	}
	return left, err
}

func (p *parser) and() (node, error) {
	left, err := p.unary()
	for err == nil && (p.symbol("&&") || p.word("and")) {
		var right node
		if right, err = p.unary(); err == nil {
			left = both{left, right}
		}
	}
	return left, err
}

func (p *parser) unary() (node, error) {
	switch start := p.skip(); {
	case p.symbol("!") || p.word("not"):
		x, err := p.unary()
		return negation{x}, err
	case p.symbol("("):
		x, err := p.or()
		if err == nil && !p.symbol(")") {
			err = p.errorf(start, "this parenthesis is never closed")
		}
		return x, err
	}
	return p.predicate()
}

func (p *parser) predicate() (node, error) {
	start := p.skip()
	for p.at < len(p.text) && isWord(p.text[p.at]) {
		p.at++
	}
	name := p.text[start:p.at]
	subject, operators, ok := subjectNamed(name)
	if !ok {
		if name == "" {
			if p.at == len(p.text) {
				return nil, p.errorf(start, "the expression ends where a subject is expected")
			}
			return nil, p.errorf(start, "expected a subject, found %q", p.rest(12))
		}
		return nil, p.errorf(start, "unknown subject %q", name)
	}
	opAt := p.skip()
	op, ok := p.operator()
	if !ok {
		return nil, p.errorf(opAt, "expected an operator after %q", name)
	}
	if !slices.Contains(operators, op) {
		return nil, p.errorf(opAt, "operator %q can't be used with %q", op, name)
	}
	pred := &predicate{subject: subject, operator: op}
	argAt := p.skip()
	var err error
	switch op {
	case opExists, opNotExists:
		return pred, nil
	case opIn, opNotIn:
		pred.arguments, err = p.list()
	default:
		var literal string
		literal, err = p.literal(op == opMatches || op == opNotMatches, false)
		pred.arguments = []string{literal}
	}
	if err != nil {
		return nil, err
	}
	if err := pred.compile(); err != nil {
		return nil, p.errorf(argAt, "%s", err)
	}
	return pred, nil
}

// operator is an operator in its short spelling.
type operator string

const (
	opEqual        operator = "=="
	opNotEqual     operator = "!="
	opGreater      operator = ">"
	opGreaterEqual operator = ">="
	opLess         operator = "<"
	opLessEqual    operator = "<="
	opExists       operator = "exists"
	opNotExists    operator = "!exists"
	opIn           operator = "in"
	opNotIn        operator = "!in"
	opMatches      operator = "=~"
	opNotMatches   operator = "!~"
)

// spellings are all ways to write an operator. A spelling that starts with another stands before it.
var spellings = []struct {
	text string
	op   operator
	word bool // ends where the word ends
}{
	{"==", opEqual, false}, {"!=", opNotEqual, false}, {"=~", opMatches, false}, {"!~", opNotMatches, false},
	{">=", opGreaterEqual, false}, {"<=", opLessEqual, false}, {">", opGreater, false}, {"<", opLess, false},
	{"!exists", opNotExists, true}, {"!in", opNotIn, true},
	{"equals", opEqual, true}, {"not_equals", opNotEqual, true},
	{"greater_than_equal", opGreaterEqual, true}, {"greater_than", opGreater, true},
	{"less_than_equal", opLessEqual, true}, {"less_than", opLess, true},
	{"exists", opExists, true}, {"not_exists", opNotExists, true},
	{"in", opIn, true}, {"not_in", opNotIn, true},
	{"matches", opMatches, true}, {"not_matches", opNotMatches, true},
}

func (p *parser) operator() (operator, bool) {
	for _, s := range spellings {
		if s.word && p.word(s.text) || !s.word && p.symbol(s.text) {
			return s.op, true
		}
	}
	return "", false
}

func (p *parser) list() ([]string, error) {
	start := p.skip()
	if !p.symbol("[") {
		return nil, p.errorf(start, "expected a list in brackets")
	}
	var list []string
	for {
		literal, err := p.literal(false, true)
		if err != nil {
			return nil, err
		}
		list = append(list, literal)
		switch {
		case p.symbol("]"):
			return list, nil
		case !p.symbol(","):
			return nil, p.errorf(start, "this list is never closed")
		}
	}
}

// literal reads one argument; a bare regular expression may hold brackets and commas.
func (p *parser) literal(regex, inList bool) (string, error) {
	start := p.skip()
	if start == len(p.text) {
		return "", p.errorf(start, "the expression ends where an argument is expected")
	}
	if quote := p.text[start]; quote == '\'' || quote == '"' {
		end := strings.IndexByte(p.text[start+1:], quote)
		if end < 0 {
			return "", p.errorf(start, "this quote is never closed")
		}
		p.at = start + end + 2
		return p.text[start+1 : p.at-1], nil
	}
	ends := " \t\r\n()'\""
	if !regex {
		ends += "[]"
	}
	if inList {
		ends += ","
	}
	for p.at < len(p.text) && strings.IndexByte(ends, p.text[p.at]) < 0 &&
		!strings.HasPrefix(p.text[p.at:], "&&") && !strings.HasPrefix(p.text[p.at:], "||") {
		p.at++
	}
	if p.at == start {
		return "", p.errorf(start, "expected an argument, found %q", p.rest(12))
	}
	return p.text[start:p.at], nil
}

// compile checks the arguments and makes them ready.
func (x *predicate) compile() error {
	switch x.operator {
	case opMatches, opNotMatches:
		// The whole value has to match, as Java's matches() has it: t2.* is for "t2.micro", not for "at2".
		re, err := regexp.Compile(`\A(?:` + x.arguments[0] + `)\z`)
		if err != nil {
			if _, bare := regexp.Compile(x.arguments[0]); bare != nil {
				err = bare // says the expression as it was written
			}
			return fmt.Errorf("invalid regular expression (look-around and back-references aren't supported): %s",
				strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		if _, err := regexp.Compile(x.arguments[0]); err != nil { // "a)(b" closes our group and opens another
			return fmt.Errorf("invalid regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		x.regex = re
		return nil
	}
	for _, a := range x.arguments {
		switch x.subject.kind {
		case subjectRegisteredAt:
			t, second, err := parseTime(a)
			if err != nil {
				return err
			}
			x.time, x.second = t, second
		case subjectAgentVersion:
			v, ok := parseVersion(a)
			if !ok {
				return fmt.Errorf("%q is not a version", a)
			}
			x.version = v
		case subjectRunningTasksCount:
			n, err := strconv.Atoi(a)
			if err != nil {
				return fmt.Errorf("%q is not a number", a)
			}
			x.number = n
		}
	}
	return nil
}

// parseTime reads the forms that the language knows; second tells that the literal has no fraction, so that it names a
// whole second.
func parseTime(s string) (t time.Time, second bool, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, t.Nanosecond() == 0, nil
		}
	}
	return time.Time{}, false, fmt.Errorf("%q is not a date (2018-06-18T22:28:28+00:00, 2018-06-18T22:28:28 or 2018-06-18)", s)
}

// parseVersion reads "1.105.0"; a leading v and what follows a '-' or '+' don't count.
func parseVersion(s string) ([]int, bool) {
	s = strings.TrimPrefix(s, "v")
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		s = s[:i]
	}
	var v []int
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		v = append(v, n)
	}
	return v, true
}
