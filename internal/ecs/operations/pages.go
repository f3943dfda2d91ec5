package operations

import (
	"encoding/base64"
	"iter"

	"github.com/openberth/berth/internal/fault"
)

// page collects one page of a list. Keys come in order; the token is the key of the last element of the page, so that a
// page is right whatever was added or removed in between. A default page has def elements, a page at most max (100).
func page[T any](token *string, maxResults *int32, def, max int, from func(after string) iter.Seq2[string, T]) (items []T, next *string, err error) {
	limit := def
	if maxResults != nil {
		limit = int(*maxResults)
		if limit < 1 || limit > max {
			return nil, nil, fault.InvalidParameter("maxResults should be between 1 and %d", max)
		}
	}
	after := ""
	if token != nil && *token != "" {
		b, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil || len(b) < 2 || b[0] != tokenVersion {
			return nil, nil, fault.InvalidParameter("Invalid token")
		}
		after = string(b[1:])
	}
	items = []T{}
	last := ""
	for key, item := range from(after) {
		if len(items) == limit {
			t := base64.RawURLEncoding.EncodeToString(append([]byte{tokenVersion}, last...))
			return items, &t, nil
		}
		items = append(items, item)
		last = key
	}
	return items, nil, nil
}

// tokenVersion marks our tokens, so that a stray string is refused rather than read as a place in the list.
const tokenVersion = 1
