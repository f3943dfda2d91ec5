package store

import (
	"fmt"
	"unicode/utf8"
)

// Tx is a transaction in progress: a Reader that sees its own writes, and everything that was committed or queued
// before it. It is good for one run of Update's fn, on that goroutine only.
type Tx struct {
	*state // the head, with this transaction's writes
	rev    Rev
	writes []write
	seen   map[recordID]int // -> writes
	err    error
	done   bool
}

type recordID struct {
	table int
	key   string
}

// write is what one transaction does to one record.
type write struct {
	id            recordID
	before, after any // *T; nil: there is none
	value         []byte
}

func (tx *Tx) Rev() Rev { return tx.rev }

func (tx *Tx) set(t AnyTable, key string, rec any) {
	if tx.done {
		panic("store: a Tx was used after its fn returned")
	}
	i, ok := tx.schema.position[t]
	if !ok {
		panic(fmt.Sprintf("store: table %q was not given to Open", t.Kind()))
	}
	if key == "" {
		tx.fail(fmt.Errorf("store: a %s record has an empty key", t.Kind()))
		return
	}
	if !utf8.ValidString(key) { // JSON would change it, and the record could not be loaded
		tx.fail(fmt.Errorf("store: the key %q of a %s is not UTF-8", key, t.Kind()))
		return
	}
	next, before := tx.state.with(i, key, rec)
	if before == nil && rec == nil {
		return
	}
	tx.state = next
	id := recordID{i, key}
	if w, again := tx.seen[id]; again {
		tx.writes[w].after = rec
		return
	}
	if tx.seen == nil {
		tx.seen = map[recordID]int{}
	}
	tx.seen[id] = len(tx.writes)
	tx.writes = append(tx.writes, write{id: id, before: before, after: rec})
}

func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

// rowOverhead is more than what a backend's key and protocol add to a row.
const rowOverhead = 64

// encode gives every write its value. It drops the records that the transaction both created and deleted.
func (tx *Tx) encode() (bytes int, err error) {
	kept := tx.writes[:0]
	for _, w := range tx.writes {
		if w.before == nil && w.after == nil {
			continue
		}
		t := tx.schema.tables[w.id.table]
		if w.after != nil {
			if w.value, err = t.encode(w.after); err != nil {
				return 0, fmt.Errorf("store: encode %s %s: %w", t.Kind(), w.id.key, err)
			}
		}
		bytes += len(t.Kind()) + len(w.id.key) + len(w.value) + rowOverhead
		kept = append(kept, w)
	}
	tx.writes = kept
	return bytes, nil
}
