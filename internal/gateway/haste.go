package gateway

import (
	"net/http"
	"strings"
	"time"
)

// The AWS SDK for Go closes a request's body as soon as an answer has come, but Go's HTTP client may only then look whether
// the body has ended, takes what it finds for a failed write, and closes the connection while the answer is being read:
// "deserialization failed, read tcp: use of closed network connection". AWS is never fast enough for that. A server on
// the same machine is: a DescribeTasks of 100 tasks, answered in under a millisecond, failed about once in thirty.
//
// It takes a body that goes to the socket past the client's 4 KiB buffer; smaller ones are safe.
const (
	hastyBody  = 3 << 10              // with its headers, such a request may fill the buffer
	hastyPause = 5 * time.Millisecond // from the arrival of the body; the client needs microseconds, but must get a turn
)

// unhurried waits until the client has had the time to see that it has sent everything.
func unhurried(r *http.Request, read time.Time) {
	if r.ContentLength < hastyBody || !strings.Contains(r.UserAgent(), "aws-sdk-go") {
		return
	}
	pause := time.NewTimer(time.Until(read.Add(hastyPause)))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-r.Context().Done():
	}
}
