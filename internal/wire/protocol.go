package wire

import (
	"net/http"

	"github.com/openberth/berth/internal/fault"
)

// Protocol turns HTTP into typed inputs and typed outputs into HTTP, for one service. AWS has five of them; a handler
// can't tell which one it is served under.
type Protocol interface {
	// Route names the operation that r calls, from the headers and the URL alone; the body isn't touched. An operation
	// that the service doesn't have is a fault.
	Route(r *http.Request) (operation string, err error)
	// Decode fills in (a pointer to a generated input) from the body, then validates it against the model. Its errors are
	// faults.
	Decode(r *http.Request, body []byte, in any) error
	// Encode writes a generated output as the answer; nil is an empty answer.
	Encode(w http.ResponseWriter, out any)
	// Fault writes f as the answer: status, headers and body as clients of the protocol expect them.
	Fault(w http.ResponseWriter, f *fault.Error)
}
