package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openberth/berth/api/ecsapi"
)

// TestPromisedBodiesDontHoldConnections: a client that begins a body and never ends it is cut off, whatever it asked for, and
// whether or not anybody reads bodies there. It needn't have signed anything.
func TestPromisedBodiesDontHoldConnections(t *testing.T) {
	was := readTimeout
	readTimeout = 50 * time.Millisecond
	t.Cleanup(func() { readTimeout = was }) // after the server has stopped: cleanups run last in, first out
	o := options(func(context.Context, *ecsapi.ListClustersInput) (*ecsapi.ListClustersOutput, error) {
		return &ecsapi.ListClustersOutput{}, nil
	})
	o.MaxRequestBytes = 10
	s := start(t, o, func(g *Gateway) {
		g.Mount("GET /signed", http.NotFoundHandler(), true)
		g.Mount("GET /open", http.NotFoundHandler(), false)
	})
	for what, head := range map[string]string{
		"health":             "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"metrics":            "GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"a signed mount":     "GET /signed HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"an open mount":      "GET /open HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"a call":             "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"a call in chunks":   "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"a call of too much": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + strings.Repeat("a", 20) + "\r\n",
		"a call of far too much": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n" + strings.Repeat("a", maxDiscard+1) +
			"\r\n1000\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go io.WriteString(c, head) //nolint:errcheck // it may be cut off
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); err != nil {
				if e, ok := err.(net.Error); ok && e.Timeout() {
					t.Error("the connection is held")
				}
			}
		})
	}
}
