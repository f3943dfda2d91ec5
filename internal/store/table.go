package store

import (
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"strings"
)

// Reader is a consistent snapshot of all tables. Only this package implements it: the one that View hands out sees
// what is durable; a *Tx sees its own writes and everything before it.
type Reader interface {
	// Rev is the newest durable revision that the snapshot includes.
	Rev() Rev
	table(t AnyTable) *tableState
}

// AnyTable is a Table of any record type.
type AnyTable interface {
	// Kind names the table, here and in the backend.
	Kind() string

	encode(rec any) ([]byte, error)
	decode(data []byte) (key string, rec any, err error)
	// indexValues lists, for each index, the values that rec has.
	indexValues(rec any) [][]string
	indexCount() int
}

// Table is a set of records of one type under a unique key. It holds no data itself: it is a description that any
// number of stores can be opened with, normally a package variable.
type Table[T any] struct {
	kind    string
	key     func(*T) string
	indexes []*Index[T]
}

var kindPattern = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// metaKind is the kind of the store's own rows (format version).
const metaKind = "meta"

// NewTable describes a table. The kind is part of every key on disk: never change it. key must depend on nothing but
// the record, and so must the indexes.
func NewTable[T any](kind string, key func(*T) string, indexes ...*Index[T]) *Table[T] {
	if !kindPattern.MatchString(kind) || kind == metaKind {
		panic(fmt.Sprintf("store: %q can't be a table's kind", kind))
	}
	t := &Table[T]{kind: kind, key: key, indexes: indexes}
	for i, ix := range indexes {
		if ix.table != nil {
			panic(fmt.Sprintf("store: index %s belongs to table %s already", ix.name, ix.table.kind))
		}
		ix.table, ix.position = t, i
	}
	return t
}

func (t *Table[T]) Kind() string { return t.kind }

// Get returns the record under key. It is shared: copy it before you change it.
func (t *Table[T]) Get(r Reader, key string) (*T, bool) {
	rec, ok := r.table(t).rows.get(key)
	if !ok {
		return nil, false
	}
	return rec.(*T), true
}

// All yields every record in key order. Like all iterations it shows the state at its start, so the loop may Put and
// Delete in the same transaction.
func (t *Table[T]) All(r Reader) iter.Seq[*T] {
	return records[T](r.table(t).rows.from(""))
}

// After yields the records whose keys are strictly greater than key, in key order: the next page.
func (t *Table[T]) After(r Reader, key string) iter.Seq[*T] {
	// No string lies between key and key+"\x00".
	return records[T](r.table(t).rows.from(key + "\x00"))
}

// Prefix yields the records whose keys start with prefix, in key order.
func (t *Table[T]) Prefix(r Reader, prefix string) iter.Seq[*T] {
	rows := r.table(t).rows.from(prefix)
	return func(yield func(*T) bool) {
		for key, rec := range rows {
			if !strings.HasPrefix(key, prefix) || !yield(rec.(*T)) {
				return
			}
		}
	}
}

// Len returns the number of records, without looking at them.
func (t *Table[T]) Len(r Reader) int { return r.table(t).rows.len() }

// Put creates or replaces rec. From now on rec is shared and must not be changed.
func (t *Table[T]) Put(tx *Tx, rec *T) {
	if rec == nil {
		panic("store: Put of a nil " + t.kind)
	}
	tx.set(t, t.key(rec), rec)
}

// Delete removes the record under key, if there is one.
func (t *Table[T]) Delete(tx *Tx, key string) { tx.set(t, key, nil) }

// Change returns the record before and after c; before is nil when it was created, after when it was deleted. ok is
// false when c is about another table.
func (t *Table[T]) Change(c Change) (before, after *T, ok bool) {
	if c.table != AnyTable(t) {
		return nil, nil, false
	}
	before, _ = c.before.(*T)
	after, _ = c.after.(*T)
	return before, after, true
}

func (t *Table[T]) encode(rec any) ([]byte, error) { return json.Marshal(rec.(*T)) }

func (t *Table[T]) decode(data []byte) (string, any, error) {
	rec := new(T)
	if err := json.Unmarshal(data, rec); err != nil {
		return "", nil, err
	}
	return t.key(rec), rec, nil
}

func (t *Table[T]) indexCount() int { return len(t.indexes) }

func (t *Table[T]) indexValues(rec any) [][]string {
	if len(t.indexes) == 0 {
		return nil
	}
	all := make([][]string, len(t.indexes))
	for i, ix := range t.indexes {
		all[i] = ix.values(rec.(*T))
	}
	return all
}

func records[T any](rows iter.Seq2[string, any]) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, rec := range rows {
			if !yield(rec.(*T)) {
				return
			}
		}
	}
}

// Index finds records by a value that they have, e.g. tasks by the service that they belong to. A record can have
// several values, or none.
type Index[T any] struct {
	name     string
	values   func(*T) []string
	table    *Table[T]
	position int
}

// NewIndex describes an index; give it to exactly one NewTable. Indexes are kept in memory only, so they can be added,
// changed and dropped freely.
func NewIndex[T any](name string, values func(*T) []string) *Index[T] {
	return &Index[T]{name: name, values: values}
}

// Each yields the records that have the value, in the order of their keys.
func (ix *Index[T]) Each(r Reader, value string) iter.Seq[*T] {
	return records[T](ix.postings(r, value).from(""))
}

// After yields the records that have the value and whose keys are strictly greater than key: the next page.
func (ix *Index[T]) After(r Reader, value, key string) iter.Seq[*T] {
	return records[T](ix.postings(r, value).from(key + "\x00"))
}

// Count returns how many records have the value, without looking at them.
func (ix *Index[T]) Count(r Reader, value string) int { return ix.postings(r, value).len() }

func (ix *Index[T]) postings(r Reader, value string) tree[any] {
	if ix.table == nil {
		panic("store: index " + ix.name + " belongs to no table")
	}
	p, _ := r.table(ix.table).indexes[ix.position].get(value)
	return p
}
