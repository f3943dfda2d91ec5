// Package wire is what stands between HTTP and a handler: protocols, signatures, tokens, request identity.
// It knows nothing of ECS; the generated packages under api/ describe each service to it.
package wire

import (
	"context"
)

// Service describes one AWS API; tools/apigen generates one per model.
type Service struct {
	ID           string // "ecs": the package and docs/compat name
	Title        string // "Amazon Elastic Container Service"
	SigningName  string // the service in the SigV4 scope
	APIVersion   string
	Protocol     string   // "json" | "query" | "ec2" | "rest-json" | "smithy-rpc-v2-cbor"
	JSONVersion  string   // "1.1"
	TargetPrefix string   // X-Amz-Target up to the dot
	Operations   []string // every operation of the model, sorted
}

// Operation names one operation of a service and ties its input and output types together, so that a handler with the
// wrong signature doesn't compile. tools/apigen generates one per operation.
type Operation[In, Out any] struct {
	Service *Service
	Name    string
}

// Handler is one operation, ready to be served under any protocol: decode fills the typed input that it is given (and
// validates it against the model), the result goes to the protocol's encoder.
type Handler struct {
	Service   *Service
	Operation string
	Serve     func(ctx context.Context, decode func(input any) error) (output any, err error)
}

// Handle binds an operation to its typed handler.
func Handle[In, Out any](op Operation[In, Out], f func(context.Context, *In) (*Out, error)) Handler {
	return Handler{Service: op.Service, Operation: op.Name,
		Serve: func(ctx context.Context, decode func(any) error) (any, error) {
			in := new(In)
			if err := decode(in); err != nil {
				return nil, err
			}
			out, err := f(ctx, in)
			if err != nil {
				return nil, err // not (any)((*Out)(nil)): callers test the error only
			}
			return out, nil
		}}
}

// Caller is who signed the request, as verified; handlers read it with CallerOf.
type Caller struct {
	Account     string // "123456789012"
	ARN         string // "arn:aws:iam::123456789012:root"
	AccessKeyID string
	RequestID   string
	UserAgent   string
	Host        string // that the request was sent to, which is signed: "127.0.0.1:4566"
	TLS         bool   // the request came encrypted, at least to the proxy in front
}

type callerKey struct{}

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns who signed the request that ctx belongs to; the zero Caller for work that Berth started itself.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
