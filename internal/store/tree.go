package store

import (
	"iter"
	"slices"
	"sort"
)

// tree is an immutable ordered map from string to V, a B+ tree: every change copies the nodes on its path, and shares
// the others with the tree that it was made from. So a snapshot is a copy of the struct, and an iteration is never
// disturbed by later changes. The zero value is empty.
//
// It is not a radix tree (hashicorp/go-immutable-radix was here first), because those have a node or two for each
// entry, each with a channel: 350 bytes an entry, where this takes 45. With a record in four trees (its table and
// three indexes) that decides how many tasks a server can hold.
type tree[V any] struct {
	root *node[V]
	n    int
}

// node is a leaf, with keys and values, or has children. keys[i] is a lower bound of what is in kids[i], and greater
// than what is in kids[i-1]; keys[0] is never looked at. All leaves are equally deep. Nodes never change; neighbours
// in time share slices.
type node[V any] struct {
	keys []string
	vals []V
	kids []*node[V]
}

// A node of 32 entries is 1 KiB: a change of one entry in a million copies four of them.
const (
	maxNode = 32
	minNode = maxNode / 4
)

func (t tree[V]) len() int { return t.n }

func (t tree[V]) get(key string) (V, bool) {
	for n := t.root; n != nil; n = n.kids[n.child(key)] {
		if n.kids == nil {
			if i, found := slices.BinarySearch(n.keys, key); found {
				return n.vals[i], true
			}
			break
		}
	}
	var none V
	return none, false
}

// child is the index of the child in whose range key lies.
func (n *node[V]) child(key string) int {
	return sort.Search(len(n.keys)-1, func(i int) bool { return n.keys[i+1] > key })
}

func (t tree[V]) put(key string, v V) tree[V] {
	if t.root == nil {
		return tree[V]{&node[V]{keys: []string{key}, vals: []V{v}}, 1}
	}
	root, right, added := t.root.put(key, v)
	if right != nil {
		root = &node[V]{keys: []string{"", right.keys[0]}, kids: []*node[V]{root, right}}
	}
	if added {
		t.n++
	}
	return tree[V]{root, t.n}
}

// put returns n with the entry; in two halves when it would be too big.
func (n *node[V]) put(key string, v V) (left, right *node[V], added bool) {
	if n.kids == nil {
		i, found := slices.BinarySearch(n.keys, key)
		if found {
			return &node[V]{keys: n.keys, vals: replace(n.vals, i, v)}, nil, false
		}
		left = &node[V]{keys: insert(n.keys, i, key), vals: insert(n.vals, i, v)}
		left, right = left.split(i)
		return left, right, true
	}
	i := n.child(key)
	kid, sibling, added := n.kids[i].put(key, v)
	left = &node[V]{keys: n.keys, kids: replace(n.kids, i, kid)}
	if sibling != nil {
		left.keys, left.kids = insert(n.keys, i+1, sibling.keys[0]), insert(left.kids, i+1, sibling)
		left, right = left.split(i + 1)
	}
	return left, right, added
}

// split halves a node that has become too big by the entry at index at. When that is the last one, the left half stays
// full: keys that grow, such as those with a time in them, would leave all nodes half empty otherwise.
func (n *node[V]) split(at int) (left, right *node[V]) {
	if len(n.keys) <= maxNode {
		return n, nil
	}
	mid := len(n.keys) / 2
	if at == len(n.keys)-1 {
		mid = at
	}
	left = &node[V]{keys: slices.Clone(n.keys[:mid])}
	right = &node[V]{keys: slices.Clone(n.keys[mid:])}
	if n.kids == nil {
		left.vals, right.vals = slices.Clone(n.vals[:mid]), slices.Clone(n.vals[mid:])
	} else {
		left.kids, right.kids = slices.Clone(n.kids[:mid]), slices.Clone(n.kids[mid:])
	}
	return left, right
}

func (t tree[V]) delete(key string) tree[V] {
	if t.root == nil {
		return t
	}
	root, removed := t.root.delete(key)
	if !removed {
		return t
	}
	for root != nil && len(root.kids) == 1 {
		root = root.kids[0]
	}
	return tree[V]{root, t.n - 1}
}

// delete returns n without the entry; nil when nothing is left.
func (n *node[V]) delete(key string) (*node[V], bool) {
	if n.kids == nil {
		i, found := slices.BinarySearch(n.keys, key)
		switch {
		case !found:
			return n, false
		case len(n.keys) == 1:
			return nil, true
		}
		return &node[V]{keys: remove(n.keys, i), vals: remove(n.vals, i)}, true
	}
	i := n.child(key)
	kid, removed := n.kids[i].delete(key)
	switch {
	case !removed:
		return n, false
	case kid == nil && len(n.kids) == 1:
		return nil, true
	case kid == nil:
		return &node[V]{keys: remove(n.keys, i), kids: remove(n.kids, i)}, true
	}
	next := &node[V]{keys: n.keys, kids: replace(n.kids, i, kid)}
	if len(kid.keys) < minNode {
		next.mergeNear(i)
	}
	return next, true
}

// mergeNear joins the small child i with a neighbour, if both fit into one node. n must not be shared yet.
func (n *node[V]) mergeNear(i int) {
	for _, left := range []int{i - 1, i} {
		if left < 0 || left+1 >= len(n.kids) || len(n.kids[left].keys)+len(n.kids[left+1].keys) > maxNode {
			continue
		}
		a, b := n.kids[left], n.kids[left+1]
		joined := &node[V]{keys: slices.Concat(a.keys, b.keys)}
		if a.kids == nil {
			joined.vals = slices.Concat(a.vals, b.vals)
		} else {
			joined.kids = slices.Concat(a.kids, b.kids)
			joined.keys[len(a.keys)] = n.keys[left+1] // b's first key is not looked at in b, but it is here
		}
		n.keys, n.kids = remove(n.keys, left+1), remove(n.kids, left+1)
		n.kids[left] = joined
		return
	}
}

// from yields the entries whose keys are not less than key, in key order.
func (t tree[V]) from(key string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		if t.root != nil {
			t.root.from(key, yield)
		}
	}
}

func (n *node[V]) from(key string, yield func(string, V) bool) bool {
	if n.kids == nil {
		i, _ := slices.BinarySearch(n.keys, key)
		for ; i < len(n.keys); i++ {
			if !yield(n.keys[i], n.vals[i]) {
				return false
			}
		}
		return true
	}
	for i := n.child(key); i < len(n.kids); i++ {
		if !n.kids[i].from(key, yield) {
			return false
		}
	}
	return true
}

// buildTree makes a tree of entries whose keys are sorted and distinct, which is much faster than one by one.
func buildTree[V any](keys []string, vals []V) tree[V] {
	if len(keys) == 0 {
		return tree[V]{}
	}
	const fill = maxNode * 3 / 4 // leave room, so that the first changes don't split everything
	var level []*node[V]
	for i := 0; i < len(keys); i += fill {
		end := min(i+fill, len(keys))
		level = append(level, &node[V]{keys: slices.Clone(keys[i:end]), vals: slices.Clone(vals[i:end])})
	}
	for len(level) > 1 {
		var above []*node[V]
		for kids := range slices.Chunk(level, fill) {
			n := &node[V]{kids: slices.Clone(kids)}
			for _, kid := range kids {
				n.keys = append(n.keys, kid.keys[0])
			}
			above = append(above, n)
		}
		level = above
	}
	return tree[V]{level[0], len(keys)}
}

// The slices of a node are copied exactly: append's spare room would be wasted in every node.

func replace[E any](s []E, i int, e E) []E {
	next := slices.Clone(s)
	next[i] = e
	return next
}

func insert[E any](s []E, i int, e E) []E {
	next := make([]E, len(s)+1)
	copy(next, s[:i])
	next[i] = e
	copy(next[i+1:], s[i:])
	return next
}

func remove[E any](s []E, i int) []E {
	next := make([]E, len(s)-1)
	copy(next, s[:i])
	copy(next[i:], s[i+1:])
	return next
}
