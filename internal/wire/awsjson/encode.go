// Package awsjson is what generated wire types call to write and read AWS's JSON: scalars, times, maps and the rules
// that hold for all of them. It knows nothing of HTTP or of a particular API.
//
// Written: absent members are left out, present but empty lists and maps are written, times are seconds since the epoch
// with milliseconds, map keys are sorted so that equal values have equal bytes.
//
// Read: names are case-sensitive, unknown members are skipped (newer SDKs send them), null means absent, anything that
// isn't well-formed JSON of the right type is a SerializationException that says where.
package awsjson

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// EndObject closes the object that began at start, where every member was appended with a comma before it: the first
// comma becomes the brace.
func EndObject(b []byte, start int) []byte {
	if len(b) == start {
		return append(b, '{', '}')
	}
	b[start] = '{'
	return append(b, '}')
}

// The functions named after a type append key and the value, or nothing when the value is absent; key comes with its
// comma, quotes and colon.

func String(b []byte, key string, v *string) []byte {
	if v == nil {
		return b
	}
	return AppendString(append(b, key...), *v)
}

func Int32(b []byte, key string, v *int32) []byte {
	if v == nil {
		return b
	}
	return strconv.AppendInt(append(b, key...), int64(*v), 10)
}

func Int64(b []byte, key string, v *int64) []byte {
	if v == nil {
		return b
	}
	return strconv.AppendInt(append(b, key...), *v, 10)
}

func Float32(b []byte, key string, v *float32) []byte {
	if v == nil {
		return b
	}
	return AppendFloat32(append(b, key...), *v)
}

func Float64(b []byte, key string, v *float64) []byte {
	if v == nil {
		return b
	}
	return AppendFloat64(append(b, key...), *v)
}

func Bool(b []byte, key string, v *bool) []byte {
	if v == nil {
		return b
	}
	return strconv.AppendBool(append(b, key...), *v)
}

func Time(b []byte, key string, v *time.Time) []byte {
	if v == nil {
		return b
	}
	return AppendTime(append(b, key...), *v)
}

func TimeISO(b []byte, key string, v *time.Time) []byte {
	if v == nil {
		return b
	}
	return AppendTimeISO(append(b, key...), *v)
}

func TimeHTTP(b []byte, key string, v *time.Time) []byte {
	if v == nil {
		return b
	}
	return AppendTimeHTTP(append(b, key...), *v)
}

func Blob(b []byte, key string, v []byte) []byte {
	if v == nil {
		return b
	}
	return AppendBlob(append(b, key...), v)
}

// Document appends JSON that the API doesn't describe. It was read by a Decoder or made by json.Marshal, so it is valid.
func Document(b []byte, key string, v json.RawMessage) []byte {
	if len(v) == 0 {
		return b
	}
	return append(append(b, key...), v...)
}

func Strings(b []byte, key string, v []string) []byte {
	if v == nil {
		return b
	}
	return AppendStrings(append(b, key...), v)
}

func StringMap(b []byte, key string, v map[string]string) []byte {
	if v == nil {
		return b
	}
	return AppendStringMap(append(b, key...), v)
}

// AppendInt32 and its siblings append a value alone: an element of a list or map.
func AppendInt32(b []byte, v int32) []byte { return strconv.AppendInt(b, int64(v), 10) }
func AppendInt64(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }
func AppendBool(b []byte, v bool) []byte   { return strconv.AppendBool(b, v) }

func AppendFloat32(b []byte, v float32) []byte { return appendFloat(b, float64(v), 32) }
func AppendFloat64(b []byte, v float64) []byte { return appendFloat(b, v, 64) }

// appendFloat writes the three values that JSON numbers lack as strings, as AWS's protocols do.
func appendFloat(b []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	return jsontext.AppendFloat(b, v, bits)
}

// AppendTime appends seconds since the epoch with a millisecond fraction: 1795310439.489, 1795310439.5, 1795310439.
// AWS keeps no more than milliseconds.
func AppendTime(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		b, ms = append(b, '-'), -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	frac := ms % 1000
	if frac == 0 {
		return b
	}
	b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

func AppendTimeISO(b []byte, t time.Time) []byte {
	return append(t.UTC().Truncate(time.Millisecond).AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

func AppendTimeHTTP(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), http.TimeFormat), '"')
}

func AppendBlob(b, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), v), '"')
}

func AppendStrings(b []byte, v []string) []byte {
	b = append(b, '[')
	for i, s := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, s)
	}
	return append(b, ']')
}

func AppendStringMap(b []byte, v map[string]string) []byte {
	start := len(b)
	for _, key := range Keys(v) {
		b = AppendString(AppendKey(b, key), v[key])
	}
	return EndObject(b, start)
}

// AppendKey appends a map's key with the comma before and the colon after it.
func AppendKey(b []byte, key string) []byte {
	return append(AppendString(append(b, ','), key), ':')
}

// Keys returns a map's keys in order.
func Keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

const hexDigits = "0123456789abcdef"

// AppendString appends s quoted. Control characters are escaped, and U+2028 and U+2029 too, which some JavaScript
// readers take for line ends; bytes that aren't UTF-8 become U+FFFD, for a client must be able to parse the answer.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0 // s[:done] is in b
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = appendEscape(append(b, s[done:i]...), c)
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[done:i]...), "\ufffd"...)
			done = i + size
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[done:i]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
			done = i + size
		}
		i += size
	}
	return append(append(b, s[done:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
