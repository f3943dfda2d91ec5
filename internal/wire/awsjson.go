package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire/awsjson"
)

// NewAWSJSON returns AWS's JSON protocol, 1.0 or 1.1 as the service has it: every call is POST /, the operation stands in
// X-Amz-Target.
func NewAWSJSON(svc *Service) Protocol {
	return &awsJSON{svc: svc, contentType: "application/x-amz-json-" + svc.JSONVersion}
}

type awsJSON struct {
	svc         *Service
	contentType string
}

// Route implements Protocol.
func (p *awsJSON) Route(r *http.Request) (string, error) {
	target := r.Header.Get("X-Amz-Target")
	prefix, operation, found := strings.Cut(target, ".")
	switch {
	case target == "":
		return "", fault.New("UnknownOperationException", "The request has no X-Amz-Target header")
	case r.Method != http.MethodPost:
		return "", fault.New("UnknownOperationException", "%s isn't called with %s but with POST", target, r.Method)
	case !found || prefix != p.svc.TargetPrefix:
		return "", fault.New("UnknownOperationException", "%q isn't an operation of %s", target, p.svc.Title)
	}
	if _, known := slices.BinarySearch(p.svc.Operations, operation); !known {
		return "", fault.New("UnknownOperationException", "%s has no operation %q", p.svc.Title, operation)
	}
	return operation, nil
}

// Decode implements Protocol. An empty body is an empty input: some clients send none to operations without members.
func (p *awsJSON) Decode(r *http.Request, body []byte, in any) error {
	x, ok := in.(awsjson.Decodable)
	if !ok {
		return fault.Internal(fmt.Errorf("%T isn't a generated input", in), "The input can't be decoded.")
	}
	body, err := decompress(r, body)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if err := awsjson.Unmarshal(body, x); err != nil {
			return err
		}
	}
	return Validate(in)
}

// appender is a generated output.
type appender interface{ AppendJSON([]byte) []byte }

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keepBuffer is the largest buffer that goes back to the pool: a rare huge answer shouldn't be kept for ever.
const keepBuffer = 1 << 20

// Encode implements Protocol.
func (p *awsJSON) Encode(w http.ResponseWriter, out any) {
	buf := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= keepBuffer {
			buffers.Put(buf)
		}
	}()
	switch x, ok := out.(appender); {
	case out == nil || reflect.ValueOf(out).Kind() == reflect.Pointer && reflect.ValueOf(out).IsNil():
		*buf = append((*buf)[:0], "{}"...) // the handler had nothing to say
	case !ok:
		p.Fault(w, fault.Internal(fmt.Errorf("%T isn't a generated output", out), "The output can't be encoded."))
		return
	default:
		*buf = x.AppendJSON((*buf)[:0])
	}
	p.write(w, http.StatusOK, *buf)
}

// Fault implements Protocol.
func (p *awsJSON) Fault(w http.ResponseWriter, f *fault.Error) {
	b := awsjson.AppendString([]byte(`{"__type":`), f.Code)
	b = awsjson.AppendString(append(b, `,"message":`...), f.Message)
	for _, name := range awsjson.Keys(f.Details) {
		value, err := json.Marshal(f.Details[name])
		if err != nil {
			value = awsjson.AppendString(nil, fmt.Sprint(f.Details[name]))
		}
		b = append(awsjson.AppendKey(b, name), value...)
	}
	w.Header().Set("X-Amzn-Errortype", f.Code)
	p.write(w, FaultStatus(f), append(b, '}'))
}

func (p *awsJSON) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", p.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the client has gone: there is nobody to tell
}

// FaultStatus is the HTTP status of a fault in the protocols that leave it to the kind: clients retry 500, and tell
// throttling from other refusals by the code.
func FaultStatus(f *fault.Error) int {
	if f.Kind == fault.Server {
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}
