package agentlink

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
)

// Message is a message of ACS or TCS; its type's name is its name on the wire.
type Message interface {
	// MessageType is the "type" of the envelope.
	MessageType() string
}

// UnknownTypeError says that a frame was well formed, but of a type that this protocol version doesn't have. The
// receiver logs it and goes on: a newer peer may send what an older one ignores.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string { return fmt.Sprintf("unknown message type %q", e.Type) }

type envelope struct {
	Type    string          `json:"type"`
	Message json.RawMessage `json:"message"`
}

// Encode makes the text frame of m.
func Encode(m Message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.MessageType(), err)
	}
	return json.Marshal(envelope{m.MessageType(), body})
}

// Decode reads a text frame. The result is a pointer to one of this package's message types; a type that isn't known is
// an *UnknownTypeError. A PayloadMessage keeps its tasks raw (see PayloadMessage.DecodeTasks), so that one task that
// can't be read doesn't hide the others.
func Decode(frame []byte) (Message, error) {
	var env envelope
	if err := json.Unmarshal(frame, &env); err != nil {
		return nil, fmt.Errorf("decode envelope: %w", err)
	}
	construct, ok := constructors[env.Type]
	if !ok {
		return nil, &UnknownTypeError{env.Type}
	}
	m := construct()
	if len(env.Message) > 0 {
		if err := json.Unmarshal(env.Message, m); err != nil {
			return nil, fmt.Errorf("decode %s: %w", env.Type, err)
		}
	}
	return m, nil
}

var errNoHeader = errors.New("frame has no signature header")

// EncodeSigned puts the headers that sign an envelope in front of it, as the agent does with everything that it sends
// on TCS: "Authorization: ...\r\nHost: ...\r\nX-Amz-Date: ...\r\n\r\n{...}". The signature is that of a GET of the
// websocket's URL with the envelope as its body.
func EncodeSigned(header http.Header, envelope []byte) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(keys(header)) {
		for _, v := range header[name] {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	b.Write(envelope)
	return b.Bytes()
}

// SplitSigned takes such a frame apart. A frame that is bare JSON, as other agents may send it, comes back with no header.
func SplitSigned(frame []byte) (http.Header, []byte, error) {
	if trimmed := bytes.TrimLeft(frame, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		return nil, trimmed, nil
	}
	head, body, ok := bytes.Cut(frame, []byte("\r\n\r\n"))
	if !ok {
		return nil, nil, errNoHeader
	}
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(bytes.Clone(head), "\r\n\r\n"...)))).ReadMIMEHeader()
	if err != nil {
		return nil, nil, fmt.Errorf("signature header: %w", err)
	}
	return http.Header(h), body, nil
}

func keys(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range h {
			if !yield(k) {
				return
			}
		}
	}
}

var constructors = func() map[string]func() Message {
	all := []func() Message{
		func() Message { return new(HeartbeatMessage) },
		func() Message { return new(HeartbeatAckRequest) },
		func() Message { return new(PayloadMessage) },
		func() Message { return new(AckRequest) },
		func() Message { return new(NackRequest) },
		func() Message { return new(IAMRoleCredentialsMessage) },
		func() Message { return new(IAMRoleCredentialsAckRequest) },
		func() Message { return new(TaskManifestMessage) },
		func() Message { return new(TaskStopVerificationMessage) },
		func() Message { return new(TaskStopVerificationAck) },
		func() Message { return new(AttachTaskNetworkInterfacesMessage) },
		func() Message { return new(AttachInstanceNetworkInterfacesMessage) },
		func() Message { return new(ConfirmAttachmentMessage) },
		func() Message { return new(StageUpdateMessage) },
		func() Message { return new(PerformUpdateMessage) },
		func() Message { return new(CloseMessage) },
		func() Message { return new(ErrorMessage) },
		func() Message { return new(PublishMetricsRequest) },
		func() Message { return new(PublishHealthRequest) },
		func() Message { return new(PublishInstanceStatusRequest) },
		func() Message { return new(AckPublishMetric) },
		func() Message { return new(AckPublishHealth) },
		func() Message { return new(AckPublishInstanceStatus) },
		func() Message { return new(StopTelemetrySessionMessage) },
		func() Message { return new(ServerException) },
		func() Message { return new(BadRequestException) },
		func() Message { return new(ResourceValidationException) },
		func() Message { return new(InvalidParameterException) },
	}
	m := make(map[string]func() Message, len(all))
	for _, f := range all {
		m[f().MessageType()] = f
	}
	return m
}()
