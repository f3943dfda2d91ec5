package awsjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openberth/berth/internal/fault"
)

// MaxDepth is how deep a request may nest. No API that Berth speaks needs a third of it.
const MaxDepth = 64

// Decoder reads JSON for the generated DecodeJSON methods. It keeps the first error; after it every method does nothing
// and every loop ends, so generated code asks once, at the end.
type Decoder struct {
	in   bytes.Buffer
	json jsontext.Decoder
	name []byte // the member that Member found, raw
	err  *fault.Error
}

// Decodable is a generated type.
type Decodable interface{ DecodeJSON(*Decoder) }

var decoders = sync.Pool{New: func() any { return new(Decoder) }}

// Unmarshal decodes b, which must hold one JSON value, into v. Nothing of b is kept.
func Unmarshal(b []byte, v Decodable) error {
	if bytes.Equal(b, nullValue) {
		return nil // what encoding/json asks of an Unmarshaler
	}
	d := decoders.Get().(*Decoder)
	defer decoders.Put(d)
	d.err = nil
	// jsontext reads a bytes.Buffer in place, without a copy. The decoder is left with no reference to b.
	d.in = *bytes.NewBuffer(b)
	d.json.Reset(&d.in)
	v.DecodeJSON(d)
	if d.err == nil {
		if _, err := d.json.ReadToken(); err != io.EOF {
			d.fail("The request body has more after its JSON value")
		}
	}
	err := d.err
	d.name = nil
	d.in = bytes.Buffer{}
	d.json.Reset(&d.in)
	if err != nil {
		return err
	}
	return nil
}

var nullValue = []byte("null")

// fail keeps the first error and where it happened.
func (d *Decoder) fail(format string, args ...any) {
	if d.err != nil {
		return
	}
	d.err = fault.New("SerializationException", format, args...)
	if at := path(d.json.StackPointer()); at != "" {
		d.err.Message += " (at " + at + ")"
	}
}

// path spells a JSON pointer as AWS spells a member: /containerDefinitions/0/cpu is containerDefinitions[0].cpu.
func path(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if _, err := strconv.ParseUint(token, 10, 32); err == nil {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	return b.String()
}

// syntax reports that the body isn't JSON.
func (d *Decoder) syntax(err error) {
	var syn *jsontext.SyntacticError
	switch {
	case d.err != nil:
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		d.fail("The request body is not valid JSON: it ends too early")
	case errors.As(err, &syn):
		d.fail("The request body is not valid JSON: %v", strings.TrimPrefix(syn.Err.Error(), "jsontext: "))
	default:
		d.fail("The request body is not valid JSON: %v", err)
	}
}

// Object enters an object.
func (d *Decoder) Object() { d.enter('{') }

// List enters a list.
func (d *Decoder) List() { d.enter('[') }

func (d *Decoder) enter(want jsontext.Kind) {
	if d.err != nil {
		return
	}
	tok, err := d.json.ReadToken()
	if err != nil {
		d.syntax(err)
		return
	}
	if kind := tok.Kind(); kind != want {
		switch kind {
		case '{':
			d.fail(startOfObject)
		case '[':
			d.fail(startOfList)
		default:
			d.fail("Unexpected field type")
		}
		return
	}
	if d.json.StackDepth() > MaxDepth {
		d.fail("The request body nests deeper than %d levels", MaxDepth)
	}
}

// Member goes to the next member of the object; false means that there is none, and leaves the object.
func (d *Decoder) Member() bool {
	if d.err != nil {
		return false
	}
	if d.json.PeekKind() == '}' {
		d.leave()
		return false
	}
	name, err := d.json.ReadValue()
	if err != nil {
		d.syntax(err)
		return false
	}
	d.name = name
	return true
}

func (d *Decoder) leave() {
	if _, err := d.json.ReadToken(); err != nil {
		d.syntax(err)
	}
}

// Name is the member that Member found; it is valid until the next read.
func (d *Decoder) Name() []byte {
	if bytes.IndexByte(d.name, '\\') < 0 {
		return d.name[1 : len(d.name)-1]
	}
	name, _ := jsontext.AppendUnquote(nil, d.name) // Member has checked it
	return name
}

// Key is Name as a string, for maps. A null value means that a map lacks the key, which the wire types can't say.
func (d *Decoder) Key() string {
	key := string(d.Name())
	d.refuseNull()
	return key
}

// Element goes to the next element of the list; false means that there is none, and leaves the list.
func (d *Decoder) Element() bool {
	if d.err != nil {
		return false
	}
	if d.json.PeekKind() == ']' {
		d.leave()
		return false
	}
	d.refuseNull()
	return d.err == nil
}

func (d *Decoder) refuseNull() {
	if d.json.PeekKind() == 'n' {
		if v := d.value(); v != nil {
			d.fail("A list or map must not hold null")
		}
	}
}

// Null reads a null, if that is what comes next: the member is absent.
func (d *Decoder) Null() bool {
	if d.err != nil {
		return true
	}
	if d.json.PeekKind() != 'n' {
		return false
	}
	d.value()
	return true
}

// Skip reads past a value that the model doesn't know.
func (d *Decoder) Skip() {
	if v := d.value(); v != nil {
		d.checkDepth(v)
	}
}

// value reads one value; nil after an error.
func (d *Decoder) value() jsontext.Value {
	if d.err != nil {
		return nil
	}
	v, err := d.json.ReadValue()
	if err != nil {
		d.syntax(err)
		return nil
	}
	return v
}

// checkDepth holds for values that are read whole what enter holds for the others.
func (d *Decoder) checkDepth(v jsontext.Value) {
	if k := v.Kind(); k != '{' && k != '[' {
		return
	}
	depth, inString := d.json.StackDepth(), false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				d.fail("The request body nests deeper than %d levels", MaxDepth)
				return
			}
		case c == '}' || c == ']':
			depth--
		}
	}
}

// mismatch reports a value of the wrong type in the words of AWS's front end.
func (d *Decoder) mismatch(v jsontext.Value, to string) {
	switch v.Kind() {
	case '{':
		d.fail(startOfObject)
	case '[':
		d.fail(startOfList)
	default:
		d.fail("%s cannot be converted to %s", valueName(v), to)
	}
}

const (
	startOfObject = "Start of structure or map found where not expected"
	startOfList   = "Start of list found where not expected"
)

func valueName(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		return "STRING_VALUE"
	case '0':
		if bytes.ContainsAny(v, ".eE") {
			return "DECIMAL_VALUE"
		}
		return "NUMBER_VALUE"
	case 't':
		return "TRUE_VALUE"
	case 'f':
		return "FALSE_VALUE"
	}
	return "NULL_VALUE"
}

// StringValue and its siblings read a value that must be there; the methods named after a type read one into a member,
// where null leaves it absent.
func (d *Decoder) StringValue() string {
	v := d.value()
	if v == nil {
		return ""
	}
	if v.Kind() != '"' {
		d.mismatch(v, "String")
		return ""
	}
	return unquote(v)
}

func unquote(v jsontext.Value) string {
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	s, _ := jsontext.AppendUnquote(nil, []byte(v)) // ReadValue has checked it
	return string(s)
}

func (d *Decoder) Int32Value() int32 { return int32(d.integer(32, "Integer")) }
func (d *Decoder) Int64Value() int64 { return d.integer(64, "Long") }

func (d *Decoder) integer(bits int, to string) int64 {
	v := d.value()
	if v == nil {
		return 0
	}
	if v.Kind() != '0' {
		d.mismatch(v, to)
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, bits)
	if err == nil {
		return n
	}
	// 80.0 and 8e1 are the integer 80. Beyond 2^53 a float can't say which integer it means.
	f, err := strconv.ParseFloat(string(v), 64)
	if limit := math.Ldexp(1, min(bits-1, 53)); err != nil || f != math.Trunc(f) || f < -limit || f >= limit {
		d.mismatch(v, to)
		return 0
	}
	return int64(f)
}

func (d *Decoder) Float32Value() float32 { return float32(d.float(32, "Float")) }
func (d *Decoder) Float64Value() float64 { return d.float(64, "Double") }

func (d *Decoder) float(bits int, to string) float64 {
	v := d.value()
	switch {
	case v == nil:
		return 0
	case v.Kind() == '"':
		switch unquote(v) {
		case "NaN":
			return math.NaN()
		case "Infinity":
			return math.Inf(1)
		case "-Infinity":
			return math.Inf(-1)
		}
	case v.Kind() == '0':
		if f, err := strconv.ParseFloat(string(v), bits); err == nil {
			return f
		}
	}
	d.mismatch(v, to)
	return 0
}

func (d *Decoder) BoolValue() bool {
	v := d.value()
	switch {
	case v == nil:
	case v.Kind() == 't':
		return true
	case v.Kind() != 'f':
		d.mismatch(v, "Boolean")
	}
	return false
}

func (d *Decoder) BlobValue() []byte {
	v := d.value()
	if v == nil {
		return nil
	}
	if v.Kind() != '"' {
		d.mismatch(v, "Blob")
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(unquote(v))
	if err != nil {
		d.fail("only base-64-encoded strings are convertible to bytes")
	}
	return b
}

// TimeValue reads seconds since the epoch, or a date as RFC 3339 or HTTP writes it: some clients send those.
func (d *Decoder) TimeValue() time.Time {
	v := d.value()
	switch {
	case v == nil:
		return time.Time{}
	case v.Kind() == '"':
		s := unquote(v)
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return t.UTC()
		}
		if t, err := time.Parse(http.TimeFormat, s); err == nil {
			return t.UTC()
		}
	case v.Kind() == '0':
		if t, ok := epoch(string(v)); ok {
			return t
		}
	}
	d.mismatch(v, "Timestamp")
	return time.Time{}
}

// The years 1 and 9999: what RFC 3339 can write.
const minEpoch, maxEpoch = -62135596800, 253402300799

// epoch parses decimal seconds exactly, for a float64 of today's seconds is off by up to 120 ns; with an exponent
// (1.795310439489E9, as some Java clients write) it rounds to milliseconds.
func epoch(s string) (time.Time, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err == nil && len(frac) <= 9 && !strings.ContainsAny(frac, "eE") {
		ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if strings.HasPrefix(s, "-") {
			ns = -ns
		}
		return time.Unix(sec, ns).UTC(), err == nil && sec >= minEpoch && sec <= maxEpoch
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < minEpoch || f > maxEpoch {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(f * 1000))).UTC(), true
}

// DocumentValue reads JSON that the API doesn't describe, as it stands.
func (d *Decoder) DocumentValue() json.RawMessage {
	v := d.value()
	if v == nil {
		return nil
	}
	d.checkDepth(v)
	return json.RawMessage(bytes.Clone(v))
}

func (d *Decoder) StringsValue() []string {
	list := []string{}
	for d.List(); d.Element(); {
		list = append(list, d.StringValue())
	}
	return list
}

func (d *Decoder) StringMapValue() map[string]string {
	m := map[string]string{}
	for d.Object(); d.Member(); {
		key := d.Key()
		m[key] = d.StringValue()
	}
	return m
}
