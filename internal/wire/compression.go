package wire

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"

	"github.com/openberth/berth/internal/fault"
)

// maxInflated bounds what a compressed body may become: a few kilobytes of zeros would else fill the memory.
const maxInflated = 16 << 20

// decompress undoes the gzip that SDKs put on large bodies of operations that allow it. Content-Encoding lists encodings
// in the order they were applied; only the last is the SDK's.
func decompress(r *http.Request, body []byte) ([]byte, error) {
	encodings := strings.Split(r.Header.Get("Content-Encoding"), ",")
	if strings.TrimSpace(encodings[len(encodings)-1]) != "gzip" {
		return body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fault.New("SerializationException", "The request body is not valid gzip")
	}
	inflated, err := io.ReadAll(io.LimitReader(z, maxInflated+1))
	switch {
	case err != nil:
		return nil, fault.New("SerializationException", "The request body is not valid gzip")
	case len(inflated) > maxInflated:
		return nil, fault.New("SerializationException", "The request body is larger than %d bytes when decompressed", maxInflated)
	}
	return inflated, nil
}
