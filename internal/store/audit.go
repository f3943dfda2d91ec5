package store

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"sync"
)

// audit finds records that were changed after they had been Put, or by somebody who got them from a Reader. It
// remembers a hash of each record's encoding, and compares when the record is replaced and when Run ends. The race
// detector finds such changes only when a reader happens to look at the same time; without either, a changed record
// shows up as an index that lies, or as a restart that brings old values back.
type audit struct {
	schema *schema
	seed   maphash.Seed

	mu   sync.Mutex
	sums map[any]uint64 // *T -> hash of its encoding
}

func newAudit(sc *schema) *audit {
	return &audit{schema: sc, seed: maphash.MakeSeed(), sums: map[any]uint64{}}
}

func (a *audit) remember(t AnyTable, rec any) {
	if sum, ok := a.sum(t, rec); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.sums[rec] = sum
	}
}

func (a *audit) sum(t AnyTable, rec any) (uint64, bool) {
	data, err := t.encode(rec)
	return maphash.Bytes(a.seed, data), err == nil
}

// verify panics when rec is not what it was. It forgets rec when it has been replaced.
func (a *audit) verify(t AnyTable, key string, rec any) {
	a.mu.Lock()
	want, known := a.sums[rec]
	a.mu.Unlock()
	if !known {
		return
	}
	if got, ok := a.sum(t, rec); !ok || got != want {
		data, _ := t.encode(rec)
		panic(fmt.Sprintf("store: the %s %s was changed after it was Put; copy a record before changing it. It is now %s",
			t.Kind(), key, data))
	}
}

// wrote checks what a transaction replaces, and remembers what it puts there.
func (a *audit) wrote(writes []write) {
	for _, w := range writes {
		t := a.schema.tables[w.id.table]
		if w.before != nil {
			a.verify(t, w.id.key, w.before)
		}
		if w.after != nil {
			a.survives(t, w)
			a.remember(t, w.after)
		}
	}
}

// survives panics when a record would not come back from the backend as it is: a key that is not part of the JSON, or
// a Marshaler without its Unmarshaler, would only show at the next start.
func (a *audit) survives(t AnyTable, w write) {
	key, rec, err := t.decode(w.value)
	if err != nil {
		panic(fmt.Sprintf("store: the %s %s could not be read back from %s: %v", t.Kind(), w.id.key, w.value, err))
	}
	again, err := t.encode(rec)
	if key != w.id.key || err != nil || !bytes.Equal(again, w.value) {
		panic(fmt.Sprintf("store: the %s %s would come back from %s as %s %s", t.Kind(), w.id.key, w.value, key, again))
	}
}

// applied does the same for what another server committed.
func (a *audit) applied(changes []Change) {
	for _, c := range changes {
		if c.before != nil {
			a.verify(c.table, c.Key, c.before)
		}
		if c.after != nil {
			a.remember(c.table, c.after)
		}
	}
}

func (a *audit) loaded(st *state) {
	a.mu.Lock()
	clear(a.sums)
	a.mu.Unlock()
	for i, t := range st.schema.tables {
		for _, rec := range st.tables[i].rows.from("") {
			a.remember(t, rec)
		}
	}
}

// verifyAll checks every record of snap, and forgets the others.
func (a *audit) verifyAll(snap *snapshot) {
	if snap == nil {
		return
	}
	for i, t := range snap.schema.tables {
		for key, rec := range snap.tables[i].rows.from("") {
			a.verify(t, key, rec)
		}
	}
}
