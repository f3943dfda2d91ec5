package gateway

import (
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// fallbackProtocol words the refusal of a request that is for no service of ours. AWS_ENDPOINT_URL sends all of a client's
// services here, so this is what `aws sts get-caller-identity` meets while Berth has no STS: an error that its client can
// read, not one that its parser breaks on.
func fallbackProtocol(r *http.Request, requestID string) wire.Protocol {
	if r.Header.Get("X-Amz-Target") == "" {
		form := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
		if scope, ok := sigv4.PeekScope(r); form || ok && scope.Service == "s3" {
			return xmlFallback{jsonFallback, requestID}
		}
	}
	return jsonFallback
}

var jsonFallback = wire.NewAWSJSON(&wire.Service{Title: "Berth", JSONVersion: "1.1"})

// xmlFallback writes faults as the query protocol has them; it serves nothing.
type xmlFallback struct {
	wire.Protocol
	requestID string
}

type xmlError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// Fault implements wire.Protocol.
func (x xmlFallback) Fault(w http.ResponseWriter, f *fault.Error) {
	e := xmlError{Type: "Sender", Code: f.Code, Message: f.Message, RequestID: x.requestID}
	if f.Kind == fault.Server {
		e.Type = "Receiver"
	}
	body, err := xml.Marshal(e)
	if err != nil {
		panic(err) // strings always marshal
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(wire.FaultStatus(f))
	w.Write(body) //nolint:errcheck // the client has gone: there is nobody to tell
}
