package store

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// verify checks what node's comment promises.
func (n *node[V]) verify(t *rapid.T, low, high string, isRoot bool) (depth int) {
	if len(n.keys) > maxNode || len(n.keys) == 0 || n.kids != nil && (len(n.kids) != len(n.keys) || n.vals != nil) {
		t.Fatalf("a node with %d keys, %d children, %d values", len(n.keys), len(n.kids), len(n.vals))
	}
	if isRoot && len(n.kids) == 1 {
		t.Fatal("a root with one child")
	}
	if n.kids == nil {
		if len(n.vals) != len(n.keys) || !slices.IsSorted(n.keys) || n.keys[0] < low || high != "" && n.keys[len(n.keys)-1] >= high {
			t.Fatalf("a leaf between %q and %q has %q", low, high, n.keys)
		}
		return 1
	}
	for i, kid := range n.kids {
		l, h := low, high
		if i > 0 {
			l = n.keys[i]
		}
		if i+1 < len(n.keys) {
			h = n.keys[i+1]
		}
		d := kid.verify(t, l, h, false)
		if depth != 0 && d != depth {
			t.Fatal("leaves at different depths")
		}
		depth = d
	}
	return depth + 1
}

func contents(tr tree[int], from string) string {
	s := ""
	for k, v := range tr.from(from) {
		s += fmt.Sprint(k, "=", v, " ")
	}
	return s
}

func TestTreeAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]int{20, 300, 5000}).Draw(t, "space")
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("%x", rapid.IntRange(0, space).Draw(t, "key")) })
		m := map[string]int{}
		for range rapid.IntRange(0, 2*space).Draw(t, "at first") / 2 {
			m[key.Draw(t, "k")] = 0
		}
		keys := slices.Sorted(maps.Keys(m))
		tr := buildTree(keys, make([]int, len(keys)))
		type version struct {
			tr       tree[int]
			contents string
		}
		var old []version
		for step := range rapid.IntRange(1, 20).Draw(t, "steps") {
			old = append(old, version{tr, contents(tr, "")})
			deleting := rapid.Bool().Draw(t, "deleting")
			for range rapid.IntRange(1, space).Draw(t, "run") {
				k := key.Draw(t, "k")
				if deleting {
					delete(m, k)
					tr = tr.delete(k)
				} else {
					m[k] = step
					tr = tr.put(k, step)
				}
			}
			if tr.root != nil {
				tr.root.verify(t, "", "", true)
			}
			from, want := key.Draw(t, "from"), ""
			for _, k := range slices.Sorted(maps.Keys(m)) {
				if v, ok := tr.get(k); !ok || v != m[k] {
					t.Fatalf("get %q: %v %v, want %v", k, v, ok, m[k])
				}
				if k >= from {
					want += fmt.Sprint(k, "=", m[k], " ")
				}
			}
			if got := contents(tr, from); got != want || tr.len() != len(m) {
				t.Fatalf("from %q: got %s, want %s", from, got, want)
			}
			if k := key.Draw(t, "absent"); m[k] == 0 {
				if _, has := m[k]; !has {
					if _, ok := tr.get(k); ok {
						t.Fatalf("%q was found", k)
					}
				}
			}
		}
		for i, v := range old {
			if contents(v.tr, "") != v.contents {
				t.Fatalf("version %d has changed", i)
			}
		}
	})
}

func TestTreeOfGrowingKeysIsDense(t *testing.T) {
	var tr tree[int]
	for i := range 10_000 {
		tr = tr.put(fmt.Sprintf("%06d", i), i)
	}
	leaves := 0
	var count func(*node[int])
	count = func(n *node[int]) {
		if n.kids == nil {
			leaves++
		}
		for _, kid := range n.kids {
			count(kid)
		}
	}
	count(tr.root)
	if leaves > 10_000/maxNode+1 {
		t.Errorf("%d leaves for 10,000 growing keys", leaves)
	}
}

// TestMergeTakesTheParentsBound: a node whose first child has vanished keeps a first key that is too high, which
// doesn't matter until the node is joined to its left neighbour.
func TestMergeTakesTheParentsBound(t *testing.T) {
	leaf := func(keys ...string) *node[int] { return &node[int]{keys: keys, vals: make([]int, len(keys))} }
	a := &node[int]{keys: []string{"", "c"}, kids: []*node[int]{leaf("a", "b"), leaf("c", "d")}}
	b := &node[int]{keys: []string{"stale", "t"}, kids: []*node[int]{leaf("m", "n"), leaf("t")}}
	root := &node[int]{keys: []string{"", "m"}, kids: []*node[int]{a, b}}
	root.mergeNear(1)
	tr := tree[int]{root.kids[0], 7}
	for _, key := range []string{"a", "b", "c", "d", "m", "n", "t"} {
		if _, ok := tr.get(key); !ok {
			t.Errorf("%q is lost", key)
		}
	}
	if got := contents(tr, "m"); got != "m=0 n=0 t=0 " {
		t.Errorf("got %s", got)
	}
}
