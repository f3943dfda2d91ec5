package operations

import (
	"iter"
	"slices"
	"testing"

	"github.com/openberth/berth/internal/fault"
	"pgregory.net/rapid"
)

// TestPages: however long the pages are, and whatever disappears or appears between them, everything that is there all
// the time is listed exactly once, in order.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfDistinct(rapid.StringMatching(`[a-d]{1,3}`), rapid.ID[string])
		steady, all := keys.Draw(t, "steady"), []string{}
		size := int32(rapid.IntRange(1, 5).Draw(t, "size"))
		slices.Sort(steady)
		var seen []string
		var token *string
		for pages := 0; ; pages++ {
			// Others come and go before each page, also the one that the token names.
			all = append(slices.Clone(steady), keys.Draw(t, "others")...)
			slices.Sort(all)
			all = slices.Compact(all)
			items, next, err := page(token, &size, 100, 100, func(after string) iter.Seq2[string, string] {
				return func(yield func(string, string) bool) {
					for _, k := range all {
						if k > after && !yield(k, k) {
							return
						}
					}
				}
			})
			if err != nil || len(items) > int(size) || next != nil && len(items) < int(size) || pages > 200 {
				t.Fatalf("page %d has %d items, %v", pages, len(items), err)
			}
			seen = append(seen, items...)
			if next == nil {
				break
			}
			token = next
		}
		for i := range seen {
			if i > 0 && seen[i] <= seen[i-1] {
				t.Fatalf("%v: not in order, or something twice", seen)
			}
		}
		for _, k := range steady {
			if !slices.Contains(seen, k) {
				t.Fatalf("%q is missing in %v", k, seen)
			}
		}
	})
}

func TestPageRefuses(t *testing.T) {
	none := func(string) iter.Seq2[string, int] { return func(func(string, int) bool) {} }
	for _, size := range []int32{-1, 0, 101} {
		if _, _, err := page(nil, &size, 100, 100, none); fault.Code(err) != "InvalidParameterException" {
			t.Errorf("maxResults %d: %v", size, err)
		}
	}
	for _, token := range []string{"x", "AQ", "AmE", "a b", "%"} {
		if _, _, err := page(&token, nil, 100, 100, none); fault.Code(err) != "InvalidParameterException" {
			t.Errorf("token %q: %v", token, err)
		}
	}
	// An empty token is none, and no items are an empty list, not none.
	items, next, err := page(new(string), nil, 100, 100, none)
	if items == nil || next != nil || err != nil {
		t.Errorf("%v, %v, %v", items, next, err)
	}
}

// TestHandlersAreUnique: every operation that is bound is one of the model's, and bound once.
func TestHandlersAreUnique(t *testing.T) {
	bound := map[string]bool{}
	for _, h := range (&Service{}).Handlers() {
		if bound[h.Operation] {
			t.Errorf("%s is bound twice", h.Operation)
		}
		bound[h.Operation] = true
		if !slices.Contains(h.Service.Operations, h.Operation) {
			t.Errorf("%s is no operation of %s", h.Operation, h.Service.ID)
		}
	}
	for _, name := range []string{"CreateCluster", "RegisterTaskDefinition", "TagResource", "PutAccountSetting"} {
		if !bound[name] {
			t.Errorf("%s is not bound", name)
		}
	}
}
