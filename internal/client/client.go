// Package client calls an AWS JSON API with signed requests: what the command line uses to talk to a Berth server, in the
// same words as any other AWS client.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/openberth/berth/internal/fault"
	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// Client calls one endpoint with one pair of keys.
type Client struct {
	Endpoint    string // "http://127.0.0.1:4566"
	Region      string
	Credentials sigv4.Credentials
	HTTP        *http.Client // nil: http.DefaultClient
}

// Call calls op and returns its output. What the server refuses comes back as a *fault.Error with AWS's code.
func Call[In, Out any](ctx context.Context, c *Client, op wire.Operation[In, Out], in *In) (*Out, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-"+op.Service.JSONVersion)
	req.Header.Set("X-Amz-Target", op.Service.TargetPrefix+"."+op.Name)
	sigv4.Sign(req, body, c.Credentials, op.Service.SigningName, c.Region, time.Now())
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("calling %s at %s: %w", op.Name, c.Endpoint, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer to %s: %w", op.Name, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refused(op.Name, resp, answer)
	}
	out := new(Out)
	if err := json.Unmarshal(answer, out); err != nil {
		return nil, fmt.Errorf("reading the answer to %s: %w", op.Name, err)
	}
	return out, nil
}

// refused reads the error body of the protocol.
func refused(operation string, resp *http.Response, body []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil || e.Type == "" {
		return fmt.Errorf("calling %s: HTTP %s", operation, resp.Status)
	}
	f := fault.New(e.Type, "%s", e.Message)
	if resp.StatusCode >= 500 {
		f.Kind = fault.Server
	}
	return f
}

// Unreachable tells a server that isn't there from one that refuses.
func Unreachable(err error) bool {
	var f *fault.Error
	return err != nil && !errors.As(err, &f)
}
