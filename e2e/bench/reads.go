package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/gorilla/websocket"
)

// benchReads stores tasks on an instance whose agent only acknowledges, then reads 100 of them a call over 32 connections.
func benchReads(ctx context.Context, binary, dir string, stored int, r *report) error {
	const connections, seconds = 32, 10
	c, _, err := startBerth(ctx, binary, dir, "server")
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.register(ctx); err != nil {
		return err
	}
	if err := c.silentAgent(ctx, stored); err != nil {
		return err
	}
	var arns []string
	for len(arns) < stored {
		out, err := c.api.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("bench"), Count: aws.Int32(10)})
		if err != nil {
			return err
		}
		if len(out.Tasks) == 0 {
			return fmt.Errorf("not placed: %s", aws.ToString(out.Failures[0].Reason))
		}
		for _, t := range out.Tasks {
			arns = append(arns, *t.TaskArn)
		}
	}

	// Requests are made and signed before the clock starts (a signature holds for 15 minutes), so that the client takes as
	// little of the machine as it can.
	var requests []func() *http.Request
	for range 64 {
		batch := make([]string, 0, 100)
		for _, i := range rand.Perm(len(arns))[:100] {
			batch = append(batch, arns[i])
		}
		body, err := json.Marshal(map[string]any{"tasks": batch})
		if err != nil {
			return err
		}
		header, err := c.sign(ctx, http.MethodPost, c.endpoint+"/", body, "DescribeTasks")
		if err != nil {
			return err
		}
		requests = append(requests, func() *http.Request {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
			req.Header = header.Clone()
			return req
		})
	}
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wg sync.WaitGroup
	end := time.Now().Add(seconds * time.Second)
	for n := range connections {
		wg.Go(func() {
			var mine []time.Duration
			for i := n; time.Now().Before(end) && ctx.Err() == nil; i++ {
				req := requests[i%len(requests)]()
				begin := time.Now()
				resp, err := hc.Do(req)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if err == nil && resp.StatusCode != http.StatusOK {
						err = fmt.Errorf("HTTP %s", resp.Status)
					}
				}
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				mine = append(mine, time.Since(begin))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	r.add(fmt.Sprintf("DescribeTasks of 100 out of %d, %d connections", len(arns), connections),
		fmt.Sprintf("%.0f calls/s", float64(len(took))/seconds), "")
	r.add("  p50", ms(median(took)), "")
	r.add("  p99", ms(quantile(took, 0.99)), "< 20 ms")
	return nil
}

// silentAgent registers an instance with room for all tasks and connects to it as an agent that acknowledges every payload
// and runs nothing, so that the tasks stay stored.
func (c *cluster) silentAgent(ctx context.Context, tasks int) error {
	if _, err := c.api.CreateCluster(ctx, &ecs.CreateClusterInput{}); err != nil {
		return err
	}
	out, err := c.api.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{
		TotalResources: []types.Resource{
			{Name: aws.String("CPU"), Type: aws.String("INTEGER"), IntegerValue: 1 << 20},
			{Name: aws.String("MEMORY"), Type: aws.String("INTEGER"), IntegerValue: int32(tasks) * 64},
			{Name: aws.String("PORTS"), Type: aws.String("STRINGSET"), StringSetValue: []string{}},
			{Name: aws.String("PORTS_UDP"), Type: aws.String("STRINGSET"), StringSetValue: []string{}},
		},
		Attributes: []types.Attribute{
			{Name: aws.String("com.amazonaws.ecs.capability.docker-remote-api.1.18")},
			{Name: aws.String("com.amazonaws.ecs.capability.docker-remote-api.1.17")},
			{Name: aws.String("ecs.os-type"), Value: aws.String("linux")},
		},
	})
	if err != nil {
		return err
	}
	arn := *out.ContainerInstance.ContainerInstanceArn
	q := url.Values{"agentHash": {"bench"}, "agentVersion": {"1.0.0"}, "clusterArn": {"default"}, "containerInstanceArn": {arn},
		"dockerVersion": {"bench"}, "protocolVersion": {"2"}, "sendCredentials": {"true"}, "seqNum": {"1"}}
	discovered, err := c.api.DiscoverPollEndpoint(ctx, &ecs.DiscoverPollEndpointInput{ContainerInstance: &arn})
	if err != nil {
		return err
	}
	target := strings.TrimSuffix(*discovered.Endpoint, "/") + "/ws?" + strings.ReplaceAll(q.Encode(), "+", "%20")
	header, err := c.sign(ctx, http.MethodGet, target, nil, "")
	if err != nil {
		return err
	}
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, strings.Replace(target, "http", "ws", 1), header)
	if err != nil {
		return fmt.Errorf("connecting as an agent: %w", err)
	}
	go func() {
		defer ws.Close()
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				return
			}
			var m struct {
				Type    string
				Message struct {
					MessageID   string `json:"messageId"`
					ClusterARN  string `json:"clusterArn"`
					InstanceARN string `json:"containerInstanceArn"`
				}
			}
			json.Unmarshal(frame, &m)
			ack := map[string]any{"type": "AckRequest", "message": map[string]string{
				"cluster": m.Message.ClusterARN, "containerInstance": m.Message.InstanceARN, "messageId": m.Message.MessageID}}
			if m.Type == "HeartbeatMessage" {
				ack = map[string]any{"type": "HeartbeatAckRequest", "message": map[string]string{"messageId": m.Message.MessageID}}
			}
			if ws.WriteJSON(ack) != nil {
				return
			}
		}
	}()
	return c.waitAgent(ctx)
}

// sign returns the headers of a signed request.
func (c *cluster) sign(ctx context.Context, method, target string, body []byte, operation string) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	if operation != "" {
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+operation)
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: c.keyID, SecretAccessKey: c.secret}, req, hex.EncodeToString(sum[:]), "ecs", "us-east-1", time.Now())
	req.Header.Del("Host")
	return req.Header, err
}
