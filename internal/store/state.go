package store

import "fmt"

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
	ts := &tableState{rows: newTree[any](), indexes: make([]tree[tree[any]], t.indexCount())}
	for i := range ts.indexes {
		ts.indexes[i] = newTree[tree[any]]()
	}
	return ts
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
	if before != nil {
		for i, values := range t.indexValues(before) {
			for _, value := range values {
				next.indexes[i] = unpost(next.indexes[i], value, key)
			}
		}
	}
	if rec == nil {
		next.rows = next.rows.delete(key)
		return next, before
	}
	next.rows = next.rows.put(key, rec)
	for i, values := range t.indexValues(rec) {
		for _, value := range values {
			next.indexes[i] = post(next.indexes[i], value, key, rec)
		}
	}
	return next, before
}

func post(ix tree[tree[any]], value, key string, rec any) tree[tree[any]] {
	p, ok := ix.get(value)
	if !ok {
		p = newTree[any]()
	}
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
