package store

import (
	"fmt"
	"sort"
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
	st := newState(l.schema)
	for i, rows := range l.rows {
		sort.Slice(rows, func(a, b int) bool { return rows[a].key < rows[b].key })
		for _, e := range rows {
			st.tables[i], _ = st.tables[i].with(l.schema.tables[i], e.key, e.rec)
		}
	}
	return st
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
