package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/protocoltest"
)

// inputs are the types under test, by operation of the vectors.
var inputs = map[string]func() any{
	"EmptyOperation":                   func() any { return new(protocoltest.EmptyOperationInput) },
	"EndpointOperation":                func() any { return new(protocoltest.EndpointOperationInput) },
	"EndpointWithHostLabelOperation":   func() any { return new(protocoltest.EndpointWithHostLabelOperationInput) },
	"HostWithPathOperation":            func() any { return new(protocoltest.HostWithPathOperationInput) },
	"JsonEnums":                        func() any { return new(protocoltest.JsonEnumsInput) },
	"JsonIntEnums":                     func() any { return new(protocoltest.JsonIntEnumsInput) },
	"JsonUnions":                       func() any { return new(protocoltest.JsonUnionsInput) },
	"KitchenSinkOperation":             func() any { return new(protocoltest.KitchenSinkOperationInput) },
	"NullOperation":                    func() any { return new(protocoltest.NullOperationInput) },
	"OperationWithOptionalInputOutput": func() any { return new(protocoltest.OperationWithOptionalInputOutputInput) },
	"PutAndGetInlineDocuments":         func() any { return new(protocoltest.PutAndGetInlineDocumentsInput) },
	"PutWithContentEncoding":           func() any { return new(protocoltest.PutWithContentEncodingInput) },
	"SimpleScalarProperties":           func() any { return new(protocoltest.SimpleScalarPropertiesInput) },
}

type vectorCase struct {
	ID     string          `json:"id"`
	Params json.RawMessage `json:"params"`
	Given  struct {
		Name string `json:"name"`
	} `json:"given"`
	Serialized struct {
		Method  string            `json:"method"`
		URI     string            `json:"uri"`
		Body    *string           `json:"body"`
		Headers map[string]string `json:"headers"`
	} `json:"serialized"`
}

// TestVectors runs AWS's awsJson 1.1 request vectors: what a client sends must arrive as what the user gave to the client.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/input-json.json")
	if err != nil {
		t.Fatal(err)
	}
	var suites []struct {
		Cases []vectorCase `json:"cases"`
	}
	if err := json.Unmarshal(data, &suites); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, suite := range suites {
		for _, c := range suite.Cases {
			t.Run(c.ID, func(t *testing.T) { runVector(t, c) })
			ran++
		}
	}
	if ran != 54 {
		t.Errorf("ran %d vectors, the file had 54", ran)
	}
}

func runVector(t *testing.T, c vectorCase) {
	p := wire.NewAWSJSON(&protocoltest.API)
	want, got := inputs[c.Given.Name](), inputs[c.Given.Name]()
	if isNull(c.Params) {
		c.Params = []byte("{}")
	}
	fill(t, reflect.ValueOf(want).Elem(), c.Params)

	r := httptest.NewRequest(c.Serialized.Method, "/", nil)
	r.Header.Set("X-Amz-Target", "JsonProtocol."+c.Given.Name) // the two compression vectors leave it out
	for name, value := range c.Serialized.Headers {
		r.Header.Set(name, value)
	}
	operation, err := p.Route(r)
	if err != nil || operation != c.Given.Name {
		t.Fatalf("Route = %q, %v", operation, err)
	}
	var body []byte
	switch {
	case c.Serialized.Body != nil:
		body = []byte(*c.Serialized.Body)
	case r.Header.Get("Content-Encoding") != "":
		// The vectors don't say what bytes a compressor makes, so the body is ours.
		body = gzipped(t, want.(interface{ AppendJSON([]byte) []byte }).AppendJSON(nil))
	}
	if err := p.Decode(r, body, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), documents); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}

	// The other way round: what we write is what a client would have written.
	if c.Serialized.Body == nil {
		return
	}
	w := httptest.NewRecorder()
	p.Encode(w, got)
	if diff := cmp.Diff(generic(t, body), generic(t, w.Body.Bytes())); diff != "" {
		t.Errorf("encoded (-want +got):\n%s", diff)
	}
}

// documents are kept as they were written, so they are compared by what they say.
var documents = cmp.Comparer(func(a, b json.RawMessage) bool {
	if a == nil || b == nil || bytes.Equal(a, b) { // blobs come here too
		return (a == nil) == (b == nil)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
})

func generic(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// fill sets v from a vector's params, in which times are always epoch seconds and blobs are plain text. It goes by
// reflection so as to share nothing with the generated decoders.
func fill(t *testing.T, v reflect.Value, raw json.RawMessage) {
	t.Helper()
	if isNull(raw) {
		return
	}
	switch p := v.Addr().Interface().(type) {
	case *json.RawMessage:
		*p = raw
		return
	case *time.Time:
		var sec int64
		mustUnmarshal(t, raw, &sec)
		*p = time.Unix(sec, 0).UTC()
		return
	case *[]byte:
		var s string
		mustUnmarshal(t, raw, &s)
		*p = []byte(s)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), raw)
	case reflect.Struct:
		var members map[string]json.RawMessage
		mustUnmarshal(t, raw, &members)
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("json")
			fill(t, v.Field(i), members[name])
			delete(members, name)
		}
		if len(members) > 0 {
			t.Fatalf("%s has no members for %v", v.Type(), members)
		}
	case reflect.Slice:
		var elements []json.RawMessage
		mustUnmarshal(t, raw, &elements)
		v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
		for i, e := range elements {
			fill(t, v.Index(i), e)
		}
	case reflect.Map:
		var entries map[string]json.RawMessage
		mustUnmarshal(t, raw, &entries)
		v.Set(reflect.MakeMap(v.Type()))
		for key, e := range entries {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(t, value, e)
			v.SetMapIndex(reflect.ValueOf(key), value)
		}
	case reflect.Float32, reflect.Float64:
		// "NaN", "Infinity" and "-Infinity" are spelled so that ParseFloat reads them.
		f, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
		if err != nil {
			t.Fatal(err)
		}
		v.SetFloat(f)
	default:
		mustUnmarshal(t, raw, v.Addr().Interface())
	}
}

func mustUnmarshal(t *testing.T, raw json.RawMessage, p any) {
	t.Helper()
	if err := json.Unmarshal(raw, p); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}
