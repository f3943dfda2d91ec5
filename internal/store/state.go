package store

import (
	"fmt"
	"slices"
)

// schema is the list of tables that a store was opened with.
type schema struct {
	tables   []AnyTable
	position map[AnyTable]int
	byKind   map[string]int
}

func newSchema(tables []AnyTable) *schema {
	sc := &schema{tables: tables, position: map[AnyTable]int{}, byKind: map[string]int{}}
	for i, t := range tables {
		if _, dup := sc.byKind[t.Kind()]; dup {
			panic(fmt.Sprintf("store: two tables of kind %q", t.Kind()))
		}
		sc.position[t], sc.byKind[t.Kind()] = i, i
	}
	return sc
}

// state is one version of all tables. It never changes: with makes a new one.
type state struct {
	schema *schema
	tables []*tableState
}

// tableState is one version of one table.
type tableState struct {
	rows    tree[any]         // key -> *T
	indexes []tree[tree[any]] // for each index: value -> key -> *T; the inner trees know their length
}

func newState(sc *schema) *state {
	st := &state{schema: sc, tables: make([]*tableState, len(sc.tables))}
	for i, t := range sc.tables {
		st.tables[i] = newTableState(t)
	}
	return st
}

func newTableState(t AnyTable) *tableState {
	return &tableState{indexes: make([]tree[tree[any]], t.indexCount())}
}

func (st *state) table(t AnyTable) *tableState {
	i, ok := st.schema.position[t]
	if !ok {
		panic(fmt.Sprintf("store: table %q was not given to Open", t.Kind()))
	}
	return st.tables[i]
}

// with returns the state in which the record of table i under key is rec (nil: none), and what was there before.
func (st *state) with(i int, key string, rec any) (next *state, before any) {
	next = &state{schema: st.schema, tables: append([]*tableState(nil), st.tables...)}
	next.tables[i], before = st.tables[i].with(st.schema.tables[i], key, rec)
	return next, before
}

func (ts *tableState) with(t AnyTable, key string, rec any) (next *tableState, before any) {
	before, _ = ts.rows.get(key)
	if before == nil && rec == nil {
		return ts, nil
	}
	next = &tableState{rows: ts.rows, indexes: append([]tree[tree[any]](nil), ts.indexes...)}
	if rec == nil {
		next.rows = ts.rows.delete(key)
	} else {
		next.rows = ts.rows.put(key, rec)
	}
	var old, now [][]string // by index
	if before != nil {
		old = t.indexValues(before)
	}
	if rec != nil {
		now = t.indexValues(rec)
	}
	for i := range next.indexes {
		ix := next.indexes[i]
		if before != nil {
			for _, value := range old[i] {
				if rec == nil || !slices.Contains(now[i], value) {
					ix = unpost(ix, value, key)
				}
			}
		}
		if rec != nil {
			for _, value := range now[i] {
				ix = post(ix, value, key, rec)
			}
		}
		next.indexes[i] = ix
	}
	return next, before
}

func post(ix tree[tree[any]], value, key string, rec any) tree[tree[any]] {
	p, _ := ix.get(value)
	return ix.put(value, p.put(key, rec))
}

func unpost(ix tree[tree[any]], value, key string) tree[tree[any]] {
	p, ok := ix.get(value)
	if !ok {
		return ix // the record had the same value twice
	}
	if p = p.delete(key); p.len() == 0 {
		return ix.delete(value)
	}
	return ix.put(value, p)
}

// snapshot is a durable state.
type snapshot struct {
	*state
	rev Rev
}

func (s *snapshot) Rev() Rev { return s.rev }
