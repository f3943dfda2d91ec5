package control

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/openberth/berth/internal/agentlink"
)

const (
	// writeTimeout is how long an agent may leave a frame unread: it reads on a goroutine of its own.
	writeTimeout = 10 * time.Second
	// closeTimeout is how long the agent has to answer a close frame, so that it reads why before the connection breaks.
	closeTimeout = time.Second
	// maxFrame bounds what an agent may send: metrics may be 1 MiB, plus the header that signs them.
	maxFrame = agentlink.MaxMessageBytes + 64<<10
)

// closing is how a connection ends; code is a websocket close code. Agents take 1000, 1001, 1006 and 1011 as a reason to
// come back at once, and wait a while after any other.
type closing struct {
	code   int
	reason string
}

var (
	closeExpired      = closing{websocket.CloseNormalClosure, "ConnectionExpired: Reconnect to continue"}
	closeNotLeading   = closing{websocket.CloseGoingAway, "The server is going away: Reconnect to continue"}
	closeDeregistered = closing{websocket.CloseNormalClosure, "The container instance is deregistered"} // the next handshake says it properly
	closeSilent       = closing{websocket.CloseGoingAway, "No answer to heartbeats"}
	closeFailed       = closing{websocket.CloseInternalServerErr, "The server failed"}
	// Not a normal end, so that two agents that share an identity don't push each other out at full speed.
	closeReplaced = closing{websocket.ClosePolicyViolation, "The container instance has connected again"}
)

var errNothingToSay = errors.New("the connection is broken already")

// connection is a websocket whose frames are messages. Reading happens on one goroutine, writing on any.
type connection struct {
	ws     *websocket.Conn
	mu     sync.Mutex // held while a frame is written
	broken error      // why reading ended; to be read once frames' channel is closed
}

func newConnection(ws *websocket.Conn) *connection {
	ws.SetReadLimit(maxFrame)
	return &connection{ws: ws}
}

func (c *connection) send(m agentlink.Message) error {
	frame, err := agentlink.Encode(m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ws.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return c.ws.WriteMessage(websocket.TextMessage, frame)
}

// frames reads until the connection breaks, then closes the channel. It stops early when done is closed; then the rest of
// what arrives is thrown away, so that the peer's answer to a close frame is seen.
func (c *connection) frames(done <-chan struct{}) <-chan []byte {
	out := make(chan []byte)
	go func() {
		defer close(out)
		for {
			_, frame, err := c.ws.ReadMessage()
			if err != nil {
				c.broken = err
				return
			}
			select {
			case out <- frame:
			case <-done:
			}
		}
	}()
	return out
}

// left is how the peer ended the connection. Agents leave for good by breaking it, and say "ConnectionExpired" when they
// only want a fresh one.
func (c *connection) left() closing {
	var e *websocket.CloseError
	if errors.As(c.broken, &e) && e.Code == websocket.CloseNormalClosure && strings.HasPrefix(e.Text, "ConnectionExpired") {
		return closeExpired
	}
	return closing{reason: c.broken.Error()}
}

// close says goodbye, waits a moment for the peer to hear it, and breaks the connection. frames' done must be closed.
func (c *connection) close(how closing, frames <-chan []byte) {
	deadline := time.Now().Add(closeTimeout)
	err := errNothingToSay
	if how.code != 0 {
		c.mu.Lock()
		err = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(how.code, how.reason), deadline)
		c.mu.Unlock()
	}
	if err == nil && c.ws.SetReadDeadline(deadline) == nil {
		for range frames {
		}
	}
	c.ws.Close() // nothing left to be done about an error
	for range frames {
	}
}
