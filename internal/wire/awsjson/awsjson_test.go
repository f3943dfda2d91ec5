package awsjson

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/internal/fault"
)

// thing is what a generated type would be, written by hand so that this package is tested on its own.
type thing struct {
	Name  *string
	Count *int32
	Size  *int64
	Ratio *float64
	On    *bool
	When  *time.Time
	Data  []byte
	Doc   json.RawMessage
	List  []string
	Map   map[string]string
	Sub   *thing
}

func (x *thing) DecodeJSON(d *Decoder) {
	for d.Object(); d.Member(); {
		switch string(d.Name()) {
		case "name":
			d.String(&x.Name)
		case "count":
			d.Int32(&x.Count)
		case "size":
			d.Int64(&x.Size)
		case "ratio":
			d.Float64(&x.Ratio)
		case "on":
			d.Bool(&x.On)
		case "when":
			d.Time(&x.When)
		case "data":
			d.Blob(&x.Data)
		case "doc":
			d.Document(&x.Doc)
		case "list":
			d.Strings(&x.List)
		case "map":
			d.StringMap(&x.Map)
		case "sub":
			if !d.Null() {
				x.Sub = new(thing)
				x.Sub.DecodeJSON(d)
			}
		default:
			d.Skip()
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"sub":`, n) + `{}` + strings.Repeat(`}`, n) }
	for _, c := range []struct{ name, body, message string }{
		{"number for a string", `{"name":1}`, "NUMBER_VALUE cannot be converted to String (at name)"},
		{"decimal for a string", `{"name":1.5}`, "DECIMAL_VALUE cannot be converted to String (at name)"},
		{"bool for a string", `{"name":true}`, "TRUE_VALUE cannot be converted to String (at name)"},
		{"string for an integer", `{"count":"1"}`, "STRING_VALUE cannot be converted to Integer (at count)"},
		{"fraction for an integer", `{"count":1.5}`, "DECIMAL_VALUE cannot be converted to Integer (at count)"},
		{"integer too large", `{"count":2147483648}`, "NUMBER_VALUE cannot be converted to Integer (at count)"},
		{"integer too small", `{"count":-2147483649}`, "NUMBER_VALUE cannot be converted to Integer (at count)"},
		{"integer beyond exact floats", `{"size":9e18}`, "DECIMAL_VALUE cannot be converted to Long (at size)"},
		{"string for a long", `{"size":"1"}`, "STRING_VALUE cannot be converted to Long (at size)"},
		{"string for a double", `{"ratio":"much"}`, "STRING_VALUE cannot be converted to Double (at ratio)"},
		{"double too large", `{"ratio":1e999}`, "DECIMAL_VALUE cannot be converted to Double (at ratio)"},
		{"string for a bool", `{"on":"true"}`, "STRING_VALUE cannot be converted to Boolean (at on)"},
		{"words for a time", `{"when":"soon"}`, "STRING_VALUE cannot be converted to Timestamp (at when)"},
		{"time out of range", `{"when":1e300}`, "DECIMAL_VALUE cannot be converted to Timestamp (at when)"},
		{"text for a blob", `{"data":"=="}`, "only base-64-encoded strings are convertible to bytes (at data)"},
		{"list for a string", `{"name":["a"]}`, "Start of list found where not expected (at name)"},
		{"object for a string", `{"name":{}}`, "Start of structure or map found where not expected (at name)"},
		{"string for a list", `{"list":"a"}`, "Unexpected field type (at list)"},
		{"object for a list", `{"list":{}}`, "Start of structure or map found where not expected (at list)"},
		{"list for a structure", `{"sub":[]}`, "Start of list found where not expected (at sub)"},
		{"string for a structure", `{"sub":"a"}`, "Unexpected field type (at sub)"},
		{"element", `{"sub":{"list":["a",2]}}`, "NUMBER_VALUE cannot be converted to String (at sub.list[1])"},
		{"null element", `{"list":["a",null]}`, "A list or map must not hold null (at list[1])"},
		{"null value", `{"map":{"a":null}}`, "A list or map must not hold null (at map.a)"},
		{"list at the top", `[]`, "Start of list found where not expected"},
		{"string at the top", `"a"`, "Unexpected field type"},
		{"nothing", ` `, "The request body is not valid JSON: it ends too early"},
		{"cut off", `{"name":"a"`, "The request body is not valid JSON: it ends too early"},
		{"cut off in a skipped member", `{"other":{"a":[`, "The request body is not valid JSON: it ends too early"},
		{"not JSON", `{'name':1}`, `The request body is not valid JSON: invalid character '\''`},
		{"a name that isn't a string", `{1:2}`, "The request body is not valid JSON: object member name must be a string"},
		{"more than one value", `{} {}`, "The request body has more after its JSON value"},
		{"duplicate member", `{"name":"a","name":"b"}`, "The request body is not valid JSON: duplicate object member name"},
		{"duplicate unknown member", `{"x":1,"x":2}`, "The request body is not valid JSON: duplicate object member name"},
		{"duplicate key", `{"map":{"a":"1","\u0061":"2"}}`, "The request body is not valid JSON: duplicate object member name"},
		{"invalid UTF-8", "{\"name\":\"\xff\"}", "The request body is not valid JSON: invalid UTF-8"},
		{"half a surrogate pair", `{"name":"\ud800"}`, "The request body is not valid JSON: "},
		{"too deep", deep(MaxDepth), "The request body nests deeper than 64 levels"},
		{"too deep in a document", `{"doc":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
			"The request body nests deeper than 64 levels"},
		{"too deep in a skipped member", `{"x":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
			"The request body nests deeper than 64 levels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Unmarshal([]byte(c.body), new(thing))
			if fault.Code(err) != "SerializationException" {
				t.Fatalf("got %v", err)
			}
			if got := err.(*fault.Error).Message; !strings.HasPrefix(got, c.message) {
				t.Errorf("got  %q\nwant %q", got, c.message)
			}
		})
	}
	if err := Unmarshal([]byte(deep(MaxDepth-1)), new(thing)); err != nil {
		t.Errorf("%d levels: %v", MaxDepth, err)
	}
}

func TestDecodeAccepts(t *testing.T) {
	var x thing
	err := Unmarshal([]byte(`
		{"name": "caf\u00e9 \ud83d\ude00 <&>", "NAME": "case matters", "unknown": {"a": [1, {"b": null}]},
		 "count": 8e1, "size": 9007199254740993, "ratio": 2, "on": false, "data": "aGk=", "list": [], "map": {},
		 "doc": {"a": [1]}, "n\u0061me2": 1, "sub": null, "when": null}`), &x)
	if err != nil {
		t.Fatal(err)
	}
	if *x.Name != "café 😀 <&>" || *x.Count != 80 || *x.Size != 9007199254740993 || *x.Ratio != 2 || *x.On ||
		string(x.Data) != "hi" || string(x.Doc) != `{"a": [1]}` {
		t.Errorf("got %+v", x)
	}
	if x.List == nil || x.Map == nil {
		t.Error("an empty list or map must not look absent")
	}
	if x.Sub != nil || x.When != nil {
		t.Error("null must mean absent")
	}

	x = thing{}
	if err := Unmarshal([]byte(`{"n\u0061me":"escaped"}`), &x); err != nil || x.Name == nil || *x.Name != "escaped" {
		t.Errorf("an escaped member name: %v, %+v", err, x)
	}
}

func TestDecodeTimes(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`1795310439.489`, "2026-11-22T01:20:39.489Z"},
		{`1795310439`, "2026-11-22T01:20:39Z"},
		{`1.795310439489E9`, "2026-11-22T01:20:39.489Z"},
		{`1795310439.123456789`, "2026-11-22T01:20:39.123456789Z"},
		{`-0.5`, "1969-12-31T23:59:59.5Z"},
		{`"2026-11-22T01:20:39.489Z"`, "2026-11-22T01:20:39.489Z"},
		{`"2026-11-22T02:20:39+01:00"`, "2026-11-22T01:20:39Z"},
		{`"Sun, 22 Nov 2026 01:20:39 GMT"`, "2026-11-22T01:20:39Z"},
	} {
		var x thing
		if err := Unmarshal([]byte(`{"when":`+c.json+`}`), &x); err != nil {
			t.Errorf("%s: %v", c.json, err)
			continue
		}
		if got := x.When.Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%s is %s, want %s", c.json, got, c.want)
		}
	}
}

// TestDecoderForgets: decoders are pooled, so one request's error must not reach the next.
func TestDecoderForgets(t *testing.T) {
	for range 100 {
		if Unmarshal([]byte(`{"name":1}`), new(thing)) == nil {
			t.Fatal("no error")
		}
		if err := Unmarshal([]byte(`{"name":"a"}`), new(thing)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDecodeKeepsNothing: the gateway may reuse the body's memory.
func TestDecodeKeepsNothing(t *testing.T) {
	body := []byte(`{"name":"abc","doc":[1],"list":["def"],"map":{"ghi":"jkl"}}`)
	var x thing
	if err := Unmarshal(body, &x); err != nil {
		t.Fatal(err)
	}
	clear(body)
	if *x.Name != "abc" || string(x.Doc) != "[1]" || x.List[0] != "def" || x.Map["ghi"] != "jkl" {
		t.Errorf("got %+v", x)
	}
}

func TestAppendString(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", `"plain"`},
		{"", `""`},
		{`say "hi" \ bye`, `"say \"hi\" \\ bye"`},
		{"\n\r\t\b\f\x00\x1f\x7f", `"\n\r\t\b\f\u0000\u001f\u007f"`},
		{"<b>&</b>", `"<b>&</b>"`},
		{"a\u2028b\u2029c", `"a\u2028b\u2029c"`},
		{"\u2027\u202a", "\"\u2027\u202a\""},
		{"café 😀", `"café 😀"`},
		{"a\xffb\xc3", "\"a\ufffdb\ufffd\""},
		{"\xed\xa0\x80", "\"\ufffd\ufffd\ufffd\""}, // a surrogate, encoded as UTF-8 must not be
		{"\ufffd", "\"\ufffd\""},
	} {
		got := string(AppendString(nil, c.in))
		if got != c.want {
			t.Errorf("%q became %s, want %s", c.in, got, c.want)
		}
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil {
			t.Errorf("%s isn't JSON: %v", got, err)
		} else if want := strings.ToValidUTF8(c.in, "\ufffd"); back != want && c.in[0] != '\xed' {
			t.Errorf("%s reads back as %q, want %q", got, back, want)
		}
	}
}

func TestAppendTime(t *testing.T) {
	for _, c := range []struct {
		ms   int64
		want string
	}{
		{1795310439489, "1795310439.489"}, {1795310439500, "1795310439.5"}, {1795310439050, "1795310439.05"},
		{1795310439000, "1795310439"}, {0, "0"}, {1, "0.001"}, {-500, "-0.5"}, {-1500, "-1.5"},
	} {
		if got := string(AppendTime(nil, time.UnixMilli(c.ms))); got != c.want {
			t.Errorf("%d ms became %s, want %s", c.ms, got, c.want)
		}
	}
	if got := string(AppendTime(nil, time.Unix(1, 999_999_999))); got != "1.999" {
		t.Errorf("more than milliseconds became %s", got)
	}
}

func TestAppendFloat(t *testing.T) {
	for _, c := range []struct {
		f    float64
		want string
	}{{1.5, "1.5"}, {100, "100"}, {1e21, "1e+21"}, {math.NaN(), `"NaN"`}, {math.Inf(1), `"Infinity"`}, {math.Inf(-1), `"-Infinity"`}} {
		if got := string(AppendFloat64(nil, c.f)); got != c.want {
			t.Errorf("%v became %s, want %s", c.f, got, c.want)
		}
	}
	if got := string(AppendFloat32(nil, 0.1)); got != "0.1" {
		t.Errorf("float32 0.1 became %s", got)
	}
}
