package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// loader collects the rows of a Load, which arrive in any order and from several goroutines: decoding JSON is most of
// the work of a start, so it is done in parallel.
type loader struct {
	schema *schema

	mu      sync.Mutex
	rows    [][]entry // by table
	format  []byte
	records int
	unknown int
	err     error // the first record that couldn't be decoded
}

type entry struct {
	key string
	rec any
}

func newLoader(sc *schema) *loader {
	return &loader{schema: sc, rows: make([][]entry, len(sc.tables))}
}

// add never fails: a format that is too new explains a record that can't be decoded, so it has to be seen first.
func (l *loader) add(row Row) error {
	if row.Kind == metaKind {
		if row.Key == formatKey {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.format = row.Value
		}
		return nil
	}
	i, known := l.schema.byKind[row.Kind]
	var rec any
	var err error
	if known {
		rec, err = decode(l.schema.tables[i], row)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !known:
		l.unknown++
	case err != nil && l.err == nil:
		l.err = err
	case err == nil:
		l.rows[i] = append(l.rows[i], entry{row.Key, rec})
		l.records++
	}
	return nil
}

func decode(t AnyTable, row Row) (any, error) {
	key, rec, err := t.decode(row.Value)
	if err != nil {
		return nil, fmt.Errorf("store: decode %s %s: %w", row.Kind, row.Key, err)
	}
	if key != row.Key {
		return nil, fmt.Errorf("store: the %s under the key %s says that its key is %s", row.Kind, row.Key, key)
	}
	return rec, nil
}

func (l *loader) build() *state {
	st := &state{schema: l.schema, tables: make([]*tableState, len(l.schema.tables))}
	for i, rows := range l.rows {
		st.tables[i] = buildTable(l.schema.tables[i], rows)
		l.rows[i] = nil
	}
	return st
}

func buildTable(t AnyTable, rows []entry) *tableState {
	slices.SortFunc(rows, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	ts := newTableState(t)
	ts.rows = treeOf(rows)
	byValue := make([]map[string][]entry, len(ts.indexes))
	for i := range byValue {
		byValue[i] = map[string][]entry{}
	}
	for _, e := range rows {
		for i, values := range t.indexValues(e.rec) {
			for n, value := range values {
				if !slices.Contains(values[:n], value) {
					byValue[i][value] = append(byValue[i][value], e)
				}
			}
		}
	}
	for i, postings := range byValue {
		values := slices.Sorted(maps.Keys(postings))
		trees := make([]tree[any], len(values))
		for n, value := range values {
			trees[n] = treeOf(postings[value]) // in the order of rows, which is sorted
		}
		ts.indexes[i] = buildTree(values, trees)
	}
	return ts
}

func treeOf(rows []entry) tree[any] {
	keys, recs := make([]string, len(rows)), make([]any, len(rows))
	for i, e := range rows {
		keys[i], recs[i] = e.key, e.rec
	}
	return buildTree(keys, recs)
}

// difference lists how after differs from before. Records are compared by identity: a reload makes all of them new,
// and a watcher that looks once too often does no harm.
func difference(before, after *state) []Change {
	var changes []Change
	for i, t := range before.schema.tables {
		old, now := before.tables[i], after.tables[i]
		for key, rec := range now.rows.from("") {
			was, _ := old.rows.get(key)
			if was != rec {
				changes = append(changes, Change{Kind: t.Kind(), Key: key, table: t, before: was, after: rec})
			}
		}
		for key, rec := range old.rows.from("") {
			if _, still := now.rows.get(key); !still {
				changes = append(changes, Change{Kind: t.Kind(), Key: key, table: t, before: rec})
			}
		}
	}
	return changes
}
