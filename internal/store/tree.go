package store

import (
	"iter"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// tree is an immutable ordered map from string to V: every change makes a new tree that shares what did not change.
// So a snapshot is a copy of the struct, and an iteration is never disturbed by later changes.
type tree[V any] struct{ t *iradix.Tree[V] }

func newTree[V any]() tree[V] { return tree[V]{iradix.New[V]()} }

func (t tree[V]) len() int { return t.t.Len() }

func (t tree[V]) get(key string) (V, bool) { return t.t.Get([]byte(key)) }

func (t tree[V]) put(key string, v V) tree[V] {
	next, _, _ := t.t.Insert([]byte(key), v)
	return tree[V]{next}
}

func (t tree[V]) delete(key string) tree[V] {
	next, _, _ := t.t.Delete([]byte(key))
	return tree[V]{next}
}

// from yields the entries whose keys are not less than key, in key order.
func (t tree[V]) from(key string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		it := t.t.Root().Iterator()
		it.SeekLowerBound([]byte(key))
		for k, v, ok := it.Next(); ok; k, v, ok = it.Next() {
			if !yield(string(k), v) {
				return
			}
		}
	}
}
