// Package controlplane is how the agent reaches its control plane: signed calls of the ECS API, and the two websockets.
// It decides nothing.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/client"
	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// Bounds of a call (agent-protocol 1.2).
const (
	dialTimeout = 30 * time.Second
	tlsTimeout  = 10 * time.Second
	callTimeout = 42 * time.Second
	maxIdle     = 32
)

// Client reaches one control plane with one pair of keys.
type Client struct {
	api *client.Client
	// Agent is what the websockets' handshakes say of this agent.
	AgentVersion, AgentHash, DockerVersion string
}

// New makes a client for the endpoint, "http://127.0.0.1:4566".
func New(endpoint, region string, creds sigv4.Credentials) *Client {
	return &Client{api: &client.Client{Endpoint: endpoint, Region: region, Credentials: creds, HTTP: &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: tlsTimeout,
			// Many tasks report at the same time, to the one host that there is.
			MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: 90 * time.Second,
		},
	}}}
}

// Register registers the container instance and returns its ARN.
func (c *Client) Register(ctx context.Context, in *ecsapi.RegisterContainerInstanceInput) (*ecsapi.ContainerInstance, error) {
	out, err := client.Call(ctx, c.api, ecsapi.RegisterContainerInstance, in)
	if err != nil {
		return nil, err
	}
	if out.ContainerInstance == nil || out.ContainerInstance.ContainerInstanceArn == nil {
		return nil, errors.New("RegisterContainerInstance answered without an ARN")
	}
	return out.ContainerInstance, nil
}

// Deregistered asks whether a container instance has left the cluster for good.
func (c *Client) Deregistered(ctx context.Context, cluster, instanceARN string) (bool, error) {
	out, err := client.Call(ctx, c.api, ecsapi.DescribeContainerInstances,
		&ecsapi.DescribeContainerInstancesInput{Cluster: &cluster, ContainerInstances: []string{instanceARN}})
	if err != nil {
		return false, err
	}
	for _, ci := range out.ContainerInstances {
		return ci.Status != nil && *ci.Status == "INACTIVE", nil
	}
	for _, f := range out.Failures {
		return f.Reason != nil && *f.Reason == "MISSING", nil
	}
	return false, nil
}

// CreateCluster makes a cluster.
func (c *Client) CreateCluster(ctx context.Context, name string) error {
	_, err := client.Call(ctx, c.api, ecsapi.CreateCluster, &ecsapi.CreateClusterInput{ClusterName: &name})
	return err
}

// Endpoints are where the websockets are.
type Endpoints struct{ ACS, TCS string }

// DiscoverPollEndpoint asks where the websockets are.
func (c *Client) DiscoverPollEndpoint(ctx context.Context, cluster, instanceARN string) (Endpoints, error) {
	out, err := client.Call(ctx, c.api, ecsapi.DiscoverPollEndpoint,
		&ecsapi.DiscoverPollEndpointInput{Cluster: &cluster, ContainerInstance: &instanceARN})
	if err != nil {
		return Endpoints{}, err
	}
	if out.Endpoint == nil || out.TelemetryEndpoint == nil {
		return Endpoints{}, errors.New("DiscoverPollEndpoint answered without endpoints")
	}
	return Endpoints{ACS: *out.Endpoint, TCS: *out.TelemetryEndpoint}, nil
}

// submit has the input type that the engine builds, which marshals to the same members as the generated one.
var submit = wire.Operation[agentlink.TaskStateChange, ecsapi.SubmitTaskStateChangeOutput]{
	Service: ecsapi.SubmitTaskStateChange.Service, Name: ecsapi.SubmitTaskStateChange.Name}

// SubmitTaskStateChange reports.
func (c *Client) SubmitTaskStateChange(ctx context.Context, change *agentlink.TaskStateChange) error {
	_, err := client.Call(ctx, c.api, submit, change)
	return err
}

// Permanent tells a refusal that repeating the call won't change from everything else: no answer, throttling, a failure of
// the control plane's own.
func Permanent(err error) bool {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Client {
		return false
	}
	switch f.Code {
	case "ThrottlingException", "ServerException", "LimitExceededException", "ServiceUnavailableException", "RequestTimeout":
		return false
	}
	return true
}

// RefusedError is a websocket handshake that was answered with a refusal.
type RefusedError struct {
	Status  int
	Code    string // agentlink.RefusalInactiveInstance ...; empty if the answer had none
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("handshake refused (HTTP %d): %s: %s", e.Status, e.Code, e.Message)
}
