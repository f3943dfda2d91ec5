package operations

import (
	"context"
	"net/url"
	"strings"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire"
)

// agentHandlers are the operations that agents call; what goes the other way is internal/agentlink/control.
func (s *Service) agentHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.RegisterContainerInstance, s.RegisterContainerInstance),
		wire.Handle(ecsapi.DiscoverPollEndpoint, s.DiscoverPollEndpoint),
		wire.Handle(ecsapi.SubmitTaskStateChange, s.SubmitTaskStateChange),
		wire.Handle(ecsapi.SubmitContainerStateChange, s.SubmitContainerStateChange),
		wire.Handle(ecsapi.SubmitAttachmentStateChanges, s.SubmitAttachmentStateChanges),
	}
}

// DiscoverPollEndpoint tells an agent where its two websockets are: on the port that it called, as far as the server can
// tell. It doesn't look at the instance: the websocket's handshake says properly what is wrong with it, while agents take
// a failure here for a passing one.
func (s *Service) DiscoverPollEndpoint(ctx context.Context, in *ecsapi.DiscoverPollEndpointInput) (*ecsapi.DiscoverPollEndpointOutput, error) {
	endpoint := strings.TrimSuffix(s.Endpoint(ctx), "/")
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.Internal(err, "The server's own endpoint %q is not an http or https URL.", endpoint)
	}
	return &ecsapi.DiscoverPollEndpointOutput{
		Endpoint:          ptr(endpoint + "/acs/"),
		TelemetryEndpoint: ptr(endpoint + "/tcs/"),
	}, nil
}
