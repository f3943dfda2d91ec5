package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/wire/sigv4"
)

const (
	signingName     = "ecs"
	protocolVersion = 2
	writeTimeout    = 3 * time.Minute
	maxRefusal      = 64 << 10
	// expired is why the agent closes a connection that has lived long enough.
	expired = "ConnectionExpired: Reconnect to continue"
)

// Conn is a websocket to the control plane. One goroutine may read, any may write.
type Conn struct {
	ws *websocket.Conn
	// sign, on TCS, puts the signature in front of each frame.
	sign func(envelope []byte) []byte

	mu sync.Mutex // writes
}

// DialACS opens the ACS websocket.
func (c *Client) DialACS(ctx context.Context, endpoint, cluster, instanceARN string, sendCredentials bool) (*Conn, error) {
	q := agentlink.ACSHandshake{AgentHash: c.AgentHash, AgentVersion: c.AgentVersion, Cluster: cluster, ContainerInstanceARN: instanceARN,
		DockerVersion: "DockerVersion: " + c.DockerVersion, ProtocolVersion: protocolVersion, SeqNum: 1, SendCredentials: sendCredentials}
	conn, _, err := c.dial(ctx, endpoint, q.Query())
	return conn, err
}

// DialTCS opens the TCS websocket.
func (c *Client) DialTCS(ctx context.Context, endpoint, cluster, instanceARN string) (*Conn, error) {
	q := agentlink.TCSHandshake{AgentHash: c.AgentHash, AgentVersion: c.AgentVersion, Cluster: cluster, ContainerInstanceARN: instanceARN,
		DockerVersion: c.DockerVersion}
	conn, u, err := c.dial(ctx, endpoint, q.Query())
	if err != nil {
		return nil, err
	}
	conn.sign = func(envelope []byte) []byte {
		r := c.signed(u, envelope)
		r.Header.Set("Host", u.Host)
		return agentlink.EncodeSigned(r.Header, envelope)
	}
	return conn, nil
}

// signed is a GET of the websocket's URL in its http form, signed.
func (c *Client) signed(u *url.URL, body []byte) *http.Request {
	r := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}}
	sigv4.Sign(r, body, c.api.Credentials, signingName, c.api.Region, time.Now())
	return r
}

func (c *Client) dial(ctx context.Context, endpoint string, query url.Values) (*Conn, *url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(endpoint, "/") + "/ws")
	if err != nil {
		return nil, nil, fmt.Errorf("websocket endpoint: %w", err)
	}
	// Spaces as %20: a signature over the query must not depend on what a "+" is taken for.
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	ws := *u
	switch u.Scheme {
	case "http":
		ws.Scheme = "ws"
	case "https":
		ws.Scheme = "wss"
	default:
		return nil, nil, fmt.Errorf("websocket endpoint %q: scheme must be http or https", endpoint)
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: dialTimeout, ReadBufferSize: 4 << 10, WriteBufferSize: 32 << 10}
	conn, resp, err := dialer.DialContext(ctx, ws.String(), c.signed(u, nil).Header)
	if errors.Is(err, websocket.ErrBadHandshake) && resp != nil {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		code, message := agentlink.DecodeRefusal(body)
		return nil, nil, &RefusedError{Status: resp.StatusCode, Code: code, Message: message}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %w", endpoint, err)
	}
	return &Conn{ws: conn}, u, nil
}

// Read reads the next message; it fails if none comes for as long as idle. Messages of unknown types are returned as errors
// of type *agentlink.UnknownTypeError, after which reading goes on.
func (c *Conn) Read(idle time.Duration) (agentlink.Message, error) {
	if err := c.ws.SetReadDeadline(time.Now().Add(idle)); err != nil {
		return nil, &ClosedError{err}
	}
	_, frame, err := c.ws.ReadMessage()
	if err != nil {
		return nil, &ClosedError{err}
	}
	return agentlink.Decode(frame)
}

// Write sends m.
func (c *Conn) Write(m agentlink.Message) error {
	frame, err := agentlink.Encode(m)
	if err != nil {
		return err
	}
	if c.sign != nil {
		frame = c.sign(frame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ws.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return c.ws.WriteMessage(websocket.TextMessage, frame)
}

// Expire closes the connection the way that tells the other side to expect another one.
func (c *Conn) Expire() error { return c.closeWith(expired) }

// Close says goodbye and closes the connection.
func (c *Conn) Close() error { return c.closeWith("") }

func (c *Conn) closeWith(reason string) error {
	message := websocket.FormatCloseMessage(websocket.CloseNormalClosure, reason)
	// Ignored: a peer that is gone needs no goodbye.
	_ = c.ws.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second))
	return c.ws.Close()
}

// ClosedError says that the connection is over.
type ClosedError struct{ Err error }

func (e *ClosedError) Error() string { return "connection closed: " + e.Err.Error() }

func (e *ClosedError) Unwrap() error { return e.Err }

// Normal tells whether the connection ended in a way that asks for reconnecting at once (agent-protocol 2.3).
func (e *ClosedError) Normal() bool {
	return websocket.IsCloseError(e.Err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseAbnormalClosure,
		websocket.CloseInternalServerErr) || errors.Is(e.Err, io.EOF)
}
